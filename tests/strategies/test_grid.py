"""Grid search: everything once, ends included, and spread wherever it is stopped."""

import pytest

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import Choice, Design, Either, Integer, Real, Record, grid
from metawright.store.records import Trial
from metawright.strategies.grid import Grid, _stride

SPACE = Record(
    {
        "lr": Real(1e-4, 1.0, log=True),
        "head": Either({"linear": Record({}), "mlp": Record({"depth": Integer(1, 3)})}),
    }
)


def test_the_grid_is_gone_through_once() -> None:
    strategy = Grid(SPACE, rng=stream(0), steps=5)
    assert strategy.size == 5 * (1 + 3)
    designs = strategy.ask(20)
    assert set(designs) == set(grid(SPACE, steps=5))
    assert sorted({design["lr"] for design in designs}) == [1e-4, 1e-3, 0.01, 0.1, 1.0]


def test_a_finer_grid_follows_that_holds_the_first_one() -> None:
    strategy = Grid(SPACE, rng=stream(0), steps=5)
    assert set(strategy.ask(36)) == set(grid(SPACE, steps=9))


@pytest.mark.parametrize("asked", [10, 25, 50])
def test_a_stopped_grid_is_spread(asked: int) -> None:
    """In each decision the values are as even as they can be, to a factor of two."""
    space = Record({"a": Integer(1, 5), "b": Choice(tuple("vwxyz")), "c": Real(0.0, 1.0)})
    designs = Grid(space, rng=stream(1), steps=5).ask(asked)
    for name in ("a", "b", "c"):
        values = [design[name] for design in designs]
        often = [values.count(value) for value in set(values)]
        assert len(often) == 5 and max(often) <= 2 * asked / 5


def test_strides_meet_every_number() -> None:
    for total in range(1, 200):
        assert {_stride(total) * taken % total for taken in range(total)} == set(range(total))


def test_told_designs_and_the_warm_start_are_not_repeated() -> None:
    listed = list(grid(SPACE, steps=5))
    strategy = Grid(SPACE, rng=stream(0), steps=5, warm_start=[listed[7]])
    strategy.tell([Trial(str(i), "task", d, {}) for i, d in enumerate(listed[:3])])
    designs = strategy.ask(17)
    assert designs[0] == listed[7] and set(designs) == set(listed[3:])


def test_the_last_grid_is_followed_by_random_designs() -> None:
    only = Record({"x": Choice(("a", "b"))})
    designs = Grid(only, rng=stream(0)).ask(5)
    assert set(designs[:2]) == {Design({"x": "a"}), Design({"x": "b"})}


def test_a_grid_has_steps() -> None:
    with pytest.raises(InputError, match=r"`steps >= 1` must hold, but got \(steps=0\)"):
        Grid(SPACE, rng=stream(0), steps=0)
