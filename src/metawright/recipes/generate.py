"""The main job: a model for a new task, in seconds, and better the longer it may go on."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metawright.engine.budget import Budget, Clock
from metawright.engine.lock import FolderLock
from metawright.engine.loop import ask_score_tell
from metawright.engine.run_folder import RunFolder, check_free
from metawright.errors import InputError
from metawright.evaluate.intervals import wilson
from metawright.evaluate.support import Support
from metawright.generators.bundle import Bundle
from metawright.lazy import load
from metawright.models.build import Built, module_of
from metawright.models.saved import save_model
from metawright.recipes.answer import Answer, Search
from metawright.recipes.data import resized
from metawright.rng import integer, stream
from metawright.store.database import Store
from metawright.store.records import RunRecord, Trial
from metawright.tasks.task import Batch, Task, TaskSpec

__all__ = ["Generated", "Watch", "generate_model", "generate_run"]

SAVE_EVERY = 2.0  # seconds between two writings of a better model

Watch = Callable[[Mapping[str, Any]], None]
"""Called after every trial with "trial", "seconds", "accuracy", "best", "trials", "design"."""


@dataclass(frozen=True)
class Generated:
    """A generated model.

    Arguments:
        module: images (images, channels, height, width) in 0..1 to logits (images, classes).
        spec: of the task; `spec.classes` names the logits.
        answer: what it is made of, and how good it is believed to be.
        why: why this design, in sentences.
        trials: every design that was tried.
        record: what `run.json` holds (empty without a run folder).
        built: the model as data.
    """

    module: nn.Module
    spec: TaskSpec
    answer: Answer
    why: tuple[str, ...]
    trials: tuple[Trial, ...]
    record: Mapping[str, Any]
    built: Built


def generate_model(
    task: Task,
    bundle: Bundle,
    budget: Budget,
    *,
    seed: int = 0,
    on_trial: Watch | None = None,
) -> Generated:
    """A model for `task` from its support alone, in memory.

    Arguments:
        task: its query is not looked at.
        bundle: shared weights and proposal model.
        budget: in seconds or trials.
        seed: of folds, copies and proposals; the same seed and number of trials give the same
            model.

    Raises:
        InputError: the task cannot be learned (one class, no images).
    """
    fitted = _checked(resized(task, channels=bundle.channels, size=bundle.size))
    search = _search(fitted, bundle, seed, run="memory")
    clock, trials = Clock(budget), list[Trial]()

    def seen(trial: Trial) -> None:
        trials.append(trial)
        search.observe([trial])
        _report(on_trial, search, trials, clock.elapsed())

    ask_score_tell(
        search.strategy,
        search.score,
        clock=clock,
        expected_seconds=search.expected_seconds,
        on_trial=seen,
        task=fitted.spec.source,
    )
    answer = search.answer()
    built = search.model(answer)
    why = tuple(search.why(answer))
    return Generated(module_of(built), fitted.spec, answer, why, tuple(trials), {}, built)


def generate_run(
    task: Task,
    bundle: Bundle,
    budget: Budget,
    out: Path,
    *,
    name: str,
    notes: tuple[str, ...] = (),
    seed: int = 0,
    store: Path | None = None,
    spent: float = 0.0,
    on_trial: Watch | None = None,
) -> Generated:
    """A model for `task`, with everything about the run in the folder `out`.

    The first model is there after the first trial, and the folder always holds the best so far.
    Stopped at any moment, the same call goes on; called again with a larger budget, it improves
    what is there.

    Arguments:
        name: of the data, for people; notes: sentences about it.
        store: folder of a further store that gets a copy of every trial, shared between runs.
        spent: seconds that went by before this call and count towards the budget.

    Raises:
        InputError: the task cannot be learned, or `out` holds something else.
        BusyError: another process is writing `out`.
    """
    native = task
    fitted = _checked(resized(task, channels=bundle.channels, size=bundle.size))
    asked = _asked(fitted, bundle, budget, name, notes, seed)
    with ExitStack() as stack:
        check_free(out)
        # The lock first: what run.json says could be out of date by the time it is held.
        stack.enter_context(FolderLock(out))
        folder = RunFolder(out, asked)
        folder.started_before(spent)
        own = stack.enter_context(Store(out / "store"))
        shared = stack.enter_context(Store(store)) if store is not None else None
        run = _Run(folder, own, shared, fitted, bundle, seed, on_trial)
        run.go(budget)
        return run.finish(native)


class _Run:
    """The moving parts of `generate_run`."""

    def __init__(
        self,
        folder: RunFolder,
        store: Store,
        shared: Store | None,
        task: Task,
        bundle: Bundle,
        seed: int,
        watch: Watch | None,
    ) -> None:
        self.folder, self.store, self.shared = folder, store, shared
        self.task, self.watch = task, watch
        self.id = folder.record.setdefault(
            "id",
            hashlib.sha256(
                f"{folder.record['created']}{folder.path.resolve()}{time.time_ns()}".encode()
            ).hexdigest()[:12],
        )
        self.search = _search(task, bundle, seed, run=self.id)
        self.trials = list(store.trials(run=self.id))
        self.search.observe(self.trials)
        self.search.strategy.tell(self.trials)
        self.made_at = {entry["trial"]: entry["seconds"] for entry in folder.record["history"]}
        self.saved: Answer | None = None
        self.saved_at = 0.0

    def go(self, budget: Budget) -> None:
        """Tries designs until the budget, earlier sessions counted in, is spent."""
        info = {"data": self.folder.record["data"]["name"], "out": self.folder.path.name}
        for store in self._stores():
            store.add_run(RunRecord(self.id, "generate", info=info))
            # A kill may have come between the two stores; what is there already stays.
            store.add_trials(self.trials)
        self.folder.save(status="running")
        clock = Clock(budget, started=time.monotonic() - self.folder.seconds)
        try:
            ask_score_tell(
                self.search.strategy,
                self.search.score,
                clock=clock,
                expected_seconds=self.search.expected_seconds,
                on_trial=self.seen,
                done=len(self.trials),
                task=self.task.spec.source,
                run=self.id,
            )
        except KeyboardInterrupt:
            self._keep(force=True)
            self.folder.save(status="interrupted")
            raise
        self._keep(force=True)

    def seen(self, trial: Trial) -> None:
        """A trial was made: into the stores first, then into the answer."""
        for store in self._stores():
            store.add_trial(trial)
        self.trials.append(trial)
        self.made_at[trial.id] = round(self.folder.seconds, 3)
        self.search.observe([trial])
        if any(known.status == "ok" for known in self.trials):
            self._keep(force=False)
        _report(self.watch, self.search, self.trials, self.folder.seconds)

    def finish(self, native: Task) -> Generated:
        """The end of the run: judged on the query where there is one, and written down."""
        answer = self.search.answer()
        built = self.search.model(answer)
        module = module_of(built)
        why = tuple(self.search.why(answer))
        test = _tested(module, self.task.query, native)
        self.folder.save(status="done", why=list(why), test=test)
        for store in self._stores():
            store.update_run(self.id, status="done")
        return Generated(
            module, self.task.spec, answer, why, tuple(self.trials), self.folder.record, built
        )

    def _stores(self) -> list[Store]:
        return [self.store] if self.shared is None else [self.store, self.shared]

    def _keep(self, *, force: bool) -> None:
        """Writes the best model and `run.json`, at most every few seconds unless forced."""
        if not any(trial.status == "ok" for trial in self.trials):
            return
        due = force or self.saved is None or self.folder.seconds - self.saved_at > SAVE_EVERY
        if not due:
            return
        answer = self.search.answer()
        if self.saved is None or answer.members != self.saved.members:
            built = self.search.model(answer)
            save_model(self.folder.path, built.blueprint, built.params, self.task.spec)
        self.saved, self.saved_at = answer, self.folder.seconds
        record = self.folder.record
        first = next(trial for trial in self.trials if trial.status == "ok")
        self.folder.save(
            first_model_seconds=record["first_model_seconds"] or round(self.folder.seconds, 3),
            best={"members": list(answer.members), "weights": list(answer.weights)},
            score={
                "accuracy": answer.accuracy,
                "low": answer.low,
                "high": answer.high,
                "how": f"{self.search.support.how}; level and interval from experience",
            },
            confusion=answer.confusion.tolist(),
            first={"trial": first.id, "accuracy": first.scores["accuracy"]},
            history=self._history(),
            estimates=dict(self.search.estimates()),
            why=self.search.why(answer),
        )

    def _history(self) -> list[dict[str, Any]]:
        estimates = self.search.estimates()
        best, history = 0.0, []
        for trial in self.trials:
            if trial.id in estimates:
                best = max(best, estimates[trial.id])
                # Killed before it was written down, a trial counts as made when the run went on.
                history.append(
                    {
                        "seconds": self.made_at.setdefault(
                            trial.id, round(self.folder.seconds, 3)
                        ),
                        "trial": trial.id,
                        "estimate": estimates[trial.id],
                        "best": best,
                    }
                )
        return history


def _search(task: Task, bundle: Bundle, seed: int, *, run: str) -> Search:
    support = Support(
        task.support.x,
        task.support.labels,
        task.spec,
        bundle.shared,
        bundle.prepare,
        seed=integer(stream(seed, "support"), 2**31),
    )
    return Search(bundle, support, run=run, seed=seed)


def _report(watch: Watch | None, search: Search, trials: list[Trial], seconds: float) -> None:
    if watch is None:
        return
    estimates = search.estimates()
    watch(
        {
            "trial": trials[-1].id,
            "design": trials[-1].design,
            "status": trials[-1].status,
            "seconds": seconds,
            "trials": len(trials),
            "accuracy": trials[-1].scores.get("accuracy"),
            "best": max(estimates.values(), default=None),
        }
    )


def _checked(task: Task) -> Task:
    counts = torch.bincount(task.support.labels, minlength=task.spec.outputs)
    if task.spec.outputs < 2 or int((counts > 0).sum()) < 2:
        raise InputError("The data has fewer than two classes: there is nothing to tell apart.")
    if int(counts.min()) == 0:
        missing = task.spec.classes[int(counts.argmin())]
        raise InputError(f"Class '{missing}' has no example to learn from: add one.")
    return task


def _asked(
    task: Task, bundle: Bundle, budget: Budget, name: str, notes: tuple[str, ...], seed: int
) -> dict[str, Any]:
    counts = torch.bincount(task.support.labels, minlength=task.spec.outputs).tolist()
    return {
        "data": {
            "name": name,
            "classes": list(task.spec.classes),
            "support": dict(zip(task.spec.classes, counts, strict=True)),
            "notes": list(notes),
            "fingerprint": _fingerprint(task.support.x, task.support.labels),
        },
        "seed": seed,
        "spec": task.spec.to_json(),
        "bundle": {
            "name": bundle.name,
            "digest": bundle.digest,
            "provenance": json.loads(json.dumps(dict(bundle.provenance))),
        },
        "budget": {"seconds": budget.seconds, "trials": budget.trials},
    }


def _fingerprint(x: Tensor, labels: Tensor) -> str:
    digest = hashlib.sha256(x.contiguous().numpy().tobytes())
    digest.update(labels.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@torch.no_grad()
def _tested(module: nn.Module, query: Batch, native: Task) -> dict[str, Any] | None:
    """The model and the baselines on the query."""
    if not len(query.x):
        return None
    guesses = torch.cat([module(part).argmax(1) for part in torch.split(query.x, 256)])
    labels = query.labels
    right, total, classes = int((guesses == labels).sum()), len(labels), native.spec.outputs
    low, high = wilson(right, total)
    rows = []
    # Only now, because scikit-learn takes longer to load than the first model to make.
    baselines = load("metawright.evaluate.baselines:baselines")
    for name, accuracy in baselines(native).items():
        bottom, top = wilson(round(accuracy * total), total)
        rows.append({"name": name, "accuracy": accuracy, "low": bottom, "high": top})
    cells = torch.bincount(labels * classes + guesses, minlength=classes**2)
    return {
        "examples": total,
        "accuracy": right / total,
        "low": low,
        "high": high,
        "confusion": cells.reshape(classes, classes).tolist(),
        "baselines": rows,
    }
