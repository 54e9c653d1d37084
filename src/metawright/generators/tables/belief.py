"""What experience says of designs on a new task, before and after some of them were tried there.

The new task may be any of the earlier ones: each is as likely as its profile is near, and as the
worths found so far agree with those found there. What a further design is expected to gain is what
it gained on those tasks over the designs that have been tried here. That asks only how designs
compare within a task, never how hard tasks are: where nothing speaks for a task, it is the greedy
static portfolio (Feurer et al. 2022, https://arxiv.org/abs/2007.04074); where one stands out, it
is the nearest task. The first design, before any was tried, is that of the least expected loss.

Tried and left out, because they were worse on three collections of tasks: expected improvement
under a Gaussian of all designs (too sure after a few trials), gains over the best worth found here
(which compares worths between tasks), a Gaussian process over profiles for the first design.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Belief", "Expectation", "Settings"]

Matrix = NDArray[np.float64]
_ROUNDS = 6  # of filling gaps
_JITTER = 1e-6
_DOUBT = 0.02  # weight of a task on which nothing is gained
_AGREEING = 4  # trials that count in full when tasks are weighed; more only sharpen their mean


class Settings(NamedTuple):
    """How tasks hang together.

    `near`: distance of profiles (root mean square over their numbers, in standard deviations)
    over which tasks are likely; `agree`: differences of worth that like tasks may show; `nearest`:
    how many tasks the first design is to suit; `shrink`: how far the covariance of designs that
    fills gaps is drawn towards its diagonal.
    """

    near: float = 0.7
    agree: float = 0.7
    nearest: int = 10
    shrink: float = 0.1


@dataclass(frozen=True)
class Expectation:
    """What is expected of designs on one task; lower worths are better.

    Arguments:
        worths: of the earlier tasks (tasks, designs), logarithms of losses, without gaps.
        known: which of them were found, and not filled in.
        likely: logarithm of how likely the task is each of them, up to a constant (tasks,).
        nearest: places of those with the nearest profiles.
        agree: differences of worth that like tasks may show.
        tried: places of the designs that were tried.
    """

    worths: Matrix
    known: NDArray[np.bool_]
    likely: Matrix
    nearest: tuple[int, ...]
    agree: float
    tried: tuple[int, ...] = ()

    def given(self, tried: Sequence[int], found: Sequence[float]) -> "Expectation":
        """The same after designs were tried: their places, and what they were worth. To be asked
        of what was expected before any was."""
        if not len(tried):
            return self
        at, values = list(tried), np.asarray(found, np.float64)
        apart = ((self.worths[:, at] - values) ** 2).mean(1) * min(len(at), _AGREEING)
        likely = self.likely - apart / (2 * self.agree**2)
        return replace(self, likely=likely, tried=tuple(at))

    @property
    def weights(self) -> Matrix:
        """How likely the task is each of the earlier ones (tasks,), 1 in all."""
        weights = np.exp(self.likely - self.likely.max())
        return np.asarray(weights / weights.sum(), np.float64)

    @property
    def losses(self) -> Matrix:
        """Expected loss of each design, as a share of guessing's (designs,), of use while none was
        tried: the mean over all tasks as they are likely, and over the nearest."""
        losses = np.exp(self.worths)
        return np.asarray((self.weights @ losses + losses[list(self.nearest)].mean(0)) / 2)

    def gain(self) -> Matrix:
        """By how much each design is expected to be better than the best that was tried
        (designs,), by the tasks that tried it; before any was, than the mean design."""
        if not self.tried:
            return np.asarray(np.log(self.losses.mean() / self.losses).clip(0), np.float64)
        best = self.worths[:, list(self.tried)].min(1)
        weights = self.weights[:, None] * self.known
        gains = (weights * np.maximum(best[:, None] - self.worths, 0.0)).sum(0)
        return np.asarray(gains / (weights.sum(0) + _DOUBT), np.float64)


class Belief:
    """What earlier tasks let one believe of a new one.

    Arguments:
        worths: (tasks, designs), lower is better; NaN where not tried.
        profiles: (tasks, numbers); no numbers where tasks have no profile.
        weights: how much each task counts (tasks,), such as less for each of many of one family;
            None for equal ones.
    """

    def __init__(
        self,
        worths: Matrix,
        profiles: Matrix,
        *,
        weights: Matrix | None = None,
        settings: Settings | None = None,
    ) -> None:
        self.settings = settings or Settings()
        shares = np.ones(len(worths)) if weights is None else np.asarray(weights, np.float64)
        self.shares = shares / shares.sum()
        self.centre = profiles.mean(0)
        self.scale = profiles.std(0).clip(1e-6)
        self.profiles = (profiles - self.centre) / self.scale
        self.known = ~np.isnan(worths)
        self.worths = _filled(worths, self.settings.shrink)

    def of(self, profile: Sequence[float] | Matrix | None = None) -> Expectation:
        """For a task with that profile (numbers,); None where it is unknown."""
        likely = np.log(self.shares)
        if profile is None or not self.profiles.shape[1]:
            nearest = np.arange(len(self.worths))
        else:
            place = (np.asarray(profile, np.float64) - self.centre) / self.scale
            apart = ((self.profiles - place) ** 2).mean(1)
            likely = likely - apart / (2 * self.settings.near**2)
            nearest = np.argsort(apart, kind="stable")[: self.settings.nearest]
        places = tuple(int(task) for task in nearest)
        return Expectation(self.worths, self.known, likely, places, self.settings.agree)


def _filled(worths: Matrix, shrink: float) -> Matrix:
    """Gaps take what the other designs of the same task let one expect: expectation-maximisation
    for a Gaussian, without its term for the variance of what is not known."""
    gaps = np.isnan(worths)
    if not gaps.any():
        return worths
    known = (~gaps).sum(0)
    means = np.where(gaps, 0.0, worths).sum(0) / known.clip(1)
    means[known == 0] = means[known > 0].mean()
    whole = np.where(gaps, means, worths)
    for _ in range(_ROUNDS):
        mean = whole.mean(0)
        residuals = whole - mean
        covariance = _shrunk(residuals.T @ residuals / len(whole), shrink)
        for task in np.flatnonzero(gaps.any(1)):
            absent, there = gaps[task], ~gaps[task]
            inner = covariance[np.ix_(there, there)]
            moved = np.linalg.solve(inner, whole[task, there] - mean[there])
            whole[task, absent] = mean[absent] + covariance[np.ix_(absent, there)] @ moved
    return whole


def _shrunk(covariance: Matrix, shrink: float) -> Matrix:
    diagonal = np.diag(np.diag(covariance))
    size = max(float(np.diag(covariance).mean()), _JITTER)
    lifted = shrink * diagonal + _JITTER * size * np.eye(len(covariance))
    return np.asarray((1 - shrink) * covariance + lifted, np.float64)
