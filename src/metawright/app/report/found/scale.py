"""Measures on an axis: in the unit that people read, and on a log scale where they span much."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from metawright.app.measures import NAMES
from metawright.app.report.plot import ticks
from metawright.app.report.words import number

__all__ = ["Scale", "scale"]

_UNITS = {
    "latency": (1e3, "ms"),
    "latency_batch": (1e3, "ms"),
    "latency_row": (1e6, "µs"),
    "energy": (1e3, "mJ"),
    "seconds": (1.0, "s"),
}
_SHARES = ("accuracy", "balanced_accuracy", "auc", "f1")
_WIDE = 12.0  # largest over least value from which on an axis counts ratios


@dataclass(frozen=True)
class Scale:
    """How a measure is drawn.

    Arguments:
        name: of the measure.
        maximise: whether more is better.
        log: whether the axis counts ratios.
    """

    name: str
    maximise: bool = False
    log: bool = False

    @property
    def percents(self) -> bool:
        """Whether values are shares of one."""
        return self.name in _SHARES

    @property
    def title(self) -> str:
        """The name of the axis, with its unit."""
        unit = _UNITS.get(self.name)
        words = NAMES.get(self.name, self.name.replace("_", " "))
        return f"{words} ({unit[1]})" if unit else words

    def at(self, value: float) -> float:
        """Where a value lies on the axis."""
        if self.log:
            return math.log10(value)
        return value * _UNITS.get(self.name, (1.0, ""))[0]

    def marks(self, low: float, high: float, most: int) -> dict[float, str]:
        """What stands on the axis from `low` to `high` (as `at` gives them), at which place."""
        if not self.log:
            told = _plain if self.name in ("parameters", "flops", "bytes") else number
            return {tick: told(tick) for tick in ticks(low, high, most)}
        unit = _UNITS.get(self.name, (1.0, ""))[0]
        powers = range(math.floor(low), math.ceil(high) + 1)
        for factors in ((1, 2, 5), (1, 3), (1,)):
            places = [factor * 10.0**power for power in powers for factor in factors]
            inside = [v for v in places if low - 1e-9 <= math.log10(v) <= high + 1e-9]
            if len(inside) <= most:
                break
        return {
            math.log10(value): _plain(value * unit) for value in inside[:: -(-len(inside) // most)]
        }


def scale(name: str, values: Sequence[float], *, maximise: bool, log: bool = False) -> Scale:
    """The scale for such values; `log`: whether it may count ratios."""
    wide = log and min(values) > 0 and max(values) > _WIDE * min(values)
    return Scale(name, maximise, wide)


def _plain(value: float) -> str:
    for power, sign in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= power:
            return f"{value / power:g}{sign}"
    return f"{value:g}"
