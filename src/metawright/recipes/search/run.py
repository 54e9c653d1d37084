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
from metawright.errors import InputError
from metawright.evaluate.supervised import Supervised, usual_epochs
from metawright.recipes.asking import check_folder
from metawright.recipes.search.asked import KIND, Asked, Limits
from metawright.recipes.search.attempt import Attempt
from metawright.recipes.search.controls import (
    FINAL,
    FULL,
    RANKED,
    REPEAT,
    better_trained,
    explored,
    final,
    mutants,
    repeats,
    runner_up,
)
from metawright.recipes.search.earlier import best_elsewhere
from metawright.recipes.search.found import Found, save_network
from metawright.recipes.search.hunt import CONTROL, Hunt, Job, Runner, role_of
from metawright.recipes.search.pace import settled_epochs
from metawright.recipes.search.problem import Problem
from metawright.recipes.search.summary import summary
from metawright.recipes.search.tested import network_of, plain_row, tested
from metawright.spaces import Design, count, space_to_json
from metawright.store.blobs import Blobs
from metawright.store.database import Store
from metawright.store.records import RunRecord, Trial
from metawright.strategies.objectives import measured, objective
from metawright.strategies.pareto import Archive
from metawright.tasks.task import Kind

__all__ = ["Watch", "search_run"]

Watch = Callable[[Mapping[str, Any]], None]
"""Called after every trial with "trial", "trials", "front", "chosen", "seconds" and "stage"."""

_CUT = {"explored": 0.6, "varied": 0.7, "repeated": 0.8}
"""Of the time that is over when a stage ends, where trainings were cut to fit the budget: the last
fifth is for training the best longer."""

_WHOLE = {"explored": 0.75, "varied": 0.87, "repeated": 1.0}
"""The same where trainings are as long as they should be."""

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
        _check_space(out, folder, problem)
        attempt = Attempt(problem.evaluator, asked.limits())
        runner = _runner(attempt, limits)
        stack.enter_context(runner)
        run = _Run(problem, asked, limits, folder, own, shared, watch)
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
        watch: Watch | None,
    ) -> None:
        self.problem, self.asked, self.limits = problem, asked, limits
        self.folder, self.own, self.shared, self.watch = folder, own, shared, watch
        self.blobs = Blobs(own.folder)
        self.goals = [objective(name) for name in asked.objectives]
        self.archive = Archive(self.goals, asked.limits())
        self.id = folder.record.setdefault("id", _new_id(folder))
        self.stage, self.saved_at = "Searching", 0.0
        told = own.trials(run=self.id)
        self.archive.tell([trial for trial in told if role_of(trial) in RANKED])
        self.made_at = dict(folder.record.get("made_at", {}))
        # What earlier sessions spent is spent: stages share what is left.
        self.before = folder.seconds if told else 0.0
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
            epochs=asked.epochs or folder.record.get("epochs"),
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
        if self.hunt.epochs is None:
            self.hunt.epochs = settled_epochs(
                self.problem.evaluator, runner, self.limits, share=0.5, seed=self.asked.seed
            )
            self.folder.save(epochs=self.hunt.epochs)
        explored_until = "explored" if self.asked.controls else "repeated"
        self.hunt.explore(runner, self._until(explored_until))
        self._train_in_full(runner)
        if self.asked.controls:
            self._prove(runner)
        self.stage = "Training the best for longer"
        best = self.archive.choose(self.asked.rule)  # says so where no design is allowed
        self.hunt.carry_out(self._longer(best), runner, self.hunt.deadline)

    def _prove(self, runner: Runner) -> None:
        """Blind changes of what was found, then it and its rival with other seeds."""
        if not self.archive.trials:
            return
        self.stage = "Trying what is next to the best"
        found = explored(self.hunt.trials, self.asked).choose(self.asked.rule)
        jobs = mutants(found, self.problem.space, self.asked.seed)
        self.hunt.carry_out(jobs, runner, self._until("varied"))
        self.stage = "Repeating the best and its rival"
        best = self.archive.choose(self.asked.rule)
        jobs = repeats(best, runner_up(best, self.hunt.trials, self.asked), self.asked.seed)
        self.hunt.carry_out(jobs, runner, self._until("repeated"))

    def _train_in_full(self, runner: Runner) -> None:
        """The best of those trained in part, where a strategy has trained none in full."""
        side = 1 if self.goals[0].maximise else -1
        part = [t for t in self.hunt.trials if measured(t, self.goals[0].name) is not None]
        if self.archive.trials or not part or self.archive.nearest is not None:
            return
        best = max(part, key=lambda t: side * (measured(t, self.goals[0].name) or 0.0))
        job = Job(best.design, FULL, seed=self.asked.seed, of=best.id)
        self.hunt.carry_out([job], runner, Clock(Budget(trials=1)))

    def _tested_measure(self) -> str:
        """The measure by which designs are compared on the test part."""
        regression = self.problem.spec and self.problem.spec.kind is Kind.REGRESSION
        first = self.asked.objectives[0]
        known = ("r2", "rmse") if regression else ("accuracy", "log_loss")
        return first if first in known else known[0]

    def _longer(self, best: Trial) -> list[Job]:
        """The best once more, with more epochs, where the epochs were cut to fit the budget."""
        judge = self.problem.evaluator
        if not self._is_cut or self.hunt.epochs is None or not isinstance(judge, Supervised):
            return []
        return final(
            best,
            self.hunt.trials,
            epochs=self.hunt.epochs,
            most=usual_epochs(len(judge.task.support.x)),
            seconds=self.hunt.deadline.remaining(),
            seed=self.asked.seed,
        )

    @property
    def _is_cut(self) -> bool:
        """Whether trainings are shorter than they should be, to fit the budget."""
        judge, epochs = self.problem.evaluator, self.hunt.epochs
        if self.asked.epochs or epochs is None or not isinstance(judge, Supervised):
            return False
        return self.limits.seconds is not None and epochs < judge.epochs

    def _until(self, stage: str) -> Clock:
        """The clock of a stage: a share of the time that was left when this session began."""
        whole, share = self.limits.seconds, (_CUT if self._is_cut else _WHOLE)[stage]
        seconds = None if whole is None else self.before + share * max(whole - self.before, 0.0)
        if seconds == 0:
            seconds = 1e-9
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
        tests = self._tests(best, kept)
        told = summary(
            self.problem, self.asked, best, kept, self.hunt.trials, tests, module,
            plain=self.folder.record.get("plain"),
        )  # fmt: skip
        self._save(status="done", kept=kept.id, tested=tests, why=told)
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

    def _tests(self, best: Trial, kept: Trial) -> dict[str, dict[str, float]]:
        """Scores on the test part by trial: of the best, the kept one and the random designs.
        Those of earlier sessions are taken from `run.json`, for their weights are gone."""
        known = dict(self.folder.record.get("tested", {}))
        judge = self.problem.evaluator
        slow = isinstance(judge, Supervised) and judge.name == "pipelines"
        random = [t for t in self.hunt.trials if role_of(t) == CONTROL and t.scores]
        for trial in (best, kept, *([] if slow else random)):
            if trial.id not in known:
                found = tested(self.problem, trial, self.blobs)
                if found is not None:
                    known[trial.id] = found
        return known

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
        if "earlier" not in self.folder.record:  # later sessions must try the same ones first
            known = self.shared.trials(status="ok")
            space, task = self.problem.space, self.problem.fingerprint
            found = best_elsewhere(known, space, self.goals[0], task=task)
            self.folder.save(earlier=[design.to_json() for design in found])
        return [Design.from_json(design) for design in self.folder.record["earlier"]]

    def _forget(self) -> None:
        """Removes the weights of designs that are not on the front."""
        kept = {trial.weights for trial in self.archive.trials}
        kept |= {trial.weights for trial in self.hunt.trials if role_of(trial) == FINAL}
        for trial in self.hunt.trials:
            if trial.weights is not None and trial.weights not in kept:
                self.blobs.path(trial.weights).unlink(missing_ok=True)

    def _stores(self) -> list[Store]:
        return [self.own] if self.shared is None else [self.own, self.shared]


def _check_space(out: Path, folder: RunFolder, problem: Problem) -> None:
    """Refuses a folder whose run searched another space under the same name."""
    if folder.record.get("space", space_to_json(problem.space)) != space_to_json(problem.space):
        raise InputError(
            f"'{out}' holds a run with another space: choose another --out, or give the same "
            "space as then to go on."
        )


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
