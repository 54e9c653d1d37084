"""Objectives: names, sides, and what counts as measured or as broken."""

import math
from typing import Any

import pytest

from metawright.errors import InputError
from metawright.spaces import Design
from metawright.store.records import Trial
from metawright.strategies.objectives import (
    ALIASES,
    OBJECTIVES,
    Constraint,
    Objective,
    aligned,
    measured,
    objective,
    violation,
)


def trial(scores: dict[str, float], status: Any = "ok", **cost: float) -> Trial:
    return Trial("1", "task", Design({}), scores, cost=cost, status=status)


def test_aliases_name_objectives() -> None:
    assert set(ALIASES.values()) <= set(OBJECTIVES) and not set(ALIASES) & set(OBJECTIVES)
    assert objective("size") == objective("bytes") == Objective("bytes", maximise=False)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"no objective 'speed': choose among score, accuracy, "):
        objective("speed")


def test_scores_come_before_cost_and_only_finite_numbers_count() -> None:
    both = trial({"seconds": 1.0, "accuracy": math.nan}, seconds=2.0, parameters=7.0)
    assert measured(both, "seconds") == 1.0
    assert measured(both, "params") == 7.0
    assert measured(both, "accuracy") is None and measured(both, "latency") is None
    assert measured(trial({"accuracy": 1.0}, status="failed"), "accuracy") is None


def test_aligned_measures_are_better_when_larger() -> None:
    wanted = [objective("log_loss"), objective("accuracy")]
    assert aligned(trial({"accuracy": 0.5, "log_loss": 2.0}), wanted) == (-2.0, 0.5)
    assert aligned(trial({"accuracy": 0.5}), wanted) is None


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ({"parameters": 100, "latency": 1.0}, 0.0),
        ({"parameters": 150, "latency": 1.0}, 0.5),
        ({"parameters": 150, "latency": 4.0}, 0.5 + 1.0),
        ({"parameters": 150}, 0.5),
        ({"parameters": 50}, math.inf),
        ({}, math.inf),
    ],
)
def test_the_excess_is_relative_and_summed(cost: dict[str, float], expected: float) -> None:
    constraints = [Constraint("params", 100), Constraint("latency", 2.0)]
    assert violation(trial({}, **cost), constraints) == expected


def test_an_allowance_of_zero_counts_the_excess_itself() -> None:
    assert violation(trial({}, energy=3.0), [Constraint("energy", 0.0)]) == 3.0


def test_a_limit_is_a_number() -> None:
    with pytest.raises(InputError, match=r"`most` must be a finite number, but got inf"):
        Constraint("flops", math.inf)
    with pytest.raises(InputError, match=r"`name` must be a non-empty text"):
        Objective("")
