"""The verbs of the command line, one file each.

A verb is a function with annotated arguments (typer reads them) and a docstring (its help). To add
one, write `commands/NAME.py` and a row in `COMMANDS`. So that `metawright --help` and a wrong path
are answered at once, a verb's file imports at its top only what is light (`metawright.errors`,
`pathlib`, ...); it checks its arguments first and then imports, inside the function, what loads
torch. A wrong argument raises `InputError`; results go to stdout, all else through `app.console`.
"""

from collections.abc import Callable

from metawright.app.commands.sources import sources

__all__ = ["COMMANDS"]

COMMANDS: dict[str, Callable[..., None]] = {
    "sources": sources,
}
