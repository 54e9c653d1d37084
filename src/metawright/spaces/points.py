"""Designs as points and back: `write` and `read` are inverse to each other.

A point has one value per decision of the space and None where the decision is inactive, so equal
designs have equal points and the other way round. Where an option itself is None, the decisions
before it tell which None is meant.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from metawright.errors import InputError
from metawright.spaces.decisions import active, decisions, source_choice, width
from metawright.spaces.design import Design
from metawright.spaces.domain import Choice, Domain, Integer, Real, Scalar, admits, describe
from metawright.spaces.space import Cell, Either, Point, Record, Repeat, Space, source_sets

__all__ = ["check", "contains", "explain_mismatch", "read", "write"]


def read(space: Space, point: Point) -> Design:
    """The design of a point.

    Raises:
        InputError: the point has another length than the space has decisions, a value lies outside
            its domain, or an inactive decision has a value other than None.

    Example:
        >>> from metawright.spaces import Integer, Record, Repeat, read, write
        >>> space = Record({"widths": Repeat(Integer(8, 64), 1, 3)})
        >>> read(space, (2, 16, 32, None))
        Design(widths=(16, 32))
        >>> write(space, read(space, (2, 16, 32, None)))
        (2, 16, 32, None)
    """
    flat = decisions(space)
    if len(point) != len(flat):
        raise InputError(
            f"A point of this space must have {len(flat)} values, but got {len(point)}."
        )
    for decision, value in zip(flat, point, strict=True):
        if active(decision, point):
            _check_value(decision.name, decision.domain, value)
        elif value is not None:
            raise InputError(
                f"{decision.name} is inactive in this point and must be None, but got {value!r}."
            )
    design: Design = _read(space, point, 0)
    return design


def write(space: Space, design: Design) -> Point:
    """The point of a design.

    Raises:
        InputError: the design is not in the space; the sentence names the path in the design and
            what is allowed there.
    """
    values: list[Scalar] = [None] * len(decisions(space))
    _write(space, design, "", values, 0)
    return tuple(values)


def check(space: Space, design: Design) -> None:
    """Returns if the design is in the space.

    Raises:
        InputError: it is not; the sentence names the path and what is allowed there.
    """
    write(space, design)


def explain_mismatch(space: Space, design: Design) -> str | None:
    """Why the design is not in the space, in one sentence; None if it is."""
    try:
        check(space, design)
    except InputError as error:
        return str(error)
    return None


def contains(space: Space, design: Design) -> bool:
    """Whether the design is in the space."""
    return explain_mismatch(space, design) is None


def _read(space: Space, point: Point, at: int) -> Any:
    """The value of the part whose decisions start at number `at`."""
    match space:
        case Choice() | Integer() | Real():
            return point[at]
        case Record():
            return Design(_read_fields(space, point, at))
        case Repeat(item, low, high):
            length: Any = low if low == high else point[at]
            first, step = (at if low == high else at + 1), width(item)
            return tuple(_read(item, point, first + step * index) for index in range(length))
        case Either(cases):
            kind: Any = point[at]
            first = at + 1 + _offset(cases, kind)
            return Design({"kind": kind} | _read_fields(cases[kind], point, first))
        case Cell():
            return tuple(_read_nodes(space, point, at))


def _read_fields(record: Record, point: Point, at: int) -> dict[str, Any]:
    values = {}
    for name, field in record.fields.items():
        values[name] = _read(field, point, at)
        at += width(field)
    return values


def _read_nodes(cell: Cell, point: Point, at: int) -> Iterable[Design]:
    for node in range(cell.inputs, cell.nodes):
        sources, options = source_sets(cell, node)[0], source_choice(cell, node)
        if options is not None:
            sources = source_sets(cell, node)[options.options.index(point[at])]
            at += 1
        yield Design({"sources": sources, "operations": point[at : at + len(sources)]})
        at += len(sources)


def _write(space: Space, value: Any, path: str, values: list[Scalar], at: int) -> None:
    """Puts the decisions of `value` into `values` from number `at` on."""
    match space:
        case Choice() | Integer() | Real():
            _check_value(path, space, value)
            values[at] = value
        case Record(fields):
            _check_names(path, value, tuple(fields))
            _write_fields(space, value, path, values, at)
        case Repeat(item, low, high):
            _check_length(path, value, low, high)
            if low < high:
                values[at] = len(value)
                at += 1
            for index, part in enumerate(value):
                _write(item, part, _join(path, index), values, at + index * width(item))
        case Either(cases):
            if not isinstance(value, Design) or "kind" not in value:
                raise InputError(f"{_place(path)} must be a design with 'kind', not {value!r}.")
            kind = value["kind"]
            _check_value(_join(path, "kind"), Choice(tuple(cases)), kind)
            values[at] = kind
            _check_names(path, value, ("kind", *cases[kind].fields))
            _write_fields(cases[kind], value, path, values, at + 1 + _offset(cases, kind))
        case Cell(nodes, _, inputs):
            _check_length(path, value, nodes - inputs, nodes - inputs)
            for node, part in zip(range(inputs, nodes), value, strict=True):
                at = _write_node(space, node, part, _join(path, node - inputs), values, at)


def _write_fields(record: Record, value: Design, path: str, values: list[Scalar], at: int) -> None:
    for name, field in record.fields.items():
        _write(field, value[name], _join(path, name), values, at)
        at += width(field)


def _write_node(
    cell: Cell, node: int, value: Any, path: str, values: list[Scalar], at: int
) -> int:
    """Writes one node of a cell; the number of the next decision."""
    _check_names(path, value, ("sources", "operations"))
    sets, options = source_sets(cell, node), source_choice(cell, node)
    sources, operations = value["sources"], value["operations"]
    if sources not in sets or not all(type(source) is int for source in sources):
        allowed = ", ".join(map(str, sets))
        raise InputError(f"{path}.sources must be one of {allowed}, but got {sources!r}.")
    if options is not None:
        values[at] = options.options[sets.index(sources)]
        at += 1
    _check_length(f"{path}.operations", operations, len(sources), len(sources))
    for slot, operation in enumerate(operations):
        _check_value(f"{path}.operations.{slot}", Choice(cell.operations), operation)
        values[at + slot] = operation
    return at + len(sources)


def _offset(cases: Mapping[str, Record], kind: str) -> int:
    """How many decisions of other cases stand before those of `kind`."""
    names = list(cases)
    return sum(width(cases[name]) for name in names[: names.index(kind)])


def _join(path: str, name: str | int) -> str:
    return f"{path}.{name}" if path else str(name)


def _check_value(path: str, domain: Domain, value: object) -> None:
    if not admits(domain, value):
        raise InputError(f"{path} must be {describe(domain)}, but got {value!r}.")


def _check_names(path: str, value: Any, names: tuple[str, ...]) -> None:
    if not isinstance(value, Design):
        raise InputError(f"{_place(path)} must be a design with {_listed(names)}, not {value!r}.")
    for name in names:
        if name not in value:
            raise InputError(f"{_place(path)} must have '{name}', but has {_listed(value)}.")
    for name in value:
        if name not in names:
            raise InputError(f"{_place(path)} has '{name}', but may have only {_listed(names)}.")


def _check_length(path: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, tuple):
        raise InputError(f"{path} must be a list of parts, but got {value!r}.")
    if not low <= len(value) <= high:
        bounds = str(low) if low == high else f"{low} to {high}"
        raise InputError(f"{path} must have {bounds} parts, but got {len(value)}.")


def _place(path: str) -> str:
    return path or "The design"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "no names"
