"""The main job from end to end: a run folder that is whole at any moment, and goes on."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from metawright.engine.budget import Budget
from metawright.engine.lock import FolderLock
from metawright.errors import BusyError, InputError, MetawrightError
from metawright.evaluate.assessment import assess
from metawright.generators.bundle import Bundle
from metawright.models.saved import load_model
from metawright.recipes import answer as answers
from metawright.recipes.data import folder_task, source_task
from metawright.recipes.generate import Generated, generate_model, generate_run
from metawright.recipes.predict import predict_paths
from metawright.store import Store, Trial
from metawright.tasks.task import Batch, Task, TaskSpec


@pytest.fixture
def task(shapes: Path) -> Task:
    return folder_task(shapes, channels=1, size=28)[0]


Go = Callable[..., Generated]


@pytest.fixture
def go(task: Task, tiny_bundle: Bundle, tmp_path: Path) -> Go:
    """`go(trials=...)`: the run on the shapes in `tmp_path / "run"`, or with other arguments."""

    def run(trials: int = 4, *, out: str = "run", **changes: Any) -> Generated:
        asked: dict[str, Any] = {"task": task, "name": "shapes"} | changes
        given = asked.pop("task")
        return generate_run(given, tiny_bundle, Budget(trials=trials), tmp_path / out, **asked)

    return run


def told(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return found


def stored(folder: Path) -> list[Trial]:
    with Store(folder / "store") as store:
        return store.trials()


def bits(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in module.named_parameters()}


def same_model(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    one, two = bits(first), bits(second)
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def stop_after(count: int) -> Callable[[Mapping[str, Any]], None]:
    def watch(event: Mapping[str, Any]) -> None:
        if event["trials"] == count:
            raise KeyboardInterrupt

    return watch


# --- what a run leaves behind --------------------------------------------------------------------


def test_run_json_keeps_its_contract(go: Go, tmp_path: Path, tiny_bundle: Bundle) -> None:
    """The keys and values of the table in docs/design.md."""
    made = go(5, notes=("One note.",), seed=3)
    found, trials = told(tmp_path / "run"), stored(tmp_path / "run")
    assert (found["format"], found["status"], found["seed"]) == (1, "done", 3)
    assert found["data"]["classes"] == ["bar", "ring", "slope"]
    assert found["data"]["support"] == {"bar": 4, "ring": 4, "slope": 4}
    assert found["data"]["name"] == "shapes" and found["data"]["notes"] == ["One note."]
    assert TaskSpec.from_json(found["spec"]) == made.spec
    assert found["bundle"]["name"] == "tiny" and found["bundle"]["digest"] == tiny_bundle.digest
    assert found["bundle"]["provenance"] == dict(tiny_bundle.provenance)
    assert found["budget"] == {"seconds": None, "trials": 5}
    assert 0 < found["first_model_seconds"] <= found["seconds"]
    names = [trial.id for trial in trials]
    assert len(names) == 5 and set(found["best"]["members"]) <= set(names)
    assert sum(found["best"]["weights"]) == pytest.approx(1)
    score = found["score"]
    assert 0 <= score["low"] <= score["accuracy"] <= score["high"] <= 1
    assert "4-fold cross-validation on 12 examples" in score["how"]
    confusion = torch.tensor(found["confusion"])
    assert confusion.shape == (3, 3) and confusion.sum(1).tolist() == [4, 4, 4]
    assert found["first"] == {"trial": names[0], "accuracy": trials[0].scores["accuracy"]}
    history = found["history"]
    assert [entry["trial"] for entry in history] == names
    assert all(a["seconds"] <= b["seconds"] for a, b in pairwise(history))
    assert all(a["best"] <= b["best"] for a, b in pairwise(history))
    assert history[-1]["best"] == max(entry["estimate"] for entry in history)
    assert found["why"] == list(made.why) and len(made.why) >= 4
    assert found["test"] is None, "a folder has no query"
    assert made.record["best"] == found["best"]
    for trial in trials:
        assert {"accuracy", "log_loss"} <= trial.scores.keys()
        assert {"seconds", "parameters"} <= trial.cost.keys()
        assert {"origin", "predicted", "predicted_sd", "how", "curve", "folds"} <= (
            trial.evidence.keys()
        )


def test_the_module_is_plain_and_what_is_on_disk(go: Go, tmp_path: Path, task: Task) -> None:
    made = go(3)
    assert not made.module.training
    logits = made.module(task.support.x)
    assert logits.shape == (12, 3)
    saved = load_model(tmp_path / "run")
    torch.testing.assert_close(saved.module(task.support.x), logits)
    assert saved.spec == made.spec
    large = torch.nn.functional.interpolate(task.support.x, (40, 40))
    assert made.module(large).shape == (12, 3), "images of any size"
    weights = list((tmp_path / "run").glob("model-*.safetensors"))
    assert len(weights) == 1


def test_it_learns(go: Go, task: Task) -> None:
    made = go(4)
    assert (made.module(task.support.x).argmax(1) == task.support.labels).all()


@pytest.mark.parametrize("trials", [1, 8])
def test_never_worse_than_its_first_answer(go: Go, tmp_path: Path, trials: int) -> None:
    made = go(trials)
    history = told(tmp_path / "run")["history"]
    assert history[-1]["best"] >= history[0]["estimate"]
    first = [entry for entry in history if entry["trial"] == made.trials[0].id]
    best = [entry for entry in history if entry["trial"] == made.answer.members[0]]
    assert best[0]["estimate"] >= first[0]["estimate"]


def test_digits_with_a_query(tiny_bundle: Bundle, tmp_path: Path) -> None:
    task = source_task("digits", ways=4, shots=2, queries=5, seed=0)
    made = generate_run(task, tiny_bundle, Budget(trials=2), tmp_path / "run", name="digits")
    test = told(tmp_path / "run")["test"]
    assert test["examples"] == 20 and test["low"] <= test["accuracy"] <= test["high"]
    confusion = torch.tensor(test["confusion"])
    assert confusion.sum(1).tolist() == [5] * 4
    assert int(confusion.diagonal().sum()) == round(20 * test["accuracy"])
    names = {row["name"] for row in test["baselines"]}
    assert names == {"logistic regression", "1-nearest neighbour", "SVM"}
    assert all(row["low"] <= row["accuracy"] <= row["high"] for row in test["baselines"])
    assert made.spec.native_size == 8 and made.spec.features == (1, 28, 28)


def test_the_query_is_not_looked_at(go: Go, task: Task) -> None:
    other = Batch(torch.rand(3, 1, 28, 28), torch.tensor([0, 1, 2]))
    assert same_model(go(3).module, go(3, out="other", task=task._replace(query=other)).module)


# --- repeatable ----------------------------------------------------------------------------------


def test_same_seed_and_trials_same_model(go: Go, task: Task, tiny_bundle: Bundle) -> None:
    first, second = go(5, out="a"), go(5, out="b")
    assert [t.design for t in first.trials] == [t.design for t in second.trials]
    assert same_model(first.module, second.module)
    memory = generate_model(task, tiny_bundle, Budget(trials=5))
    assert same_model(first.module, memory.module)
    assert memory.answer.accuracy == first.answer.accuracy and not memory.record
    other = go(5, out="c", seed=1)
    assert [t.design for t in first.trials] != [t.design for t in other.trials]


def test_a_watcher_hears_of_every_trial(go: Go) -> None:
    events: list[Mapping[str, Any]] = []
    made = go(3, on_trial=events.append)
    assert [event["trial"] for event in events] == [trial.id for trial in made.trials]
    assert [event["trials"] for event in events] == [1, 2, 3]
    assert all(event["status"] == "ok" and event["best"] <= 1.5 for event in events)


# --- going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [1, 3])
def test_an_interrupted_run_goes_on_to_the_same_model(go: Go, tmp_path: Path, after: int) -> None:
    whole = go(6, out="whole")
    with pytest.raises(KeyboardInterrupt):
        go(6, on_trial=stop_after(after))
    found = told(tmp_path / "run")
    assert found["status"] == "interrupted" and len(found["history"]) == after
    before = stored(tmp_path / "run")
    assert load_model(tmp_path / "run").spec.classes == ("bar", "ring", "slope")
    made = go(6)
    assert [t.id for t in made.trials[:after]] == [t.id for t in before]
    assert [t.design for t in made.trials] == [t.design for t in whole.trials]
    assert same_model(made.module, whole.module)
    assert told(tmp_path / "run")["status"] == "done"
    assert told(tmp_path / "run")["created"] == found["created"]
    assert told(tmp_path / "run")["first_model_seconds"] == found["first_model_seconds"]


def test_a_larger_budget_goes_on(go: Go, tmp_path: Path) -> None:
    small = go(2)
    first = told(tmp_path / "run")
    large = go(5)
    assert len(large.trials) == 5
    assert [t.id for t in large.trials[:2]] == [t.id for t in small.trials]
    found = told(tmp_path / "run")
    assert found["history"][0]["seconds"] == first["history"][0]["seconds"]
    assert found["budget"]["trials"] == 5 and found["seconds"] > first["seconds"]


def test_a_finished_run_is_only_told_again(go: Go, tmp_path: Path) -> None:
    first = go(3)
    again = go(3)
    assert [t.id for t in again.trials] == [t.id for t in first.trials]
    assert same_model(first.module, again.module)
    assert len(stored(tmp_path / "run")) == 3


def test_seconds_of_all_sessions_count(go: Go, tmp_path: Path, task: Task) -> None:
    made = go(2)
    record = told(tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(json.dumps(record | {"seconds": 1000.0}))
    spent = go(2, on_trial=stop_after(3), spent=5.0)
    assert len(spent.trials) == len(made.trials)
    assert told(tmp_path / "run")["seconds"] > 1005


def test_a_moved_run_still_predicts_and_goes_on(go: Go, tmp_path: Path, shapes: Path) -> None:
    go(2)
    before = predict_paths(tmp_path / "run", [shapes])
    (tmp_path / "elsewhere").mkdir()
    shutil.move(tmp_path / "run", tmp_path / "elsewhere" / "moved")
    after = predict_paths(tmp_path / "elsewhere" / "moved", [shapes])
    assert after.labels == before.labels
    assert len(go(3, out="elsewhere/moved").trials) == 3
    assert not (tmp_path / "run").exists()


# --- refused -------------------------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("what", ["data", "seed"])
def test_another_run_in_the_same_folder(go: Go, tmp_path: Path, task: Task, what: str) -> None:
    go(1)
    before = contents(tmp_path / "run")
    flipped = task._replace(support=Batch(task.support.x.flip(3), task.support.labels))
    with pytest.raises(InputError, match=f"holds a run with other {what}: choose another --out"):
        go(1, **({"seed": 1} if what == "seed" else {"task": flipped}))
    after = contents(tmp_path / "run")
    assert {k: v for k, v in after.items() if ".lock" not in k} == {
        k: v for k, v in before.items() if ".lock" not in k
    }


def test_a_foreign_folder(go: Go, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no run"):
        go(1)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.tex"]


def test_a_run_that_is_being_written(go: Go, tmp_path: Path) -> None:
    with FolderLock(tmp_path / "run"), pytest.raises(BusyError, match=f"pid {os.getpid()}"):
        go(1)
    assert len(go(1).trials) == 1


@pytest.mark.parametrize(("labels", "sentence"), [
    ([0, 0, 0], "fewer than two classes"), ([0, 0, 2], "Class 'ring' has no example")
])  # fmt: skip
def test_a_task_that_cannot_be_learned(
    go: Go, task: Task, tmp_path: Path, labels: list[int], sentence: str
) -> None:
    support = Batch(task.support.x[:3], torch.tensor(labels))
    with pytest.raises(InputError, match=sentence):
        go(1, task=task._replace(support=support))
    assert not (tmp_path / "run").exists()


# --- when something breaks -----------------------------------------------------------------------


def test_failed_designs_are_recorded_and_passed_over(
    go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [0]

    def sometimes(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] in (1, 3):
            raise RuntimeError("singular matrix")
        return assess(*arguments)

    monkeypatch.setattr(answers, "assess", sometimes)
    made = go(4)
    assert [t.status for t in made.trials] == ["failed", "ok", "failed", "ok"]
    assert [t.status for t in stored(tmp_path / "run")] == [t.status for t in made.trials]
    found = told(tmp_path / "run")
    assert found["first"]["trial"] == made.trials[1].id and len(found["history"]) == 2


def test_when_every_design_fails(go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any) -> Any:
        raise RuntimeError("singular matrix")

    monkeypatch.setattr(answers, "assess", never)
    with pytest.raises(MetawrightError, match="5 designs in a row failed"):
        go(10)
    monkeypatch.undo()
    assert len(go(10).trials) == 10, "the failed ones count"


def full_disk(monkeypatch: pytest.MonkeyPatch, writes: int) -> None:
    """After so many writes of whole files the disk has no room left."""
    left, real = [writes], os.fsync

    def fsync(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("writes", range(4))
def test_a_full_disk_leaves_the_old_model_whole(
    go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Improving a run needs several writes; whichever fails, the run predicts as before."""
    go(2)
    before = load_model(tmp_path / "run").module
    x = torch.rand(2, 1, 28, 28)
    full_disk(monkeypatch, writes)
    with pytest.raises(InputError, match=r"^No space left on the disk of .*run.*: free some"):
        go(6)
    monkeypatch.undo()
    after = load_model(tmp_path / "run").module
    if writes == 0:
        torch.testing.assert_close(after(x), before(x))
    assert after(x).shape == (2, 3)
    assert {t.id for t in stored(tmp_path / "run")} >= {
        t["trial"] for t in told(tmp_path / "run")["history"]
    }
    assert len(go(6).trials) == 6
    assert not list((tmp_path / "run").glob("*.tmp"))


# --- several processes, and kills ----------------------------------------------------------------

WORKER = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from metawright.engine.budget import Budget
from metawright.errors import MetawrightError
from metawright.generators.bundle import load_bundle
from metawright.recipes.data import folder_task
from metawright.recipes.generate import generate_run

data, bundle, out, trials, seed, store = sys.argv[1:]
known = load_bundle(bundle)
task, _ = folder_task(Path(data), channels=1, size=28)
print("ready", flush=True)
sys.stdin.readline()
try:
    generate_run(task, known, Budget(trials=int(trials)), Path(out), name="shapes", seed=int(seed),
                 store=Path(store) if store else None,
                 on_trial=lambda event: print(event["trial"], flush=True))
except MetawrightError as error:
    sys.exit(type(error).__name__)
"""


def worker(
    data: Path, bundle: Path, out: Path, trials: int, *, seed: int = 0, store: Path | None = None
) -> subprocess.Popen[str]:
    """A process that has loaded everything and waits for a line to begin."""
    asked = [data, bundle, out, trials, seed, store or ""]
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WORKER, *map(str, asked)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    return process


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 4])
def test_kill_and_go_on(
    go: Go, tmp_path: Path, shapes: Path, tiny_bundle_folder: Path, after: int
) -> None:
    """Killed at some moment after so many trials: those are there, and the call goes on."""
    with worker(shapes, tiny_bundle_folder, tmp_path / "run", 500) as process:
        begin(process)
        assert process.stdout is not None
        seen = [process.stdout.readline().strip() for _ in range(after)]
        time.sleep(0.03 * (after + 1))
        process.send_signal(signal.SIGKILL)
        seen += process.stdout.read().split("\n")[:-1]
    assert process.returncode == -signal.SIGKILL
    made = go(len(seen) + 2)
    assert [t.id for t in made.trials][: len(seen)] == seen
    assert len(made.trials) >= len(seen) + 2
    assert told(tmp_path / "run")["status"] == "done"
    assert len({t.design for t in made.trials}) == len(made.trials)


@pytest.mark.slow
def test_two_processes_into_one_run(
    tmp_path: Path, shapes: Path, tiny_bundle_folder: Path
) -> None:
    pair = [worker(shapes, tiny_bundle_folder, tmp_path / "run", 6) for _ in range(2)]
    for process in pair:
        begin(process)
    ends = []
    for process in pair:
        out, err = process.communicate(timeout=120)
        ends.append((process.returncode, err.strip(), len(out.split())))
    # One may find the other's run finished already; then it has nothing left to do.
    assert (0, "", 6) in ends
    assert set(ends) <= {(0, "", 6), (1, "BusyError", 0), (0, "", 0)}, ends
    assert len(stored(tmp_path / "run")) == 6


@pytest.mark.slow
def test_two_runs_into_one_store(tmp_path: Path, shapes: Path, tiny_bundle_folder: Path) -> None:
    store = tmp_path / "store"
    pair = [
        worker(shapes, tiny_bundle_folder, tmp_path / f"run{seed}", 8, seed=seed, store=store)
        for seed in range(2)
    ]
    for process in pair:
        begin(process)
    for process in pair:
        _, err = process.communicate(timeout=120)
        assert (process.returncode, err) == (0, "")
    with Store(store) as shared:
        for seed in range(2):
            own = stored(tmp_path / f"run{seed}")
            assert len(own) == 8
            there = shared.trials(run=own[0].run)
            assert [t.id for t in there] == [t.id for t in own]
        assert sorted(run.status for run in shared.runs()) == ["done", "done"]
        assert len(shared.trials()) == 16


def test_a_kill_between_two_stores_is_mended(go: Go, tmp_path: Path) -> None:
    """Trials that only the run's own store has got are copied when the run goes on."""
    go(2)
    go(3, store=tmp_path / "shared")
    with Store(tmp_path / "shared") as shared:
        assert [t.id for t in shared.trials()] == [t.id for t in stored(tmp_path / "run")]
