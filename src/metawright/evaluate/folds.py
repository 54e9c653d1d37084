"""Parts of a table to be judged on in turn, so that a score is of rows that were not learned from.

Classes are dealt evenly, rows of one group stay together, and no row is judged by later ones.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from metawright.errors import InputError
from metawright.rng import integer

__all__ = ["Fold", "folds_of", "share_of"]

Rows = NDArray[np.int64]


class Fold(NamedTuple):
    """Indices of the rows to learn from and of those to be judged on."""

    learn: Rows
    judge: Rows


def folds_of(
    y: NDArray[Any],
    folds: int,
    rng: torch.Generator,
    *,
    classes: bool,
    groups: NDArray[Any] | None = None,
    times: NDArray[Any] | None = None,
) -> list[Fold]:
    """The folds of a table.

    Without times every row is judged on once. With times, the rows are cut in `folds + 1` parts in
    their order, each judged on by what came before: the rows of the first part never are.

    Arguments:
        y: labels or numbers (rows,): each fold has its share of each class, or of low and high.
        folds: how many; fewer where there are fewer rows or groups.
        classes: whether `y` are labels.
        groups: a name for each row; times: a number for each row. Not both.

    Raises:
        InputError: fewer than two folds were asked for or are possible.
    """
    if folds < 2 or len(y) < 2:
        raise InputError(
            f"`folds >= 2` and at least 2 rows must be there, but got (folds={folds}, "
            f"rows={len(y)})."
        )
    draw = np.random.default_rng(integer(rng))
    if times is not None:
        return _in_order(times, min(folds, len(y) - 1))
    if groups is not None:
        places = _dealt_groups(y, groups, folds, draw, classes=classes)
    else:
        places = _dealt(y, min(folds, len(y)), draw, classes=classes)
    return [
        Fold(np.flatnonzero(places != fold), np.flatnonzero(places == fold))
        for fold in range(int(places.max()) + 1)
    ]


def share_of(
    y: NDArray[Any], fidelity: float, rng: torch.Generator, *, classes: bool
) -> NDArray[np.int64]:
    """Indices of a share of rows with all classes, at least one row each and two in all.

    A smaller share of the same generator's state lies within a larger one.
    """
    if fidelity == 1:
        return np.arange(len(y))
    draw = np.random.default_rng(integer(rng))
    keys = y if classes else np.zeros(len(y), dtype=np.int64)
    order = draw.permutation(len(y))
    kept = []
    for key in np.unique(keys):
        rows = order[keys[order] == key]
        kept.append(rows[: max(1, math.ceil(fidelity * len(rows)))])
    found = np.concatenate(kept)
    if len(found) < 2:
        found = order[:2]
    return np.sort(found)


def _dealt(y: NDArray[Any], folds: int, draw: np.random.Generator, *, classes: bool) -> Rows:
    """The fold of each row: sorted by `y`, ties at random, and dealt like cards."""
    order = np.lexsort((draw.random(len(y)), y))
    places = np.empty(len(y), dtype=np.int64)
    if classes:
        # Round and round: no two folds differ by more than one row of a class.
        places[order] = (np.arange(len(y)) + draw.integers(folds)) % folds
        return places
    # In turns of a random order: no fold always gets the smallest number.
    turns = [draw.permutation(folds) for _ in range(math.ceil(len(y) / folds))]
    places[order] = np.concatenate(turns)[: len(y)]
    return places


def _dealt_groups(
    y: NDArray[Any], groups: NDArray[Any], folds: int, draw: np.random.Generator, *, classes: bool
) -> Rows:
    """The fold of each row: the largest groups first, each to the fold that needs it most."""
    _, member = np.unique(groups, return_inverse=True)
    count = int(member.max()) + 1
    if count < 2:
        raise InputError(
            "A split by groups needs at least 2 groups, but all rows are of one: choose another "
            "column of groups."
        )
    folds = min(folds, count)
    outputs = np.unique(y, return_inverse=True)[1] if classes else np.zeros(len(y), dtype=np.int64)
    table = np.zeros((count, int(outputs.max()) + 1))
    np.add.at(table, (member, outputs), 1)
    shares = table / table.sum(0)
    held = np.zeros((folds, table.shape[1]))
    home = np.empty(count, dtype=np.int64)
    order = np.lexsort((draw.random(count), -shares.max(1)))
    for position, group in enumerate(order):
        after = held + shares[group]
        # Least squares of what each fold would hold; none is left empty.
        cost = (after**2).sum(1) - (held**2).sum(1) + 1e-9 * draw.random(folds)
        empty = held.sum(1) == 0
        if empty.sum() >= count - position:
            cost[~empty] = np.inf
        home[group] = int(cost.argmin())
        held[home[group]] += shares[group]
    return home[member]


def _in_order(times: NDArray[Any], folds: int) -> list[Fold]:
    """Cut where time moves on: rows of one moment are never on both sides."""
    moments, place = np.unique(times, return_inverse=True)
    if len(moments) < 2:
        raise InputError(
            "A split by time needs at least 2 moments, but all rows are of one: choose another "
            "column of times."
        )
    ranks = np.sort(place)
    wanted = {int(ranks[len(ranks) * i // (folds + 1)]) for i in range(1, folds + 1)} - {0}
    cuts = sorted(wanted or {1})
    ends = [*cuts[1:], len(moments)]
    return [
        Fold(np.flatnonzero(place < start), np.flatnonzero((place >= start) & (place < end)))
        for start, end in zip(cuts, ends, strict=True)
    ]
