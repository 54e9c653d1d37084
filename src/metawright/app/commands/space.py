"""The verb `space`: which spaces there are, and what one of them holds."""

import inspect
import math
from pathlib import Path
from typing import Annotated, Any

import typer

from metawright.app.space_tree import Branch, counted, lines, space_tree, whole
from metawright.errors import InputError, did_you_mean
from metawright.spaces import SPACES, Record, Space, count, decisions, space_from_json
from metawright.store.files import read_json, write_bytes, write_text

__all__ = ["DATA", "space"]

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


def space(
    show: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[show] [NAME]",
            help="A named space, a Python file that defines `space`, a JSON file of one, or the "
            "folder of a search. Without it, the named spaces are listed.",
        ),
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="Show a random design too.")] = False,
    seed: Annotated[int, typer.Option(help="Of the random design.")] = 0,
    png: Annotated[Path | None, typer.Option(help="Write the tree as a picture.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write the tree as a page.")] = None,
) -> None:
    """List the spaces that can be searched, or draw one and count its designs."""
    words = list(show or [])
    if words[:1] == ["show"]:
        words = words[1:]
        if not words:
            raise InputError("Say which space to show, such as `metawright space show cells`.")
    if len(words) > 1:
        raise InputError(f"One space can be shown at a time, but got {' '.join(words)}.")
    if not words:
        if sample or png is not None or html is not None:
            raise InputError("Say which space, such as `metawright space cells --sample`.")
        typer.echo("\n".join(_listed()))
        return
    name = words[0]
    found = _find(name)
    tree = space_tree(name if name in SPACES else Path(name).stem, found)
    told = [*_about(name), *_sizes(found)]
    shown = [*lines(tree), "", *told]
    if sample:
        shown += ["", "A random design:", *_sampled(found, seed)]
    typer.echo("\n".join(shown))
    _draw(tree, told, png, html)


def _listed() -> list[str]:
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


def _about(name: str) -> list[str]:
    if name not in SPACES:
        return []
    *first, last = DATA[name]
    reads = f"{', '.join(first)} and {last}" if first else last
    return [f"{_first_line(SPACES[name])} It reads {reads}."]


def _sizes(found: Space) -> list[str]:
    """How many designs it has, in words."""
    told = []
    fields = found.fields if isinstance(found, Record) else {}
    inside = fields.get("architecture")
    if isinstance(inside, Record) and len(fields) > 1:
        number, reals = counted(inside)
        more = f", counting each of {reals} real numbers as one value" if reals else ""
        told.append(f"Architectures: {whole(number)}{more}.")
    number, reals = counted(found)
    if math.isinf(count(found)):
        noun = "real number" if reals == 1 else "real numbers"
        one = "it counts" if reals == 1 else "each counts"
        told.append(
            f"Designs: without end, for there are {reals} {noun}; {whole(number)} where {one} as "
            "one value."
        )
    else:
        told.append(f"Designs: {whole(number)}.")
    return told


def _sampled(found: Space, seed: int) -> list[str]:
    """A random design, a line for a field."""
    from metawright.app.report.found.words import design_rows
    from metawright.rng import stream
    from metawright.spaces.draw import sample as drawn

    rows = design_rows(drawn(found, stream(seed, "space")), found)
    width = max(map(len, rows), default=0) + 2
    return [f"  {name:<{width}}{value}" for name, value in rows.items()]


def _draw(tree: Branch, told: list[str], png: Path | None, html: Path | None) -> None:
    if png is not None:
        from metawright.app.report.png import png as content
        from metawright.app.report.spaces import space_picture

        write_bytes(png, content(space_picture(tree)))
        typer.echo(f"Picture: {png}")
    if html is not None:
        from metawright.app.report.spaces import space_page

        write_text(html, space_page(tree, told))
        typer.echo(f"Page:    {html}")
