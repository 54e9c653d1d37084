"""What a search must be held against: random draws of the same number, and a design on average.

Both follow from random trials alone, so that a search which began with some of them has its
controls for nothing.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import t as student

from metawright.errors import InputError

__all__ = ["Interval", "expected_best", "mean_design"]


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    mean: float
    low: float
    high: float


def expected_best(scores: Sequence[float], draws: int) -> Interval:
    r"""What the best of `draws` random designs scores, from at least as many random trials.

    The mean of the maximum over all subsets of the trials, without an estimate's bias:

    $$\sum_i v_i \binom{i - 1}{n - 1} / \binom{N}{n}, \quad v_1 \le ... \le v_N$$

    for $n$ draws out of $N$ trials. The interval is where 95 % of the subsets' maxima lie: the
    luck of one random search, not the error of the mean. With all trials drawn there is one subset
    left and no interval.

    Different from Dodge et al., who draw with replacement: that falls short of the true expected
    maximum (Tang et al.).

    Arguments:
        scores: of random trials, more is better.
        draws: how many designs are drawn, the budget of the search that is compared.

    Raises:
        InputError: `1 <= draws <= len(scores)` does not hold, or a score is not finite.

    References:
        Show Your Work: Improved Reporting of Experimental Results, Dodge, Gururangan, Card,
        Schwartz and Smith, 2019, https://arxiv.org/abs/1909.03004
        Showing Your Work Doesn't Always Work, Tang, Lee, Xin, Liu, Yu and Lin, 2020,
        https://arxiv.org/abs/2004.13705

    Example:
        >>> from metawright.strategies.controls import expected_best
        >>> expected_best([1.0, 2.0, 5.0], 2)  # of three pairs one has 2 for its best, two 5
        Interval(mean=4.0, low=2.0, high=5.0)
    """
    ordered = _finite(scores)
    if not 1 <= draws <= len(ordered):
        raise InputError(
            f"`1 <= draws <= {len(ordered)}` must hold, the number of random trials, "
            f"but got (draws={draws})."
        )
    # The chance that the best of the draws is number i: from 0 up, as a share of the last.
    chance, chances = 1.0, []
    for below in range(len(ordered) - 1, draws - 2, -1):
        chances.append(chance)
        chance *= (below - draws + 1) / below if below else 0.0
    total = sum(chances)
    best_first = list(zip(reversed(ordered), chances, strict=False))
    mean = math.fsum(score * chance / total for score, chance in best_first)
    return Interval(mean, _quantile(best_first, total, 0.025), _quantile(best_first, total, 0.975))


def mean_design(scores: Sequence[float]) -> Interval:
    """What a design of the space scores on average, from random trials, with the mean's interval.

    A search that is not far above has found nothing: what it reports is owed to the space.

    Raises:
        InputError: there are fewer than two scores, or one is not finite.

    References:
        NAS Evaluation Is Frustratingly Hard, Yang, Esperança and Carlucci, 2020,
        https://arxiv.org/abs/1912.12522
    """
    ordered = _finite(scores)
    if len(ordered) < 2:
        raise InputError(f"At least two random trials are needed, but got {len(ordered)}.")
    mean, count = statistics.fmean(ordered), len(ordered)
    half = float(student.ppf(0.975, count - 1)) * statistics.stdev(ordered) / math.sqrt(count)
    return Interval(mean, mean - half, mean + half)


def _finite(scores: Sequence[float]) -> list[float]:
    if not all(map(math.isfinite, scores)):
        raise InputError("Scores of random trials must be finite: leave out failed trials.")
    return sorted(map(float, scores))


def _quantile(best_first: Sequence[tuple[float, float]], total: float, share: float) -> float:
    """The smallest score that at least `share` of the subsets do not exceed."""
    below = 0.0
    for score, chance in reversed(best_first):
        below += chance / total
        if below >= share - 1e-12:
            return score
    return best_first[0][0]
