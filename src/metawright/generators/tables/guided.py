"""A search of pipelines led by experience: what it expects most of first, then around the best."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from metawright.generators.tables.belief import Belief, Expectation
from metawright.generators.tables.experience import TableExperience, worth_of
from metawright.generators.tables.price import Price
from metawright.spaces.design import Design
from metawright.spaces.points import contains
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.strategy import Strategy

__all__ = ["GuidedTables"]

_ALONE = 12  # proposals that come from experience before the strategy takes every other turn
_LEAST = 0.002  # gain of worth (a share of the loss) that is worth a trial
_THRIFT = 0.3  # power of the seconds by which a gain is divided
_LATE = 1.3  # times the expected seconds that must be left


class GuidedTables:
    """A strategy: designs of earlier tasks by expected gain, and another strategy by turns.

    Arguments:
        space: of the designs; earlier designs that are not in it are left out.
        experience: of earlier tasks.
        profile: of this task.
        inner: takes the other turns, and all when experience expects nothing more; is told all
            that is in `inner_space`, which is `space` or a part of it.
        first: designs that are tried before any other.
        remaining: gives the seconds that are left.
    """

    def __init__(
        self,
        space: Space,
        experience: TableExperience,
        profile: Sequence[float],
        inner: Strategy,
        inner_space: Space,
        *,
        first: Sequence[Design] = (),
        remaining: Callable[[], float] = lambda: math.inf,
    ) -> None:
        kept = [i for i, design in enumerate(experience.designs) if contains(space, design)]
        self.experience = experience.having(kept)
        self.profile, self.remaining = list(profile), remaining
        self.inner, self.inner_space = inner, inner_space
        self.first = list(first)
        self._place = {design: i for i, design in enumerate(self.experience.designs)}
        belief = Belief(
            self.experience.worths, self.experience.profiles, weights=self.experience.weights
        )
        self.prior = belief.of(self.profile)
        self._price = Price(self.experience)
        self._worths: dict[Design, float] = {}
        self._seconds: dict[Design, float] = {}
        self._asked: set[Design] = set()

    def ask(self, count: int) -> list[Design]:
        """New designs; see `Strategy`."""
        designs = []
        for _ in range(count):
            design = self._next()
            self._asked.add(design)
            designs.append(design)
        return designs

    def tell(self, trials: Sequence[Trial]) -> None:
        """Notes what came of designs; see `Strategy`."""
        for trial in trials:
            self._asked.add(trial.design)
            worth = worth_of(trial.scores, self.profile, self.experience.kind)
            if trial.status == "ok" and math.isfinite(worth):
                self._worths[trial.design] = worth
                self._seconds[trial.design] = trial.cost.get("seconds", math.nan)
        self.inner.tell([t for t in trials if contains(self.inner_space, t.design)])

    def expectation(self) -> Expectation:
        """What is expected of earlier designs, given what was tried."""
        known = [design for design in self._worths if design in self._place]
        places = [self._place[design] for design in known]
        return self.prior.given(places, [self._worths[design] for design in known])

    def promising(self, most: float = math.inf) -> Design | None:
        """The design that has not been asked for of which most is expected in at most so many
        seconds; None if of none anything is."""
        gains = self.expectation().gain()
        prices = self._prices()
        open_ = [
            place
            for design, place in self._place.items()
            if design not in self._asked
            and gains[place] > _LEAST
            and _LATE * prices[place] <= min(most, self.remaining())
        ]
        if not open_:
            return None
        rates = gains[open_] / prices[open_].clip(0.1) ** _THRIFT
        return self.experience.designs[open_[int(rates.argmax())]]

    def _prices(self) -> NDArray[np.float64]:
        known = [d for d, took in self._seconds.items() if d in self._place and took > 0]
        return self._price.of(
            self.profile, [self._place[d] for d in known], [self._seconds[d] for d in known]
        )

    def _next(self) -> Design:
        for design in self.first:
            if design not in self._asked:
                return design
        turn = len(self._asked)
        if turn < _ALONE or turn % 2 == 0:
            found = self.promising()
            if found is not None:
                return found
        (proposed,) = self.inner.ask(1)
        return proposed
