"""Flags that mean nothing for what was given: refused, never ignored."""

from collections.abc import Sequence

import typer

from metawright.errors import InputError

__all__ = ["refuse_flags"]


def refuse_flags(context: typer.Context, names: Sequence[str], reason: str) -> None:
    """Refuses flags that the user gave to a command.

    Arguments:
        context: of the command.
        names: of the command's parameters, as in Python.
        reason: to what they belong, after "is" or "are": "for images".

    Raises:
        InputError: names the flags that were given.
    """
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [
        f"--{name.replace('_', '-')}"
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    ]
    if given:
        are, them = ("is", "it") if len(given) == 1 else ("are", "them")
        raise InputError(f"{' and '.join(given)} {are} {reason}: leave {them} out.")
