"""Local search: it reaches the top of a hill, leaves no neighbour out, and starts again."""

from collections.abc import Callable
from typing import Any

import pytest

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import Choice, Design, Integer, Record, Repeat, write
from metawright.spaces.neighbours import neighbours
from metawright.store.records import Trial
from metawright.strategies.local import LocalSearch

HILL = Record({"bits": Repeat(Choice((0, 1)), 12, 12), "x": Integer(0, 99)})
LINE = Record({"x": Integer(0, 999)})


def run(
    strategy: LocalSearch, worth: Callable[[Design], float], trials: int, first: int = 0
) -> list[Design]:
    designs = []
    for number in range(first, first + trials):
        designs += strategy.ask(1)
        strategy.tell([Trial(str(number), "task", designs[-1], {"score": worth(designs[-1])})])
    return designs


@pytest.mark.parametrize("seed", range(3))
def test_it_reaches_the_top_of_a_single_hill(seed: int) -> None:
    """One design of 4096 * 100; with all neighbours better or worse by what they are nearer."""

    def worth(design: Design) -> float:
        return float(sum(design["bits"]) - abs(design["x"] - 70))

    designs = run(LocalSearch(HILL, rng=stream(seed)), worth, 300)
    assert max(worth(design) for design in designs) == 12


def test_all_neighbours_of_a_top_are_tried_before_a_new_start() -> None:
    top = Design({"bits": [1] * 12, "x": 99})
    around = set(neighbours(HILL, top))

    def worth(design: Design) -> float:
        return float(design == top)

    strategy = LocalSearch(HILL, rng=stream(0), starts=1, warm_start=[top])
    designs = run(strategy, worth, 1 + len(around) + 5)
    assert designs[0] == top and set(designs[1 : 1 + len(around)]) == around
    points = [write(HILL, design) for design in designs[1 + len(around) :]]
    assert all(sum(a != b for a, b in zip(p, write(HILL, top), strict=True)) > 1 for p in points)


def test_it_moves_to_the_first_better_neighbour() -> None:
    strategy = LocalSearch(HILL, rng=stream(0), starts=1)
    (start,) = strategy.ask(1)
    strategy.tell([Trial("0", "task", start, {"score": 0.0})])
    first, second = strategy.ask(2)
    assert {first, second} <= set(neighbours(HILL, start))
    strategy.tell([Trial("1", "task", first, {"score": 1.0})])
    (third,) = strategy.ask(1)
    assert third in set(neighbours(HILL, first))


def test_a_climb_begins_at_the_best_start() -> None:
    strategy = LocalSearch(LINE, rng=stream(0), starts=4, steps=())
    for number, (x, score) in enumerate([(10, 0.1), (500, 0.9), (900, None), (30, 0.3)]):
        scores = {} if score is None else {"score": score}
        strategy.tell([Trial(str(number), "task", Design({"x": x}), scores)])
    assert not {d["x"] for d in strategy.ask(1)} & {499, 501}  # three starts so far
    strategy.tell([Trial("4", "task", Design({"x": 700}), {"score": 0.0})])
    assert {design["x"] for design in strategy.ask(2)} == {499, 501}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"starts": 0}, r"`starts >= 1` must hold, but got \(starts=0\)"),
        ({"steps": (0.1, 0.0)}, r"`steps` must be above 0 and at most 1"),
        ({"warm_start": [Design({"x": -1})]}, r"^x must be an integer from 0 to 999"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        LocalSearch(LINE, rng=stream(0), **arguments)
