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
from dataclasses import dataclass, replace
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
from metawright.recipes.asking import check_folder
from metawright.recipes.search.asked import OWN, Asked, Limits
from metawright.recipes.search.attempt import Attempt
from metawright.recipes.search.hunt import Hunt
from metawright.recipes.search.job import SEARCH
from metawright.recipes.tables.explained import explain
from metawright.recipes.tables.keeper import Keeper
from metawright.recipes.tables.memory import Memory
from metawright.recipes.tables.model import TableModel
from metawright.recipes.tables.record import KIND, folds, told
from metawright.recipes.tables.work import Work
from metawright.spaces.design import Design
from metawright.spaces.tables import first_designs
from metawright.store.blobs import Blobs
from metawright.store.database import Store
from metawright.store.records import RunRecord, Trial
from metawright.strategies.objectives import Constraint, objective
from metawright.tasks.tables import TableTask
from metawright.tasks.task import Kind

__all__ = ["KIND", "Earlier", "Watch", "generate_table"]

_EXPLORING = 0.7  # share of the time for candidates; the rest for fitting the chosen ones
_CUT = 0.85  # share of the time at which a candidate that is not done yet is given up
_SECOND = 1.0  # seconds for candidates that are tried before there are workers
_START = 2.0  # seconds, below which none are started
_ROWS = 5000  # above, what a design takes is not known well enough to try one without a limit

Watch = Callable[[Mapping[str, Any]], None]
"""Called after every trial with "trial", "trials", "best" and "seconds"."""


@dataclass(frozen=True)
class Earlier:
    """Where experience comes from.

    Arguments:
        store: folder of the user's own, looked up and added to; None for neither.
        bundle: folder of gathered experience; None for what comes with the package.
    """

    store: Path | None = None
    bundle: Path | None = None


def generate_table(
    task: TableTask,
    limits: Limits,
    out: Path,
    *,
    name: str,
    seed: int = 0,
    spent: float = 0.0,
    earlier: Earlier | None = None,
    most: Sequence[Constraint] = (),
    explained: bool = True,
    watch: Watch | None = None,
) -> tuple[TableModel, Mapping[str, Any]]:
    """A model for the task in the folder `out`, or a better one; and what `run.json` holds.

    Arguments:
        limits: time or trials, workers, and what one candidate may take.
        name: of the table, for people.
        seed: of folds, proposals and everything that is drawn.
        spent: seconds that went by before this call and count towards the budget.
        earlier: experience to start from; None: what comes with the package, remembering nothing.
        most: what the model may cost; see `limits.constraints`.
        explained: whether to find out, in the time that is left, what the model looks at.

    Raises:
        InputError: `out` holds something else, the bundle no experience, or no pipeline keeps the
            limits.
        BusyError: another process is writing `out`.
        MetawrightError: nearly every candidate failed.
    """
    asked = {"target": task.target, "seed": seed}
    check_folder(out, asked, KIND)
    earlier = earlier or Earlier()
    if earlier.bundle is not None:
        load_experience(task.kind, earlier.bundle)  # a wrong one is refused at once
    with ExitStack() as stack:
        stack.enter_context(FolderLock(out))
        folder = RunFolder(out, told(task, name, asked, limits))
        folder.started_before(spent)
        store = stack.enter_context(Store(out / "store"))
        run = _Run(task, limits, folder, store, seed, watch, earlier, tuple(most))
        try:
            run.answer_at_once()
            if run.hurried:
                run.answer_better()
            # One set of workers for everything: to start one takes seconds.
            workers = Workers(
                Work(run.evaluator, seed), count=max(limits.workers, 1), memory=limits.memory
            )
            stack.callback(workers.close)
            if not run.hurried:
                workers.start()
                run.answer_better()  # while they get ready
                run.explore(workers)
            model = run.finish(workers)
            if explained:
                explain(folder, model, task, run.trials, workers, run.clock, seed=seed,
                        folds=len(run.evaluator.folds))  # fmt: skip
            return model, folder.record
        except BaseException as error:
            folder.save(status="interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
            raise
        finally:
            run.remember(name)


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
        earlier: Earlier,
        most: tuple[Constraint, ...],
    ) -> None:
        self.task, self.limits, self.folder, self.store = task, limits, folder, store
        self.seed, self.watch, self.earlier, self.most = seed, watch, earlier, most
        weigh = any(limit.name == "bytes" for limit in most)
        self.evaluator = TableEvaluator(task, folds=folds(len(task.y)), seed=seed, weigh=weigh)
        self.loss = "log_loss" if task.kind is Kind.CLASSIFICATION else "rmse"
        self.id = folder.record.setdefault("id", uuid4().hex[:12])
        store.add_run(RunRecord(self.id, "generate", info={"data": folder.record["data"]["name"]}))
        started = time.monotonic() - folder.seconds
        self.clock = Clock(Budget(limits.seconds, limits.trials), started=started)
        self.trials = store.trials(run=self.id)
        self.made = list(self.trials)
        self.blobs = Blobs(store.folder)
        self.keeper = Keeper(
            task, folder, self.blobs, most, loss=self.loss, seed=seed, used=self._used
        )

    @cached_property
    def memory(self) -> Memory:
        """Experience, looked up after the first answer."""
        store, bundle = self.earlier.store, self.earlier.bundle
        return Memory(self.task, self.evaluator.space, store, bundle, run=self.id)

    @property
    def hurried(self) -> bool:
        """Whether there is no time for processes, which take seconds to start."""
        return self.clock.remaining() < _START

    def answer_at_once(self) -> None:
        """The first model, before any process is started."""
        self.folder.save(status="running")
        done = [t for t in self.trials if t.status == "ok"] or [
            self._try(first_designs(self.task.kind.value)[0], "first")
        ]
        if self.keeper.answered:
            return
        there = "best" in self.folder.record
        if allowed := [trial for trial in done if self.keeper.allows(trial.cost)]:
            first = min(allowed, key=lambda t: t.scores[self.loss]) if there else allowed[0]
            if self._keep_fits([first]) and not there:
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
        allowed = [t for t in self.trials if t.status == "ok" and self.keeper.allows(t.cost)]
        if allowed:
            self._keep_fits(allowed)

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

    def _keep_fits(self, trials: Sequence[Trial]) -> bool:
        """Fits the choice among trials here and now, and keeps it; whether it could be kept."""
        self.keeper.trials = self.trials
        chosen = self.keeper.choose(trials)
        if self.keeper.saved(chosen) is not None:
            return True
        fits = [fit_final(self.task, trial.design, self.seed) for trial in chosen.trials]
        return self.keeper.save(fits, chosen) is not None

    def explore(self, workers: Workers) -> None:
        """Candidates until their share of the time is over."""
        within = tuple((limit.name, limit.most) for limit in self.most)
        asked = Asked(
            OWN, OWN, "tpe", (self.loss,), constraints=within, controls=False, seed=self.seed
        )
        total = self.limits.seconds
        seconds, late = (None if total is None else s * total for s in (_EXPLORING, _CUT))
        hunt = Hunt(
            self.evaluator.space,
            asked,
            self.limits,
            Clock(Budget(late, self.limits.trials), started=self.clock.started),
            objectives=[objective(self.loss)],
            run=self.id,
            task=self.task.fingerprint,
            keep=self.keep,
            told=self.trials,
            searcher=self._guide(),
        )
        until = Clock(Budget(seconds, self.limits.trials), started=self.clock.started)
        hunt.explore(workers, until)
        self.trials = hunt.trials

    def finish(self, workers: Workers) -> TableModel:
        """The best that was found, fitted and kept."""
        model = self.keeper.finish(self.trials, workers, self.clock)
        self.folder.save(status="done")
        self.store.update_run(self.id, status="done")
        return model

    def remember(self, name: str) -> None:
        """This run becomes experience for later ones."""
        if self.earlier.store is not None and self.trials:
            self.memory.keep(name, self.loss, self.trials)

    def _used(self) -> list[str]:
        return self.memory.words() if "memory" in vars(self) else []

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
