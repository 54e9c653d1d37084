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

    kind = read_run(run, model=False).get("kind")
    if kind == "search":
        from metawright.app.report.found.page import write_search_report

        typer.echo(write_search_report(run, pictures=pictures))
        return
    if kind is not None:
        from metawright.app.report.fewshot.page import write_fewshot_report

        typer.echo(write_fewshot_report(run))
        return
    read_run(run)
    from metawright.app.report import write_report

    typer.echo(write_report(run, pictures=pictures))
