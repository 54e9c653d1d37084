"""Until when each stage of a search goes: shares of the time that it has."""

from collections.abc import Mapping
from dataclasses import dataclass

from metawright.engine.budget import Budget, Clock
from metawright.recipes.search.asked import Limits

__all__ = ["Timetable"]

_CUT: Mapping[str, float] = {"explored": 0.6, "varied": 0.7, "repeated": 0.8}
"""Of the time that is over when a stage ends, where trainings were cut to fit the budget: the last
fifth is for training the best longer."""

_WHOLE: Mapping[str, float] = {"explored": 0.75, "varied": 0.87, "repeated": 1.0}
"""The same where trainings are as long as they should be."""


@dataclass(frozen=True)
class Timetable:
    """The ends of the stages of one session.

    Arguments:
        limits: of the whole search.
        deadline: its clock.
        before: seconds that earlier sessions spent; the stages share what is left.
        cut: whether trainings are shorter than they should be, to fit the budget.
    """

    limits: Limits
    deadline: Clock
    before: float
    cut: bool

    def until(self, stage: str) -> Clock:
        """The clock by which "explored", "varied" or "repeated" is reached."""
        whole, share = self.limits.seconds, (_CUT if self.cut else _WHOLE)[stage]
        seconds = None if whole is None else self.before + share * max(whole - self.before, 0.0)
        return Clock(Budget(seconds, self.limits.trials), started=self.deadline.started)
