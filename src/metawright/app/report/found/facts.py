"""What the page of a search is made of: everything that its folder holds, read once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from metawright.errors import InputError
from metawright.recipes.inputs import read_run
from metawright.recipes.search.asked import KIND
from metawright.recipes.search.controls import RANKED
from metawright.recipes.search.job import role_of
from metawright.spaces import Space, space_from_json
from metawright.store.database import Store
from metawright.store.records import Trial
from metawright.strategies.objectives import OBJECTIVES, Constraint, Objective, measured, violation

__all__ = ["SearchFacts", "known", "read_search"]


@dataclass(frozen=True)
class SearchFacts:
    """A search, ready to be told.

    Arguments:
        run: its folder, as the user gave it.
        told: what `run.json` holds.
        trials: all of them, in the order in which they were made.
    """

    run: Path
    told: Mapping[str, Any]
    trials: tuple[Trial, ...]

    @property
    def asked(self) -> Mapping[str, Any]:
        """The question."""
        return self.told.get("asked") or {}

    @property
    def why(self) -> Mapping[str, Any]:
        """What the find is worth; empty before the run is done."""
        return self.told.get("why") or {}

    @property
    def controls(self) -> Mapping[str, Any]:
        """What the search is compared with; empty where nothing is known."""
        return self.why.get("controls") or {}

    @property
    def done(self) -> bool:
        """Whether the run came to its end."""
        return self.told.get("status") == "done"

    @property
    def name(self) -> str:
        """Of the data."""
        return str((self.told.get("data") or {}).get("name") or self.run.name)

    @property
    def goals(self) -> list[Objective]:
        """The objectives, the most important first."""
        names = self.asked.get("objectives") or ["score"]
        goals = [Objective(str(name), OBJECTIVES.get(name, True)) for name in names]
        first = self.why.get("measure") or {}
        if first.get("name") == goals[0].name:
            goals[0] = Objective(goals[0].name, bool(first.get("maximise", goals[0].maximise)))
        return goals

    @property
    def limits(self) -> list[Constraint]:
        """The constraints."""
        return [Constraint(name, most) for name, most in self.asked.get("constraints") or []]

    @property
    def numbers(self) -> dict[str, int]:
        """In which place each trial was made, from 1, by its id."""
        return {trial.id: number for number, trial in enumerate(self.trials, 1)}

    @property
    def best(self) -> Trial | None:
        """The chosen point of the front."""
        return self._trial(self.told.get("best"))

    @property
    def kept(self) -> Trial | None:
        """The training whose weights are kept: the best one's, or a longer one of its design."""
        return self._trial(self.told.get("kept")) or self.best

    @property
    def front(self) -> list[Trial]:
        """The trials that no other beats in all objectives."""
        found = (self._trial(name) for name in self.told.get("front") or [])
        return [trial for trial in found if trial is not None]

    @property
    def space(self) -> Space | None:
        """The space; None where `run.json` does not say it rightly."""
        try:
            return space_from_json(self.told["space"])
        except (InputError, KeyError):
            return None

    @property
    def ranked(self) -> list[Trial]:
        """The trials that compete and have a score, the best in the first objective first; later
        those that break a constraint, and last those that were trained in part only."""
        goal, limits = self.goals[0], self.limits

        def place(trial: Trial) -> tuple[bool, float]:
            value = measured(trial, goal.name) or 0.0
            return violation(trial, limits) > 0, -value if goal.maximise else value

        in_part = [t for t in self.scored if t.evidence.get("fidelity", 1) < 1]
        in_full = [t for t in self.scored if t not in in_part]
        return sorted(in_full, key=place) + sorted(in_part, key=place)

    @property
    def scored(self) -> list[Trial]:
        """The trials that compete and have the first objective, in order."""
        name = self.goals[0].name
        return [t for t in self.trials if role_of(t) in RANKED and measured(t, name) is not None]

    @property
    def failed(self) -> list[Trial]:
        """Those that failed."""
        return [trial for trial in self.trials if trial.status == "failed"]

    @property
    def skipped(self) -> list[Trial]:
        """Those that were left out because of a constraint."""
        return [trial for trial in self.trials if trial.evidence.get("skipped")]

    def _trial(self, name: Any) -> Trial | None:
        return next((trial for trial in self.trials if trial.id == name), None)


def known(value: Any) -> TypeGuard[float]:
    """Whether it is a number that can be shown."""
    if isinstance(value, int):  # it may be beyond what a float holds
        return not isinstance(value, bool)
    return isinstance(value, float) and math.isfinite(value)


def read_search(run: Path) -> SearchFacts:
    """All that is known of a search; it may still be going on.

    Raises:
        InputError: not a run, or one of another kind.
    """
    run = Path(run)
    told = read_run(run, model=False)
    if told.get("kind") != KIND:
        raise InputError(f"'{run}' is no search: give the folder that `metawright search` wrote.")
    trials: list[Trial] = []
    # Opening a store that is not there would make one.
    if (run / "store" / "store.sqlite").exists():
        with Store(run / "store") as store:
            trials = store.trials(run=told.get("id"))
    return SearchFacts(run, told, tuple(trials))
