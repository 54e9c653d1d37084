"""The verb `export`: a generated model for programs that do not have metawright."""

from pathlib import Path
from typing import Annotated

import typer

from metawright.app.console import message
from metawright.app.plain import plain
from metawright.errors import InputError

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="Folder that `metawright generate` wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to (default: RUN/export).")
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write model.onnx too (needs the extra `onnx`).")
    ] = False,
    keep_rows: Annotated[
        bool,
        typer.Option("--keep-rows", help="Of a table: parts that hold rows of it too."),
    ] = False,
) -> None:
    """Write a generated model as safetensors, JSON and a script that needs no metawright."""
    from metawright.recipes.inputs import read_run

    told = read_run(run, model=False)
    if told.get("kind") == "table":
        if onnx:
            raise InputError("--onnx is for networks, and the run is on a table: leave it out.")
        from metawright.recipes.tables.export import export_table

        folder, notes = export_table(
            run, run / "export" if out is None else out, told, keep_rows=keep_rows
        )
        for note in notes:
            message(plain(note))
        message(f"Exported; try: python {folder / 'predict.py'} new.csv")
        typer.echo(folder)
        return
    if keep_rows:
        raise InputError("--keep-rows is for tables, and the run is of images: leave it out.")
    read_run(run)
    from metawright.recipes.export import export_model

    folder = export_model(run, out, onnx=onnx)
    message(f"Exported; try: python {folder / 'model.py'} IMAGE...")
    typer.echo(folder)
