"""A space as JSON and back, for bundles, runs and spaces that a user writes."""

from collections.abc import Mapping
from typing import Any

from metawright.errors import InputError
from metawright.spaces.domain import Choice, Integer, Real
from metawright.spaces.space import Cell, Either, Record, Repeat, Space

__all__ = ["space_from_json", "space_to_json"]

_ENTRIES = {
    "choice": ({"options"}, set[str]()),
    "integer": ({"low", "high"}, {"log"}),
    "real": ({"low", "high"}, {"log"}),
    "record": ({"fields"}, set[str]()),
    "repeat": ({"item", "low", "high"}, set[str]()),
    "either": ({"cases"}, set[str]()),
    "cell": ({"nodes", "operations"}, {"inputs", "fan_in"}),
}
"""Entries that each type of space must have, and those that it may have."""


def space_to_json(space: Space) -> dict[str, Any]:
    """The space in plain dictionaries, lists and scalars; `space_from_json` reads it back.

    Names stand in lists of pairs, because their order counts and JSON objects have none.

    Example:
        >>> from metawright.spaces import Integer, Record, space_to_json
        >>> space_to_json(Record({"depth": Integer(1, 5)}))["fields"]
        [['depth', {'type': 'integer', 'low': 1, 'high': 5, 'log': False}]]
    """
    match space:
        case Choice(options):
            return {"type": "choice", "options": list(options)}
        case Integer(low, high, log):
            return {"type": "integer", "low": low, "high": high, "log": log}
        case Real(low, high, log):
            return {"type": "real", "low": low, "high": high, "log": log}
        case Record(fields):
            pairs = [[name, space_to_json(field)] for name, field in fields.items()]
            return {"type": "record", "fields": pairs}
        case Repeat(item, low, high):
            return {"type": "repeat", "item": space_to_json(item), "low": low, "high": high}
        case Either(cases):
            pairs = [[name, space_to_json(case)] for name, case in cases.items()]
            return {"type": "either", "cases": pairs}
        case Cell(nodes, operations, inputs, fan_in):
            return {
                "type": "cell",
                "nodes": nodes,
                "operations": list(operations),
                "inputs": inputs,
                "fan_in": fan_in,
            }


def space_from_json(data: Mapping[str, Any]) -> Space:
    """The space that `space_to_json` wrote.

    Raises:
        InputError: the data is no space; the sentence names the place in it.
    """
    return _from_json(data, "space")


def _from_json(data: Any, path: str) -> Space:
    if not isinstance(data, Mapping) or data.get("type") not in _ENTRIES:
        raise InputError(
            f"{path} must be an object whose type is one of {', '.join(_ENTRIES)}, "
            f"but got {data!r}."
        )
    kind, entries = data["type"], {name: data[name] for name in data if name != "type"}
    required, optional = _ENTRIES[kind]
    if not required <= set(entries) <= required | optional:
        raise InputError(
            f"{path} of type {kind} must have {_listed(required)} and may have "
            f"{_listed(optional)}, but has {_listed(set(entries))}."
        )
    match kind:
        case "record":
            return _made(Record, path, fields=_parts(entries["fields"], f"{path}.fields"))
        case "either":
            return _made(Either, path, cases=_parts(entries["cases"], f"{path}.cases"))
        case "repeat":
            item = _from_json(entries["item"], f"{path}.item")
            return _made(Repeat, path, **entries | {"item": item})
        case _:
            types = {"choice": Choice, "integer": Integer, "real": Real, "cell": Cell}
            return _made(types[kind], path, **entries)


def _parts(pairs: Any, path: str) -> dict[str, Space]:
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs
    ):
        raise InputError(f"{path} must be a list of [name, space] pairs, but got {pairs!r}.")
    parts = {name: _from_json(part, f"{path}.{name}") for name, part in pairs}
    if len(parts) < len(pairs):
        raise InputError(f"{path} must not have a name twice: {[name for name, _ in pairs]}.")
    return parts


def _made(make: Any, path: str, **entries: Any) -> Space:
    try:
        space: Space = make(**entries)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return space


def _listed(names: set[str]) -> str:
    return ", ".join(f"'{name}'" for name in sorted(names)) or "nothing"
