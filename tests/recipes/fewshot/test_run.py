"""Few-shot runs from end to end: repeatable, resumable to the bit, honest in their figures."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors import safe_open
from torch import Tensor
from torch.testing import assert_close

from metawright.engine.lock import FolderLock
from metawright.errors import BusyError, InputError, MetawrightError
from metawright.evaluate import evaluate
from metawright.learners import LEARNERS, MAML, Learner
from metawright.models.backbones import MLP
from metawright.recipes.fewshot import stages, training
from metawright.recipes.fewshot.compare import compare
from metawright.recipes.fewshot.run import FewShot, fewshot, load_fewshot
from metawright.rng import stream
from metawright.tasks import Digits, Split, TaskSpec
from metawright.training.trainable import Step

SMALL: dict[str, Any] = {"ways": 2, "queries": 2, "tasks": 3, "tasks_per_step": 2, "seed": 3}


def tiny(spec: TaskSpec, rng: torch.Generator, *, inner_lr: float = 0.1) -> Learner:
    """A MAML small enough to be trained in no time."""
    inputs = 1
    for side in spec.features:
        inputs *= side
    return MAML(MLP(inputs, spec.outputs, rng=rng, hidden=(8,)), inner_lr=inner_lr)


@pytest.fixture(autouse=True)
def tiny_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast(dict[str, Any], LEARNERS), "tiny", tiny)


def weights(run: Path, name: str = "last") -> dict[str, Tensor]:
    with safe_open(run / f"{name}.safetensors", framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}


def told(run: Path) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads((run / "run.json").read_text()))


class Killed(BaseException):
    """As if the process had been killed: nothing is tidied up."""


def killed_at(step: int) -> Callable[[str, float, float, str], None]:
    def watch(stage: str, done: float, total: float, note: str) -> None:
        if stage == "Meta-training" and done == step:
            raise Killed

    return watch


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FewShot]:
    """A run that nobody stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(cast(dict[str, Any], LEARNERS), "tiny", tiny)
        out = tmp_path_factory.mktemp("whole") / "run"
        yield fewshot("tiny", "digits", steps=30, out=out, **SMALL)


def test_what_a_run_holds(whole: FewShot) -> None:
    assert whole.run is not None
    record = told(whole.run)
    assert record["status"] == "done" and record["kind"] == "fewshot"
    assert record["trained"] == {"steps": 30} and len(record["history"]) == 6
    assert record["settings"]["tasks"] == 2
    test = record["test"]
    assert test["measure"] == "accuracy" and test["tasks"] == 3
    assert 0 <= test["inductive"]["mean"] <= 1 and test["queries"] == {"together": 4, "alone": 4}
    names = [row["name"] for row in record["baselines"]]
    assert names == ["chance", "nearest mean of raw inputs", "before meta-training"]
    assert record["baselines"][0]["mean"] == 0.5
    assert [row["steps"] for row in record["adaptation"]] == [0, 1, 2, 3, 5, 10]
    assert "the same in training and test" in record["data"]["notes"][0]
    lines = (whole.run / "curves.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 30
    assert "tiny on digits: " in str(whole) and " ± " in str(whole)


def test_one_shot_unless_asked_otherwise(whole: FewShot) -> None:
    assert whole.run is not None
    task = json.loads((whole.run / "samples.json").read_text())[0]
    assert [row["label"] for row in task["support"]] == [0, 1]


@pytest.mark.parametrize("step", [1, 7, 10, 30])
def test_a_killed_run_ends_as_one_that_never_stopped(
    whole: FewShot, tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a checkpoint at every step (10 is one of a validation), and without."""
    monkeypatch.setattr(training, "SAVE_EVERY", 5.0 if step == 7 else 1e-9)
    with pytest.raises(Killed):
        fewshot("tiny", "digits", steps=30, out=tmp_path, watch=killed_at(step), **SMALL)
    fewshot("tiny", "digits", steps=30, out=tmp_path, **SMALL)
    assert whole.run is not None
    for name in ("last", "weights"):
        assert_close(weights(tmp_path, name), weights(whole.run, name), rtol=0, atol=0)
    first, second = told(whole.run), told(tmp_path)
    for key in ("test", "adaptation", "baselines"):
        assert first[key] == second[key], key
    curves = [[(r["step"], r["mean"]) for r in record["history"]] for record in (first, second)]
    assert curves[0] == curves[1]


def test_a_validation_that_is_owed_is_made(
    tmp_path: Path, whole: FewShot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between a checkpoint and the validation that belongs to it."""
    monkeypatch.setattr(training, "SAVE_EVERY", 1e-9)
    validate = training._Course.validate

    def killed(self: Any, step: int) -> None:
        if step == 10:
            raise Killed
        validate(self, step)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(training._Course, "validate", killed)
        fewshot("tiny", "digits", steps=30, out=tmp_path, **SMALL)
    fewshot("tiny", "digits", steps=30, out=tmp_path, **SMALL)
    assert whole.run is not None
    steps = [row["step"] for row in told(tmp_path)["history"]]
    assert steps == [row["step"] for row in told(whole.run)["history"]]


def test_ctrl_c_keeps_a_checkpoint_and_says_so(tmp_path: Path) -> None:
    def watch(stage: str, done: float, total: float, note: str) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fewshot("tiny", "digits", steps=30, out=tmp_path, watch=watch, **SMALL)
    assert told(tmp_path)["status"] == "interrupted" and (tmp_path / "training.ckpt").exists()


def test_the_best_weights_are_those_of_the_best_validation(whole: FewShot) -> None:
    assert whole.run is not None
    history = told(whole.run)["history"]
    best = max(history, key=lambda row: row["mean"])["step"]
    with safe_open(whole.run / "weights.safetensors", framework="pt") as file:
        assert json.loads(file.metadata()["metawright"])["step"] == best


def test_the_figures_are_those_of_evaluate(whole: FewShot) -> None:
    source = Digits(ways=2, shots=1, queries=2)
    for kind, together in (("transductive", True), ("inductive", False)):
        found = evaluate(
            whole.learner, source, Split.TEST, tasks=3, rng=stream(3, "test"),
            transductive=together,
        )  # fmt: skip
        assert whole.record["test"][kind]["mean"] == pytest.approx(found.mean)
        assert whole.record["test"][kind]["ci95"] == pytest.approx(found.ci95)


def test_a_run_is_loaded_as_it_was(whole: FewShot) -> None:
    assert whole.run is not None
    task = Digits(ways=2, shots=1, queries=2).draw(Split.TEST, stream(0))
    outputs = []
    for learner in (whole.learner, load_fewshot(whole.run), load_fewshot(whole.run, last=True)):
        with torch.no_grad():
            outputs.append(learner.adapt(task.support, stream(1))(task.query.x))
    assert_close(outputs[0], outputs[1], rtol=0, atol=0)
    again = fewshot("tiny", "digits", steps=30, out=whole.run, **SMALL)
    assert again.record == told(whole.run)


@pytest.mark.parametrize("source", ["digits", "sinusoid"])
@pytest.mark.parametrize("name", sorted(LEARNERS))
def test_every_row_goes_the_whole_road(
    name: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through the protocol alone: a new row is tested by being there."""
    monkeypatch.setattr(stages, "_STEP_TASKS", 1)
    monkeypatch.setattr(stages, "_BASELINE_TASKS", 1)
    if source == "sinusoid" and "prototypical" in name:
        with pytest.raises(InputError, match="'prototypical-network' cannot take these tasks"):
            fewshot(name, source, steps=1, out=tmp_path / "run", **SMALL)
        assert not (tmp_path / "run").exists()
        return
    made = fewshot(name, source, steps=1, out=tmp_path, **(SMALL | {"tasks": 2}))
    assert made.record["test"]["transductive"]["mean"] is not None
    assert (tmp_path / "samples.json").stat().st_size > 100


def test_several_sources_are_mixed_and_told_apart(
    tmp_path: Path, draw_shapes_in: Callable[..., Path]
) -> None:
    names = [f"{shape}{number}" for shape in ("bar", "ring", "slope") for number in range(2)]
    folder = draw_shapes_in(tmp_path / "shapes", dict.fromkeys(names, 4))
    settings = SMALL | {"tasks": 12, "size": 8}
    made = fewshot("tiny", ["digits", folder], steps=2, **settings)
    sources = made.record["test"]["sources"]
    assert set(sources) == {"digits", "images"}
    assert sum(row["tasks"] for row in sources.values()) == 12
    with pytest.raises(InputError, match="'digits' gives classification of 1 x 8 x 8 and 'sin"):
        fewshot("tiny", ["digits", "sinusoid"], steps=2, **SMALL)


def test_a_budget_becomes_steps_and_is_kept(tmp_path: Path) -> None:
    made = fewshot("tiny", "digits", budget=0.5, out=tmp_path, **SMALL)
    plan = made.record["plan"]
    assert plan["steps"] >= 1 and 1 <= made.record["trained"]["steps"] <= plan["steps"]
    assert made.record["training_seconds"] < 20


def test_training_ends_when_the_time_is_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "_OVERTIME", 1e-9)
    made = fewshot("tiny", "digits", budget=0.5, out=tmp_path, **SMALL)
    assert made.record["trained"] == {"steps": 1}
    assert [row["step"] for row in made.record["history"]] == [1]


def breaking(after: int, *, raising: bool = False) -> Callable[..., Learner]:
    """A row whose loss is no number from some step on, for tasks that have class 7 in them."""

    def row(spec: TaskSpec, rng: torch.Generator) -> Learner:
        learner = tiny(spec, rng)
        gradients, calls = learner.gradients, [0]

        def broken(batch: Any, rng: torch.Generator) -> Step:
            step = gradients(batch, rng)
            calls[0] += 1
            if calls[0] > after and any("7" in task.spec.classes for task in batch):
                if raising:
                    raise MetawrightError("Task 2 of 2 broke: the loss is nan. Lower the rate.")
                step.metrics["loss"] = float("nan")
            return step

        learner.gradients = broken  # type: ignore[method-assign]
        return learner

    return row


@pytest.mark.parametrize("raising", [False, True])
def test_a_loss_that_is_no_number_names_step_and_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raising: bool
) -> None:
    rows = cast(dict[str, Any], LEARNERS)
    monkeypatch.setitem(rows, "breaking", breaking(3, raising=raising))
    what = ": Task 2 of 2 broke: the loss is nan" if raising else (
        r" on task [12] of 2 \('digits': (7, \d|\d, 7)\): loss = nan"
    )  # fmt: skip
    sentence = rf"^Training broke at step (\d+){what}; the weights of step (\d+) are kept in '.*'"
    with pytest.raises(MetawrightError, match=sentence) as caught:
        fewshot("breaking", "digits", steps=60, out=tmp_path, **SMALL)
    assert not isinstance(caught.value, InputError)
    assert told(tmp_path)["status"] == "broken"
    values = weights(tmp_path).values()
    assert all(bool(value.isfinite().all()) for value in values)


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"learner": "mamal"}, r"no learner 'mamal': did you mean 'maml'\?"),
    ({"source": "diggits"}, r"no source or folder 'diggits': did you mean 'digits'\?"),
    ({"ways": 1}, "--ways must be at least 2, but got 1"),
    ({"ways": 11}, "11 classes was asked for, but the train part of 'digits' has 10"),
    ({"queries": 400}, r"has 174 examples, but shots \+ queries ask for 401"),
    ({"queries": 0}, "--queries must be at least 1, but got 0"),
    ({"budget": "0s", "steps": None}, "budget must be more than zero"),
    ({"budget": -2.0, "steps": None}, r"--budget must be more than 0, but got -2"),
    ({"steps": 0}, "--steps must be at least 1"),
    ({"budget": 3.0}, "Give either --steps or --budget"),
    ({"inner_lr": -1.0}, "--inner-lr must be more than 0"),
    ({"channels": 2}, "--channels must be 1"),
    ({"learner": "prototypical-network", "inner_lr": 0.1}, "'prototypical-network' has no --inne"),
    ({"source": "navigation"}, "'navigation' are control"),
    ({"device": "abacus"}, r"device 'abacus' cannot be used \(.*\): use cpu"),
    ({"source": "images"}, "'images' is a folder of yours: give its path"),
]


@pytest.mark.parametrize(("changes", "sentence"), REFUSED)
def test_bad_input(changes: dict[str, Any], sentence: str, tmp_path: Path) -> None:
    arguments = {"learner": "tiny", "source": "digits", "steps": 2, **SMALL, **changes}
    with pytest.raises(InputError, match=sentence):
        fewshot(**arguments, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_settings_are_named(whole: FewShot) -> None:
    changed = SMALL | {"ways": 3, "inner_lr": 0.2}
    with pytest.raises(InputError, match=r"--ways 2 \(now 3\) and --inner-lr unset \(now 0.2\)"):
        fewshot("tiny", "digits", steps=30, out=whole.run, **changed)


def test_another_kind_of_run_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 1, "status": "done"}')
    with pytest.raises(InputError, match="holds a run of `metawright generate`"):
        fewshot("tiny", "digits", steps=2, out=tmp_path, **SMALL)
    with pytest.raises(InputError, match="is no run of `metawright fewshot`"):
        load_fewshot(tmp_path)


def test_one_process_a_folder(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(BusyError, match="Another process"):
        fewshot("tiny", "digits", steps=2, out=tmp_path, **SMALL)


def test_a_comparison_goes_on_learner_by_learner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["tiny", "prototypical-network"]

    def watch(stage: str, done: float, total: float, note: str) -> None:
        if stage.startswith("prototypical-network: Meta"):
            raise Killed

    with pytest.raises(Killed):
        compare(names, "digits", steps=2, out=tmp_path, watch=watch, **SMALL)
    before = (tmp_path / "tiny" / "last.safetensors").stat().st_mtime_ns
    table = compare(names, "digits", steps=2, out=tmp_path, **SMALL)
    assert (tmp_path / "tiny" / "last.safetensors").stat().st_mtime_ns == before
    rows = {row["name"]: row for row in table.record["rows"]}
    assert set(rows) == {*names, "chance", "nearest mean of raw inputs"}
    means = [row["inductive"]["mean"] for row in table.record["rows"]]
    assert means == sorted(means, reverse=True)
    # The nearest mean has nothing random: the same figure shows that all saw the same tasks.
    plain = [told(tmp_path / name)["baselines"][1]["mean"] for name in names]
    assert plain[0] == plain[1]
    with pytest.raises(InputError, match="two or more different learners"):
        compare(["tiny", "tiny"], "digits", steps=2, out=tmp_path, **SMALL)


def test_one_that_breaks_does_not_spoil_the_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cast(dict[str, Any], LEARNERS), "breaking", breaking(0))
    table = compare(["breaking", "tiny"], "digits", steps=40, out=tmp_path, **SMALL)
    assert "Training broke at step" in table.record["broken"]["breaking"]
    assert "tiny" in table.runs and "breaking" not in table.runs
