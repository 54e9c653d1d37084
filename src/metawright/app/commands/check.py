"""The verb `check`: what a table holds, what would be done with each column, and what is odd."""

import json
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from metawright.tasks.kind import Kind
from metawright.tasks.tables.files import table_file

__all__ = ["check"]


class Format(StrEnum):
    """How results are written."""

    TEXT = "text"
    JSON = "json"


class Asked(StrEnum):
    """What a table can be asked for."""

    CLASSIFICATION = Kind.CLASSIFICATION.value
    REGRESSION = Kind.REGRESSION.value


def check(
    data: Annotated[
        str,
        typer.Argument(help="File of a table: CSV, TSV, JSON lines, Parquet or Excel, maybe .gz."),
    ],
    target: Annotated[
        str, typer.Option(help="Column that is to be predicted; `last` for the last one.")
    ],
    kind: Annotated[
        Asked | None, typer.Option(help="Whether the target is classes or quantities.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Column that says which rows belong together.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column that says when a row was.")] = None,
    drop: Annotated[list[str] | None, typer.Option(help="Column not to use (repeatable).")] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Column to use even where it would be left out (repeatable)."),
    ] = None,
    sheet: Annotated[str | None, typer.Option(help="Of an Excel file (the first).")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a table where the target has gaps.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go on with fewer than ten rows.")
    ] = False,
    format: Annotated[
        Format, typer.Option("--format", help="For people, or for other programs.")
    ] = Format.TEXT,
) -> None:
    """Check a table: what each column is, what would be done with it, and what is odd."""
    path = table_file(data)
    # pandas loads from here on.
    from metawright.app.table_check import show_check
    from metawright.tasks.tables.read import read_table
    from metawright.tasks.tables.task import pose_table

    frame = read_table(path, sheet=sheet)
    told = pose_table(
        frame, target, kind=kind, group=group, time=time, drop=drop or (), keep=keep or (),
        strict=strict, force=force,
    ).to_json()  # fmt: skip
    if format is Format.JSON:
        typer.echo(json.dumps({"data": frame.name, **told}, ensure_ascii=False, indent=1))
    else:
        show_check(frame.name, told, Console(highlight=False))
