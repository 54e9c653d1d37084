"""A search from end to end: designs are tried, compared with controls, and the best is kept.

A run lives in one folder and goes on by the same call, whatever stopped it.

    RUN/run.json               what was asked, how it stands, what came out
    RUN/store/                 every trial, and the weights of the front
    RUN/model.json, model-HASH.safetensors   the network that was chosen
"""

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load

from metawright.engine.budget import Budget, Clock
from metawright.engine.inline import Inline
from metawright.engine.lock import FolderLock
from metawright.engine.run_folder import RunFolder
from metawright.engine.workers import Workers
from metawright.evaluate.supervised import Supervised, usual_epochs
from metawright.recipes.asking import check_folder
from metawright.recipes.search.asked import KIND, Asked, Limits
from metawright.recipes.search.attempt import Attempt
from metawright.recipes.search.controls import (
    FINAL,
    RANKED,
    REPEAT,
    better_trained,
    final,
    mutants,
    repeats,
    runner_up,
)
from metawright.recipes.search.earlier import best_elsewhere
from metawright.recipes.search.found import Found, save_network
from metawright.recipes.search.hunt import Hunt, Job, Runner, role_of
from metawright.recipes.search.pace import settle_epochs
from metawright.recipes.search.problem import Problem
from metawright.recipes.search.summary import summary
from metawright.recipes.search.tested import network_of, plain_row
from metawright.spaces import Design, count, space_to_json
from metawright.store.blobs import Blobs
from metawright.store.database import Store
from metawright.store.records import RunRecord, Trial
from metawright.strategies.objectives import objective
from metawright.strategies.pareto import Archive
from metawright.tasks.task import Kind

__all__ = ["Watch", "search_run"]

Watch = Callable[[Mapping[str, Any]], None]
"""Called after every trial with "trial", "trials", "front", "chosen", "seconds" and "stage"."""

_SHARES = {"explored": 0.6, "varied": 0.7, "repeated": 0.8}
"""Of the time that is over when a stage ends; the last fifth is for training the best longer."""

SAVE_EVERY = 2.0  # seconds between two writings of run.json


def search_run(
    problem: Problem,
    asked: Asked,
    limits: Limits,
    out: Path,
    *,
    store: Path | None = None,
    spent: float = 0.0,
    watch: Watch | None = None,
) -> Found:
    """Searches in the folder `out`, or goes on with the search that it holds.

    Arguments:
        store: folder of a further store: its trials of other tasks say what to try first, and
            those of this run are added.
        spent: seconds that went by before this call and count towards the budget.

    Raises:
        InputError: `out` holds something else, or no design meets the constraints.
        BusyError: another process is writing `out`.
        MetawrightError: too many trials failed.
    """
    check_folder(out, asked.to_json(), KIND)
    with ExitStack() as stack:
        # The lock first: what run.json says could be out of date by the time it is held.
        stack.enter_context(FolderLock(out))
        folder = RunFolder(out, _told(problem, asked, limits))
        folder.started_before(spent)
        own = stack.enter_context(Store(out / "store"))
        shared = None if store is None else stack.enter_context(Store(store))
        epochs = settle_epochs(
            problem.evaluator,
            limits,
            share=_SHARES["explored" if asked.controls else "repeated"],
            seed=asked.seed,
            known=asked.epochs or folder.record.get("epochs"),
        )
        folder.save(epochs=epochs)
        run = _Run(problem, asked, limits, folder, own, shared, epochs, watch)
        attempt = Attempt(problem.evaluator, asked.limits())
        runner = _runner(attempt, limits)
        stack.enter_context(runner)
        try:
            run.go(runner)
        except BaseException as error:
            run.stopped("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        return run.finish()


class _Run:
    """The moving parts of `search_run`."""

    def __init__(
        self,
        problem: Problem,
        asked: Asked,
        limits: Limits,
        folder: RunFolder,
        own: Store,
        shared: Store | None,
        epochs: int | None,
        watch: Watch | None,
    ) -> None:
        self.problem, self.asked, self.limits = problem, asked, limits
        self.folder, self.own, self.shared, self.watch = folder, own, shared, watch
        self.blobs, self.epochs = Blobs(own.folder), epochs
        self.goals = [objective(name) for name in asked.objectives]
        self.archive = Archive(self.goals, asked.limits())
        self.id = folder.record.setdefault("id", _new_id(folder))
        self.stage, self.saved_at = "Searching", 0.0
        told = own.trials(run=self.id)
        self.archive.tell([trial for trial in told if role_of(trial) in RANKED])
        self.made_at = dict(folder.record.get("made_at", {}))
        before = time.monotonic() - folder.seconds
        self.hunt = Hunt(
            problem.space,
            asked,
            limits,
            Clock(Budget(limits.seconds, limits.trials), started=before),
            objectives=self.goals,
            run=self.id,
            task=problem.fingerprint,
            keep=self.keep,
            told=told,
            warm_start=self._earlier(),
        )

    def go(self, runner: Runner) -> None:
        """The two stages: exploring, and proving what was found."""
        info = {"data": self.problem.name, "out": self.folder.path.name}
        for each in self._stores():
            each.add_run(RunRecord(self.id, KIND, info=info))
            each.add_trials(self.hunt.trials)  # a kill may have come between the two stores
        self.folder.save(status="running")
        if self.asked.controls and "plain" not in self.folder.record:
            self.folder.save(plain=plain_row(self.problem, self._tested_measure()))
        self.hunt.explore(runner, self._until("explored" if self.asked.controls else "repeated"))
        best = self.archive.choose(self.asked.rule)  # says so where no design is allowed
        if self.asked.controls:
            self.stage = "Trying what is next to the best"
            jobs = mutants(best, self.problem.space, self.asked.seed)
            self.hunt.carry_out(jobs, runner, self._until("varied"))
            best = self.archive.choose(self.asked.rule)
            self.stage = "Repeating the best and its rival"
            rival = runner_up(best, self.hunt.trials, self.asked)
            self.hunt.carry_out(
                repeats(best, rival, self.asked.seed), runner, self._until("repeated")
            )
        self.stage = "Training the best for longer"
        self.hunt.carry_out(self._longer(best), runner, self.hunt.deadline)

    def _tested_measure(self) -> str:
        """The measure by which designs are compared on the test part."""
        regression = self.problem.spec and self.problem.spec.kind is Kind.REGRESSION
        first = self.asked.objectives[0]
        known = ("r2", "rmse") if regression else ("accuracy", "log_loss")
        return first if first in known else known[0]

    def _longer(self, best: Trial) -> list[Job]:
        """The best once more, with more epochs, where the epochs were cut to fit the budget."""
        judge = self.problem.evaluator
        cut = self.asked.epochs is None and self.limits.seconds is not None
        if not cut or self.epochs is None or not isinstance(judge, Supervised):
            return []
        return final(
            best,
            epochs=self.epochs,
            most=usual_epochs(len(judge.task.support.x)),
            seconds=self.hunt.deadline.remaining(),
            seed=self.asked.seed,
        )

    def _until(self, stage: str) -> Clock:
        """The clock of a stage."""
        whole = self.limits.seconds
        seconds = None if whole is None else _SHARES[stage] * whole
        started = self.hunt.deadline.started
        return Clock(Budget(seconds, self.limits.trials), started=started)

    def keep(self, trial: Trial, weights: bytes) -> Trial:
        """A trial was made: into the stores first, then into the front."""
        if weights and role_of(trial) != REPEAT:
            trial = replace(trial, weights=self.blobs.put(load(weights)))
        for each in self._stores():
            each.add_trial(trial)
        if role_of(trial) in RANKED:
            self.archive.tell([trial])
        self.made_at[trial.id] = round(self.folder.seconds, 3)
        if self.folder.seconds - self.saved_at > SAVE_EVERY:
            self._save()
        if self.watch is not None:
            self.watch(self._event(trial))
        return trial

    def finish(self) -> Found:
        """The chosen design with its network, and what there is to say about it."""
        best = self.archive.choose(self.asked.rule)
        kept = better_trained(best, self.hunt.trials, self.goals[0])
        module = network_of(self.problem, kept, self.blobs)
        save_network(self.folder.path, self.problem, self.asked, kept, self.blobs)
        told = summary(
            self.problem, self.asked, best, kept, self.hunt.trials, self.blobs,
            plain=self.folder.record.get("plain"),
        )  # fmt: skip
        self._save(status="done", kept=kept.id, why=told)
        self._forget()
        for each in self._stores():
            each.update_run(self.id, status="done")
        return Found(
            kept,
            tuple(self.archive.trials),
            tuple(self.hunt.trials),
            module,
            self.problem.spec,
            self.folder.record,
            self.folder.path,
        )

    def stopped(self, status: str) -> None:
        """The run ends before its time; the same call goes on."""
        self._save(status=status)

    def _save(self, **changes: Any) -> None:
        self.saved_at = self.folder.seconds
        trials = self.hunt.trials
        front = self.archive.trials
        self.folder.save(
            trials=len(trials),
            failed=sum(trial.status == "failed" for trial in trials),
            front=[trial.id for trial in front],
            best=self.archive.choose(self.asked.rule).id if front else None,
            made_at=self.made_at,
            **changes,
        )

    def _event(self, trial: Trial) -> dict[str, Any]:
        front = self.archive.trials
        return {
            "trial": trial,
            "trials": len(self.hunt.trials) + 1,
            "front": front,
            "chosen": self.archive.choose(self.asked.rule) if front else None,
            "seconds": self.folder.seconds,
            "stage": self.stage,
        }

    def _earlier(self) -> list[Design]:
        """What did best on other tasks of the shared store."""
        if self.shared is None:
            return []
        known = self.shared.trials(status="ok")
        space, task = self.problem.space, self.problem.fingerprint
        return best_elsewhere(known, space, self.goals[0], task=task)

    def _forget(self) -> None:
        """Removes the weights of designs that are not on the front."""
        kept = {trial.weights for trial in self.archive.trials}
        kept |= {trial.weights for trial in self.hunt.trials if role_of(trial) == FINAL}
        for trial in self.hunt.trials:
            if trial.weights is not None and trial.weights not in kept:
                self.blobs.path(trial.weights).unlink(missing_ok=True)

    def _stores(self) -> list[Store]:
        return [self.own] if self.shared is None else [self.own, self.shared]


def _runner(attempt: Attempt, limits: Limits) -> Workers | Inline:
    if limits.workers == 0:
        return Inline(attempt)
    return Workers(attempt, count=limits.workers, memory=limits.memory)


def _told(problem: Problem, asked: Asked, limits: Limits) -> dict[str, Any]:
    """What `run.json` says from the start."""
    designs = count(problem.space)
    return {
        "kind": KIND,
        "asked": asked.to_json(),
        "data": {
            "name": problem.name,
            "fingerprint": problem.fingerprint,
            "notes": list(problem.notes),
        },
        "seed": asked.seed,
        "bundle": None,
        "spec": None if problem.spec is None else problem.spec.to_json(),
        "space": space_to_json(problem.space),
        "designs": designs if isinstance(designs, int) else None,
        "budget": {"seconds": limits.seconds, "trials": limits.trials},
    }


def _new_id(folder: RunFolder) -> str:
    text = f"{folder.record['created']}{folder.path.resolve()}{time.time_ns()}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]
