"""Designs of any space and their decisions in words."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metawright.app.report.words import number
from metawright.spaces.space import Cell, Either, Record, Repeat, Space, source_sets

__all__ = ["cells_of", "decision_words", "design_parts", "design_rows", "in_order", "upper"]


def upper(words: str) -> str:
    """The words with a capital at their start.

    Example:
        >>> upper("FLOPs an example"), upper("seed")
        ('FLOPs an example', 'Seed')
    """
    return words[:1].upper() + words[1:]


def _leaf(value: Any) -> str:
    """The value of one decision."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "none"
    return number(value) if isinstance(value, float) else str(value)


def design_parts(design: Mapping[str, Any], space: Space | None = None) -> dict[str, str]:
    """The fields of a design and what they are, in words: one row for a field, one for each part
    of a repeated one.

    Example:
        >>> from metawright.spaces import Design
        >>> design_parts(Design({"stages": [{"width": 8, "skip": True}, {"width": 16}],
        ...     "optimiser": {"kind": "adam", "lr": 0.1}}))
        {'stages 1': 'width 8, skip yes', 'stages 2': 'width 16', 'optimiser': 'adam, lr 0.1'}
    """
    fields = space.fields if isinstance(space, Record) else {}
    parts: dict[str, str] = {}
    for name, value in in_order(design, space):
        words = name.replace("_", " ")
        if isinstance(value, tuple | list) and value and not _is_cell(value):
            for index, item in enumerate(value, 1):
                parts[f"{words} {index}"] = _words(item, _item(fields.get(name)))
        else:
            parts[words] = _words(value, fields.get(name))
    return parts


def design_rows(design: Mapping[str, Any], space: Space | None = None) -> dict[str, str]:
    """As `design_parts`, with a row for each field of the architecture and of the training."""
    fields = space.fields if isinstance(space, Record) else {}
    rows: dict[str, str] = {}
    for name, value in in_order(design, space):
        if name in ("architecture", "training") and isinstance(value, Mapping):
            parts = design_parts(value, fields.get(name))
        else:
            parts = design_parts({name: value}, space)
        rows |= parts
    return rows


def in_order(design: Mapping[str, Any], space: Space | None) -> list[tuple[str, Any]]:
    """The fields of a design in the order of its space; a store gives them sorted by name."""
    fields = list(space.fields) if isinstance(space, Record) else []
    known = [(name, design[name]) for name in fields if name in design]
    return known + [(name, value) for name, value in design.items() if name not in fields]


def _words(value: Any, space: Space | None) -> str:
    if _is_cell(value):
        return _cell_words(value, space.inputs if isinstance(space, Cell) else 1)
    if isinstance(value, Mapping):
        if isinstance(space, Either):
            space = space.cases.get(str(value.get("kind")))
        fields = space.fields if isinstance(space, Record) else {}
        told = [str(value["kind"])] if "kind" in value else []
        for name, part in in_order(value, space):
            if name != "kind":
                words = _words(part, fields.get(name))
                inside = isinstance(part, Mapping) and ", " in words
                told.append(f"{name.replace('_', ' ')} {f'({words})' if inside else words}")
        return ", ".join(told) or "nothing"
    if isinstance(value, tuple | list):
        return "; ".join(f"({_words(item, _item(space))})" for item in value) or "none"
    return _leaf(value)


def _cell_words(nodes: Sequence[Mapping[str, Any]], inputs: int) -> str:
    """A cell as a line: "1 = conv3 of 0; 2 = skip of 0 + conv1 of 1"."""
    told = []
    for index, node in enumerate(nodes, inputs):
        read = zip(node["sources"], node["operations"], strict=True)
        told.append(f"{index} = " + " + ".join(f"{operation} of {s}" for s, operation in read))
    return "; ".join(told)


def _is_cell(value: Any) -> bool:
    return (
        isinstance(value, tuple | list)
        and len(value) > 0
        and all(isinstance(n, Mapping) and {*n} == {"sources", "operations"} for n in value)
    )


def _item(space: Space | None) -> Space | None:
    return space.item if isinstance(space, Repeat) else None


def cells_of(space: Space | None, value: Any, name: str = "") -> Iterator[tuple[str, Cell, Any]]:
    """Every cell of a design: its name, its space and its nodes."""
    if isinstance(space, Cell):
        yield name, space, value
    elif isinstance(space, Record) and isinstance(value, Mapping):
        for part, field in space.fields.items():
            yield from cells_of(field, value.get(part), part)
    elif isinstance(space, Either) and isinstance(value, Mapping):
        yield from cells_of(space.cases.get(str(value.get("kind"))), value, name)
    elif isinstance(space, Repeat) and isinstance(value, tuple | list):
        for index, item in enumerate(value, 1):
            yield from cells_of(space.item, item, f"{name} {index}")


def decision_words(name: str, space: Space | None) -> str:
    """The dotted name of a decision as a reader wants it.

    Example:
        >>> from metawright.spaces import SPACES
        >>> decision_words("architecture.cell.2.operations.0", SPACES["cells"]())
        'cell: edge 0–3'
        >>> decision_words("training.optimiser.adam.lr", SPACES["cells"]())
        'optimiser adam: lr'
        >>> decision_words("architecture.stages.length", SPACES["macro"]())
        'number of stages'
    """
    path, told = name.split("."), list[str]()
    while path and space is not None:
        if isinstance(space, Cell):
            return f"{' '.join(_short(told))}: {_place(space, path)}"
        part, *path = path
        if isinstance(space, Record):
            space = space.fields.get(part)
            told.append(part)
        elif isinstance(space, Either):
            if part == "kind":
                break
            space = space.cases.get(part)
            told.append(part)
        elif isinstance(space, Repeat):
            if part == "length":
                return " ".join(["number of", *_short(told)])
            told.append(str(int(part) + 1) if part.isdigit() else part)
            space = space.item
        else:
            return name
    told = _short(told)
    if space is None:
        return name
    return f"{' '.join(told[:-1])}: {told[-1]}" if len(told) > 1 else told[-1]


def _place(cell: Cell, path: Sequence[str]) -> str:
    """Which edge or node of a cell a decision is about: the rest of its path."""
    found = re.fullmatch(r"(\d+)\.(sources|operations\.(\d+))", ".".join(path))
    if found is None:
        return ".".join(path)
    node = int(found[1]) + cell.inputs
    if found[3] is None:
        return f"node {node} reads"
    sets = source_sets(cell, node)
    if len(sets) == 1:
        return f"edge {sets[0][int(found[3])]}–{node}"
    which = f"op. {int(found[3]) + 1}" if len(sets[0]) > 1 else "operation"
    return f"node {node} {which}"


def _short(told: Sequence[str]) -> list[str]:
    """Without the halves of a design, which say nothing new."""
    halves = len(told) > 1 and told[0] in ("architecture", "training")
    return [part.replace("_", " ") for part in told[halves:]]
