"""Wilson's interval against published figures, its own definition and its coverage."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from metawright.evaluate.intervals import wilson


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    # Newcombe 1998, https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<857::AID-SIM777>3.0.CO;2-E
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_figures(correct: int, total: int, low: float, high: float) -> None:
    assert wilson(correct, total) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(("correct", "total"), [(0, 1), (1, 1), (3, 4), (50, 50), (450, 500)])
def test_scipys_figures(correct: int, total: int) -> None:
    theirs = binomtest(correct, total).proportion_ci(0.95, "wilson")
    assert wilson(correct, total) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_ends_are_where_the_score_test_is_on_its_edge() -> None:
    for correct, total in ((7, 10), (2, 9), (0.9 * 37, 37)):
        for end in wilson(correct, total):
            score = (correct / total - end) / math.sqrt(end * (1 - end) / total)
            assert abs(score) == pytest.approx(1.959964, abs=1e-5)


def test_always_around_the_accuracy_and_inside_the_range() -> None:
    for total in (1, 2, 7, 1000):
        for correct in range(total + 1):
            low, high = wilson(correct, total)
            assert 0 <= low <= correct / total <= high <= 1
            assert high > low
    assert wilson(0, 5)[0] == 0
    assert wilson(5, 5)[1] == 1


def test_holds_the_truth_about_95_times_in_100() -> None:
    draws = np.random.default_rng(0).binomial(40, 0.9, 4000)
    inside = [low <= 0.9 <= high for low, high in (wilson(int(k), 40) for k in draws)]
    assert 0.92 < np.mean(inside) < 0.98


@pytest.mark.parametrize(("correct", "total"), [(-1, 5), (6, 5), (0, 0), (float("nan"), 3)])
def test_arguments_are_checked(correct: float, total: int) -> None:
    with pytest.raises(ValueError, match=r"`0 <= correct <= total` and `total >= 1` must hold"):
        wilson(correct, total)
