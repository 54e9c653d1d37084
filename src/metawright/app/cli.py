"""The command `metawright`: collects the verbs, and turns every error into one sentence.

This module and all that it imports stay free of torch: help and wrong arguments are answered at
once (a test holds them under 0.7 s).
"""

import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Annotated

import typer

from metawright import __version__
from metawright.app import age  # noqa: F401 (first: it notes the time)
from metawright.app.commands import COMMANDS
from metawright.app.errors import INTERRUPTED, explain

__all__ = ["build", "main", "run"]


def build(commands: Mapping[str, Callable[..., None]]) -> typer.Typer:
    """The command line over `commands` (verb -> function)."""
    app = typer.Typer(
        name="metawright",
        add_completion=False,
        rich_markup_mode=None,  # plain help: half the start-up time, and readable in any log
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_options)
    for verb, function in commands.items():
        app.command(verb)(function)
    return app


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(build(COMMANDS), sys.argv[1:]))


def run(app: typer.Typer, arguments: list[str]) -> int:
    """The exit code of `metawright ARGUMENTS`; every error has become one sentence on stderr.

    0: done; 1: a bug; 2: wrong usage or input; 130: interrupted.
    """
    debug, arguments = _without_debug(arguments)
    try:
        app(arguments, prog_name="metawright")
    except SystemExit as end:  # typer leaves this way: after help, a usage error, or Ctrl-C
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if code == INTERRUPTED:
            return _tell(KeyboardInterrupt(), debug=debug)
        return code
    except KeyboardInterrupt as stop:
        return _tell(stop, debug=debug)
    except Exception as error:  # noqa: BLE001 - the last stop: nobody above can print a sentence
        return _tell(error, debug=debug)
    return 0


def _options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, help="Print the version and leave.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="On an error show where it came from.")
    ] = False,
) -> None:
    """Learns from many tasks, then makes a model for a new one."""
    # `debug` stands here for the help only: `run` takes it out, wherever on the line it was given.
    if version:
        typer.echo(f"metawright {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _without_debug(arguments: list[str]) -> tuple[bool, list[str]]:
    """Whether `--debug` was given, before or after the verb, and the other arguments."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    flags, rest = arguments[:end], arguments[end:]
    return "--debug" in flags, [flag for flag in flags if flag != "--debug"] + rest


def _tell(error: BaseException, *, debug: bool) -> int:
    sentence, code = explain(error)
    if debug:
        traceback.print_exception(error)
    typer.echo(sentence, err=True)
    return code


if __name__ == "__main__":
    main()
