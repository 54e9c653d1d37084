"""What a search strategy is: it asks for designs to be tried and is told what came of them."""

import math
from collections.abc import Sequence
from typing import Protocol

from metawright.spaces.design import Design
from metawright.store.records import Trial

__all__ = ["Strategy", "usable_score"]


class Strategy(Protocol):
    """Proposes designs of one space for one task, where higher scores are better.

    A strategy is resumed by constructing it again, with a generator in the same state, and telling
    it the stored trials in the order in which they were told first. If every proposal had been
    told, it goes on with the very proposals of the uninterrupted run; proposals that were still
    out are forgotten and replaced by new ones.
    """

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try; asking again before telling gives further ones."""
        ...

    def tell(self, trials: Sequence[Trial]) -> None:
        """Takes in what came of designs, asked for or not, in any order and any portions."""
        ...


def usable_score(trial: Trial, score: str) -> float | None:
    """The trial's score of that name; None if it failed, lacks it, or it is not finite."""
    if trial.status == "failed":
        return None
    value = trial.scores.get(score, math.nan)
    return value if math.isfinite(value) else None
