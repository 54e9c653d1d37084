"""What held-out answers show as a whole, without any single row: whether probabilities are as
frequent as they say, and where numbers err by how much."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metawright.evaluate.intervals import wilson

__all__ = ["Residuals", "Step", "reliability_steps", "residual_cells"]

Matrix = NDArray[np.float64]

_STEPS, _LEAST = 10, 10
_ACROSS, _UP = 26, 19
_OUTSIDE = 0.005  # share of the residuals on either side that may lie on the edge


class Step(NamedTuple):
    """Rows of about the same probability: its mean, and how often it came true with a 95 %
    interval."""

    said: float
    true: float
    low: float
    high: float
    rows: int


class Residuals(NamedTuple):
    """Counts of rows by prediction and error (truth less prediction), from `low` to `high` each.

    `counts[i][j]` is of the i-th part of the errors from below and the j-th of the predictions.
    Errors beyond the ends count in the last parts.
    """

    prediction: tuple[float, float]
    error: tuple[float, float]
    counts: tuple[tuple[int, ...], ...]


def reliability_steps(probabilities: Matrix, labels: NDArray[np.int64]) -> list[Step]:
    """How often what was said with about such a probability came true, in steps of equal counts.

    Of two classes it is the probability of the second; of more that of the predicted one.

    References:
        Predicting Good Probabilities with Supervised Learning, Niculescu-Mizil and Caruana, 2005,
        https://doi.org/10.1145/1102351.1102430

    Example:
        >>> p = np.tile([[0.8, 0.2]], (10, 1))
        >>> [tuple(round(v, 2) for v in step) for step in reliability_steps(p, np.arange(10) % 2)]
        [(0.2, 0.5, 0.24, 0.76, 10)]
    """
    if probabilities.shape[1] == 2:
        said, came = probabilities[:, 1], labels == 1
    else:
        best = probabilities.argmax(1)
        said, came = probabilities[np.arange(len(best)), best], best == labels
    order = np.argsort(said, kind="stable")
    steps = []
    for part in np.array_split(order, max(1, min(_STEPS, len(order) // _LEAST))):
        right = int(came[part].sum())
        low, high = wilson(right, len(part))
        steps.append(Step(float(said[part].mean()), right / len(part), low, high, len(part)))
    return steps


def residual_cells(predictions: Matrix, y: NDArray[Any]) -> Residuals:
    """Errors by prediction, counted in cells: no row can be read off where many are.

    Arguments:
        predictions: (rows,); y: (rows,).
    """
    errors = y - predictions
    reach = float(np.quantile(np.abs(errors), 1 - _OUTSIDE)) or 1.0
    across = _ends(predictions)
    columns = _place(predictions, across, _ACROSS)
    rows = _place(errors, (-reach, reach), _UP)
    cells = np.bincount(rows * _ACROSS + columns, minlength=_UP * _ACROSS).reshape(_UP, _ACROSS)
    return Residuals(across, (-reach, reach), tuple(tuple(map(int, row)) for row in cells))


def _ends(values: Matrix) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _place(values: Matrix, ends: tuple[float, float], parts: int) -> NDArray[np.int64]:
    share = (values - ends[0]) / (ends[1] - ends[0])
    return np.clip((share * parts).astype(np.int64), 0, parts - 1)
