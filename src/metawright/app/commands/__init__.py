"""The verbs of the command line, one file each.

A verb is a function with annotated arguments (typer reads them) and a docstring (its help). To add
one, write `commands/NAME.py` and a row in `COMMANDS`. So that `metawright --help` and a wrong path
are answered at once, a verb's file imports at its top only what is light (`metawright.errors`,
`pathlib`, ...); it checks its arguments first and then imports, inside the function, what loads
torch. A wrong argument raises `InputError`; results go to stdout, all else through `app.console`.
"""

from collections.abc import Callable

from metawright.app.commands.check import check
from metawright.app.commands.export import export
from metawright.app.commands.fewshot import fewshot
from metawright.app.commands.generate import generate
from metawright.app.commands.meta_train import meta_train
from metawright.app.commands.predict import predict
from metawright.app.commands.report import report
from metawright.app.commands.search import search
from metawright.app.commands.sources import sources
from metawright.app.commands.space import space
from metawright.app.commands.store import store

__all__ = ["COMMANDS"]

COMMANDS: dict[str, Callable[..., None]] = {
    "generate": generate,
    "predict": predict,
    "report": report,
    "export": export,
    "meta-train": meta_train,
    "search": search,
    "fewshot": fewshot,
    "space": space,
    "sources": sources,
    "check": check,
    "store": store,
}
