"""Scores of tables on rows drawn anew, many draws at once: for intervals of scores.

A draw says how often it holds each row. Most scores are then means with such weights, so that four
hundred draws cost a few products of matrices and not four hundred evaluations.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from metawright.tasks.kind import Kind

__all__ = ["resampled_scores"]

Matrix = NDArray[np.float64]

_SMALLEST = np.finfo(np.float64).tiny
_ENTRIES = 250_000  # draws times rows at once: what fits near the processor


def resampled_scores(
    answers: Matrix, y: NDArray[Any], kind: Kind, draws: NDArray[np.integer[Any]]
) -> dict[str, Matrix]:
    """What `table_scores` is on each draw, by name (draws,); NaN where it is not defined.

    Arguments:
        answers: probabilities (rows, classes) or numbers (rows, 1); y: (rows,).
        draws: how often each draw holds each row, (draws, rows).
    """
    step = max(1, _ENTRIES // len(y))
    scored = _numbers if kind is Kind.REGRESSION else _classes
    parts = [
        scored(answers, np.asarray(y), draws[start : start + step].astype(np.float64))
        for start in range(0, len(draws), step)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _numbers(answers: Matrix, y: NDArray[Any], draws: Matrix) -> dict[str, Matrix]:
    errors = answers[:, 0] - y
    count = draws.sum(1)
    squared = draws @ errors**2 / count
    centred = y - y.mean()  # differences of large numbers lose their digits
    spread = draws @ centred**2 / count - (draws @ centred / count) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(spread > 1e-12 * y.var(), 1 - squared / spread, np.nan)
    return {"rmse": np.sqrt(squared), "r2": r2, "mae": draws @ np.abs(errors) / count}


def _classes(answers: Matrix, y: NDArray[Any], draws: Matrix) -> dict[str, Matrix]:
    labels = np.asarray(y, dtype=np.int64)
    count = draws.sum(1)
    given = np.maximum(answers, _SMALLEST)
    losses = np.log(given.sum(1)) - np.log(given[np.arange(len(y)), labels])
    right = answers.argmax(1) == labels
    present = np.unique(labels)
    recalls, areas = np.full((2, len(present), len(draws)), np.nan)
    for place, label in enumerate(present):
        own = labels == label
        held = draws[:, own].sum(1)
        there = held > 0
        recalls[place, there] = draws[there][:, own & right].sum(1) / held[there]
        if answers.shape[1] != 2 or label == 1:
            areas[place] = _areas(answers[:, label], own, draws)
    with np.errstate(invalid="ignore"):
        return {
            "accuracy": draws @ right / count,
            "log_loss": draws @ losses / count,
            "balanced_accuracy": _mean(recalls),
            "auc": _mean(areas),
        }


def _areas(scores: Matrix, positive: NDArray[np.bool_], draws: Matrix) -> Matrix:
    """Area under the ROC curve of each draw; NaN where all or none are positive."""
    order = np.argsort(scores, kind="stable")
    ordered, own, held = scores[order], positive[order], draws[:, order]
    others = np.cumsum(np.where(own, 0.0, held), axis=1)
    before = np.concatenate([np.zeros((len(draws), 1)), others], axis=1)
    places = ordered[own]
    low, high = (before[:, np.searchsorted(ordered, places, side)] for side in ("left", "right"))
    # Of the others, those below count once, equal ones half.
    below = (held[:, own] * (low + high)).sum(1) / 2
    pairs = held[:, own].sum(1) * others[:, -1]
    return _ratio(below, pairs)


def _mean(values: Matrix) -> Matrix:
    """Over the classes that a draw holds (classes, draws); NaN where none counts."""
    known = ~np.isnan(values)
    return _ratio(np.where(known, values, 0.0).sum(0), known.sum(0).astype(np.float64))


def _ratio(above: Matrix, below: Matrix) -> Matrix:
    return np.asarray(np.divide(above, below, out=np.full(len(above), np.nan), where=below > 0))
