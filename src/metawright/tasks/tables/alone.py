"""How well one column alone tells the target: all but perfectly means that it may know it.

Measured without a model, on at most `ROWS` rows. For classes: with numbers, by how seldom the
class changes along their order; with words, by the most frequent class of the other rows of a
level. For numbers: by the mean of the neighbours in order, or of the other rows of a level.
"""

import numpy as np
import pandas

from metawright.tasks.tables.column import CATEGORY, NUMBER

__all__ = ["is_target", "tells"]

ROWS = 20_000
LEAST = 30
"""Rows below which chance alone may look like a leak."""

_SMALLEST = 5  # rows of the smallest class, for the same reason


def is_target(values: pandas.Series, kind: str, y: np.ndarray, classes: int) -> bool:
    """Whether a column is the target itself under other names, or on another scale.

    Example:
        >>> y = np.arange(40) % 2
        >>> is_target(pandas.Series(np.where(y, 5.0, 3.0)), "number", y, 2)
        True
    """
    if len(y) < LEAST or kind not in (NUMBER, CATEGORY) or values.isna().any():
        return False
    if classes:
        codes = pandas.factorize(values)[0]
        levels = codes.max() + 1
        return bool(levels == classes and len(np.unique(codes * classes + y)) == classes)
    if kind != NUMBER or values.nunique() < 3:
        return False
    return bool(abs(_correlation(values.to_numpy(np.float64), y)) > 1 - 1e-9)


def tells(values: pandas.Series, kind: str, y: np.ndarray, classes: int) -> float:
    """0 for nothing to 1 for perfectly: how well a column alone tells the target.

    Example:
        >>> x = np.arange(100.0)
        >>> tells(pandas.Series(x), "number", (x > 60).astype(int), 2)
        1.0
        >>> round(tells(pandas.Series(x % 7), "number", (x > 60).astype(int), 2), 1)
        0.0
    """
    if kind not in (NUMBER, CATEGORY):
        return 0.0
    step = -(-len(y) // ROWS)
    values, y = values.iloc[::step], y[::step]
    known = values.notna().to_numpy()
    if known.sum() < max(LEAST, 0.5 * len(y)):
        return 0.0
    values, y = values[known], y[known]
    groups, levels = pandas.factorize(values, sort=True)
    if classes:
        counts = np.bincount(y, minlength=classes)
        if (counts > 0).sum() < 2 or counts[counts > 0].min() < _SMALLEST:
            return 0.0
        table = np.bincount(groups * classes + y, minlength=len(levels) * classes)
        table = table.reshape(len(levels), classes)
        return _changes(table) if kind == NUMBER else _recall(table, groups, y)
    return _neighbours(groups, y) if kind == NUMBER else _others(groups, y)


def _changes(table: np.ndarray) -> float:
    """1 where each class has one stretch of the ordered numbers, less for each further change.

    `table` counts rows, (levels in order, classes).
    """
    wrong = int((table.sum(1) - table.max(1)).sum())
    winners = table.argmax(1)
    totals = table.sum(0)
    needed = int((totals > 0).sum()) - 1
    extra = int((winners[1:] != winners[:-1]).sum()) - needed + 2 * wrong
    most = 2 * int(totals[totals > 0].min())
    return float(np.clip(1 - extra / most, 0, 1))


def _recall(table: np.ndarray, groups: np.ndarray, y: np.ndarray) -> float:
    """Mean share of each class that the other rows of the level tell, over that of guessing."""
    others = table[groups].astype(np.float64)
    others[np.arange(len(y)), y] -= 1.0
    sure = others.max(1) > 0
    right = (others.argmax(1) == y) & sure
    totals = np.bincount(y)
    recall = np.bincount(y, right)[totals > 0] / totals[totals > 0]
    guess = 1 / len(recall)
    return float(np.clip((recall.mean() - guess) / (1 - guess), 0, 1))


def _neighbours(groups: np.ndarray, y: np.ndarray) -> float:
    """R² of the mean of the neighbouring values' means."""
    counts = np.bincount(groups)
    means = np.bincount(groups, y) / counts
    if len(means) < LEAST:
        return _others(groups, y)
    between = np.convolve(means, [0.5, 0.0, 0.5], "same")
    between[0], between[-1] = means[1], means[-2]
    return _explained(y, between[groups])


def _others(groups: np.ndarray, y: np.ndarray) -> float:
    """R² of the mean of the other rows of a level."""
    counts = np.bincount(groups)
    sums = np.bincount(groups, y)
    alone = counts[groups] == 1
    others = (sums[groups] - y) / np.maximum(counts[groups] - 1, 1)
    return _explained(y, np.where(alone, y.mean(), others))


def _explained(y: np.ndarray, guess: np.ndarray) -> float:
    spread = float(((y - y.mean()) ** 2).sum())
    return float(np.clip(1 - ((y - guess) ** 2).sum() / spread, 0, 1)) if spread > 0 else 0.0


def _correlation(x: np.ndarray, y: np.ndarray) -> float:
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / scale if scale > 0 else 0.0
