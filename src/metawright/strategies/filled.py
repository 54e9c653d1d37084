"""Designs as rows of equal length for libraries that know no conditional decisions.

A decision that is not in play is filled in: a choice takes an option of its own for it, a number
the middle of its scale.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from metawright.spaces.decisions import Decision, active, decisions
from metawright.spaces.design import Design
from metawright.spaces.domain import Choice, Scalar, size, to_unit
from metawright.spaces.points import write
from metawright.spaces.space import Space

__all__ = ["Filled"]


class Filled:
    """The decisions of a space that can differ, each always in play.

    Arguments:
        space: a space of designs.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        flat = enumerate(decisions(space))
        self._free = [(at, each) for at, each in flat if size(each.domain) > 1]
        # Optuna sorts decisions by name, so the names are numbers of one width.
        self._names = {f"{at:06}": each.name for at, each in self._free}
        self.distributions = {f"{at:06}": _distribution(each) for at, each in self._free}

    def __len__(self) -> int:
        return len(self._free)

    def name(self, key: str) -> str:
        """The decision's name of a key of `distributions`."""
        return self._names[key]

    def features(self, designs: Sequence[Design]) -> NDArray[np.float64]:
        """(designs, decisions): the number of an option, or 0..1 on the scale of a number."""
        rows = []
        for design in designs:
            point = write(self.space, design)
            rows.append([_feature(each, point[at], point) for at, each in self._free])
        return np.array(rows, dtype=np.float64).reshape(len(rows), len(self._free))

    def told(self, design: Design) -> dict[str, Any]:
        """The decisions of a design as `optuna.trial.create_trial` takes them."""
        numbers = self.features([design])[0].tolist()
        params = {
            key: int(number) if isinstance(distribution, CategoricalDistribution) else number
            for (key, distribution), number in zip(
                self.distributions.items(), numbers, strict=True
            )
        }
        return {"params": params, "distributions": self.distributions}


def _distribution(decision: Decision) -> BaseDistribution:
    if isinstance(decision.domain, Choice):
        options = len(decision.domain.options) + (decision.condition is not None)
        return CategoricalDistribution(range(options))
    return FloatDistribution(0.0, 1.0)


def _feature(decision: Decision, value: Scalar, point: Sequence[Scalar]) -> float:
    domain, counts = decision.domain, active(decision, point)
    if isinstance(domain, Choice):
        return float(domain.options.index(value) if counts else len(domain.options))
    return to_unit(domain, value) if counts and isinstance(value, int | float) else 0.5
