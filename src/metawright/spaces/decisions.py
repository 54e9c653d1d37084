"""The flat side of a space: everything searched is a sequence of typed decisions.

Sampling, mutation, crossover, encoding and whatever policy comes later walk this one sequence, so
none of them knows which kinds of spaces there are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from metawright.errors import InputError
from metawright.spaces.domain import Choice, Domain, Integer, Real, Scalar
from metawright.spaces.space import Cell, Either, Record, Repeat, Space, source_sets

__all__ = ["Condition", "Decision", "active", "decisions", "source_choice", "width"]


@dataclass(frozen=True)
class Condition:
    """Holds where the earlier decision number `on` has one of `values`."""

    on: int
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Decision:
    """One typed decision.

    Arguments:
        name: dotted path, unique in its space, such as "network.depth" or "blocks.2.kernel".
            The length of a `Repeat` is called "blocks.length", the case of an `Either`
            "head.kind", and the fields of that case "head.linear.dropout".
        domain: what its value may be.
        condition: when it is active; None: always.
    """

    name: str
    domain: Domain
    condition: Condition | None = None


def decisions(space: Space) -> tuple[Decision, ...]:
    """All decisions of a space of designs, each after the one on which it depends.

    Raises:
        InputError: `space` is neither a `Record` nor an `Either`, so its values are no designs.

    Example:
        >>> from metawright.spaces import Integer, Record, Repeat, decisions
        >>> space = Record({"widths": Repeat(Integer(8, 64, log=True), 1, 2)})
        >>> [decision.name for decision in decisions(space)]
        ['widths.length', 'widths.0', 'widths.1']
        >>> decisions(space)[2].condition
        Condition(on=0, values=(2,))
    """
    if not isinstance(space, (Record, Either)):
        raise InputError(
            f"A space of designs must be a Record or an Either, but got {space!r}: "
            "put it into a Record under a name."
        )
    return _flatten(space)


def active(decision: Decision, values: Sequence[Scalar]) -> bool:
    """Whether `decision` counts, given the values of the decisions before it."""
    condition = decision.condition
    return condition is None or values[condition.on] in condition.values


def width(space: Space) -> int:
    """How many decisions a part of a space takes, active or not."""
    return len(_flatten(space))


def source_choice(cell: Cell, node: int) -> Choice | None:
    """What a node may read, as texts such as "0,2"; None where only one set is left."""
    sets = source_sets(cell, node)
    if len(sets) == 1:
        return None
    return Choice(tuple(",".join(map(str, sources)) for sources in sets))


# Types are part of a domain's equality (see `Choice`), so equal keys are the same space.
@lru_cache(maxsize=1024)
def _flatten(space: Space) -> tuple[Decision, ...]:
    """Decisions with names and conditions relative to `space`; the name of a leaf is empty."""
    flat: list[Decision] = []
    match space:
        case Choice() | Integer() | Real():
            flat.append(Decision("", space))
        case Record(fields):
            for name, field in fields.items():
                flat += _nested(field, name, len(flat))
        case Repeat(item, low, high):
            if low < high:
                flat.append(Decision("length", Integer(low, high)))
            for index in range(high):
                longer = Condition(0, tuple(range(index + 1, high + 1)))
                flat += _nested(item, str(index), len(flat), longer if index >= low else None)
        case Either(cases):
            flat.append(Decision("kind", Choice(tuple(cases))))
            for name, record in cases.items():
                flat += _nested(record, name, len(flat), Condition(0, (name,)))
        case Cell(nodes, operations, inputs):
            for node in range(inputs, nodes):
                path = str(node - inputs)
                sources = source_choice(space, node)
                if sources is not None:
                    flat.append(Decision(f"{path}.sources", sources))
                for slot in range(len(source_sets(space, node)[0])):
                    flat.append(Decision(f"{path}.operations.{slot}", Choice(operations)))
    return tuple(flat)


def _nested(
    part: Space, name: str, offset: int, condition: Condition | None = None
) -> list[Decision]:
    """The decisions of a part, moved to `offset`; those that were unconditional take `condition`.

    One condition a decision is enough: where an outer one fails, the inner decision that a third
    one asks about is itself inactive, and None is in nobody's `values`.
    """
    moved = []
    for inner in _flatten(part):
        own = inner.condition
        moved.append(
            Decision(
                name=f"{name}.{inner.name}" if inner.name else name,
                domain=inner.domain,
                condition=Condition(own.on + offset, own.values) if own else condition,
            )
        )
    return moved
