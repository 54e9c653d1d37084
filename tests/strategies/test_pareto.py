"""Fronts, ranks, crowding and hypervolume against slow versions straight from the definitions."""

import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from metawright.errors import InputError
from metawright.spaces import Design
from metawright.store.records import Trial
from metawright.strategies.objectives import Constraint, objective
from metawright.strategies.pareto import Archive, crowding, front, hypervolume, ranks

TWO = [objective("accuracy"), objective("parameters")]


def some_points(seed: int, objectives: int, points: int = 25) -> NDArray[np.float64]:
    """On a coarse grid, so that there are ties and doubles."""
    return np.random.default_rng(seed).integers(0, 6, (points, objectives)).astype(float)


def dominates(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    return bool((a >= b).all() and (a > b).any())


def slow_front(points: NDArray[np.float64]) -> list[int]:
    return [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]


def slow_volume(points: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """By inclusion and exclusion over all subsets of points."""
    total = 0.0
    for size in range(1, len(points) + 1):
        for subset in itertools.combinations(points, size):
            overlap = np.maximum(np.min(subset, axis=0) - reference, 0).prod()
            total += overlap if size % 2 else -overlap
    return float(total)


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_fronts_and_ranks_are_those_of_the_definition(objectives: int) -> None:
    points = some_points(objectives, objectives)
    assert front(points) == slow_front(points)
    expected, left, level = [-1] * len(points), list(range(len(points))), 0
    while left:
        now = [left[i] for i in slow_front(points[left])]
        for index in now:
            expected[index] = level
        left, level = [index for index in left if index not in now], level + 1
    assert ranks(points) == expected


@pytest.mark.parametrize("objectives", [1, 2, 3, 4, 5])
def test_the_hypervolume_is_that_of_inclusion_and_exclusion(objectives: int) -> None:
    for seed in range(5):
        points = np.random.default_rng(seed).random((9, objectives))
        points[-1] = points[0]
        points[-2, 0] = points[0, 0]
        reference = np.full(objectives, 0.2)
        assert hypervolume(points, reference) == pytest.approx(slow_volume(points, reference))


def test_the_hypervolume_of_a_ball_is_near_its_closed_form() -> None:
    points = np.abs(np.random.default_rng(0).standard_normal((300, 3)))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    assert hypervolume(points, [0, 0, 0]) == pytest.approx(math.pi / 6, rel=0.1)


def test_points_below_the_reference_add_nothing() -> None:
    assert hypervolume([[1, 1], [9, -1], [-1, 9]], [0, 0]) == 1.0
    assert hypervolume([], [0, 0]) == hypervolume([[-1, -1]], [0, 0]) == 0.0


def test_crowding_by_hand() -> None:
    line = [[0.0, 4.0], [1.0, 2.0], [4.0, 0.0]]
    assert crowding(line) == [math.inf, 4 / 4 + 4 / 4, math.inf]
    even = [[0.0, 10.0], [2.0, 8.0], [5.0, 5.0], [10.0, 0.0]]
    assert crowding(even) == pytest.approx([math.inf, 0.5 + 0.5, 0.8 + 0.8, math.inf])
    assert crowding([]) == [] and crowding([[1.0, 1.0]]) == [math.inf]
    assert crowding([[1.0], [1.0], [1.0]])[1] == 0.0


def test_what_is_no_set_of_points_is_refused() -> None:
    with pytest.raises(InputError, match=r"`points` must be \(points, objectives\)"):
        front([1.0, 2.0])
    with pytest.raises(InputError, match="must be finite"):
        ranks([[math.nan, 1.0]])
    with pytest.raises(InputError, match=r"`reference` must have a number for each of the 2"):
        hypervolume([[1.0, 2.0]], [0.0])


def trial(number: int, accuracy: float, parameters: float, fidelity: float = 1.0) -> Trial:
    return Trial(
        str(number),
        "task",
        Design({"x": number}),
        {"accuracy": accuracy},
        cost={"parameters": parameters},
        evidence={"fidelity": fidelity},
    )


def test_an_archive_holds_the_front_in_whatever_order_it_was_told() -> None:
    points = some_points(7, 2, points=60)
    trials = [trial(number, a, -p) for number, (a, p) in enumerate(points)]
    expected = {tuple(points[index]) for index in front(points)}
    for order in (trials, trials[::-1]):
        archive = Archive(TWO)
        for told in order:
            archive.tell([told])
        found = [(t.scores["accuracy"], -t.cost["parameters"]) for t in archive.trials]
        assert set(found) == expected and found == sorted(expected, reverse=True)
    assert archive.hypervolume([0, 5]) == hypervolume(points, [0, -5])


def test_an_archive_leaves_out_what_does_not_count() -> None:
    archive = Archive(TWO, [Constraint("parameters", 100)])
    failed = Trial("9", "task", Design({}), {"accuracy": 1.0}, {"parameters": 1}, status="failed")
    unscored = Trial("8", "task", Design({}), {}, {"parameters": 1})
    archive.tell(
        [trial(0, 0.9, 150), trial(1, 0.8, 120), trial(2, 0.7, 10, 0.5), failed, unscored]
    )
    assert archive.trials == [] and archive.hypervolume([0, 100]) == 0
    assert archive.nearest is not None and archive.nearest.id == "1"
    with pytest.raises(
        InputError, match=r"keeps parameters <= 100: the nearest is Design\(x=1\) \(20% above\)"
    ):
        archive.choose()
    archive.tell([trial(3, 0.5, 100)])
    assert [t.id for t in archive.trials] == ["3"]


def test_the_chosen_point_follows_the_rule() -> None:
    archive = Archive(TWO)
    archive.tell([trial(0, 1.0, 100), trial(1, 0.9, 20), trial(2, 0.5, 10), trial(3, 0.0, 0)])
    assert archive.choose().id == archive.choose("best").id == "0"
    assert archive.choose("knee").id == "1"
    decades = Archive(TWO)
    decades.tell([trial(0, 1.0, 10_000), trial(1, 0.98, 1_000), trial(2, 0.5, 100)])
    # 0.98 - 0.5 of 0.5 and one of two decades: 0.96 + 0.5 beside 1 for either end.
    assert decades.choose("knee").id == "1"
    decades.tell([trial(3, 0.6, 150)])  # 0.2 + 0.91: a little better than the ends
    assert decades.choose("knee").id == "1"
    assert archive.choose({"parameters": 1}).id == "3"
    assert archive.choose({"accuracy": 1, "parameters": 0.1}).id == "0"
    with pytest.raises(InputError, match="names among accuracy, parameters"):
        archive.choose({"latency": 1})
    with pytest.raises(InputError, match="`rule` must be 'best', 'knee' or weights"):
        archive.choose("middle")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="No trial has accuracy, parameters"):
        Archive(TWO).choose()
