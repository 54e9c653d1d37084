"""What the columns of a table are worth to a model: the loss when one of them is shuffled, and the
answer when one of them is set to a value.

Shuffled on rows that the model had not learned from: on its own rows a model that learned by heart
finds every column important.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metawright.tasks.kind import Kind

__all__ = ["Dependence", "Predict", "Worth", "dependence", "loss_rises", "row_losses", "worths"]

Matrix = NDArray[np.float64]
Predict = Callable[[pd.DataFrame], Matrix]
"""From typed rows to probabilities (rows, classes) or numbers (rows, 1)."""

_AT_ONCE = 20_000  # rows that are predicted together: small calls cost more than what they do
_SMALLEST = 1e-12
_NORMAL = 1.959964  # deviations within which 95 % of a normal lies
_GRID, _LEVELS = 13, 10


class Worth(NamedTuple):
    """By how much the loss of a row rises on average without a column, with a 95 % interval."""

    column: str
    rise: float
    low: float
    high: float


class Dependence(NamedTuple):
    """What a model answers on average where a column has a value.

    `at` are the values: numbers (for dates seconds since 1970), or names; `answers` (values,
    outputs) are means over the rows, `low` and `high` the middle half of them.
    """

    column: str
    at: tuple[Any, ...]
    answers: Matrix
    low: Matrix
    high: Matrix


def row_losses(answers: Matrix, y: NDArray[Any], kind: Kind) -> Matrix:
    """Of each row: minus the log of the probability of its class, or the squared error."""
    if kind is Kind.REGRESSION:
        return np.asarray((answers[:, 0] - y) ** 2, dtype=np.float64)
    return np.asarray(-np.log(np.maximum(answers[np.arange(len(y)), y], _SMALLEST)))


def loss_rises(
    predict: Predict,
    x: pd.DataFrame,
    y: NDArray[Any],
    kind: Kind,
    names: Sequence[str],
    rng: np.random.Generator,
) -> Matrix:
    """By how much the loss of each row rises when one column is shuffled, (rows, columns).

    Arguments:
        x, y: rows that the model had not learned from.
        names: of the columns that are shuffled, one at a time.

    References:
        Random Forests, Breiman, 2001, https://doi.org/10.1023/A:1010933404324 (section 10)
        All Models are Wrong, but Many are Useful, Fisher, Rudin and Dominici, 2019,
        https://jmlr.org/papers/v20/18-760.html
    """
    rows = len(x)
    before = row_losses(predict(x), y, kind)
    rises = np.empty((rows, len(names)))
    together = max(1, _AT_ONCE // max(rows, 1))
    for start in range(0, len(names), together):
        part = names[start : start + together]
        plain = np.tile(np.arange(rows), len(part))
        sources = {name: plain.copy() for name in part}
        for place, name in enumerate(part):
            sources[name][place * rows : (place + 1) * rows] = rng.permutation(rows)
        moved = pd.DataFrame(
            {name: x[name].array.take(sources.get(name, plain)) for name in x.columns}
        )
        losses = row_losses(predict(moved), np.tile(y, len(part)), kind)
        rises[:, start : start + len(part)] = losses.reshape(len(part), rows).T - before[:, None]
    return rises


def worths(rises: Matrix, names: Sequence[str]) -> list[Worth]:
    """The mean over rows (rows, columns) with its interval, the most important column first."""
    means = rises.mean(0)
    errors = rises.std(0, ddof=1) / np.sqrt(len(rises)) if len(rises) > 1 else np.inf * means
    found = [
        Worth(name, float(mean), float(mean - _NORMAL * error), float(mean + _NORMAL * error))
        for name, mean, error in zip(names, means, errors, strict=True)
    ]
    return sorted(found, key=lambda worth: -worth.rise)


def dependence(predict: Predict, x: pd.DataFrame, name: str) -> Dependence | None:
    """The mean answer over the rows of `x` where one column is set to each of some of its values.

    Values are quantiles of numbers and dates, and the most frequent categories. None where there
    are fewer than two.

    References:
        Greedy Function Approximation: A Gradient Boosting Machine, Friedman, 2001,
        https://doi.org/10.1214/aos/1013203451 (section 8.2)
    """
    at = _values(x[name])
    if len(at) < 2:
        return None
    rows = len(x)
    whole = x.iloc[np.tile(np.arange(rows), len(at))].reset_index(drop=True)
    whole[name] = at.take(np.repeat(np.arange(len(at)), rows))
    answers = predict(whole).reshape(len(at), rows, -1)
    low, high = np.quantile(answers, (0.25, 0.75), axis=1)
    return Dependence(name, _plain(at), answers.mean(1), low, high)


def _values(column: "pd.Series[Any]") -> Any:
    """Of a column's own type, in order."""
    known = column.dropna()
    if isinstance(column.dtype, pd.CategoricalDtype):
        often = known.value_counts()
        names = [level for level in often.index[:_LEVELS] if often[level]]
        return pd.Categorical(names, categories=column.dtype.categories)
    if column.dtype == object:
        return known.array[:0]
    ordered = np.sort(known.to_numpy())
    if not len(ordered):
        return known.array[:0]
    distinct = np.unique(ordered)
    if len(distinct) > _GRID:
        places = np.linspace(0.02, 0.98, _GRID) * (len(ordered) - 1)
        distinct = np.unique(ordered[places.round().astype(np.int64)])
    return pd.Series(distinct).array


def _plain(values: Any) -> tuple[Any, ...]:
    series = pd.Series(values)
    if series.dtype.kind == "M":
        return tuple(series.to_numpy().astype("datetime64[s]").astype(np.int64).tolist())
    if series.dtype.kind in "fiu":
        return tuple(float(value) for value in series)
    return tuple(str(value) for value in series)
