"""The road from a table to a model, anytime: a scaled linear model first, then only better.

Candidates are tried in supervised processes, one thread each; the best are averaged where that
pays, calibrated, and fitted on all rows. The folder always holds a whole model.

    RUN/run.json          what was asked, the data check, how it stands, what came out
    RUN/store/            every trial, and its held-out predictions
    RUN/table.json, table-HASH.safetensors   the model
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors.torch import load

from metawright.engine.budget import Budget, Clock
from metawright.engine.lock import FolderLock
from metawright.engine.run_folder import RunFolder
from metawright.engine.workers import Workers
from metawright.errors import InputError, MetawrightError
from metawright.evaluate.tables import TableEvaluator, fit_final
from metawright.models.tables import FittedPipeline
from metawright.recipes.asking import check_folder
from metawright.recipes.search.asked import OWN, Asked, Limits
from metawright.recipes.search.attempt import Attempt
from metawright.recipes.search.hunt import Hunt
from metawright.recipes.search.job import SEARCH
from metawright.recipes.tables.chosen import Chosen, choose
from metawright.recipes.tables.explained import explain, kept_back
from metawright.recipes.tables.limits import (
    excess,
    kept_words,
    measured_cost,
    member_costs,
)
from metawright.recipes.tables.model import (
    FILE,
    TableModel,
    load_table_model,
    model_files,
    save_table_model,
)
from metawright.recipes.tables.words import why
from metawright.recipes.tables.work import Work, fitted
from metawright.spaces.tables import first_designs
from metawright.store.blobs import Blobs
from metawright.store.database import Store
from metawright.store.records import RunRecord, Trial
from metawright.strategies.objectives import Constraint, objective
from metawright.tasks.tables import TableTask
from metawright.tasks.tables.column import CATEGORY
from metawright.tasks.task import Kind

__all__ = ["KIND", "Watch", "generate_table"]

KIND = "table"
_EXPLORING = 0.7  # share of the time for candidates; the rest for fitting the chosen ones
_LATE = "No time was left to fit all that was found: a larger --budget goes on from here."

Watch = Callable[[Mapping[str, Any]], None]
"""Called after every trial with "trial", "trials", "best" and "seconds"."""


def generate_table(
    task: TableTask,
    limits: Limits,
    out: Path,
    *,
    name: str,
    seed: int = 0,
    spent: float = 0.0,
    most: Sequence[Constraint] = (),
    watch: Watch | None = None,
) -> tuple[TableModel, Mapping[str, Any]]:
    """A model for the task in the folder `out`, or a better one; and what `run.json` holds.

    Arguments:
        limits: time or trials, workers, and what one candidate may take.
        name: of the table, for people.
        seed: of folds, proposals and everything that is drawn.
        spent: seconds that went by before this call and count towards the budget.
        most: what the model may cost; see `limits.constraints`.

    Raises:
        InputError: `out` holds something else, or no pipeline keeps the limits.
        BusyError: another process is writing `out`.
        MetawrightError: nearly every candidate failed.
    """
    asked = {"target": task.target, "seed": seed}
    check_folder(out, asked, KIND)
    with ExitStack() as stack:
        stack.enter_context(FolderLock(out))
        folder = RunFolder(out, _told(task, name, asked, limits))
        folder.started_before(spent)
        store = stack.enter_context(Store(out / "store"))
        run = _Run(task, limits, folder, store, seed, watch, tuple(most))
        try:
            run.answer_at_once()
            # One set of workers for everything: to start one takes seconds.
            workers = Workers(
                Work(run.evaluator, seed),
                count=max(limits.workers, 1),
                memory=limits.memory,
            )
            stack.callback(workers.close)
            run.explore(workers)
            model = run.finish(workers)
            explain(folder, model, task, run.trials, workers, run.clock, seed=seed,
                    folds=len(run.evaluator.folds))  # fmt: skip
            return model, folder.record
        except BaseException as error:
            folder.save(status="interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise


class _Run:
    """The moving parts of `generate_table`."""

    def __init__(
        self,
        task: TableTask,
        limits: Limits,
        folder: RunFolder,
        store: Store,
        seed: int,
        watch: Watch | None,
        most: tuple[Constraint, ...],
    ) -> None:
        self.task, self.limits, self.folder, self.store = task, limits, folder, store
        self.seed, self.watch, self.most = seed, watch, most
        self.exact: dict[str, dict[str, float]] = {}
        self.model: TableModel | None = None  # that of the folder, if it was made here
        self.blobs = Blobs(store.folder)
        weigh = any(limit.name == "bytes" for limit in most)
        self.evaluator = TableEvaluator(task, folds=_folds(len(task.y)), seed=seed, weigh=weigh)
        self.loss = "log_loss" if task.kind is Kind.CLASSIFICATION else "rmse"
        self.id = folder.record.setdefault("id", uuid4().hex[:12])
        store.add_run(RunRecord(self.id, "generate", info={"data": folder.record["data"]["name"]}))
        started = time.monotonic() - folder.seconds
        self.clock = Clock(Budget(limits.seconds, limits.trials), started=started)
        self.trials = store.trials(run=self.id)
        self.made = list(self.trials)

    def answer_at_once(self) -> None:
        """The first model, before any process is started."""
        self.folder.save(status="running")
        done = [trial for trial in self.trials if trial.status == "ok"] or [self._first()]
        there = (self.folder.path / FILE).is_file()
        if there and excess(self.folder.record.get("cost", {}), self.most) <= 1:
            return
        allowed = [trial for trial in done if excess(trial.cost, self.most) <= 1]
        if allowed:
            first = min(allowed, key=lambda t: t.scores[self.loss]) if there else allowed[0]
            fit = fit_final(self.task, first.design, self.seed)
            if self._save([fit], self._choose([first])) and not there:
                self.folder.save(first_model_seconds=round(self.folder.seconds, 3))

    def _first(self) -> Trial:
        design = first_designs(self.task.kind.value)[0]
        tried = Attempt(self.evaluator)(design, seed=self.seed)
        trial = Trial(
            uuid4().hex[:12], self.task.fingerprint, design, tried.scores, tried.cost,
            {**tried.evidence, "role": SEARCH, "seed": self.seed, "origin": "first"}, run=self.id,
        )  # fmt: skip
        self.trials.append(self.keep(trial, tried.weights))
        return self.trials[-1]

    def explore(self, workers: Workers) -> None:
        """Candidates until their share of the time is over."""
        within = tuple((limit.name, limit.most) for limit in self.most)
        asked = Asked(
            OWN, OWN, "tpe", (self.loss,), constraints=within, controls=False, seed=self.seed
        )
        hunt = Hunt(
            self.evaluator.space,
            asked,
            self.limits,
            self.clock,
            objectives=[objective(self.loss)],
            run=self.id,
            task=self.task.fingerprint,
            keep=self.keep,
            told=self.trials,
            warm_start=first_designs(self.task.kind.value),
        )
        seconds = None if self.limits.seconds is None else _EXPLORING * self.limits.seconds
        until = Clock(Budget(seconds, self.limits.trials), started=self.clock.started)
        hunt.explore(workers, until)
        self.trials = hunt.trials

    def keep(self, trial: Trial, weights: bytes) -> Trial:
        """A trial was made: its held-out predictions and itself into the store."""
        if weights:
            trial = replace(trial, weights=self.blobs.put(load(weights)))
        self.store.add_trial(trial)
        if self.watch is not None:
            self.made.append(trial)
            losses = [one.scores[self.loss] for one in self.made if one.scores]
            self.watch(
                {
                    "trial": trial,
                    "trials": len(self.made),
                    "best": min(losses, default=None),
                    "measure": self.loss,
                    "seconds": self.folder.seconds,
                }
            )
        return trial

    def finish(self, workers: Workers) -> TableModel:
        """The chosen candidates fitted on all rows, or what is saved where that is no worse."""
        made: dict[str, FittedPipeline] = {}
        while True:
            chosen = self._choose([trial for trial in self.trials if trial.status == "ok"])
            model = self._saved(chosen)
            if model is None:
                new = [trial for trial in chosen.trials if trial.id not in made]
                made |= fitted(new, workers, self.clock, end=kept_back(self.clock))
                there = [trial for trial in chosen.trials if trial.id in made]
                if len(there) < len(chosen.trials):
                    return self._late(there, made)
                model = self._save([made[trial.id] for trial in there], chosen)
            if model is not None:
                self._done(self._why(chosen))
                return model

    def _late(self, there: Sequence[Trial], made: Mapping[str, FittedPipeline]) -> TableModel:
        """The best of those that are fitted, or the earlier model where that is better."""
        chosen = self._choose(there) if there else None
        kept = excess(self.folder.record.get("cost", {}), self.most) <= 1
        earlier = self.folder.record.get("scores", {}).get(self.loss, math.inf)
        model = None
        if chosen is not None and (not kept or chosen.scores[self.loss] < earlier):
            model = self._save([made[trial.id] for trial in chosen.trials], chosen)
        if model is None and not (kept and math.isfinite(earlier)):
            raise InputError(
                "No time was left to fit a pipeline that keeps the limits: the same command with "
                "a larger --budget goes on from here."
            )
        model = model or self.model or load_table_model(self.folder.path)
        told = [line for line in self.folder.record.get("why", []) if line != _LATE]
        self._done([*told, _LATE])
        return model

    def _done(self, told: Sequence[str]) -> None:
        self.folder.save(status="done", why=list(told))
        self.store.update_run(self.id, status="done")

    def _choose(self, trials: Sequence[Trial]) -> Chosen:
        known = [replace(t, cost={**t.cost, **self.exact.get(t.id, {})}) for t in trials]
        return choose(self.task, known, self.blobs, seed=self.seed, most=self.most)

    def _why(self, chosen: Chosen) -> list[str]:
        return [*why(self.task, chosen, self.trials, self.loss), *kept_words(
            self.folder.record["cost"], self.most)]  # fmt: skip

    def _saved(self, chosen: Chosen) -> TableModel | None:
        """The model of the folder, if it is this one and whole."""
        if self.folder.record.get("best") != _members(chosen) or "cost" not in self.folder.record:
            return None
        try:
            return self.model or load_table_model(self.folder.path)
        except MetawrightError:
            return None

    def _save(self, members: Sequence[FittedPipeline], chosen: Chosen) -> TableModel | None:
        """The model, kept in the folder; None where it turns out to break the limits."""
        task = self.task
        model = TableModel(
            tuple(members), chosen.weights, chosen.temperature, chosen.spread, task.kind,
            task.classes, task.target, task.columns, _levels(task),
        )  # fmt: skip
        files = model_files(model)
        cost = measured_cost(model, files, task)
        if excess(cost, self.most) > 1:
            shares = member_costs(members, cost, task)
            self.exact |= dict(zip((t.id for t in chosen.trials), shares, strict=True))
            return None
        save_table_model(self.folder.path, files)
        self.folder.record["cost"] = cost
        self.folder.save(
            best=_members(chosen),
            why=self._why(chosen),
            limits={limit.name: limit.most for limit in self.most},
            scores=dict(chosen.scores),
            intervals={name: list(ends) for name, ends in chosen.intervals.items()},
            baseline=dict(chosen.baseline),
            confusion=[list(row) for row in chosen.confusion],
            temperature=chosen.temperature,
            held_out=dict(chosen.held_out),
        )
        self.model = model
        return model


def _levels(task: TableTask) -> dict[str, tuple[str, ...]]:
    """The values of each category that is used."""
    names = [c.name for c in task.columns if c.used and c.kind == CATEGORY]
    return {name: tuple(map(str, task.x[name].cat.categories)) for name in names}


def _members(chosen: Chosen) -> dict[str, Any]:
    """Which trials a model is made of, as `run.json` tells it."""
    return {"members": [t.id for t in chosen.trials], "weights": list(chosen.weights)}


def _folds(rows: int) -> int:
    """More folds where rows are dear, fewer where time is."""
    return 10 if rows < 200 else 5 if rows < 20_000 else 3


def _told(task: TableTask, name: str, asked: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    return {
        "kind": KIND,
        "asked": dict(asked),
        "data": {"name": name, "fingerprint": task.fingerprint},
        "check": task.to_json(),
        "seed": asked["seed"],
        "bundle": None,
        "budget": {"seconds": limits.seconds, "trials": limits.trials},
    }
