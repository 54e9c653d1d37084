"""The grid of a space by number: how many designs it has and which one has number k.

A grid of 10^20 designs cannot be listed, but any of them can be read off its number, for decisions
hang on each other as trees: each one decides which later ones are in play.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from metawright.errors import InputError
from metawright.spaces.counting import grid_values
from metawright.spaces.decisions import decisions
from metawright.spaces.design import Design
from metawright.spaces.domain import Scalar
from metawright.spaces.points import read
from metawright.spaces.space import Space

__all__ = ["grid_design", "grid_size"]


class _Branch(NamedTuple):
    """A value of a decision, the decisions that it brings into play, and how many ways there are
    to take those."""

    value: Scalar
    children: tuple[int, ...]
    ways: int


class _Lattice(NamedTuple):
    roots: tuple[int, ...]
    branches: tuple[tuple[_Branch, ...], ...]


def grid_size(space: Space, steps: int | None = None) -> int:
    """How many designs `counting.grid` would give.

    Raises:
        InputError: a real number is open and `steps` is None, or `steps < 1`.

    Example:
        >>> from metawright.spaces import Choice, Real, Record
        >>> from metawright.spaces.lattice import grid_size
        >>> grid_size(Record({"lr": Real(1e-4, 1, log=True), "skip": Choice((0, 1))}), steps=5)
        10
    """
    lattice = _lattice(space, steps)
    return math.prod(_ways(lattice.branches[root]) for root in lattice.roots)


def grid_design(space: Space, number: int, steps: int | None = None) -> Design:
    """Design number `number` of the grid; neighbouring numbers differ in the last decisions.

    Raises:
        InputError: `0 <= number < grid_size(space, steps)` does not hold.
    """
    if not 0 <= number < grid_size(space, steps):
        raise InputError(
            f"`0 <= number < {grid_size(space, steps)}` must hold, but got (number={number})."
        )
    lattice = _lattice(space, steps)
    values: list[Scalar] = [None] * len(lattice.branches)
    _take(lattice, lattice.roots, number, values)
    return read(space, tuple(values))


def _take(lattice: _Lattice, at: Sequence[int], number: int, values: list[Scalar]) -> None:
    """Spells `number` in the decisions `at`, the last of them running fastest."""
    for decision in reversed(at):
        branches = lattice.branches[decision]
        number, rest = divmod(number, _ways(branches))
        for branch in branches:
            if rest < branch.ways:
                values[decision] = branch.value
                _take(lattice, branch.children, rest, values)
                break
            rest -= branch.ways


def _ways(branches: Sequence[_Branch]) -> int:
    return sum(branch.ways for branch in branches)


@lru_cache(maxsize=16)
def _lattice(space: Space, steps: int | None) -> _Lattice:
    if steps is not None and steps < 1:
        raise InputError(f"`steps >= 1` must hold, but got (steps={steps}).")
    flat = decisions(space)
    roots: list[int] = []
    hanging: list[list[tuple[int, tuple[Scalar, ...]]]] = [[] for _ in flat]
    for index, decision in enumerate(flat):
        if decision.condition is None:
            roots.append(index)
        else:
            hanging[decision.condition.on].append((index, decision.condition.values))
    branches: list[tuple[_Branch, ...]] = [()] * len(flat)
    for index in reversed(range(len(flat))):  # what hangs on a decision comes after it
        found = []
        for value in grid_values(flat[index], steps):
            met = [child for child, values in hanging[index] if value in values]
            ways = math.prod(_ways(branches[child]) for child in met)
            found.append(_Branch(value, tuple(met), ways))
        branches[index] = tuple(found)
    return _Lattice(tuple(roots), tuple(branches))
