"""How many designs a space has, and all of them in turn where they can be listed."""

import math
from collections.abc import Iterator, Sequence

from metawright.errors import InputError
from metawright.spaces.decisions import Decision, active, decisions
from metawright.spaces.design import Design
from metawright.spaces.domain import Choice, Integer, Real, Scalar, from_unit, size
from metawright.spaces.points import read
from metawright.spaces.space import Cell, Either, Record, Repeat, Space, source_sets

__all__ = ["count", "grid", "grid_values"]


def count(space: Space) -> int | float:
    """How many values the space (or a part of one) has; `math.inf` with an open real number.

    Example:
        >>> from metawright.spaces import Cell, count
        >>> count(Cell(4, ("none", "skip", "conv1", "conv3", "pool")))  # NAS-Bench-201
        15625
    """
    match space:
        case Choice() | Integer() | Real():
            return size(space)
        case Record(fields):
            return math.prod(count(field) for field in fields.values())
        case Repeat(item, low, high):
            if math.isinf(count(item)):
                return 1 if high == 0 else math.inf
            return sum(count(item) ** length for length in range(low, high + 1))
        case Either(cases):
            return sum(count(case) for case in cases.values())
        case Cell(nodes, operations, inputs):
            cells = 1
            for node in range(inputs, nodes):
                sets = source_sets(space, node)
                cells *= len(sets) * len(operations) ** len(sets[0])
            return cells


def grid(space: Space, *, steps: int | None = None) -> Iterator[Design]:
    """Every design of the space once, in the order of its decisions.

    Arguments:
        space: a space of designs.
        steps: how many values at most to take of each number, evenly spread over its scale; None:
            all integers, for spaces without open real numbers.

    Raises:
        InputError: a real number is open and `steps` is None, or `steps < 1`.
    """
    if steps is not None and steps < 1:
        raise InputError(f"`steps >= 1` must hold, but got (steps={steps}).")
    flat = decisions(space)
    values = [grid_values(decision, steps) for decision in flat]
    # A stack instead of recursion: a space may have more decisions than Python has frames.
    partial: list[tuple[Scalar, ...]] = [()]
    while partial:
        point = partial.pop()
        if len(point) == len(flat):
            yield read(space, point)
        elif active(flat[len(point)], point):
            partial += [(*point, value) for value in reversed(values[len(point)])]
        else:
            partial.append((*point, None))


def grid_values(decision: Decision, steps: int | None) -> Sequence[Scalar]:
    """The values of one decision in a grid: every option, and of numbers at most `steps`.

    Raises:
        InputError: the decision is an open real number and `steps` is None.
    """
    domain = decision.domain
    if isinstance(domain, Choice):
        return domain.options
    if isinstance(domain, Integer) and (steps is None or size(domain) <= steps):
        return range(domain.low, domain.high + 1)
    if domain.low == domain.high:
        return (domain.low,)
    if steps is None:
        raise InputError(
            f"{decision.name} is a real number with no end of values: say how many with `steps`."
        )
    units = [0.5] if steps == 1 else [step / (steps - 1) for step in range(steps)]
    return sorted({from_unit(domain, unit) for unit in units})
