"""The distributions of sampling, mutation and crossover; their validity is in the contract."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from math import log
from typing import Any

import pytest

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import (
    Cell,
    Choice,
    Design,
    Either,
    Integer,
    Real,
    Record,
    Repeat,
    Space,
    count,
    grid,
)
from metawright.spaces.draw import crossover, mutate, sample
from metawright.spaces.space import Domain

# The chi-square value that a right sampler exceeds once in a thousand, by degrees of freedom.
CHI_SQUARE = {1: 10.83, 2: 13.82, 3: 16.27, 4: 18.47, 7: 24.32, 9: 27.88}


def assert_frequencies(drawn: Sequence[Hashable], expected: Mapping[Any, float]) -> None:
    seen = Counter(drawn)
    assert set(seen) <= set(expected)
    total = sum(
        (seen[value] - share * len(drawn)) ** 2 / (share * len(drawn))
        for value, share in expected.items()
    )
    assert total < CHI_SQUARE[len(expected) - 1]


def values(domain: Domain, draws: int = 2000) -> list[float]:
    space, rng = Record({"x": domain}), stream(0)
    return [sample(space, rng)["x"] for _ in range(draws)]


def test_options_and_integers_are_uniform() -> None:
    assert_frequencies(values(Integer(-2, 2)), dict.fromkeys(range(-2, 3), 0.2))
    space, rng = Record({"x": Choice(("a", None, 3))}), stream(1)
    drawn = [sample(space, rng)["x"] for _ in range(2000)]
    assert_frequencies(drawn, dict.fromkeys(("a", None, 3), 1 / 3))


@pytest.mark.parametrize("log", [False, True])
def test_reals_are_uniform_on_their_scale(log: bool) -> None:
    edges = [0.001 * 10 ** (0.3 * i) if log else 0.001 + 0.0999 * i for i in range(11)]
    drawn = values(Real(0.001, 1.0, log=log))
    bins = [sum(edge <= x for edge in edges[1:-1]) for x in drawn]
    assert_frequencies(bins, dict.fromkeys(range(10), 0.1))


def test_log_integers_follow_their_ratio() -> None:
    # Each integer k has the mass of [k - 1/2, k + 1/2] on the log scale of [1/2, 8 + 1/2].
    shares = {k: log((k + 0.5) / (k - 0.5)) / log(17) for k in range(1, 9)}
    assert_frequencies(values(Integer(1, 8, log=True)), shares)


def test_cases_and_lengths_are_uniform_however_many_designs_they_hold() -> None:
    rng = stream(2)
    either = Either({"many": Record({"x": Integer(1, 1000)}), "one": Record({})})
    drawn = [sample(either, rng)["kind"] for _ in range(1000)]
    assert_frequencies(drawn, {"many": 0.5, "one": 0.5})
    repeat = Record({"bits": Repeat(Choice((0, 1)), 0, 3)})
    lengths = [len(sample(repeat, rng)["bits"]) for _ in range(1000)]
    assert_frequencies(lengths, dict.fromkeys(range(4), 0.25))


@pytest.mark.parametrize("changes", [1, 2])
@pytest.mark.parametrize(
    "space",
    [
        Record({"bits": Repeat(Choice((0, 1)), 0, 2), "depth": Integer(1, 6)}),
        Record({"cell": Cell(4, ("a", "b"), fan_in=1)}),
        Either({"a": Record({"x": Integer(1, 9, log=True)}), "b": Record({}), "c": Record({})}),
    ],
)
def test_mutations_reach_every_design(space: Space, changes: int) -> None:
    rng = stream(3)
    design = sample(space, rng)
    reached = {design}
    for _ in range(40 * int(count(space))):
        design = mutate(space, design, rng, changes=changes)
        reached.add(design)
    assert reached == set(grid(space))


def test_most_mutations_of_a_number_stay_near() -> None:
    space, rng = Record({"lr": Real(1e-4, 1.0, log=True)}), stream(4)
    middle = Design({"lr": 0.01})
    moved = [mutate(space, middle, rng)["lr"] for _ in range(500)]
    # Within two steps of 0.15 (a ratio of 10^(4 * 0.3) to either side): of the 80 % local moves
    # 95.4 %, of the 20 % drawn afresh 60 %.
    near = sum(0.01 / 10**1.2 <= value <= 0.01 * 10**1.2 for value in moved) / 500
    assert near == pytest.approx(0.8 * 0.954 + 0.2 * 0.6, abs=0.05)
    assert max(moved) > 0.3
    assert min(moved) < 3e-4


def test_mutations_choose_decisions_and_options_evenly() -> None:
    space, rng = Record({"a": Choice(("x", "y", "z")), "b": Choice((0, 1))}), stream(5)
    start = Design({"a": "x", "b": 0})
    drawn = [mutate(space, start, rng) for _ in range(1000)]
    expected = {
        Design({"a": "y", "b": 0}): 0.25,
        Design({"a": "z", "b": 0}): 0.25,
        Design({"a": "x", "b": 1}): 0.5,
    }
    assert_frequencies(drawn, expected)


def test_children_take_each_decision_from_either_parent() -> None:
    space, rng = Record({"a": Integer(0, 9), "b": Integer(0, 9)}), stream(6)
    first, second = Design({"a": 0, "b": 0}), Design({"a": 9, "b": 9})
    drawn = [crossover(space, first, second, rng) for _ in range(1000)]
    expected = {Design({"a": a, "b": b}): 0.25 for a in (0, 9) for b in (0, 9)}
    assert_frequencies(drawn, expected)


def test_a_part_that_one_parent_lacks_comes_from_the_other() -> None:
    space, rng = Either({"a": Record({"x": Integer(0, 9)}), "b": Record({})}), stream(7)
    first, second = Design({"kind": "a", "x": 7}), Design({"kind": "b"})
    children = {crossover(space, first, second, rng) for _ in range(50)}
    assert children == {first, second}


def test_mutate_refuses() -> None:
    space = Record({"x": Integer(0, 9)})
    with pytest.raises(InputError, match=r"`changes >= 1` must hold, but got \(changes=0\)"):
        mutate(space, Design({"x": 1}), stream(0), changes=0)
    with pytest.raises(InputError, match=r"^x must be an integer from 0 to 9, but got 10"):
        mutate(space, Design({"x": 10}), stream(0))
    with pytest.raises(InputError, match=r"^x must be an integer from 0 to 9, but got 11"):
        crossover(space, Design({"x": 1}), Design({"x": 11}), stream(0))
