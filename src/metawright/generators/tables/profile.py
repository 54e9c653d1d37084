"""A profile of a table: numbers that say what it is like, without saying what is in it.

Counts, shares and moments only (as in Brazdil et al., Metalearning, 2nd edition, 2022,
https://doi.org/10.1007/978-3-030-67024-5, chapter 4), measured in a few hundredths of a second.
"""

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from metawright.tasks.kind import Kind
from metawright.tasks.tables.column import CATEGORY, DATE, NUMBER, TEXT

if TYPE_CHECKING:
    import pandas

    from metawright.tasks.tables import TableTask

__all__ = ["PROFILE", "table_profile"]

PROFILE = (
    "log rows",
    "log columns",
    "log rows a column",
    "share of categories",
    "share of texts and dates",
    "share missing",
    "log levels",
    "log outputs",
    "entropy",
    "log smallest class",
    "skew",
    "tails",
    "correlation of columns",
    "correlation with target",
    "strongest correlation",
    "share of few values",
)
"""Names of the numbers, in order."""

_ROWS = 2000  # rows at most that moments are measured on
_COLUMNS = 64
_FEW = 10  # different values that are few


def table_profile(task: "TableTask") -> list[float]:
    """The numbers `PROFILE` of a table, all finite."""
    used = [column for column in task.columns if column.used]
    count = len(used)
    kinds = [column.kind for column in used]
    levels = [column.distinct for column in used if column.kind == CATEGORY]
    numbers = _numbers(task, [column.name for column in used if column.kind == NUMBER])
    target = _target(task)[: len(numbers)]
    inner, outer, strongest = _correlations(numbers, target)
    rows = len(task.y)
    found = [
        math.log(rows),
        math.log(count),
        math.log(rows / count),
        kinds.count(CATEGORY) / count,
        (kinds.count(TEXT) + kinds.count(DATE)) / count,
        sum(column.missing for column in used) / (rows * count),
        float(np.mean(np.log(levels))) if levels else 0.0,
        *_classes(task),
        *_moments(numbers),
        inner,
        outer,
        strongest,
        sum(column.distinct <= _FEW for column in used) / count,
    ]
    return [value if math.isfinite(value) else 0.0 for value in found]


def _classes(task: "TableTask") -> tuple[float, float, float]:
    """Log of outputs, entropy as a share of the most, log of the smallest class' share."""
    if task.kind is Kind.REGRESSION:
        return 0.0, 1.0, 0.0
    shares = np.bincount(task.y, minlength=len(task.classes)) / len(task.y)
    shares = shares[shares > 0]
    most = math.log(max(len(shares), 2))
    entropy = float(-(shares * np.log(shares)).sum()) / most
    return math.log(len(task.classes)), entropy, math.log(float(shares.min()))


def _numbers(task: "TableTask", names: list[str]) -> NDArray[np.float64]:
    """Up to 64 columns of numbers, scaled, gaps filled with the mean: (rows, columns)."""
    x: pandas.DataFrame = task.x[names[:_COLUMNS]].iloc[_drawn(len(task.y))]
    values = x.to_numpy(np.float64)
    if not values.size:
        return np.zeros((len(x), 0))
    with np.errstate(all="ignore"):
        values = np.where(np.isfinite(values), values, np.nan)
        known = ~np.isnan(values)
        counts = known.sum(0).clip(1)
        means = np.where(known, values, 0).sum(0) / counts
        centred = np.where(known, values - means, 0.0)
        scaled = centred / np.sqrt((centred**2).sum(0) / counts).clip(1e-12)
    return np.asarray(np.nan_to_num(scaled, posinf=0.0, neginf=0.0), np.float64)


def _target(task: "TableTask") -> NDArray[np.float64]:
    """Classes one-hot, or the numbers; scaled: (rows, outputs)."""
    y = task.y[_drawn(len(task.y))]
    if task.kind is Kind.REGRESSION:
        values = y.astype(np.float64)[:, None]
    else:
        values = (y[:, None] == np.arange(len(task.classes))).astype(np.float64)
    centred = values - values.mean(0)
    return np.asarray(centred / centred.std(0).clip(1e-12), np.float64)


def _drawn(rows: int) -> NDArray[np.int64]:
    """Rows that are looked at: all, or some drawn over the whole table."""
    if rows <= _ROWS:
        return np.arange(rows)
    return np.sort(np.random.default_rng(0).choice(rows, _ROWS, replace=False))


def _moments(numbers: NDArray[np.float64]) -> tuple[float, float]:
    """Mean size of the skew, and of the log of the fourth moment."""
    if not numbers.shape[1]:
        return 0.0, 0.0
    skew = np.abs((numbers**3).mean(0)).clip(0, 10)
    tails = np.log((numbers**4).mean(0).clip(1, 1e4))
    return float(skew.mean()), float(tails.mean())


def _correlations(
    numbers: NDArray[np.float64], target: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Mean size among columns; mean and largest size of columns with the target."""
    columns = numbers.shape[1]
    if not columns:
        return 0.0, 0.0, 0.0
    among = np.abs(numbers.T @ numbers) / len(numbers)
    inner = float((among.sum() - np.trace(among)) / max(columns * (columns - 1), 1))
    strongest = (np.abs(numbers.T @ target) / len(numbers)).max(1)
    return inner, float(strongest.mean()), float(strongest.max())
