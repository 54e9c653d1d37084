"""How many designs there are, against figures from elsewhere; the contract compares with lists."""

import math
from itertools import combinations_with_replacement, product

import pytest

from metawright.errors import InputError
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


def test_published_cells() -> None:
    operations = ("a", "b", "c", "d", "e")
    assert count(Cell(4, operations)) == 15_625  # NAS-Bench-201, section 2.1
    # DARTS, appendix: prod_{k=1}^{4} (k+1) k / 2 * 7^2 cells, without the operation "none".
    assert count(Cell(6, (*operations, "f", "g"), inputs=2, fan_in=2)) == 180 * 7**8


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (Choice((1, 2, 3)), 3),
        (Integer(-1, 3), 5),
        (Real(0, 1), math.inf),
        (Real(1, 1), 1),
        (Record({}), 1),
        (Record({"a": Integer(1, 3), "b": Choice((1, 2))}), 6),
        (Repeat(Integer(1, 3), 0, 2), 1 + 3 + 9),
        (Repeat(Real(0, 1), 0, 0), 1),
        (Repeat(Real(0, 1), 0, 1), math.inf),
        (Either({"a": Record({"x": Integer(1, 3)}), "b": Record({})}), 4),
        (Record({"bits": Repeat(Choice((0, 1)), 500, 500)}), 2**500),
    ],
)
def test_small_counts(space: Space, expected: float) -> None:
    assert count(space) == expected


def test_the_grid_of_a_record_is_the_product() -> None:
    space = Record({"a": Integer(1, 3), "b": Choice(("x", "y"))})
    expected = [Design({"a": a, "b": b}) for a, b in product((1, 2, 3), ("x", "y"))]
    assert list(grid(space)) == expected


def test_the_grid_of_a_repeat_has_every_length() -> None:
    space = Record({"parts": Repeat(Choice((0, 1)), 0, 3)})
    parts = {part for length in range(4) for part in product((0, 1), repeat=length)}
    assert {design["parts"] for design in grid(space)} == parts
    assert parts > set(combinations_with_replacement((0, 1), 2))


def test_steps_thin_numbers_out() -> None:
    space = Record(
        {"lr": Real(0.001, 1.0, log=True), "width": Integer(1, 101), "depth": Integer(1, 2)}
    )
    designs = list(grid(space, steps=3))
    assert sorted({design["lr"] for design in designs}) == [0.001, pytest.approx(10**-1.5), 1.0]
    assert sorted({design["width"] for design in designs}) == [1, 51, 101]
    assert len(designs) == 3 * 3 * 2


def test_a_grid_needs_ends() -> None:
    with pytest.raises(InputError, match=r"^lr is a real number .* say how many with `steps`"):
        next(grid(Record({"lr": Real(0, 1)})))
    with pytest.raises(InputError, match=r"`steps >= 1` must hold, but got \(steps=0\)"):
        next(grid(Record({}), steps=0))
