"""The verb `predict`: what a generated model says of image files."""

import csv
import json
from enum import StrEnum
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from metawright.app.console import message, progress
from metawright.app.plain import plain
from metawright.app.table_answers import predict_tables
from metawright.errors import InputError

if TYPE_CHECKING:
    from metawright.recipes.predict import Predictions

__all__ = ["predict"]

_WIDE = 100_000
_RUNNERS_UP = 10


class Format(StrEnum):
    """How results are written."""

    TABLE = "table"
    CSV = "csv"
    JSONL = "jsonl"


def predict(
    run: Annotated[Path, typer.Argument(help="Folder that `metawright generate` wrote.")],
    paths: Annotated[
        list[Path],
        typer.Argument(help="Image files or folders; for a run on a table, files of tables."),
    ],
    format: Annotated[
        Format, typer.Option("--format", help="For people, or for other programs.")
    ] = Format.TABLE,
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Give the probability of every class.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write to this file instead of the screen.")
    ] = None,
    fill: Annotated[
        bool, typer.Option("--fill", help="Of tables: take missing columns for empty ones.")
    ] = False,
) -> None:
    """Predict the classes of images, or the rows of tables, with a generated model."""
    if (run / "table.json").is_file():
        text, notes = predict_tables(
            run, paths, format.value, probabilities=probabilities, fill=fill
        )
        _write(text, out)
        for note in notes:
            message(plain(note))
        return
    if fill:
        raise InputError("--fill is for tables, and the run is of images: leave it out.")
    # What follows loads NumPy or torch: first what can be wrong with the paths, then the model.
    from metawright.recipes.inputs import image_files, read_run

    read_run(run)
    files = image_files(paths)
    from metawright.recipes.predict import predict_paths

    if len(files) < 500:
        predictions = predict_paths(run, paths)
    else:
        with progress("Predicting", len(files)) as job:
            predictions = predict_paths(run, paths, progress=job.advance)
    if format is Format.TABLE and out is None:
        _show(predictions, Console(highlight=False), probabilities=probabilities)
    else:
        _write(_WRITERS[format](predictions, probabilities), out)
    for problem in predictions.problems:
        message(plain(problem))
    if predictions.problems:
        raise typer.Exit(2)


def _write(text: str, out: Path | None) -> None:
    if out is None:
        typer.echo(text, nl=False)
        return
    from metawright.store.files import write_text

    write_text(out, text)
    message(f"Written to {out}.")


def _csv(predictions: "Predictions", probabilities: bool) -> str:
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    names = [f"p_{name}" for name in predictions.classes] if probabilities else []
    writer.writerow(["input", "prediction", *names])
    for name, label, row in _rows(predictions):
        writer.writerow([name, label, *(row if probabilities else [])])
    return file.getvalue()


def _jsonl(predictions: "Predictions", probabilities: bool) -> str:
    lines = []
    for name, label, row in _rows(predictions):
        told: dict[str, Any] = {"input": name, "prediction": label}
        if probabilities:
            told["probabilities"] = dict(zip(predictions.classes, row, strict=True))
        lines.append(json.dumps(told, ensure_ascii=False) + "\n")
    return "".join(lines)


def _table(predictions: "Predictions", probabilities: bool) -> str:
    file = StringIO()
    _show(predictions, Console(file=file, highlight=False), probabilities=probabilities)
    return file.getvalue()


def _show(predictions: "Predictions", console: Console, *, probabilities: bool) -> None:
    """A table for people; in a file or a pipe it is as wide as it needs to be."""
    if not console.is_terminal:
        console.width = _WIDE
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Image", overflow="fold")
    table.add_column("Prediction", overflow="fold")
    table.add_column("Confidence", justify="right", no_wrap=True)
    if probabilities:
        table.add_column("Probabilities", overflow="fold")
    for name, label, row in _rows(predictions):
        cells = [plain(name), plain(label), f"{100 * max(row):.1f} %"]
        if probabilities:
            ranked = sorted(zip(row, predictions.classes, strict=True), key=lambda pair: -pair[0])
            shown = [f"{plain(other)} {100 * p:.1f} %" for p, other in ranked[:_RUNNERS_UP]]
            cells.append(", ".join(shown) + (", ..." if ranked[_RUNNERS_UP:] else ""))
        table.add_row(*(Text(cell) for cell in cells))
    console.print(table)


def _rows(predictions: "Predictions") -> list[tuple[str, str, list[float]]]:
    """Name, class and probabilities of each image, with the digits that a float32 has."""
    rounded = [[float(f"{p:.6g}") for p in row] for row in predictions.probabilities.tolist()]
    return list(zip(predictions.inputs, predictions.labels, rounded, strict=True))


_WRITERS = {Format.TABLE: _table, Format.CSV: _csv, Format.JSONL: _jsonl}
