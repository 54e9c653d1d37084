"""Controls against all subsets, one by one."""

import itertools
import math
import statistics

import numpy as np
import pytest
from scipy import stats

from metawright.errors import InputError
from metawright.strategies.controls import expected_best, mean_design

SCORES = [0.3, 0.9, 0.5, 0.5, 0.1, 0.7, 0.2, 0.8]


@pytest.mark.parametrize("draws", range(1, 9))
def test_the_expected_best_is_that_of_all_subsets(draws: int) -> None:
    best = [max(subset) for subset in itertools.combinations(SCORES, draws)]
    found = expected_best(SCORES, draws)
    assert found.mean == pytest.approx(statistics.fmean(best))
    for end, share in ((found.low, 0.025), (found.high, 0.975)):
        assert end == np.quantile(best, share, method="inverted_cdf")


def test_it_is_right_on_average_where_drawing_with_replacement_is_not() -> None:
    """The best of five uniform numbers is 5/6 on average."""
    draws = np.random.default_rng(0)
    found, replaced = [], []
    for _ in range(2000):
        scores = np.sort(draws.random(6))
        found.append(expected_best(scores.tolist(), 5).mean)
        ranks = np.arange(1, 7) / 6
        replaced.append(float(scores @ (ranks**5 - (ranks - 1 / 6) ** 5)))
    error = 3 * statistics.stdev(found) / math.sqrt(2000)
    assert statistics.fmean(found) == pytest.approx(5 / 6, abs=error)
    assert statistics.fmean(replaced) < 5 / 6 - error


def test_many_trials_are_no_trouble() -> None:
    scores = np.linspace(0, 1, 20_000).tolist()
    assert expected_best(scores, 100).mean == pytest.approx(100 / 101, abs=1e-4)


def test_the_mean_design_has_the_interval_of_a_mean() -> None:
    found = mean_design(SCORES)
    low, high = stats.t.interval(0.95, 7, np.mean(SCORES), stats.sem(SCORES))
    assert found == pytest.approx((0.5, low, high))


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(InputError, match=r"`1 <= draws <= 8` must hold.*got \(draws=9\)"):
        expected_best(SCORES, 9)
    with pytest.raises(InputError, match="must be finite"):
        expected_best([0.1, math.nan], 1)
    with pytest.raises(InputError, match="At least two random trials are needed, but got 1"):
        mean_design([0.5])
