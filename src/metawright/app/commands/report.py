"""The verb `report`: one page that tells how a model was generated, and how good it is."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["report"]


def report(
    run: Annotated[
        Path,
        typer.Argument(help="Folder that `metawright generate`, `search` or `fewshot` wrote."),
    ],
    pictures: Annotated[
        bool, typer.Option(help="Write the pictures as PNG files too (RUN/pictures).")
    ] = True,
) -> None:
    """Write the report of a run: a page that needs no other file, and its pictures."""
    from metawright.recipes.inputs import read_run

    read_run(run, model=False)  # a wrong path is refused before torch loads
    from metawright.app.report.any_run import write_run_report

    typer.echo(write_run_report(run, pictures=pictures))
