"""Spaces of designs in words: the named ones in a list, one of them with its sizes, a design."""

import inspect
import math
from pathlib import Path
from typing import Any

from metawright.app.space_tree import Branch, counted, lines, space_tree, whole
from metawright.errors import InputError, did_you_mean
from metawright.spaces import SPACES, Record, Space, count, decisions, space_from_json
from metawright.store.files import read_json

__all__ = ["DATA", "about", "lines", "listed", "opened", "sampled", "sizes"]

_ANY = ("feature vectors", "images", "signals", "texts")

DATA = {
    "cells": ("images", "signals"),
    "convolutional": ("images",),
    "darts": ("images", "signals"),
    "dense": _ANY,
    "discriminator": ("images",),
    "generator": ("images",),
    "macro": ("images", "signals"),
    "pipelines": _ANY,
    "recurrent": ("images", "signals", "texts"),
    "transformer": _ANY,
}
"""What data the networks of a space can read."""


def listed() -> list[str]:
    """Two lines for each named space."""
    width = max(map(len, SPACES)) + 2
    told = []
    for name, make in SPACES.items():
        made = make()
        inside = made.fields.get("architecture")
        noun = "architectures" if isinstance(inside, Record) else "designs"
        number, reals = counted(inside if isinstance(inside, Record) else made)
        more = " and its real numbers" if reals else ""
        told += [
            f"{name:<{width}}{whole(number)} {noun}{more}, {len(decisions(made))} decisions; "
            f"{', '.join(DATA.get(name, ()))}",
            f"{'':<{width}}{_first_line(make)}",
        ]
    return told


def _first_line(make: Any) -> str:
    """The first sentence of the module of a named space."""
    return (inspect.getdoc(inspect.getmodule(make)) or "").partition("\n")[0]


def opened(name: str) -> tuple[Branch, Space]:
    """The tree and the space of that name, or in that file or run.

    Raises:
        InputError: there is no such space, or the file holds none.
    """
    found = _find(name)
    return space_tree(name if name in SPACES else Path(name).stem, found), found


def _find(name: str) -> Space:
    """The space of that name, or in that file or run."""
    if name in SPACES:
        return SPACES[name]()
    path = Path(name)
    if path.is_dir():
        path = path / "run.json"
    if path.suffix == ".py" and path.is_file():
        from metawright.recipes.search.own_file import from_file

        own: Space = from_file(path)["space"]
        return own
    if path.suffix == ".json" and path.is_file():
        told = read_json(path)
        inside = told.get("space", told) if isinstance(told, dict) else told
        return space_from_json(inside)
    if path.suffix in (".py", ".json"):
        raise InputError(f"There is no file '{path}': give one that holds a space.")
    raise InputError(f"There is no space '{name}': {did_you_mean(name, [*SPACES])}")


def about(name: str) -> list[str]:
    """What a named space is, and what data it reads."""
    if name not in SPACES:
        return []
    *first, last = DATA[name]
    reads = f"{', '.join(first)} and {last}" if first else last
    return [f"{_first_line(SPACES[name])} It reads {reads}."]


def sizes(found: Space) -> list[str]:
    """How many designs it has, in words."""
    told = []
    fields = found.fields if isinstance(found, Record) else {}
    inside = fields.get("architecture")
    if isinstance(inside, Record) and len(fields) > 1:
        number, reals = counted(inside)
        more = f", counting each of {reals} real numbers as one value" if reals else ""
        told.append(f"Architectures: {whole(number)}{more}.")
    number, reals = counted(found)
    if count(found) == math.inf:  # `math.isinf` takes no count that is beyond a float
        noun = "real number" if reals == 1 else "real numbers"
        one = "it counts" if reals == 1 else "each counts"
        told.append(
            f"Designs: without end, for there are {reals} {noun}; {whole(number)} where {one} as "
            "one value."
        )
    else:
        told.append(f"Designs: {whole(number)}.")
    return told


def sampled(found: Space, seed: int) -> list[str]:
    """A random design, a line for a field."""
    from metawright.app.report.found.words import design_rows
    from metawright.rng import stream
    from metawright.spaces.draw import sample as drawn

    rows = design_rows(drawn(found, stream(seed, "space")), found)
    width = max(map(len, rows), default=0) + 2
    return [f"  {name:<{width}}{value}" for name, value in rows.items()]
