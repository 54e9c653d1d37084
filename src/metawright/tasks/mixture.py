"""Several sources in one stream of tasks."""

import math
from collections.abc import Sequence

import torch

from metawright.errors import InputError
from metawright.tasks.task import Split, Task, TaskSource

__all__ = ["Mixture"]


class Mixture:
    """Tasks drawn from several sources, each with its own share.

    Arguments:
        sources: where tasks come from; each task comes whole from one of them.
        weights: relative shares (default: equal).
    """

    name = "mixture"

    def __init__(
        self, sources: Sequence[TaskSource], *, weights: Sequence[float] | None = None
    ) -> None:
        if not sources:
            raise InputError("A mixture needs at least one source, but got none.")
        shares = torch.tensor(list(weights) if weights is not None else [1.0] * len(sources))
        usable = bool((shares >= 0).all()) and 0 < float(shares.sum()) < math.inf
        if len(shares) != len(sources) or not usable:
            raise InputError(
                "`weights` must hold one number >= 0 a source, not all 0, but got "
                f"{weights} for {len(sources)} sources."
            )
        self.sources = tuple(sources)
        self.weights = shares / shares.sum()

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of one of the sources."""
        index = int(torch.multinomial(self.weights, 1, generator=rng))
        return self.sources[index].draw(split, rng)
