"""Grids by number against the listed grid."""

import pytest

from metawright.errors import InputError
from metawright.spaces import Cell, Record, Repeat, Space, check, grid
from metawright.spaces.lattice import grid_design, grid_size


def test_the_numbers_are_those_of_the_listed_grid(space: Space) -> None:
    total = grid_size(space, steps=2)
    if total > 3000:  # too many to list: some of them must differ and be in the space
        found = {grid_design(space, total // 50 * part, steps=2) for part in range(50)}
        assert len(found) == 50
        for design in found:
            check(space, design)
        return
    listed = list(grid(space, steps=2))
    assert total == len(listed)
    assert {grid_design(space, number, steps=2) for number in range(total)} == set(listed)


def test_a_huge_grid_is_counted_and_read() -> None:
    huge = Record({"cells": Repeat(Cell(4, ("a", "b", "c", "d", "e")), 0, 9)})
    total = grid_size(huge)
    assert total == sum(15_625**length for length in range(10))
    assert grid_design(huge, 0)["cells"] == ()
    assert len(grid_design(huge, total - 1)["cells"]) == 9


def test_numbers_outside_the_grid_are_refused(space: Space) -> None:
    with pytest.raises(InputError, match=r"`0 <= number < \d+` must hold, but got \(number=-1\)"):
        grid_design(space, -1, steps=2)
    with pytest.raises(InputError, match=r"`steps >= 1` must hold"):
        grid_size(space, steps=0)
