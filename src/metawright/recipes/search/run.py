"""A search from end to end: designs are tried, compared with controls, and the best is kept.

A run lives in one folder and goes on by the same call, whatever stopped it.

    RUN/run.json               what was asked, how it stands, what came out
    RUN/store/                 every trial, and the weights of the front
    RUN/model.json, model-HASH.safetensors   the network that was chosen
"""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from metawright.engine.budget import Budget, Clock
from metawright.engine.inline import Inline
from metawright.engine.lock import FolderLock
from metawright.engine.run_folder import RunFolder
from metawright.engine.workers import Workers
from metawright.evaluate.evaluator import Evaluator
from metawright.evaluate.supervised import Supervised, usual_epochs
from metawright.evaluate.tabular.table import Table
from metawright.recipes.asking import check_folder
from metawright.recipes.search.asked import KIND, Asked, Limits
from metawright.recipes.search.attempt import Attempt
from metawright.recipes.search.controls import (
    better_trained,
    explored,
    final,
    in_full,
    mutants,
    repeats,
    runner_up,
)
from metawright.recipes.search.found import Found, save_network
from metawright.recipes.search.hunt import Hunt
from metawright.recipes.search.job import CONTROL, Job, Runner, role_of
from metawright.recipes.search.pace import settled_epochs
from metawright.recipes.search.problem import Problem
from metawright.recipes.search.record import SearchRecord, Watch, check_space, told_at_start
from metawright.recipes.search.summary import summary
from metawright.recipes.search.tested import network_of, plain_row, tested
from metawright.recipes.search.timetable import Timetable
from metawright.store.database import Store
from metawright.store.records import Trial
from metawright.tasks.task import Kind

__all__ = ["Watch", "search_run"]


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
        MetawrightError: too many trials failed, or all of them.
    """
    check_folder(out, asked.to_json(), KIND)
    with ExitStack() as stack:
        # The lock first: what run.json says could be out of date by the time it is held.
        stack.enter_context(FolderLock(out))
        folder = RunFolder(out, told_at_start(problem, asked, limits))
        folder.started_before(spent)
        own = stack.enter_context(Store(out / "store"))
        shared = None if store is None else stack.enter_context(Store(store))
        check_space(out, folder, problem)
        runner = _runner(Attempt(problem.evaluator, asked.limits()), limits)
        stack.callback(runner.close)
        record = SearchRecord(problem, asked, folder, own, shared, watch)
        run = _Run(problem, asked, limits, record)
        try:
            run.go(runner)
        except BaseException as error:  # it ends before its time; the same call goes on
            interrupted = isinstance(error, KeyboardInterrupt)
            record.save(status="interrupted" if interrupted else "failed")
            raise
        return run.finish()


class _Run:
    """The stages of `search_run`, one after the other."""

    def __init__(
        self, problem: Problem, asked: Asked, limits: Limits, record: SearchRecord
    ) -> None:
        self.problem, self.asked, self.limits, self.record = problem, asked, limits, record
        self.folder, self.goal = record.folder, record.goals[0]
        # What earlier sessions spent is spent: stages share what is left.
        self.before = self.folder.seconds if record.trials else 0.0
        started = time.monotonic() - self.folder.seconds
        self.hunt = Hunt(
            problem.space,
            asked,
            limits,
            Clock(Budget(limits.seconds, limits.trials), started=started),
            objectives=record.goals,
            run=record.id,
            task=problem.fingerprint,
            keep=record.keep,
            told=record.trials,
            warm_start=record.earlier(),
            epochs=asked.epochs or self.folder.record.get("epochs"),
            options=_known(problem.evaluator) if asked.strategy == "predictor" else None,
        )

    def go(self, runner: Runner) -> None:
        """Exploring, proving what was found, and training it longer."""
        self.record.begin()
        if self.asked.controls and "plain" not in self.folder.record:
            self.folder.save(plain=plain_row(self.problem, self._tested_measure()))
        if self.hunt.epochs is None:
            self.hunt.epochs = settled_epochs(
                self.problem.evaluator, runner, self.limits, share=0.5, seed=self.asked.seed
            )
            self.folder.save(epochs=self.hunt.epochs)
        table = Timetable(self.limits, self.hunt.deadline, self.before, self._is_cut)
        explored_until = "explored" if self.asked.controls else "repeated"
        self.hunt.explore(runner, table.until(explored_until))
        if not self.record.archive.trials and self.record.archive.nearest is None:
            jobs = in_full(self.hunt.trials, self.goal, self.asked.seed)
            self.hunt.carry_out(jobs, runner, Clock(Budget(trials=1)))
        if self.asked.controls:
            self._prove(runner, table)
        self.record.stage = "Training the best for longer"
        best = self.record.chosen()  # says so where no design is allowed
        self.hunt.carry_out(self._longer(best), runner, self.hunt.deadline)

    def _prove(self, runner: Runner, table: Timetable) -> None:
        """Blind changes of what was found, then it and its rival with other seeds."""
        if not self.record.archive.trials:
            return
        self.record.stage = "Trying what is next to the best"
        found = explored(self.hunt.trials, self.asked).choose(self.asked.rule)
        jobs = mutants(found, self.problem.space, self.asked.seed)
        self.hunt.carry_out(jobs, runner, table.until("varied"))
        self.record.stage = "Repeating the best and its rival"
        best = self.record.chosen()
        jobs = repeats(best, runner_up(best, self.hunt.trials, self.asked), self.asked.seed)
        self.hunt.carry_out(jobs, runner, table.until("repeated"))

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

    def finish(self) -> Found:
        """The chosen design with its network, and what there is to say about it."""
        best, record = self.record.chosen(), self.record
        kept = better_trained(best, self.hunt.trials, self.goal)
        module = network_of(self.problem, kept, record.blobs)
        save_network(self.folder.path, self.problem, self.asked, kept, record.blobs)
        tests = self._tests(best, kept)
        told = summary(
            self.problem, self.asked, best, kept, self.hunt.trials, tests, module,
            plain=self.folder.record.get("plain"),
        )  # fmt: skip
        record.save(status="done", kept=kept.id, tested=tests, why=told)
        record.end()
        return Found(
            kept,
            tuple(record.archive.trials),
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
                found = tested(self.problem, trial, self.record.blobs)
                if found is not None:
                    known[trial.id] = found
        return known


def _runner(attempt: Attempt, limits: Limits) -> Workers | Inline:
    if limits.workers == 0:
        return Inline(attempt)
    return Workers(attempt, count=limits.workers, memory=limits.memory)


def _known(evaluator: Evaluator) -> Mapping[str, Any]:
    """What a table of architectures knows of its space beside the decisions."""
    return evaluator.known if isinstance(evaluator, Table) else {}
