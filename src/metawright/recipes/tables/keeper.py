"""Which pipelines become the model of a run, and how it is kept: whole, within the limits."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from metawright.engine.budget import Clock
from metawright.engine.run_folder import RunFolder
from metawright.engine.workers import Workers
from metawright.errors import InputError, MetawrightError
from metawright.models.tables import FittedPipeline
from metawright.recipes.tables.chosen import Chosen, choose
from metawright.recipes.tables.explained import kept_back
from metawright.recipes.tables.limits import excess, kept_words, measured_cost, member_costs
from metawright.recipes.tables.model import (
    FILE,
    TableModel,
    load_table_model,
    model_files,
    save_table_model,
)
from metawright.recipes.tables.record import levels, members
from metawright.recipes.tables.words import why
from metawright.recipes.tables.work import fitted
from metawright.store.blobs import Blobs
from metawright.store.records import Trial
from metawright.strategies.objectives import Constraint
from metawright.tasks.tables import TableTask

__all__ = ["Keeper"]

_NO_BETTER = "Nothing better was found after that: the model stays as it was"
_LATE = "No time was left to fit all that was found: a larger --budget goes on from here."


class Keeper:
    """Chooses among trials, and keeps the fitted choice in the folder of a run.

    Arguments:
        task: the table.
        folder: of the run.
        blobs: held-out predictions of the trials.
        most: what the model may cost.
        loss: the measure that is to be small.
        seed: of the choice.
        used: gives sentences about what the run started from.
    """

    def __init__(
        self,
        task: TableTask,
        folder: RunFolder,
        blobs: Blobs,
        most: Sequence[Constraint],
        *,
        loss: str,
        seed: int,
        used: Callable[[], list[str]],
    ) -> None:
        self.task, self.folder, self.blobs, self.most = task, folder, blobs, tuple(most)
        self.loss, self.seed, self.used = loss, seed, used
        self.trials: Sequence[Trial] = ()
        self.model: TableModel | None = None  # that of the folder, if it was made here
        self._exact: dict[str, dict[str, float]] = {}

    @property
    def answered(self) -> bool:
        """Whether the folder holds a model within the limits."""
        there = (self.folder.path / FILE).is_file()
        return there and self.allows(self.folder.record.get("cost", {}))

    def allows(self, cost: Mapping[str, float]) -> bool:
        """Whether a cost keeps the limits."""
        return excess(cost, self.most) <= 1

    def choose(self, trials: Sequence[Trial]) -> Chosen:
        """Which of the trials are best averaged."""
        known = [replace(t, cost={**t.cost, **self._exact.get(t.id, {})}) for t in trials]
        return choose(self.task, known, self.blobs, seed=self.seed, most=self.most)

    def finish(self, trials: Sequence[Trial], workers: Workers, clock: Clock) -> TableModel:
        """The chosen candidates fitted on all rows, or what is saved where that is no worse.

        Raises:
            InputError: nothing keeps the limits, or there was no time to fit it.
        """
        self.trials = trials
        made: dict[str, FittedPipeline] = {}
        while True:
            chosen = self.choose([trial for trial in trials if trial.status == "ok"])
            model = self.saved(chosen)
            if model is None and (better := self._better_than(chosen)) is not None:
                self._told_anew(f"{_NO_BETTER} ({len(trials)} tried).")
                return better
            if model is None:
                new = [trial for trial in chosen.trials if trial.id not in made]
                made |= fitted(new, workers, clock, end=kept_back(clock))
                there = [trial for trial in chosen.trials if trial.id in made]
                if len(there) < len(chosen.trials):
                    return self._late(there, made)
                model = self.save([made[trial.id] for trial in there], chosen)
            if model is not None:
                self._told(self._why(chosen))
                return model

    def saved(self, chosen: Chosen) -> TableModel | None:
        """The model of the folder, if it is this one and whole."""
        if self.folder.record.get("best") != members(chosen) or "cost" not in self.folder.record:
            return None
        try:
            return self.model or load_table_model(self.folder.path)
        except MetawrightError:
            return None

    def _better_than(self, chosen: Chosen) -> TableModel | None:
        """The model of the folder where the new choice is no better: going on never makes it
        worse, though the choice among more trials may by chance."""
        told = self.folder.record
        known = "cost" in told and self.answered
        if not known or told["scores"][self.loss] > chosen.scores[self.loss]:
            return None
        try:
            return self.model or load_table_model(self.folder.path)
        except MetawrightError:
            return None

    def save(self, pipelines: Sequence[FittedPipeline], chosen: Chosen) -> TableModel | None:
        """The model, kept in the folder; None where it turns out to break the limits."""
        task = self.task
        model = TableModel(
            tuple(pipelines), chosen.weights, chosen.temperature, chosen.spread, task.kind,
            task.classes, task.target, task.columns, levels(task),
        )  # fmt: skip
        files = model_files(model)
        cost = measured_cost(model, files, task)
        if not self.allows(cost):
            shares = member_costs(pipelines, cost, task)
            self._exact |= dict(zip((t.id for t in chosen.trials), shares, strict=True))
            return None
        save_table_model(self.folder.path, files)
        self.folder.record["cost"] = cost
        self.folder.save(
            best=members(chosen),
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

    def _late(self, there: Sequence[Trial], made: Mapping[str, FittedPipeline]) -> TableModel:
        """The best of those that are fitted, or the earlier model where that is better."""
        chosen = self.choose(there) if there else None
        kept = self.allows(self.folder.record.get("cost", {}))
        earlier = self.folder.record.get("scores", {}).get(self.loss, math.inf)
        model = None
        if chosen is not None and (not kept or chosen.scores[self.loss] < earlier):
            model = self.save([made[trial.id] for trial in chosen.trials], chosen)
        if model is None and not (kept and math.isfinite(earlier)):
            raise InputError(
                "No time was left to fit a pipeline that keeps the limits: the same command with "
                "a larger --budget goes on from here."
            )
        model = model or self.model or load_table_model(self.folder.path)
        self._told_anew(_LATE)
        return model

    def _told_anew(self, last: str) -> None:
        """The sentences of the earlier model, which stays, and what came of going on."""
        earlier = self.folder.record.get("why", [])
        self._told([*(line for line in earlier if not line.startswith((_LATE, _NO_BETTER))), last])

    def _why(self, chosen: Chosen) -> list[str]:
        told = why(self.task, chosen, self.trials, self.loss)
        return [*told, *kept_words(self.folder.record["cost"], self.most), *self.used()]

    def _told(self, sentences: Sequence[str]) -> None:
        self.folder.save(why=list(sentences))
