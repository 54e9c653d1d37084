"""Ways and shots as Meta-Dataset draws them: many or few classes, and unevenly many examples."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch

from metawright.errors import InputError

__all__ = ["META_DATASET", "Draws", "Imbalance", "Shots"]

_CLOSE = 1e-9  # rounding of a share times a size must not cost an example


@dataclass(frozen=True)
class Imbalance:
    r"""Support sizes that follow the sizes of the classes, loosely; given as `shots`.

    With $n_c$ examples of class $c$, the query gets
    $q = \min(queries, \min_c \lfloor n_c / 2 \rfloor)$ of each class, and the support in all

    $$S = \min(support, \sum_c \lceil \beta \min(per\_class, n_c - q) \rceil),
      \quad \beta \in (0, 1]$$

    of which class $c$ gets
    $\min(\lfloor R_c (S - ways) \rfloor + 1, n_c - q)$ with
    $R_c \propto n_c e^{\alpha_c}$ and $\alpha_c$ uniform in $\pm \log spread$.

    Arguments:
        support: most support examples of a task.
        per_class: most examples that a class adds to the size of the support.
        spread: how far a class may be from its share, as a factor.

    References:
        Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few Examples, Triantafillou
        et al., 2019, https://arxiv.org/abs/1903.03096 (section 3.2; hierarchies of classes, which
        it uses for ImageNet and Omniglot, are left out).
    """

    support: int = 500
    per_class: int = 100
    spread: float = 2.0

    def __post_init__(self) -> None:
        if self.support < 1 or self.per_class < 1 or self.spread < 1:
            raise InputError(
                "`support >= 1`, `per_class >= 1` and `spread >= 1` must hold, but got "
                f"(support={self.support}, per_class={self.per_class}, spread={self.spread})."
            )

    def draw(
        self, sizes: Sequence[int], queries: int, rng: torch.Generator
    ) -> tuple[list[int], int]:
        """Shots of each class, and queries of every class.

        Arguments:
            sizes: how many examples each class of the task has, at least 2.
            queries: most queries of a class.
        """
        if self.support < len(sizes):
            raise InputError(
                f"`support` must allow one example of each class, but got {self.support} for "
                f"{len(sizes)} ways."
            )
        each = min(queries, min(sizes) // 2)
        left = [size - each for size in sizes]
        share = 1 - float(torch.rand((), generator=rng, dtype=torch.float64))  # in (0, 1]
        wanted = sum(math.ceil(share * min(self.per_class, rest) - _CLOSE) for rest in left)
        total = min(self.support, max(wanted, len(sizes)))
        bent = 2 * torch.rand(len(sizes), generator=rng, dtype=torch.float64) - 1
        weights = torch.tensor(sizes, dtype=torch.float64) * (bent * math.log(self.spread)).exp()
        portions = (weights / weights.sum() * (total - len(sizes)) + _CLOSE).floor().long() + 1
        return [min(p, rest) for p, rest in zip(portions.tolist(), left, strict=True)], each


Shots = int | tuple[int, int] | Imbalance
"""Support examples of a class: a number, an inclusive range to draw from, or an `Imbalance`."""


class Draws(TypedDict):
    """How many, as arguments of a source."""

    ways: int | tuple[int, int]
    shots: Shots
    queries: int


META_DATASET: Draws = {"ways": (5, 50), "shots": Imbalance(), "queries": 10}
"""The paper's settings: `Omniglot(**META_DATASET)`."""
