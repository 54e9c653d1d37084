"""Grid search: numbers at evenly spread values, in an order that may be stopped at any time."""

import math
from collections.abc import Sequence

import torch

from metawright import rng as streams
from metawright.errors import InputError
from metawright.spaces.counting import count
from metawright.spaces.design import Design
from metawright.spaces.lattice import grid_design, grid_size
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.ledger import Ledger

__all__ = ["Grid"]

# The golden ratio as a fraction: multiples of it spread over the circle better than of any other.
_GOLDEN = (618_033_988_749_894_848_204_586_834, 10**27)
# Numbers finer than so many values are not worth the name of a grid.
_FINEST = 1025


class Grid:
    """Every design of a grid once, in an order that is spread at any time.

    A number takes `steps` values, evenly spread over its scale, with both ends; integers of no
    more values all of them. The order goes through the numbers of the designs in strides of a
    golden share of their count, so that the first few designs are far apart in every decision.
    When the grid is used up, a grid twice as fine follows, without the designs that were tried.

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it: with which design the grid begins.
        score: the key of `Trial.scores` that is maximised; a grid pays no heed to it.
        steps: how many values a number takes, at least 1.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: `steps >= 1` does not hold, or a design of `warm_start` is not in the space.

    Example:
        >>> from metawright.rng import stream
        >>> from metawright.spaces import Integer, Real, Record
        >>> from metawright.strategies.grid import Grid
        >>> grid = Grid(Record({"depth": Integer(1, 3), "lr": Real(0, 1)}), rng=stream(0), steps=5)
        >>> grid.size, len(set(grid.ask(15)))
        (15, 15)
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: torch.Generator,
        score: str = "score",
        steps: int = 5,
        warm_start: Sequence[Design] = (),
    ) -> None:
        if steps < 1:
            raise InputError(f"`steps >= 1` must hold, but got (steps={steps}).")
        self.score = score
        self.steps = steps
        self._ledger = Ledger(space, rng=rng, warm_start=warm_start)
        self._start = streams.integer(rng, 2**62)
        self._fineness = steps
        self._taken = 0

    @property
    def size(self) -> int:
        """How many designs the first grid has."""
        return grid_size(self._ledger.space, self.steps)

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._ledger.ask(count, self._next)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Notes which designs were tried, so that they are not proposed again."""
        self._ledger.take(trials)

    def _next(self, rng: torch.Generator) -> Design | None:
        """The first design of the order that was not seen; None when all of them were."""
        del rng  # the order is fixed
        space = self._ledger.space
        while True:
            total = grid_size(space, self._fineness)
            stride = _stride(total)
            while self._taken < total:
                number = (self._start + self._taken * stride) % total
                design = grid_design(space, number, self._fineness)
                if not self._ledger.seen(design):
                    return design
                self._taken += 1
            if total >= count(space) or self._fineness >= _FINEST:
                return None
            self._fineness, self._taken = 2 * self._fineness - (self._fineness > 1), 0


def _stride(total: int) -> int:
    """The number next to a golden share of `total` without a common divisor, so that its multiples
    meet every number once."""
    stride = max(1, total * _GOLDEN[0] // _GOLDEN[1])
    while math.gcd(stride, total) > 1:
        stride += 1
    return stride
