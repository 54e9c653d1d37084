"""The verb `export`: a generated model for programs that do not have metawright."""

from pathlib import Path
from typing import Annotated

import typer

from metawright.app.console import message

__all__ = ["export"]


def export(
    run: Annotated[Path, typer.Argument(help="Folder that `metawright generate` wrote.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder to write to (default: RUN/export).")
    ] = None,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="Write model.onnx too (needs the extra `onnx`).")
    ] = False,
) -> None:
    """Write a generated model as safetensors, JSON and a script that needs only torch."""
    from metawright.recipes.inputs import read_run

    read_run(run)
    from metawright.recipes.export import export_model

    folder = export_model(run, out, onnx=onnx)
    message(f"Exported; try: python {folder / 'model.py'} IMAGE...")
    typer.echo(folder)
