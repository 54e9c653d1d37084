"""In which order designs are tried on a new task: metawright's belief, and its rivals.

An order is made from earlier tasks (worths, profiles, weights) and gives a function from the new
task's profile and a way to try designs to the places of designs, first to last.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from metawright.generators.tables.belief import Belief

__all__ = ["ORDERS", "Earlier", "Order", "regrets"]

Matrix = NDArray[np.float64]
Order = Callable[[Matrix, Callable[[int], float], int], list[int]]
"""Profile, a function that tries a design and gives its worth, how many -> places."""

_NEAREST = 5  # tasks
_RANK, _PENALTY = 8, 0.1  # of the factorisation


class Earlier(NamedTuple):
    """Worths without gaps (tasks, designs), lower is better; profiles; weights; encodings; the
    worths as they were found, with gaps."""

    worths: Matrix
    profiles: Matrix
    weights: Matrix
    codes: Matrix
    found: Matrix


def at_random(earlier: Earlier, seed: int) -> Order:
    """Every order is as likely."""
    draw = np.random.default_rng(seed)
    count = earlier.worths.shape[1]
    return lambda profile, worth_of, most: [int(i) for i in draw.permutation(count)[:most]]


def static_portfolio(earlier: Earlier, seed: int) -> Order:
    """Each next design lowers the mean over tasks of the best so far the most."""
    chosen = _greedy(earlier.worths, earlier.weights)
    return lambda profile, worth_of, most: chosen[:most]


def nearest_tasks(earlier: Earlier, seed: int) -> Order:
    """The portfolio of the five tasks with the nearest profiles."""
    scale = earlier.profiles.std(0).clip(1e-6)
    mean = np.average(earlier.worths, axis=0, weights=earlier.weights)

    def order(profile: Matrix, worth_of: Callable[[int], float], most: int) -> list[int]:
        apart = (((earlier.profiles - profile) / scale) ** 2).sum(1)
        near = np.argsort(apart, kind="stable")[:_NEAREST]
        return _greedy(earlier.worths[near] + 1e-3 * mean, np.ones(len(near)))[:most]

    return order


def low_rank(earlier: Earlier, seed: int) -> Order:
    """Factors of the matrix (Yang et al. 2019, https://arxiv.org/abs/1808.03233): the best mean
    first, then what the factors say, fitted to the trials on this task."""
    mean = np.average(earlier.worths, axis=0, weights=earlier.weights)
    _, sizes, factors = np.linalg.svd(earlier.worths - mean, full_matrices=False)
    rank = min(_RANK, len(sizes))
    factors = factors[:rank] * (sizes[:rank, None] / len(earlier.worths) ** 0.5)

    def order(profile: Matrix, worth_of: Callable[[int], float], most: int) -> list[int]:
        places: list[int] = []
        found: list[float] = []
        guess = mean
        for _ in range(most):
            place = int(np.where(np.isin(np.arange(len(mean)), places), np.inf, guess).argmin())
            places.append(place)
            found.append(worth_of(place) - mean[place])
            seen = factors[:, places]
            own = np.linalg.solve(seen @ seen.T + _PENALTY * np.eye(rank), seen @ np.array(found))
            guess = mean + own @ factors
        return places

    return order


def regressor(earlier: Earlier, seed: int) -> Order:
    """Trees on profile and encoding of the design together, by predicted worth."""
    tasks, designs = earlier.worths.shape
    inputs = np.hstack(
        [np.repeat(earlier.profiles, designs, 0), np.tile(earlier.codes, (tasks, 1))]
    )
    trees = ExtraTreesRegressor(100, min_samples_leaf=3, random_state=seed, n_jobs=1)
    trees.fit(inputs, earlier.worths.ravel(), np.repeat(earlier.weights, designs))

    def order(profile: Matrix, worth_of: Callable[[int], float], most: int) -> list[int]:
        rows = np.hstack([np.repeat(profile[None], designs, 0), earlier.codes])
        return [int(i) for i in np.argsort(trees.predict(rows), kind="stable")[:most]]

    return order


def belief(earlier: Earlier, seed: int) -> Order:
    """metawright's: by expectation, then by expected gain given the trials on this task."""
    made = Belief(earlier.found, earlier.profiles, weights=earlier.weights)

    def order(profile: Matrix, worth_of: Callable[[int], float], most: int) -> list[int]:
        first = made.of(profile if earlier.profiles.shape[1] else None)
        places: list[int] = []
        found: list[float] = []
        for _ in range(most):
            now = first.given(places, found)
            merit = now.gain()
            merit[places] = -np.inf
            places.append(int(merit.argmax()))
            found.append(worth_of(places[-1]))
        return places

    return order


ORDERS: dict[str, Callable[[Earlier, int], Order]] = {
    "random order": at_random,
    "static portfolio": static_portfolio,
    "nearest tasks": nearest_tasks,
    "low-rank factors": low_rank,
    "regressor": regressor,
    "metawright": belief,
}


def regrets(losses: Matrix, places: Sequence[int], at: Sequence[int]) -> list[float]:
    """How far the best of the first designs is from the best of all, after so many of them.

    Arguments:
        losses: of all designs on the task; lower is better, NaN where one failed.
        places: in the order in which they are tried.
        at: numbers of designs.
    """
    worst = np.nanmax(losses)
    whole = np.where(np.isnan(losses), worst, losses)
    best = np.minimum.accumulate(whole[list(places)])
    return [float(best[min(count, len(best)) - 1] - whole.min()) for count in at]


def _greedy(worths: Matrix, weights: Matrix) -> list[int]:
    """Designs by how much each lowers the weighted mean of the best so far."""
    chosen: list[int] = []
    best = np.full(len(worths), np.inf)
    for _ in range(worths.shape[1]):
        means = np.average(np.minimum(best[:, None], worths), axis=0, weights=weights)
        # Where nothing lowers it any more, by the mean itself.
        means = means + 1e-9 * np.average(worths, axis=0, weights=weights)
        means[chosen] = np.inf
        chosen.append(int(means.argmin()))
        best = np.minimum(best, worths[:, chosen[-1]])
    return chosen
