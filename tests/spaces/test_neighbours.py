"""Neighbours: one decision apart, all of them, and none too many."""

import pytest

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import (
    Choice,
    Design,
    Integer,
    Real,
    Record,
    Repeat,
    Space,
    check,
    grid,
    write,
)
from metawright.spaces.draw import sample
from metawright.spaces.neighbours import neighbours

FLAT = Record({"a": Choice(("x", "y", "z")), "b": Choice((True, False)), "c": Integer(1, 3)})


def apart(space: Space, first: Design, second: Design) -> int:
    return sum(a != b for a, b in zip(write(space, first), write(space, second), strict=True))


def test_they_are_all_the_designs_that_differ_in_one_decision() -> None:
    for design in grid(FLAT):
        expected = {other for other in grid(FLAT) if apart(FLAT, design, other) == 1}
        found = list(neighbours(FLAT, design, steps=(0.5, 1.0)))
        assert set(found) == expected and len(found) == len(expected)


def test_integers_take_their_next_values_whatever_the_steps() -> None:
    space = Record({"n": Integer(1, 1000)})
    found = [design["n"] for design in neighbours(space, Design({"n": 1}), steps=(0.1,))]
    assert found == [2, 101]


def test_a_change_of_structure_fills_what_comes_into_play() -> None:
    item = Record({"width": Integer(8, 64, log=True), "act": Choice(("relu", "gelu"))})
    space = Record({"blocks": Repeat(item, 1, 2)})
    block = {"width": 8, "act": "gelu"}
    found = list(neighbours(space, Design({"blocks": [block]}), steps=(1.0,)))
    assert Design({"blocks": [block, {"width": 23, "act": "relu"}]}) in found
    assert len(found) == 1 + 2 + 1  # a second block; widths 9 and 64; another activation


def test_steps_count_on_the_scale_and_stay_inside() -> None:
    space = Record({"lr": Real(1e-4, 1.0, log=True)})
    found = [design["lr"] for design in neighbours(space, Design({"lr": 0.1}), steps=(0.25, 0.5))]
    assert found == [0.001, 0.01, 1.0]
    (only,) = {
        d["x"] for d in neighbours(Record({"x": Real(0, 1)}), Design({"x": 0.0}), steps=(1,))
    }
    assert only == 1.0


def test_every_neighbour_is_a_design_of_the_space(space: Space) -> None:
    design = sample(space, stream(0))
    for other in neighbours(space, design):
        check(space, other)
        assert other != design


def test_impossible_steps_are_refused() -> None:
    with pytest.raises(InputError, match=r"`steps` must be above 0 and at most 1, but got \(2,\)"):
        list(neighbours(FLAT, Design({"a": "x", "b": True, "c": 1}), steps=(2,)))
