"""Schedules at the points that define them."""

from itertools import pairwise

import pytest

from metawright.training.schedule import SCHEDULES, halving, linear, with_warmup


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_starts_whole_and_never_rises(name: str) -> None:
    schedule = SCHEDULES[name](100)
    values = [schedule(step) for step in range(100)]
    assert values[0] == 1.0
    assert all(later <= earlier for earlier, later in pairwise(values))
    assert all(0 < value <= 1 for value in values)


def test_linear_ends_at_zero() -> None:
    assert [linear(4)(step) for step in range(5)] == [1.0, 0.75, 0.5, 0.25, 0.0]


def test_halving_has_equal_parts() -> None:
    schedule = halving(12, times=2)
    assert [schedule(step) for step in (0, 3, 4, 7, 8, 11, 12)] == [
        1,
        1,
        0.5,
        0.5,
        0.25,
        0.25,
        0.25,
    ]


def test_warmup_rises_in_a_line_and_then_lets_go() -> None:
    schedule = with_warmup(lambda step: 0.5, 4)
    assert [schedule(step) for step in range(6)] == [0.125, 0.25, 0.375, 0.5, 0.5, 0.5]
    assert with_warmup(lambda step: 1.0, 0)(0) == 1.0
