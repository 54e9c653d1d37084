"""What earlier runs taught: what a new one starts from, and what it leaves behind."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metawright.errors import MetawrightError
from metawright.generators.tables.experience import (
    TableExperience,
    experience_of,
    load_experience,
)
from metawright.generators.tables.guided import GuidedTables
from metawright.generators.tables.likeness import completed
from metawright.generators.tables.profile import table_profile
from metawright.rng import stream
from metawright.spaces.space import Record
from metawright.spaces.tables import first_designs, table_pipelines
from metawright.store.database import Store
from metawright.store.records import RunRecord, Trial
from metawright.strategies.choose import strategy
from metawright.strategies.objectives import objective
from metawright.tasks.tables import TableTask

__all__ = ["Memory"]

_NETWORKS = 120.0  # seconds that must be left for networks to be proposed
_RUNS = 200  # of the user's, the latest ones
_NAMED = 3  # earlier tasks that are named
_BEST = 2  # designs of a run that later runs consider, beside those that all were tried with


class Memory:
    """The experience that a run starts from: what comes with the package, and the user's own runs.

    Arguments:
        task: the table.
        space: of its designs; others are left out.
        store: folder of the user's store; None for none.
        bundle: folder of gathered experience, in place of what comes with the package.
        run: id of the run that asks, which is not earlier than itself.

    Raises:
        InputError: there is no experience in `bundle`.

    Attributes:
        experience: of earlier tasks.
        profile: of the task.
        notes: what could not be used or kept, in sentences.
    """

    def __init__(
        self, task: TableTask, space: Record, store: Path | None, bundle: Path | None, *, run: str
    ) -> None:
        self.task, self.space, self.store, self.run = task, space, store, run
        self.profile = table_profile(task)
        self.notes: list[str] = []
        known = load_experience(task.kind, bundle)
        if store is not None and (store / "store.sqlite").is_file():
            try:
                known = known.joined(_worthy(self._own(store), known))
            except MetawrightError as error:
                self.notes.append(f"Your own earlier runs could not be used: {error}")
        self.experience = completed(known, space)

    def guide(self, loss: str, seed: int, remaining: Callable[[], float]) -> GuidedTables:
        """Experience first, then the tree-structured Parzen estimator by turns.

        Arguments:
            loss: that is to be small.
            seed: of what experience does not decide.
            remaining: gives the seconds that are left for trials.
        """
        rng = stream(seed, "search", "tpe")
        # Of the networks experience knows nothing yet, and one may take many seconds.
        kept = table_pipelines(self.task.kind.value, networks=False)
        inner = kept if remaining() < _NETWORKS else self.space
        return GuidedTables(
            self.space,
            self.experience,
            self.profile,
            strategy("tpe", inner, rng=rng, objectives=[objective(loss)]),
            inner,
            first=first_designs(self.task.kind.value)[:1],
            remaining=remaining,
        )

    def keep(self, name: str, loss: str, trials: Sequence[Trial]) -> None:
        """Adds the run and its trials, without weights, to the user's store.

        What goes wrong with that becomes a note: a model must not be lost for it.

        Arguments:
            name: of the table, for people.
            loss: the measure that was to be small.
        """
        done = [trial for trial in trials if trial.status == "ok"]
        if self.store is None or not done:
            return
        info: dict[str, Any] = {"kind": self.task.kind.value, "name": name, "measure": loss}
        info |= {"profile": self.profile, "rows": len(self.task.y), "target": self.task.target}
        try:
            with Store(self.store) as opened:
                opened.add_run(RunRecord(self.run, "generate", status="done", info=info))
                opened.add_trials(_plain(trial) for trial in done)
        except MetawrightError as error:
            self.notes.append(f"This run was not remembered for later ones: {error}")

    def words(self) -> list[str]:
        """What was used, in sentences."""
        found = self.experience
        own = sum(found.own)
        near = [found.names[i] for i in found.nearest(self.profile)[:_NAMED]]
        mine = f", {own} of them your own runs" if own else ""
        told = f"Used {len(found.names)} earlier tasks{mine}; nearest: {', '.join(near)}."
        return [told, *self.notes]

    def _own(self, store: Path) -> TableExperience:
        with Store(store) as opened:
            runs = [run for run in opened.runs() if run.id != self.run][-_RUNS:]
            trials = [trial for run in runs for trial in opened.trials(run=run.id)]
        return experience_of(runs, trials, self.task.kind, own=True)


def _worthy(own: TableExperience, known: TableExperience) -> TableExperience:
    """With the designs that all were tried with, and the best of each run."""
    everywhere = set(known.designs)
    kept = {i for i, design in enumerate(own.designs) if design in everywhere}
    for worths in own.worths:
        order = [int(i) for i in np.argsort(worths) if not np.isnan(worths[i])]
        kept |= set(order[:_BEST])
    return own.having(sorted(kept))


def _plain(trial: Trial) -> Trial:
    kept = ("role", "seed", "fidelity")
    evidence = {name: trial.evidence[name] for name in kept if name in trial.evidence}
    return Trial(
        trial.id, trial.task, trial.design, trial.scores, trial.cost, evidence, "ok", trial.run,
        trial.created,
    )  # fmt: skip
