"""What a search strategy is: it asks for designs to be tried and is told what came of them."""

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from metawright.spaces.design import Design
from metawright.store.records import Trial

__all__ = ["MultiFidelity", "Strategy", "fidelity_of", "usable_score"]


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


@runtime_checkable
class MultiFidelity(Protocol):
    """A strategy that has designs tried at a part of the training first."""

    def fidelity(self, design: Design) -> float:
        """At which share of the training (above 0, at most 1) a pending design is to be tried; it
        goes into the trial as `evidence["fidelity"]`."""
        ...


def fidelity_of(strategy: Strategy, design: Design) -> float:
    """At which share of the training a design that `strategy` proposed is to be tried: 1, all of
    it, where the strategy does not say."""
    return strategy.fidelity(design) if isinstance(strategy, MultiFidelity) else 1.0


def usable_score(trial: Trial, score: str) -> float | None:
    """The trial's score of that name; None if it failed, lacks it, or it is not finite."""
    if trial.status == "failed":
        return None
    value = trial.scores.get(score, math.nan)
    return value if math.isfinite(value) else None
