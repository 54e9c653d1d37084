"""What lies next to a design: all designs that differ from it in one decision.

Local search climbs over them, and a winner whose neighbours are as good as itself was no accident.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from metawright.errors import InputError
from metawright.spaces.decisions import Decision, active, decisions
from metawright.spaces.design import Design
from metawright.spaces.domain import Choice, Domain, Integer, Scalar, from_unit, to_unit
from metawright.spaces.points import read, write
from metawright.spaces.space import Point, Space

__all__ = ["STEPS", "Change", "apply", "changes", "middle", "neighbours"]

STEPS = (0.02, 0.1, 0.3)
"""How far numbers move, as shares of their scale."""


class Change(NamedTuple):
    """Decision number `at` takes `value`."""

    at: int
    value: Scalar


def neighbours(
    space: Space,
    design: Design,
    *,
    steps: Sequence[float] = STEPS,
    fill: Callable[[Decision], Scalar] | None = None,
) -> Iterator[Design]:
    """All designs at one changed decision, in the order of the decisions.

    A choice takes each other option. A number takes one step up and down of each size, an integer
    its next values too. Decisions that come into play by the change are filled.

    Arguments:
        space: a space of designs.
        design: one of them.
        steps: sizes of steps as shares of a number's scale, each in 0..1.
        fill: the value of a decision that comes into play; None: the first option of a choice, the
            middle of a number's scale.

    Raises:
        InputError: the design is not in the space, or a step is not in 0..1.

    Example:
        >>> from metawright.spaces import Choice, Design, Integer, Record
        >>> from metawright.spaces.neighbours import neighbours
        >>> space = Record({"depth": Integer(1, 9), "norm": Choice(("batch", "group", "none"))})
        >>> for design in neighbours(space, Design({"depth": 9, "norm": "none"}), steps=(0.5,)):
        ...     print(design["depth"], design["norm"])
        5 none
        8 none
        9 batch
        9 group
    """
    point = write(space, design)
    for change in changes(space, point, steps=steps):
        yield apply(space, point, change, fill or middle)


def changes(space: Space, point: Point, *, steps: Sequence[float] = STEPS) -> list[Change]:
    """The single changes of a point that lead to its neighbours: many, but cheap to list.

    Raises:
        InputError: a step is not in 0..1.
    """
    if not all(0 < step <= 1 for step in steps):
        raise InputError(f"`steps` must be above 0 and at most 1, but got {tuple(steps)}.")
    return [
        Change(at, value)
        for at, decision in enumerate(decisions(space))
        if active(decision, point)
        for value in _others(decision.domain, point[at], steps)
    ]


def apply(
    space: Space, point: Point, change: Change, fill: Callable[[Decision], Scalar]
) -> Design:
    """The design of the point with one decision changed."""
    values: list[Scalar] = []
    for at, decision in enumerate(decisions(space)):
        if not active(decision, values):
            values.append(None)
        elif at == change.at:
            values.append(change.value)
        else:
            values.append(point[at] if active(decision, point) else fill(decision))
    return read(space, tuple(values))


def middle(decision: Decision) -> Scalar:
    """The first option of a choice, the middle of a number's scale."""
    domain = decision.domain
    return domain.options[0] if isinstance(domain, Choice) else from_unit(domain, 0.5)


def _others(domain: Domain, value: Scalar, steps: Sequence[float]) -> Sequence[Scalar]:
    if isinstance(domain, Choice):
        return [option for option in domain.options if option != value]
    assert isinstance(value, int | float)
    unit = to_unit(domain, value)
    found = {
        from_unit(domain, place)
        for step in steps
        for place in (unit - step, unit + step)
        if 0 <= place <= 1
    }
    if isinstance(domain, Integer):
        found |= {near for near in (value - 1, value + 1) if domain.low <= near <= domain.high}
    elif not found and domain.low < domain.high:
        found = {domain.low, domain.high}
    return sorted(found - {value})
