"""Random designs: drawn afresh, changed a little, or mixed from two.

All three walk the flat decisions of a space and differ only in where a value comes from. This is
the one module of the package that loads torch (for its generators).
"""

import math
from collections.abc import Callable

import torch

from metawright import rng as streams
from metawright.errors import InputError
from metawright.spaces.decisions import Decision, active, decisions
from metawright.spaces.design import Design
from metawright.spaces.domain import (
    Choice,
    Domain,
    Integer,
    Real,
    Scalar,
    from_unit,
    size,
    to_unit,
)
from metawright.spaces.points import read, write
from metawright.spaces.space import Space

__all__ = ["crossover", "draw", "mutate", "sample"]

# A mutated number moves by a normal step of this share of its scale ...
_LOCAL_STEP = 0.15
# ... except in this share of cases, when it is drawn afresh, so that far values stay in reach.
_RESAMPLE_RATE = 0.2
# Tries until a number differs; rounding may give the same one several times in a row.
_MOVE_TRIES = 20


def sample(space: Space, rng: torch.Generator) -> Design:
    """A design whose active decisions are each uniform over their domain, on its scale.

    The parts of a variable structure therefore count equally, not their designs: each case of an
    `Either` is as likely as the others, however many designs it has.
    """
    return _walk(space, lambda _, decision: draw(decision.domain, rng))


def mutate(space: Space, design: Design, rng: torch.Generator, *, changes: int = 1) -> Design:
    """The design with some of its decisions changed, always a valid one.

    A choice takes another option; a number moves by a normal step on its scale, or is drawn afresh
    in a fifth of the cases. Decisions that come into play by a change are drawn as in `sample`;
    those that go out of play are dropped.

    Arguments:
        space: a space of designs.
        design: one of them.
        rng: where the draws come from.
        changes: how many decisions change (all that can, where there are fewer), at least 1.

    Returns:
        a design that differs from `design`, unless the space has no other.

    Raises:
        InputError: the design is not in the space, or `changes < 1`.
    """
    if changes < 1:
        raise InputError(f"`changes >= 1` must hold, but got (changes={changes}).")
    old = write(space, design)
    flat = decisions(space)
    was_active = [active(decision, old) for decision in flat]
    free = [i for i, decision in enumerate(flat) if was_active[i] and size(decision.domain) > 1]
    chosen = {free[i] for i in _permutation(len(free), rng)[:changes]}

    def value(index: int, decision: Decision) -> Scalar:
        if index in chosen:
            return _move(decision.domain, old[index], rng)
        return old[index] if was_active[index] else draw(decision.domain, rng)

    return _walk(space, value)


def crossover(space: Space, first: Design, second: Design, rng: torch.Generator) -> Design:
    """A mix of two designs: each decision comes from either parent with equal chance.

    A decision that is in play in only one parent comes from that one, so the child is always
    valid; between two equal parents it is their copy.

    Raises:
        InputError: a parent is not in the space.
    """
    parents = (write(space, first), write(space, second))

    def value(index: int, decision: Decision) -> Scalar:
        living = [point for point in parents if active(decision, point)]
        return living[streams.integer(rng, 2) if len(living) == 2 else 0][index]

    return _walk(space, value)


def _walk(space: Space, value: Callable[[int, Decision], Scalar]) -> Design:
    """The design whose active decisions are `value(index, decision)`, taken in order."""
    values: list[Scalar] = []
    for index, decision in enumerate(decisions(space)):
        values.append(value(index, decision) if active(decision, values) else None)
    return read(space, tuple(values))


def draw(domain: Domain, rng: torch.Generator) -> Scalar:
    """A value of one decision, uniform over its domain, on its scale."""
    match domain:
        case Choice(options):
            return options[streams.integer(rng, len(options))]
        case Integer(low, high, log):
            if not log:
                return low + streams.integer(rng, high - low + 1)
            # Half a step more at both ends gives the end values their full share.
            wide = Real(low - 0.5, high + 0.5, log=True)
            return min(max(round(from_unit(wide, _uniform(rng))), low), high)
        case Real():
            return from_unit(domain, _uniform(rng))


def _move(domain: Domain, value: Scalar, rng: torch.Generator) -> Scalar:
    """Another value than `value`, near it where the domain knows near."""
    if isinstance(domain, Choice):
        others = [option for option in domain.options if option != value]
        return others[streams.integer(rng, len(others))]
    assert isinstance(value, (int, float))
    afresh = _uniform(rng) < _RESAMPLE_RATE
    unit = to_unit(domain, value)
    for _ in range(_MOVE_TRIES):
        moved = draw(domain, rng) if afresh else from_unit(domain, _near(unit, rng))
        if moved != value:
            return moved
    return domain.low if value != domain.low else domain.high


def _near(unit: float, rng: torch.Generator) -> float:
    """A normal step from `unit`, mirrored at 0 and 1 so that no mass gathers at the ends."""
    step = torch.randn((), generator=rng, device=rng.device, dtype=torch.float64)
    folded = math.fabs(unit + _LOCAL_STEP * float(step)) % 2
    return 2 - folded if folded > 1 else folded


def _uniform(rng: torch.Generator) -> float:
    return float(torch.rand((), generator=rng, device=rng.device, dtype=torch.float64))


def _permutation(length: int, rng: torch.Generator) -> list[int]:
    order: list[int] = torch.randperm(length, generator=rng, device=rng.device).tolist()
    return order
