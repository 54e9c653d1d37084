"""Several objectives at once: who dominates whom, how much a front covers, which point to take.

Points are `(points, objectives)`, and more is better in every objective (`objectives.aligned`).
One point dominates another if it is nowhere worse and somewhere better.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from metawright.errors import InputError
from metawright.store.records import Trial
from metawright.strategies.objectives import Constraint, Objective, Rule, aligned, violation

__all__ = ["Archive", "Rule", "crowding", "front", "hypervolume", "ranks"]

_Points: TypeAlias = NDArray[np.float64]


def front(points: ArrayLike) -> list[int]:
    """Numbers of the points that no other dominates, in order; of equal ones all.

    Example:
        >>> from metawright.strategies.pareto import front
        >>> front([[1, 3], [2, 2], [1, 2], [3, 1]])
        [0, 1, 3]
    """
    values = _points(points)
    return [int(index) for index in np.flatnonzero(~_dominates(values).any(axis=0))]


def ranks(points: ArrayLike) -> list[int]:
    """For each point the number of the front it is in: 0 for the front of all, 1 for the front of
    what is left without it, and so on (the non-dominated sorting of NSGA-II).

    References:
        A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, Deb, Pratap, Agarwal and
        Meyarivan, 2002, https://doi.org/10.1109/4235.996017
    """
    beats = _dominates(_points(points))
    above = beats.sum(axis=0)
    rank = np.full(len(beats), -1)
    level = 0
    while (rank < 0).any():
        now = (above == 0) & (rank < 0)
        rank[now] = level
        above = above - beats[now].sum(axis=0)
        level += 1
    return [int(each) for each in rank]


def crowding(points: ArrayLike) -> list[float]:
    """How far apart each point's neighbours are, summed over the objectives, each objective scaled
    to its range; infinite at the ends. Meant for the points of one front (NSGA-II).

    Of points that are equal in an objective, those told first count as lower.
    """
    values = _points(points)
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]] if len(order) else 0.0
        distance[order[:1]] = distance[order[-1:]] = math.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return [float(each) for each in distance]


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """The exact volume that the points dominate above `reference`, for any number of objectives.

    Points that do not beat the reference in every objective add nothing. Objective by objective
    the volume is cut into slices, so the time is about `points ** (objectives - 1)`: 10 ms for
    500 points of three objectives, 40 ms for 100 of four.

    Raises:
        InputError: the reference has another number of objectives than the points.

    References:
        A Faster Algorithm for Calculating Hypervolume, While, Hingston, Barone and Huband, 2006,
        https://doi.org/10.1109/TEVC.2005.851275

    Example:
        >>> from metawright.strategies.pareto import hypervolume
        >>> hypervolume([[1, 3], [2, 2], [3, 1]], [0, 0])  # 3 + 2 + 1 squares
        6.0
    """
    corner, values = np.asarray(reference, dtype=np.float64), _points(points)
    if len(values) == 0:
        return 0.0
    if corner.shape != values.shape[1:]:
        raise InputError(
            f"`reference` must have a number for each of the {values.shape[1]} objectives, "
            f"but has shape {corner.shape}."
        )
    gains = values - corner
    return _volume(gains[(gains > 0).all(axis=1)])


class Archive:
    """The trials that nothing tried so far dominates, among those that keep the constraints.

    Trials that failed, lack an objective or were trained in part only (`evidence["fidelity"]`
    below 1) do not enter; of trials with the same measures the first stays.

    Arguments:
        objectives: what counts, the most important first.
        constraints: what must hold.

    Raises:
        InputError: there are no objectives.
    """

    def __init__(
        self, objectives: Sequence[Objective], constraints: Sequence[Constraint] = ()
    ) -> None:
        if not objectives:
            raise InputError("`objectives` must hold at least one objective, but got none.")
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self._front: dict[tuple[float, ...], Trial] = {}
        self._nearest: tuple[float, Trial] | None = None

    def tell(self, trials: Sequence[Trial]) -> None:
        """Takes trials in; each costs one comparison with every point of the front."""
        for trial in trials:
            if trial.evidence.get("fidelity", 1) < 1:
                continue
            point = aligned(trial, self.objectives)
            excess = violation(trial, self.constraints)
            if excess > 0:
                if self._nearest is None or excess < self._nearest[0]:
                    self._nearest = excess, trial
            elif point is not None and not any(_covers(held, point) for held in self._front):
                living = {p: t for p, t in self._front.items() if not _covers(point, p)}
                self._front = {**living, point: trial}

    @property
    def trials(self) -> list[Trial]:
        """The front, from the best to the worst in the first objective."""
        return [self._front[point] for point in sorted(self._front, reverse=True)]

    @property
    def nearest(self) -> Trial | None:
        """Of the trials that break a constraint the one that breaks it least (the first of such);
        what to name where nothing keeps all of them."""
        return None if self._nearest is None else self._nearest[1]

    def hypervolume(self, reference: Sequence[float]) -> float:
        """What the front dominates above `reference`, which is in the objectives' own units and
        worse than any point that should count."""
        if len(reference) != len(self.objectives):
            raise InputError(
                f"`reference` must have a number for each of the {len(self.objectives)} "
                f"objectives, but has {len(reference)}."
            )
        signs = [1 if wanted.maximise else -1 for wanted in self.objectives]
        corner = [sign * value for sign, value in zip(signs, reference, strict=True)]
        return hypervolume(list(self._front), corner) if self._front else 0.0

    def choose(self, rule: Rule = "best") -> Trial:
        """One trial of the front.

        Arguments:
            rule: "best" takes the best in the first objective (ties: in the second, and so on);
                "knee" the one that bulges out most: with the largest sum over the objectives, each
                scaled to its range on the front (for two, the farthest from the line between the
                ends); costs, which often span decades, count by their logarithm. Weights by the
                name of the objective (0 for those left out): the largest weighted sum on that
                scale.

        Raises:
            InputError: no trial keeps the constraints (the sentence names the one that came
                nearest), or the rule is none of these.
        """
        if not self._front:
            raise InputError(self._nothing())
        points = sorted(self._front, reverse=True)
        lost = self._lost(points)
        if rule == "best":
            index = 0
        elif rule == "knee":
            index = int(np.argmin(lost.sum(axis=1)))
        elif isinstance(rule, Mapping):
            index = int(np.argmin(lost @ self._weights(rule)))
        else:
            raise InputError(f"`rule` must be 'best', 'knee' or weights, but got {rule!r}.")
        return self._front[points[index]]

    def _lost(self, points: Sequence[tuple[float, ...]]) -> _Points:
        """By how much each point falls short of the best in each objective: 0 to 1 on the front.

        An objective of which less is better counts by its logarithm where it is above 0.
        """
        values = np.array(points)
        for column, wanted in enumerate(self.objectives):
            if not wanted.maximise and (values[:, column] < 0).all():
                values[:, column] = -np.log(-values[:, column])
        span = values.max(axis=0) - values.min(axis=0)
        lost: _Points = (values.max(axis=0) - values) / np.where(span > 0, span, 1)
        return lost

    def _weights(self, rule: Mapping[str, float]) -> _Points:
        names = [wanted.name for wanted in self.objectives]
        unknown = sorted(set(rule) - set(names))
        weights = np.array([rule.get(name, 0.0) for name in names], dtype=np.float64)
        if unknown or not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
            raise InputError(
                f"Weights must be numbers >= 0, not all 0, by names among {', '.join(names)}, "
                f"but got {dict(rule)}."
            )
        return weights

    def _nothing(self) -> str:
        if self._nearest is None:
            names = ", ".join(wanted.name for wanted in self.objectives)
            return f"No trial has {names}: there is nothing to choose from."
        excess, trial = self._nearest
        allowed = ", ".join(f"{c.name} <= {c.most:g}" for c in self.constraints)
        return (
            f"No trial keeps {allowed}: the nearest is {trial.design} "
            f"({'unmeasured' if math.isinf(excess) else f'{excess:.0%} above'}); allow more, or "
            "search a space with smaller designs."
        )


def _covers(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    """Whether `first` is nowhere worse: it dominates or equals `second`."""
    return all(a >= b for a, b in zip(first, second, strict=True))


def _points(points: ArrayLike) -> _Points:
    values = np.asarray(points, dtype=np.float64)
    if values.size == 0:
        return values.reshape(0, values.shape[-1] if values.ndim == 2 else 0)
    if values.ndim != 2:
        raise InputError(f"`points` must be (points, objectives), but has shape {values.shape}.")
    if not np.isfinite(values).all():
        raise InputError("`points` must be finite: leave out trials that lack an objective.")
    return values


def _dominates(values: _Points) -> NDArray[np.bool_]:
    """(points, points): whether the point of the row dominates that of the column."""
    no_worse = np.ones((len(values), len(values)), dtype=np.bool_)
    better = np.zeros_like(no_worse)
    for column in values.T:  # by objective, for memory
        no_worse &= column[:, None] >= column[None, :]
        better |= column[:, None] > column[None, :]
    return no_worse & better


def _volume(gains: _Points) -> float:
    """The volume between 0 and the points, all of them positive."""
    if len(gains) == 0:
        return 0.0
    if gains.shape[1] == 1:
        return float(gains.max())
    gains = gains[np.argsort(-gains[:, -1], kind="stable")]
    heights = gains[:, -1] - np.append(gains[1:, -1], 0.0)
    if gains.shape[1] == 2:
        return float(np.maximum.accumulate(gains[:, 0]) @ heights)
    total, area, kept = 0.0, 0.0, gains[:0, :-1]
    for base, height in zip(gains[:, :-1], heights, strict=True):
        if not (kept >= base).all(axis=1).any():  # else it adds nothing to the slice
            kept = np.vstack([kept[~(kept <= base).all(axis=1)], base])
            area = _volume(kept)
        total += area * float(height)
    return total
