"""Few-shot learning from end to end: meta-train a learner on a source, judge it, keep all of it.

A run lives in one folder, in stages each of which goes on where it stood: training, the figures
on test tasks, the figures step by step, the baselines, sample tasks. The same call on a finished
folder reads it.

    RUN/run.json               what was asked, how it stands, what came out
    RUN/weights.safetensors    best on the validation tasks; what is judged and loaded
    RUN/last.safetensors       at the end of training
    RUN/curves.jsonl           training, a line a record
    RUN/samples.json           a few test tasks with predictions
    RUN/training.ckpt          to go on from
"""

import hashlib
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metawright.engine.budget import parse_duration
from metawright.engine.lock import FolderLock
from metawright.engine.run_folder import RunFolder
from metawright.errors import InputError
from metawright.learners import Learner
from metawright.recipes.asking import check_folder
from metawright.recipes.fewshot.asked import KIND, Asked, is_own
from metawright.recipes.fewshot.learners import (
    build_learner,
    check_device,
    check_learner,
    on_device,
    read_weights,
)
from metawright.recipes.fewshot.settings import settings_for
from metawright.recipes.fewshot.sources import Opened, open_sources, training_source
from metawright.recipes.fewshot.stages import judge_run
from metawright.recipes.fewshot.training import BEST, LAST, Watch, train
from metawright.store.files import read_json
from metawright.tasks.task import TaskSpec

__all__ = ["FewShot", "ask", "fewshot", "fewshot_run", "load_fewshot"]

DEFAULT_BUDGET = 300.0


@dataclass(frozen=True)
class FewShot:
    """A meta-trained learner and how good it is.

    Arguments:
        learner: with the weights that were best on the validation tasks.
        spec: of the tasks it was built for.
        record: what `run.json` holds; `record["test"]` has the figures.
        run: the folder, None where none was asked for.
    """

    learner: Learner
    spec: TaskSpec
    record: dict[str, Any]
    run: Path | None

    def __str__(self) -> str:
        test, asked = self.record["test"], self.record["asked"]
        shown = [
            f"{_shown(test['measure'], test[kind])} with each query {words}"
            for kind, words in (("inductive", "alone"), ("transductive", "beside the others"))
        ]
        source = "+".join(asked["sources"])
        return f"{asked['learner']} on {source}: {' and '.join(shown)}"


def fewshot(
    learner: str,
    source: str | Path | Sequence[str | Path],
    *,
    ways: int = 5,
    shots: int | None = None,
    queries: int = 15,
    steps: int | None = None,
    budget: str | float | None = None,
    tasks: int = 600,
    inner_lr: float | None = None,
    inner_steps: int | None = None,
    lr: float | None = None,
    tasks_per_step: int | None = None,
    normalisation: str | None = None,
    size: int | None = None,
    channels: int | None = None,
    out: Path | str | None = None,
    seed: int = 0,
    device: str = "cpu",
    watch: Watch | None = None,
) -> FewShot:
    """Meta-trains a learner on tasks of a source and judges it on tasks of other classes.

    Arguments:
        learner: a name of `LEARNERS`: maml, reptile, prototypical-network, ...
        source: a name of `SOURCES`; a folder with one sub-folder of images, .txt or .wav files a
            class; a table of texts (columns text and label); or several, whose tasks are mixed.
        ways, shots, queries: of the tasks; None shots for 1 a class, or 10 in all for regression.
        steps: steps of meta-training; makes the result repeatable.
        budget: seconds of meta-training, or a text such as "5m", instead of steps (default 5
            minutes); judging comes on top.
        tasks: test tasks.
        inner_lr, inner_steps, lr, tasks_per_step, normalisation: in place of the learner's own
            settings.
        size, channels: of images that are read from folders.
        out: folder of the run, in which the same call goes on; None keeps nothing.
        seed: of weights and tasks.
        device: where tensors live.
        watch: is told how it comes on.

    Raises:
        InputError: something that was given cannot be used.
        BusyError: another process is writing `out`.
        MetawrightError: training broke; names step and task.

    Example:
        >>> from metawright.recipes.fewshot.run import fewshot
        >>> made = fewshot("prototypical-network", "digits", ways=3, queries=2, steps=2, tasks=4)
        >>> made.record["test"]["measure"], made.record["test"]["tasks"]
        ('accuracy', 4)
    """
    asked = ask(
        learner, source, ways=ways, shots=shots, queries=queries, steps=steps, budget=budget,
        tasks=tasks, inner_lr=inner_lr, inner_steps=inner_steps, lr=lr,
        tasks_per_step=tasks_per_step, normalisation=normalisation, size=size,
        channels=channels, seed=seed,
    )  # fmt: skip
    if out is not None:
        return fewshot_run(asked, Path(out), device=device, watch=watch)
    folder = Path(tempfile.mkdtemp(prefix="metawright-"))
    try:
        made = fewshot_run(asked, folder / "run", device=device, watch=watch)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return FewShot(made.learner, made.spec, made.record, None)


def ask(
    learner: str,
    source: str | Path | Sequence[str | Path],
    *,
    budget: str | float | None = None,
    steps: int | None = None,
    **others: Any,
) -> Asked:
    """The request that the arguments of `fewshot` mean."""
    names = [source] if isinstance(source, str | Path) else list(source)
    seconds = parse_duration(budget, name="budget") if isinstance(budget, str) else budget
    if steps is None and seconds is None:
        seconds = DEFAULT_BUDGET
    sources = tuple(str(name) for name in names)
    return Asked(learner, sources, steps=steps, budget=seconds, **others)


def fewshot_run(
    asked: Asked,
    out: Path,
    *,
    device: str = "cpu",
    strict: bool = True,
    watch: Watch | None = None,
) -> FewShot:
    """Makes the run that was asked for in the folder `out`, or goes on with it.

    Arguments:
        strict: whether an option that the learner does not have is an error.
    """
    check_learner(asked.learner)
    check_device(device)
    check_folder(out, asked.to_json(), KIND)
    if (known := _finished(out)) is not None:
        return FewShot(load_fewshot(out, device=device), _spec(known), known, out)
    opened = open_sources(asked)
    settings = settings_for(asked, opened.spec.kind)
    training = training_source(opened, asked, settings)
    options = ("inner_lr", "inner_steps", "normalisation") if strict else ()
    required = tuple(name for name in options if getattr(asked, name) is not None)

    def make() -> Learner:
        learner = build_learner(
            asked.learner, opened.spec, settings, seed=asked.seed, required=required
        )
        return on_device(learner, device)

    learner = make()
    # The lock first: what run.json says could be out of date by the time it is held.
    with FolderLock(out):
        check_folder(out, asked.to_json(), KIND)
        folder = RunFolder(out, _told(asked, opened))
        folder.save(status="running", settings=asdict(settings))
        if "trained" not in folder.record:
            train(
                learner, make(), opened, training, asked, settings, folder,
                device=device, watch=watch,
            )  # fmt: skip
        judge_run(folder, learner, make, opened, asked, device=device, watch=watch)
        folder.save(status="done")
        return FewShot(learner, opened.spec, folder.record, out)


def load_fewshot(run: Path | str, *, last: bool = False, device: str = "cpu") -> Learner:
    """The learner of a few-shot run, ready to `adapt` to a new task.

    Arguments:
        run: folder that `fewshot` wrote.
        last: the weights at the end of training, instead of those best on validation tasks.

    Raises:
        InputError: no such run, or one without weights yet.
    """
    run = Path(run)
    if not (run / "run.json").is_file():
        raise InputError(
            f"There is no run '{run}': give a folder that `metawright fewshot` wrote."
        )
    told = read_json(run / "run.json")
    if not isinstance(told, dict) or told.get("kind") != "fewshot":
        raise InputError(f"'{run}' is no run of `metawright fewshot`: give the folder of one.")
    asked, spec = Asked.from_json(told["asked"]), _spec(told)
    settings = settings_for(asked, spec.kind)
    learner = build_learner(asked.learner, spec, settings, seed=asked.seed)
    read_weights(run / (LAST if last else BEST), learner)
    return on_device(learner, device)


def _told(asked: Asked, opened: Opened) -> dict[str, Any]:
    """What `run.json` says from the start."""
    return {
        "kind": "fewshot",
        "asked": asked.to_json(),
        "data": {
            "name": " + ".join(asked.sources),
            "notes": list(opened.notes),
            "fingerprint": _fingerprint(asked),
        },
        "seed": asked.seed,
        "bundle": None,
        "spec": opened.spec.to_json(),
    }


def _fingerprint(asked: Asked) -> str:
    """Of the sources: names and sizes of a folder's files, so that a change of it is seen."""
    digest = hashlib.sha256()
    for source in asked.sources:
        digest.update(source.encode("utf-8", "surrogateescape"))
        if is_own(source):
            files = (p for p in (Path(source), *Path(source).rglob("*")) if p.is_file())
            for path in sorted(files):
                told = f"{path.relative_to(source)}:{path.stat().st_size};"
                digest.update(told.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:16]


def _finished(out: Path) -> dict[str, Any] | None:
    path = out / "run.json"
    told = read_json(path) if path.exists() else {}
    return told if told.get("status") == "done" else None


def _spec(told: dict[str, Any]) -> TaskSpec:
    return TaskSpec.from_json(told["spec"])


def _shown(measure: str, row: dict[str, Any]) -> str:
    if measure == "accuracy":
        return f"{100 * row['mean']:.2f} ± {100 * row['ci95']:.2f} %"
    return f"MSE {row['mean']:.4g} ± {row['ci95']:.2g}"
