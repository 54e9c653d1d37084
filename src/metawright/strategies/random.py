"""Random search: the strategy that every other one has to beat."""

from collections.abc import Sequence

import torch

from metawright.spaces.design import Design
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.ledger import Ledger

__all__ = ["RandomSearch"]


class RandomSearch:
    """Independent random designs, none twice while the space has others (see `Ledger`).

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it; all proposals follow from that number.
        score: the key of `Trial.scores` that is maximised; random search pays no heed to it.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: a design of `warm_start` is not in the space.

    References:
        Random Search for Hyper-Parameter Optimization, Bergstra and Bengio, 2012,
        https://jmlr.org/papers/v13/bergstra12a.html
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: torch.Generator,
        score: str = "score",
        warm_start: Sequence[Design] = (),
    ) -> None:
        self.score = score
        self._ledger = Ledger(space, rng=rng, warm_start=warm_start)

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._ledger.ask(count)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Notes which designs were tried, so that they are not proposed again."""
        self._ledger.take(trials)
