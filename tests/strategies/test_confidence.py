"""Winner against runner-up: against textbook t tests and by simulation."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from metawright.errors import InputError
from metawright.strategies.confidence import beats

FIRST = [0.91, 0.93, 0.90, 0.95, 0.92]
SECOND = [0.90, 0.90, 0.91, 0.92, 0.90]


def test_pairs_are_compared_as_in_the_t_test() -> None:
    found = beats(FIRST, SECOND)
    test = stats.ttest_rel(FIRST, SECOND, alternative="greater")
    assert found.probability == pytest.approx(1 - test.pvalue)
    interval = stats.ttest_rel(FIRST, SECOND).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.difference == pytest.approx(0.016)


def test_unpaired_scores_are_compared_as_in_welchs_test() -> None:
    found = beats(FIRST, SECOND[:3], paired=False)
    test = stats.ttest_ind(FIRST, SECOND[:3], equal_var=False, alternative="greater")
    assert found.probability == pytest.approx(1 - test.pvalue)


def test_overlapping_folds_are_worth_less() -> None:
    """The corrected variance of Nadeau and Bengio: (1/n + r/(1-r)) in place of 1/n."""
    found = beats(FIRST, SECOND, overlap=0.2)
    gaps = np.array(FIRST) - np.array(SECOND)
    scale = math.sqrt((1 / 5 + 0.2 / 0.8) * gaps.var(ddof=1))
    assert found.probability == pytest.approx(stats.t.cdf(gaps.mean() / scale, 4))
    assert 0.5 < found.probability < beats(FIRST, SECOND).probability


def test_equal_means_are_called_better_half_of_the_time() -> None:
    """Under no difference the probability is uniform: it is above 0.95 in 5 % of the cases."""
    draws = np.random.default_rng(0)
    found = [beats(*draws.normal(0, 1, (2, 4)).tolist()).probability for _ in range(400)]
    assert sum(each > 0.95 for each in found) / 400 == pytest.approx(0.05, abs=0.025)
    assert sum(found) / 400 == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("first", "second", "expected"), [(0.5, 0.4, 1.0), (0.4, 0.5, 0.0), (0.4, 0.4, 0.5)]
)
def test_without_any_spread_it_is_sure(first: float, second: float, expected: float) -> None:
    for paired in (True, False):
        found = beats([first] * 3, [second] * 3, paired=paired)
        assert found.probability == expected and found.low == found.high


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5], [0.4]), "At least two scores of each are needed, but got 1 and 1"),
        (([0.5, 0.6], [0.4, math.nan]), "must be finite"),
        (([0.5, 0.6, 0.7], [0.4, 0.5]), "Pairs must be of the same number, but got 3 and 2"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        beats(*arguments)
    with pytest.raises(InputError, match=r"`0 <= overlap < 1` must hold, but got \(overlap=1\)"):
        beats(FIRST, SECOND, overlap=1)
