"""NSGA-II: ranks against brute force, constraint domination, and fronts better than at random."""

import math
import statistics
from typing import Any

import numpy as np
import pytest

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import Design, Integer, Real, Record, Repeat
from metawright.store.records import Trial
from metawright.strategies.nsga2 import NSGA2, Fitness, fitness
from metawright.strategies.objectives import Constraint, objective
from metawright.strategies.pareto import Archive
from metawright.strategies.random import RandomSearch
from metawright.strategies.strategy import Strategy

GOALS = [objective("error"), objective("flops")]
LINE = Record({"x": Integer(0, 99)})
# ZDT1 of Zitzler, Deb and Thiele (2000), https://doi.org/10.1162/106365600568202, in 6 variables:
# the front is flops = 1 - sqrt(error), where all variables but the first are 0.
ZDT1 = Record({"x": Repeat(Real(0.0, 1.0), 6, 6)})


def zdt1(number: int, design: Design) -> Trial:
    first, *rest = design["x"]
    spread = 1 + 9 * sum(rest) / len(rest)
    cost = {"flops": spread * (1 - math.sqrt(first / spread))}
    return Trial(str(number), "task", design, {"error": first}, cost)


def covered(strategy: Strategy, trials: int = 250) -> float:
    archive = Archive(GOALS)
    for number in range(trials):
        trial = zdt1(number, strategy.ask(1)[0])
        strategy.tell([trial])
        archive.tell([trial])
    return archive.hypervolume([1.1, 6.0])


def test_it_beats_random_search_on_zdt1() -> None:
    ideal = 1.1 * 6 - (1 - 2 / 3)  # the whole box without the area below the front
    found, random = [], []
    for seed in range(3):
        found.append(covered(NSGA2(ZDT1, rng=stream(seed), objectives=GOALS)))
        random.append(covered(RandomSearch(ZDT1, rng=stream(seed))))
    assert min(found) > max(random)
    lost = [ideal - statistics.mean(values) for values in (found, random)]
    assert lost[0] < 0.6 * lost[1]


def test_fitness_is_rank_and_room() -> None:
    points = [(0.0, 4.0), (1.0, 2.0), (4.0, 0.0), (0.0, 0.0), (1.0, 1.0)]
    found = fitness(points)
    assert [each.rank for each in found] == [0, 0, 0, 2, 1]
    assert found[1].room == 2.0 and math.isinf(found[0].room)
    assert Fitness(0, 1.0).beats(Fitness(1, 9.0)) and Fitness(1, 2.0).beats(Fitness(1, 1.0))
    assert not Fitness(1, 1.0).beats(Fitness(1, 1.0))


def constrained_dominates(a: tuple[Any, float], b: tuple[Any, float]) -> bool:
    """Definition 1 of the paper."""
    if a[1] == 0 and b[1] == 0:
        return bool(np.all(np.array(a[0]) >= b[0]) and np.any(np.array(a[0]) > b[0]))
    return a[1] < b[1]


def test_ranks_under_constraints_are_those_of_the_definition() -> None:
    draws = np.random.default_rng(0)
    points = [tuple(map(float, row)) for row in draws.integers(0, 5, (30, 2))]
    broken = [float(value) for value in draws.integers(0, 3, 30)]
    left, expected, level = set(range(30)), [0] * 30, 0
    pairs = list(zip(points, broken, strict=True))
    while left:
        now = {i for i in left if not any(constrained_dominates(pairs[j], pairs[i]) for j in left)}
        for index in now:
            expected[index] = level
        left, level = left - now, level + 1
    assert [each.rank for each in fitness(points, broken)] == expected


def trial(number: int, x: int, error: float | None, flops: float) -> Trial:
    scores = {} if error is None else {"error": error}
    return Trial(str(number), "task", Design({"x": x}), scores, {"flops": flops})


def members(strategy: NSGA2) -> set[int]:
    return {member.design["x"] for member in strategy._members}


def test_the_most_crowded_of_the_last_front_leaves() -> None:
    strategy = NSGA2(LINE, rng=stream(0), objectives=GOALS, population=4)
    front = [trial(0, 0, 0.0, 10.0), trial(1, 1, 4.0, 6.0), trial(2, 2, 5.0, 5.0)]
    strategy.tell([*front, trial(3, 3, 10.0, 0.0), trial(4, 4, 9.0, 9.0)])
    assert members(strategy) == {0, 1, 2, 3}  # 4 was dominated
    strategy.tell([trial(5, 5, 8.0, 2.0)])
    assert members(strategy) == {0, 1, 3, 5}  # 2 had the least room: 4 to 8 against 0 to 5


def test_what_breaks_a_constraint_lives_only_while_there_is_nothing_better() -> None:
    limits = [Constraint("flops", 10.0)]
    strategy = NSGA2(LINE, rng=stream(0), objectives=GOALS, constraints=limits, population=2)
    strategy.tell([trial(0, 0, 0.1, 30.0), trial(1, 1, None, 20.0), trial(2, 2, None, 40.0)])
    assert members(strategy) == {0, 1}
    strategy.tell([trial(3, 3, 0.9, 9.0), trial(4, 4, 0.8, 9.5), trial(5, 5, None, 9.0)])
    assert members(strategy) == {3, 4}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"population": 1}, r"`population >= 2` must hold, but got \(population=1\)"),
        ({"crossover_rate": -0.1}, r"`0 <= crossover_rate <= 1` must hold"),
        ({"warm_start": [Design({"x": -1})]}, r"^x must be an integer from 0 to 99"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        NSGA2(LINE, rng=stream(0), **arguments)
