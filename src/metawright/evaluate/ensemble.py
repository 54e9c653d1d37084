"""Averages of models chosen on held-out predictions: the mean of several is often better than any.

Models are taken one by one, with replacement, each time the one that makes the mean best. On few
rows that overfits, so the choice is made on resampled rows several times and averaged, and it must
not be clearly beaten by the best single model on rows that took no part in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metawright.errors import InputError
from metawright.evaluate.folds import folds_of
from metawright.rng import fork, integer
from metawright.tasks.kind import Kind

__all__ = ["Ensemble", "select"]

Matrix = NDArray[np.float64]

_SMALLEST = 1e-12  # probability in the logarithm


@dataclass(frozen=True)
class Ensemble:
    """Shares of models, and what they are worth.

    `weights` are shares that sum to 1, 0 for models left out. `loss` is that of the mean on the
    rows it was chosen by, `single` that of the best model on them: never less. `honest` and
    `honest_single` are the same where choice and judgement are of different rows (None where
    there were too few). The loss is the log loss, or the mean squared error.
    """

    weights: tuple[float, ...]
    loss: float
    single: float
    honest: float | None
    honest_single: float | None


def select(
    held_out: Sequence[Matrix],
    y: NDArray[Any],
    kind: Kind,
    rng: torch.Generator,
    *,
    steps: int = 25,
    bags: int = 10,
    tolerance: float = 2.0,
    folds: int = 5,
) -> Ensemble:
    """Greedy selection with replacement, on resampled rows (bagging), if it pays.

    Where the ensemble is worse than the best single model on rows left out of the choice, by more
    than `tolerance` standard errors of the paired difference, or not better on the rows at hand,
    the single model is the answer.

    Arguments:
        held_out: of each model, predictions (rows, outputs) of rows it had not learned from:
            probabilities or numbers. Rows where any is NaN are left out.
        y: labels or numbers (rows,).
        steps: models taken at most, the same one more than once.
        bags: resamplings of the rows over which shares are averaged; 0: the rows as they are.
        tolerance: in standard errors; a lower one chooses the single model more often.
        folds: of the rows, to choose by and to judge on; 0: nothing is left out.

    Raises:
        InputError: no models, or no row that all have predicted.

    References:
        Ensemble Selection from Libraries of Models, Caruana et al., 2004,
        https://doi.org/10.1145/1015330.1015432

    Example:
        >>> import numpy as np
        >>> from metawright.evaluate.ensemble import select
        >>> from metawright.rng import stream
        >>> from metawright.tasks.kind import Kind
        >>> y = np.arange(40.0)
        >>> above, below = y[:, None] + 1, y[:, None] - 1
        >>> select([above, below], y, Kind.REGRESSION, stream(0), steps=2, bags=0).weights
        (0.5, 0.5)
    """
    if not len(held_out):
        raise InputError("An ensemble needs at least 1 model, but got none.")
    values, targets = _values(held_out, y, kind)
    first = int(_losses(values, targets).argmin())
    single = float(_losses(values[first], targets))
    alone = np.eye(len(values))[first]
    weights = _bagged(values, targets, steps, bags, fork(rng))
    loss = float(_losses(weights @ values, targets))
    honest, honest_single = None, None
    if folds > 1 and values.shape[1] >= 2 * folds:
        mean, lone = _judged(values, targets, steps, bags, folds, fork(rng))
        honest, honest_single = float(mean.mean()), float(lone.mean())
        error = float((mean - lone).std() / np.sqrt(len(mean)))
        if honest - honest_single > tolerance * error:
            weights = alone
    if not loss < single:
        weights = alone
    if weights is alone:
        loss, honest = single, honest_single
    return Ensemble(tuple(map(float, weights)), loss, single, honest, honest_single)


def _values(
    held_out: Sequence[Matrix], y: NDArray[Any], kind: Kind
) -> tuple[Matrix, Matrix | None]:
    """What the loss hangs on: (models, rows) probabilities of the true class, targets None; or
    predicted numbers and the right ones."""
    stacked = np.stack(held_out)
    known = ~np.isnan(stacked).any((0, 2))
    if not known.any():
        raise InputError("An ensemble needs rows that all models have predicted; there are none.")
    if kind is Kind.REGRESSION:
        return stacked[:, known, 0], np.asarray(y[known], dtype=np.float64)
    return stacked[:, known][:, np.arange(known.sum()), y[known]], None


def _each(values: Matrix, targets: Matrix | None) -> Matrix:
    """Loss of each row."""
    if targets is None:
        return np.asarray(-np.log(np.maximum(values, _SMALLEST)))
    return np.asarray((values - targets) ** 2)


def _losses(values: Matrix, targets: Matrix | None) -> Matrix:
    """Mean loss over the last axis, the rows."""
    return np.asarray(_each(values, targets).mean(-1))


def _greedy(values: Matrix, targets: Matrix | None, steps: int) -> Matrix:
    """Shares after the best number of steps, the earliest of equal ones."""
    counts = np.zeros(len(values))
    total = np.zeros(values.shape[1])
    best, kept = np.inf, counts
    for step in range(1, steps + 1):
        losses = _losses((total + values) / step, targets)
        chosen = int(losses.argmin())
        counts[chosen] += 1
        total = total + values[chosen]
        if losses[chosen] < best:
            best, kept = float(losses[chosen]), counts / step
    return kept


def _bagged(
    values: Matrix, targets: Matrix | None, steps: int, bags: int, rng: torch.Generator
) -> Matrix:
    if not bags:
        return _greedy(values, targets, steps)
    draw = np.random.default_rng(integer(rng))
    rows = values.shape[1]
    found = []
    for _ in range(bags):
        drawn = draw.integers(rows, size=rows)
        found.append(_greedy(values[:, drawn], None if targets is None else targets[drawn], steps))
    return np.asarray(np.mean(found, axis=0))


def _judged(
    values: Matrix,
    targets: Matrix | None,
    steps: int,
    bags: int,
    folds: int,
    rng: torch.Generator,
) -> tuple[Matrix, Matrix]:
    """Loss of each row under the ensemble and the best single model, chosen by other rows."""
    mean, alone = np.empty(values.shape[1]), np.empty(values.shape[1])
    keys = np.zeros(values.shape[1]) if targets is None else targets
    for learn, judge in folds_of(keys, folds, rng, classes=targets is None):
        known = None if targets is None else targets[learn]
        weights = _bagged(values[:, learn], known, steps, bags, rng)
        mean[judge] = weights @ values[:, judge]
        alone[judge] = values[int(_losses(values[:, learn], known).argmin()), judge]
    return _each(mean, targets), _each(alone, targets)
