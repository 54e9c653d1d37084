"""The verb `sources`: where tasks can come from."""

import inspect

import typer

from metawright.lazy import load
from metawright.tasks import SOURCES

__all__ = ["sources"]


def sources() -> None:
    """List the sources of tasks that can be asked for by name."""
    width = max(map(len, SOURCES))
    for name, target in SOURCES.items():
        first_line = (inspect.getdoc(load(target)) or "").partition("\n")[0]
        typer.echo(f"{name:<{width}}  {first_line}")
