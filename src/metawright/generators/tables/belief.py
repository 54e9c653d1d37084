"""What experience says of designs on a new task, before and after some of them were tried there.

Two views of the same earlier tasks are averaged, because each errs where the other does not:

- One Gaussian of the worths of all designs on all tasks: tasks are alike as their profiles are,
  designs are alike as their worths went together. Multi-task Gaussian processes: Bonilla et al.
  2007 (https://papers.nips.cc/paper/3189); for choosing pipelines: Fusi et al. 2018
  (https://arxiv.org/abs/1705.05355), who factorise and know no profiles. Here the covariance of
  designs is that of the earlier tasks itself, drawn towards its diagonal.
- Cases: the new task is one of the earlier ones, each as likely as its profile is near and as the
  worths found so far agree with it. With nothing known, that is the static portfolio.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

__all__ = ["Belief", "Expectation", "Settings"]

Matrix = NDArray[np.float64]
_ROUNDS = 6  # of filling gaps
_JITTER = 1e-6
_AGREEING = 4  # trials that count in full when cases are weighed; more only sharpen their mean


class Settings(NamedTuple):
    """How tasks and designs hang together.

    `reach`: distance of profiles (root mean square over their numbers, in standard deviations)
    over which tasks are alike in the Gaussian; `share`: how much of a task's deviation its profile
    explains; `shrink`: how far the covariance of designs is drawn towards its diagonal; `noise`:
    variance of a measured worth, as a share of the mean variance; `near`: the reach for cases;
    `agree`: differences of worth that cases may show; `cases`: the share of that view.
    """

    reach: float = 1.0
    share: float = 0.8
    shrink: float = 0.1
    noise: float = 0.02
    near: float = 0.7
    agree: float = 0.3
    cases: float = 0.5


@dataclass(frozen=True)
class Expectation:
    """What is expected of designs on one task; lower worths are better.

    Arguments:
        mean: of the Gaussian (designs,).
        covariance: (designs, designs).
        noise: variance of a measurement.
        worths: of the cases (tasks, designs).
        likely: logarithm of how likely each case is, up to a constant (tasks,).
        share: of the cases in what is expected.
        agree: differences of worth that cases may show.
    """

    mean: Matrix
    covariance: Matrix
    noise: float
    worths: Matrix
    likely: Matrix
    share: float
    agree: float

    def given(self, tried: Sequence[int], found: Sequence[float]) -> "Expectation":
        """The same after designs were tried: their places, and what they were worth."""
        if not len(tried):
            return self
        at, values = np.asarray(tried, dtype=np.int64), np.asarray(found, np.float64)
        known = self.covariance[np.ix_(at, at)] + self.noise * np.eye(len(at))
        gain = np.linalg.solve(known, self.covariance[at]).T
        apart = ((self.worths[:, at] - values) ** 2).mean(1) * min(len(at), _AGREEING)
        return replace(
            self,
            mean=self.mean + gain @ (values - self.mean[at]),
            covariance=self.covariance - gain @ self.covariance[at],
            likely=self.likely - apart / (2 * self.agree**2),
        )

    @property
    def spread(self) -> Matrix:
        """Standard deviations of the Gaussian (designs,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance).clip(_JITTER)), np.float64)

    @property
    def expected(self) -> Matrix:
        """Worth of each design by both views (designs,)."""
        return (1 - self.share) * self.mean + self.share * (self._weights() @ self.worths)

    def gain(self, best: float) -> Matrix:
        """By how much each design is expected to be better than `best` (designs,): expected
        improvement (Jones et al. 1998, https://doi.org/10.1023/A:1008306431147)."""
        z = (best - self.mean) / self.spread
        density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        gaussian = self.spread * (z * ndtr(z) + density)
        cases = self._weights() @ np.maximum(best - self.worths, 0.0)
        return np.asarray((1 - self.share) * gaussian + self.share * cases, np.float64)

    def _weights(self) -> Matrix:
        weights = np.exp(self.likely - self.likely.max())
        return np.asarray(weights / weights.sum(), np.float64)


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
        count = len(worths)
        shares = np.ones(count) if weights is None else np.asarray(weights, np.float64)
        self.shares = shares / shares.sum()
        self.centre = profiles.mean(0)
        self.scale = profiles.std(0).clip(1e-6)
        self.profiles = (profiles - self.centre) / self.scale
        self.worths = _filled(worths, self.settings.shrink)
        self.mean = self.shares @ self.worths
        self._residuals = self.worths - self.mean
        share = self.settings.share
        alike = _alike(self._apart(self.profiles), self.settings.reach)
        own = (1 - share) / (count * self.shares).clip(0.05)
        self._inverse = np.linalg.inv(share * alike + np.diag(own + _JITTER))
        covariance = (self._residuals * self.shares[:, None]).T @ self._residuals
        self.covariance = _shrunk(covariance, self.settings.shrink)
        self.noise = self.settings.noise * float(np.diag(self.covariance).mean())

    def of(self, profile: Sequence[float] | Matrix | None = None) -> Expectation:
        """For a task with that profile (numbers,); None where it is unknown."""
        mean, left = self.mean, 1.0
        likely = np.log(self.shares)
        if profile is not None and self.profiles.shape[1]:
            apart = self._apart(self._placed(profile))[0]
            near = self.settings.share * _alike(apart, self.settings.reach)
            pull = near @ self._inverse
            mean = self.mean + pull @ self._residuals
            left = max(1.0 - float(pull @ near), 0.05)
            likely = likely - apart / (2 * self.settings.near**2)
        return Expectation(
            mean, left * self.covariance, self.noise, self.worths, likely,
            self.settings.cases, self.settings.agree,
        )  # fmt: skip

    def _placed(self, profile: Sequence[float] | Matrix) -> Matrix:
        place = (np.asarray(profile, np.float64) - self.centre) / self.scale
        return np.asarray(place[None], np.float64)

    def _apart(self, places: Matrix) -> Matrix:
        """Mean squares of differences of profiles (places, tasks)."""
        numbers = max(places.shape[1], 1)
        squares = ((places[:, None] - self.profiles[None]) ** 2).sum(2)
        return np.asarray(squares / numbers, np.float64)


def _alike(apart: Matrix, reach: float) -> Matrix:
    return np.asarray(np.exp(-apart / (2 * reach**2)), np.float64)


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
