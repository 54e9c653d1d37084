"""The road from a table to a model, anytime: a scaled linear model first, then only better.

Candidates are tried in supervised processes, one thread each; the best are averaged where that
pays, calibrated, and fitted on all rows. The folder always holds a whole model.

    RUN/run.json          what was asked, the data check, how it stands, what came out
    RUN/store/            every trial, and its held-out predictions
    RUN/table.json, table-HASH.safetensors   the model

What to try comes from experience with earlier tables, and every run becomes experience in turn.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from safetensors.torch import load

from metawright.engine.budget import Budget, Clock
from metawright.engine.lock import FolderLock
from metawright.engine.run_folder import RunFolder
from metawright.engine.workers import Workers
from metawright.errors import MetawrightError
from metawright.evaluate.tables import TableEvaluator, fit_final
from metawright.generators.tables.experience import load_experience
from metawright.generators.tables.guided import GuidedTables
from metawright.models.tables import FittedPipeline
from metawright.recipes.asking import check_folder
from metawright.recipes.search.asked import OWN, Asked, Limits
from metawright.recipes.search.attempt import Attempt
from metawright.recipes.search.hunt import Hunt
from metawright.recipes.search.job import SEARCH
from metawright.recipes.tables.chosen import Chosen, choose
from metawright.recipes.tables.memory import Memory
from metawright.recipes.tables.model import FILE, TableModel, load_table_model, save_table_model
from metawright.recipes.tables.record import KIND, folds, levels, members, told
from metawright.recipes.tables.words import why
from metawright.recipes.tables.work import Work, fitted
from metawright.spaces.design import Design
from metawright.spaces.tables import first_designs
from metawright.store.blobs import Blobs
from metawright.store.database import Store
from metawright.store.records import RunRecord, Trial
from metawright.strategies.objectives import objective
from metawright.tasks.tables import TableTask
from metawright.tasks.task import Kind

__all__ = ["KIND", "Watch", "generate_table"]

_EXPLORING = 0.7  # share of the time for candidates; the rest for fitting the chosen ones
_SECOND = 1.0  # seconds for candidates that are tried before there are workers
_START = 2.0  # seconds, below which none are started
_ROWS = 5000  # above, what a design takes is not known well enough to try one without a limit
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
    store: Path | None = None,
    bundle: Path | None = None,
    watch: Watch | None = None,
) -> tuple[TableModel, Mapping[str, Any]]:
    """A model for the task in the folder `out`, or a better one; and what `run.json` holds.

    Arguments:
        limits: time or trials, workers, and what one candidate may take.
        name: of the table, for people.
        seed: of folds, proposals and everything that is drawn.
        spent: seconds that went by before this call and count towards the budget.
        store: folder of the user's experience, looked up and added to; None for neither.
        bundle: folder of gathered experience; None for what comes with the package.

    Raises:
        InputError: `out` holds something else, or `bundle` no experience.
        BusyError: another process is writing `out`.
        MetawrightError: nearly every candidate failed.
    """
    asked = {"target": task.target, "seed": seed}
    check_folder(out, asked, KIND)
    if bundle is not None:
        load_experience(task.kind, bundle)  # a wrong one is refused at once
    with ExitStack() as stack:
        stack.enter_context(FolderLock(out))
        folder = RunFolder(out, told(task, name, asked, limits))
        folder.started_before(spent)
        trials = stack.enter_context(Store(out / "store"))
        run = _Run(task, limits, folder, trials, seed, watch, (store, bundle))
        try:
            run.answer_at_once()
            if run.hurried:
                run.answer_better()
                return run.done(), folder.record
            # One set of workers for everything: to start one takes seconds.
            workers = Workers(
                Work(Attempt(run.evaluator), task, seed),
                count=max(limits.workers, 1),
                memory=limits.memory,
            )
            stack.callback(workers.close)
            workers.start()
            run.answer_better()  # while they get ready
            run.explore(workers)
            return run.finish(workers), folder.record
        except BaseException as error:
            folder.save(status="interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        finally:
            run.memory.keep(name, run.loss, run.trials)


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
        earlier: tuple[Path | None, Path | None],
    ) -> None:
        self.task, self.limits, self.folder, self.store = task, limits, folder, store
        self.seed, self.watch = seed, watch
        self.blobs = Blobs(store.folder)
        self.evaluator = TableEvaluator(task, folds=folds(len(task.y)), seed=seed)
        self.loss = "log_loss" if task.kind is Kind.CLASSIFICATION else "rmse"
        self.id = folder.record.setdefault("id", uuid4().hex[:12])
        store.add_run(RunRecord(self.id, "generate", info={"data": folder.record["data"]["name"]}))
        started = time.monotonic() - folder.seconds
        self.clock = Clock(Budget(limits.seconds, limits.trials), started=started)
        self.trials = store.trials(run=self.id)
        self.made = list(self.trials)
        self.earlier = earlier

    @cached_property
    def memory(self) -> Memory:
        """Experience, looked up after the first answer."""
        return Memory(self.task, self.evaluator.space, *self.earlier, run=self.id)

    def answer_at_once(self) -> None:
        """The first model, before any process is started."""
        self.folder.save(status="running")
        done = [trial for trial in self.trials if trial.status == "ok"]
        first = done[0] if done else self._first()
        if not (self.folder.path / FILE).is_file():
            self._save([fit_final(self.task, first.design, self.seed)], self._choose([first]))
            self.folder.save(first_model_seconds=round(self.folder.seconds, 3))

    def answer_better(self) -> None:
        """What experience expects most of and takes little time, tried here, while workers get
        ready; so there is an answer of more than one candidate after about a second."""
        seconds = min(_SECOND, _EXPLORING * self.clock.remaining())
        timed = self.limits.seconds is not None and seconds > 0
        if len(self.trials) > 1 or not timed or len(self.task.y) > _ROWS:
            return
        end = Clock(Budget(seconds))
        guide = self._guide()
        guide.tell(self.trials)
        while (design := guide.promising(most=end.remaining())) is not None:
            guide.tell([self._try(design, "second")])
        chosen = self._choose([trial for trial in self.trials if trial.status == "ok"])
        if self.folder.record.get("best") != members(chosen):
            fits = [fit_final(self.task, trial.design, self.seed) for trial in chosen.trials]
            self._save(fits, chosen)

    @property
    def hurried(self) -> bool:
        """Whether there is no time for processes, which take seconds to start."""
        return self.clock.remaining() < _START

    def _first(self) -> Trial:
        return self._try(first_designs(self.task.kind.value)[0], "first")

    def _try(self, design: Design, origin: str) -> Trial:
        """Tries a design here and now."""
        told: dict[str, Any] = {"role": SEARCH, "seed": self.seed, "origin": origin}
        trial = Trial(uuid4().hex[:12], self.task.fingerprint, design, {}, {}, told, run=self.id)
        try:
            tried = Attempt(self.evaluator)(design, seed=self.seed)
        except MetawrightError as error:
            if origin == "first":
                raise
            failed = replace(trial, status="failed", evidence={**told, "error": str(error)})
            self.trials.append(self.keep(failed, b""))
            return failed
        done = replace(
            trial, scores=tried.scores, cost=tried.cost, evidence={**tried.evidence, **told}
        )
        self.trials.append(self.keep(done, tried.weights))
        return self.trials[-1]

    def _guide(self) -> GuidedTables:
        return self.memory.guide(self.loss, self.seed, lambda: _EXPLORING * self.clock.remaining())

    def explore(self, workers: Workers) -> None:
        """Candidates until their share of the time is over."""
        asked = Asked(OWN, OWN, "tpe", (self.loss,), controls=False, seed=self.seed)
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
            searcher=self._guide(),
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
        chosen = self._choose([trial for trial in self.trials if trial.status == "ok"])
        model = self._saved(chosen)
        if model is None:
            made = fitted(chosen.trials, workers, self.clock)
            there = [trial for trial in chosen.trials if trial.id in made]
            if len(there) < len(chosen.trials):
                return self._late(there, made)
            model = self._save([made[trial.id] for trial in there], chosen)
        self._done(self._why(chosen))
        return model

    def _late(self, there: Sequence[Trial], made: Mapping[str, FittedPipeline]) -> TableModel:
        """The best of those that are fitted, or the earlier model where that is better."""
        chosen = self._choose(there) if there else None
        earlier = self.folder.record["scores"][self.loss]
        if chosen is not None and chosen.scores[self.loss] < earlier:
            model = self._save([made[trial.id] for trial in chosen.trials], chosen)
        else:
            model = load_table_model(self.folder.path)
        told = [line for line in self.folder.record.get("why", []) if line != _LATE]
        self._done([*told, _LATE])
        return model

    def done(self) -> TableModel:
        """The run as it stands."""
        self._done(self.folder.record["why"])
        return load_table_model(self.folder.path)

    def _done(self, told: Sequence[str]) -> None:
        self.folder.save(status="done", why=list(told))
        self.store.update_run(self.id, status="done")

    def _why(self, chosen: Chosen) -> list[str]:
        used = self.memory.words() if "memory" in vars(self) else []
        return [*why(self.task, chosen, self.trials, self.loss), *used]

    def _choose(self, trials: Sequence[Trial]) -> Chosen:
        return choose(self.task, trials, self.blobs, seed=self.seed)

    def _saved(self, chosen: Chosen) -> TableModel | None:
        """The model of the folder, if it is this one and whole."""
        if self.folder.record.get("best") != members(chosen):
            return None
        try:
            return load_table_model(self.folder.path)
        except MetawrightError:
            return None

    def _save(self, pipelines: Sequence[FittedPipeline], chosen: Chosen) -> TableModel:
        task = self.task
        model = TableModel(
            tuple(pipelines), chosen.weights, chosen.temperature, chosen.spread, task.kind,
            task.classes, task.target, task.columns, levels(task),
        )  # fmt: skip
        save_table_model(self.folder.path, model)
        self.folder.save(
            best=members(chosen),
            why=self._why(chosen),
            scores=dict(chosen.scores),
            intervals={name: list(ends) for name, ends in chosen.intervals.items()},
            baseline=dict(chosen.baseline),
            confusion=[list(row) for row in chosen.confusion],
            temperature=chosen.temperature,
        )
        return model
