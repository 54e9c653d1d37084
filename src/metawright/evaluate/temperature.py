"""Probabilities made as sure as they are right, by one number: a temperature."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metawright.evaluate.folds import folds_of
from metawright.lazy import load

__all__ = ["Calibration", "calibrate"]

Matrix = NDArray[np.float64]

_SMALLEST = 1e-12
_RANGE = 20.0  # times sharper or flatter at most
_SPREAD = 0.5  # deviation of the logarithm of temperatures that are to be expected


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it is worth on the rows it was chosen by.

    `loss` is the log loss after, `before` that before: never less. `honest` is the loss where
    temperature and judgement are of different rows (None where there were too few).
    """

    temperature: float
    loss: float
    before: float
    honest: float | None


def calibrate(
    held_out: Matrix, labels: NDArray[Any], rng: torch.Generator, *, folds: int = 5
) -> Calibration:
    """The temperature of the least log loss, if it also pays on rows that it was not chosen by.

    The logarithm of the temperature has a normal prior of deviation 0.5 around 0: on few rows that
    are all predicted right the loss alone would ask for certainty, and one new row refute it.

    Arguments:
        held_out: probabilities (rows, classes) of rows that were not learned from; rows of NaN
            are left out.
        labels: (rows,).
        folds: of the rows, to choose by and to judge on; 0: nothing is left out.

    References:
        On Calibration of Modern Neural Networks, Guo et al., 2017,
        https://arxiv.org/abs/1706.04599

    Example:
        >>> import numpy as np
        >>> from metawright.evaluate.temperature import calibrate
        >>> from metawright.rng import stream
        >>> sure = np.tile([[0.99, 0.01]], (100, 1))  # but right in 3 of 4
        >>> labels = (np.arange(100) % 4 == 0).astype(int)
        >>> found = calibrate(sure, labels, stream(0))
        >>> round(found.temperature, 2), found.loss < found.before
        (3.5, True)
    """
    known = ~np.isnan(held_out).any(1)
    p, y = held_out[known], np.asarray(labels)[known]
    before = _loss(p, y, 1.0)
    temperature = _best(p, y)
    loss, honest = _loss(p, y, temperature), None
    if folds > 1 and len(p) >= 2 * folds:
        honest = _judged(p, y, folds, rng)
    if not loss < before or (honest is not None and not honest < before):
        return Calibration(1.0, before, before, None if honest is None else before)
    return Calibration(temperature, loss, before, honest)


def _judged(p: Matrix, y: NDArray[Any], folds: int, rng: torch.Generator) -> float:
    total = 0.0
    for learn, judge in folds_of(y, folds, rng, classes=True):
        total += len(judge) * _loss(p[judge], y[judge], _best(p[learn], y[learn]))
    return total / len(p)


def _best(p: Matrix, y: NDArray[Any]) -> float:
    """By a search along the logarithm, of the loss and the prior."""

    def cost(log: float) -> float:
        return _loss(p, y, float(np.exp(log))) + (log / _SPREAD) ** 2 / (2 * len(y))

    found = load("scipy.optimize:minimize_scalar")(
        cost,
        bounds=(-np.log(_RANGE), np.log(_RANGE)),
        method="bounded",
    )
    return float(np.exp(found.x))


def _loss(p: Matrix, y: NDArray[Any], temperature: float) -> float:
    logits = np.log(np.maximum(p, _SMALLEST)) / temperature
    totals = load("scipy.special:logsumexp")(logits, axis=1)
    return float((totals - logits[np.arange(len(y)), y]).mean())
