"""Does the winner really beat the runner-up, or was it luck?

The scores must come from evaluations of their own, with other seeds than those by which the two
were chosen: the best of many is the best by luck in part.
"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import t as student

from metawright.errors import InputError

__all__ = ["Confidence", "beats"]


class Confidence(NamedTuple):
    """How sure it is that the first is better than the second.

    Arguments:
        probability: that it is better on average, 0..1.
        difference: of the mean scores.
        low: lower end of the 95 % interval of the difference.
        high: its upper end.
    """

    probability: float
    difference: float
    low: float
    high: float


def beats(
    first: Sequence[float],
    second: Sequence[float],
    *,
    paired: bool = True,
    overlap: float = 0.0,
) -> Confidence:
    r"""The probability that the first has the higher mean, from repeated evaluations of both.

    Of pairs, the differences $d$ have a mean whose posterior (under no prior knowledge) is
    Student's t with $n - 1$ degrees of freedom and the scale

    $$\sqrt{(1/n + r / (1 - r)) \, var(d)}$$

    where $r$ is the share of the examples of a fold in all: folds of one data set share examples
    for training, so their differences hang together (Nadeau and Bengio). Unpaired scores are
    compared by Welch's approximation.

    Arguments:
        first: scores of the winner, higher is better, at least two.
        second: scores of the runner-up.
        paired: entry i of both was got with the same seed or fold.
        overlap: 0 for evaluations with seeds of their own; 1 / folds for the folds of one
            cross-validation.

    Raises:
        InputError: there are fewer than two scores, one is not finite, pairs are of different
            number, or `0 <= overlap < 1` does not hold.

    References:
        Time for a Change: a Tutorial for Comparing Multiple Classifiers Through Bayesian Analysis,
        Benavoli, Corani, Demsar and Zaffalon, 2017, https://arxiv.org/abs/1606.04316
        Inference for the Generalization Error, Nadeau and Bengio, 2003,
        https://doi.org/10.1023/A:1024068626366

    Example:
        >>> from metawright.strategies.confidence import beats
        >>> round(beats([0.90, 0.92, 0.91], [0.89, 0.90, 0.90]).probability, 3)
        0.971
    """
    _check(first, second, paired, overlap)
    difference = statistics.fmean(first) - statistics.fmean(second)
    if paired:
        gaps = [a - b for a, b in zip(first, second, strict=True)]
        factor = 1 / len(gaps) + overlap / (1 - overlap)
        variance, freedom = factor * statistics.variance(gaps), float(len(gaps) - 1)
    else:
        parts = [statistics.variance(scores) / len(scores) for scores in (first, second)]
        sizes = (len(first), len(second))
        variance = sum(parts)
        below = sum(part**2 / (size - 1) for part, size in zip(parts, sizes, strict=True))
        freedom = variance**2 / below if below > 0 else 1.0
    scale = math.sqrt(variance)
    if scale < 1e-12 * max(map(abs, (*first, *second))):  # no spread but that of rounding
        sure = 0.5 + 0.5 * math.copysign(difference != 0, difference)
        return Confidence(sure, difference, difference, difference)
    half = float(student.ppf(0.975, freedom)) * scale
    probability = float(student.cdf(difference / scale, freedom))
    return Confidence(probability, difference, difference - half, difference + half)


def _check(first: Sequence[float], second: Sequence[float], paired: bool, overlap: float) -> None:
    if min(len(first), len(second)) < 2:
        raise InputError(
            "At least two scores of each are needed, "
            f"but got {len(first)} and {len(second)}: evaluate both again with other seeds."
        )
    if not all(map(math.isfinite, (*first, *second))):
        raise InputError("Scores to compare must be finite: leave out failed evaluations.")
    if paired and len(first) != len(second):
        raise InputError(
            f"Pairs must be of the same number, but got {len(first)} and {len(second)} scores."
        )
    if not 0 <= overlap < 1:
        raise InputError(f"`0 <= overlap < 1` must hold, but got (overlap={overlap}).")
