"""What a model says of the rows of tables: as a table for people, CSV or JSON lines."""

import csv
import json
from collections.abc import Collection
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from metawright.app.plain import plain
from metawright.tasks.tables.files import table_file

if TYPE_CHECKING:
    from metawright.recipes.tables.model import TablePredictions

__all__ = ["predict_tables"]

_WIDE = 100_000
_RUNNERS_UP = 10


def predict_tables(
    run: Path, paths: Collection[Path], form: str, *, probabilities: bool, fill: bool
) -> tuple[str, list[str]]:
    """Predictions for the rows of tables as text ("table", "csv" or "jsonl"), and notes."""
    from metawright.recipes.tables.model import load_table_model
    from metawright.tasks.tables import read_table

    model = load_table_model(run)
    parts: list[dict[str, Any]] = []
    notes: list[str] = []
    for path in paths:
        found = model.predict(read_table(table_file(path)), fill=fill)
        notes += [f"{path}: {note}" for note in found.notes]
        shown = _shown if form == "table" else _rows
        parts += shown(found, probabilities=probabilities)
    for number, row in enumerate(parts, start=1):
        row["input"] = number
    names = ["input", *(name for name in (parts[0] if parts else {}) if name != "input")]
    if form == "jsonl":
        lines = [json.dumps({n: row[n] for n in names}, ensure_ascii=False) for row in parts]
        return "\n".join(lines) + "\n", notes
    if form == "table":
        return _aligned(names, parts), notes
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([row[name] for name in names] for row in parts)
    return file.getvalue(), notes


def _aligned(names: Collection[str], rows: Collection[dict[str, Any]]) -> str:
    """A table for people: names above, numbers to the right, as wide as it needs to be."""
    file = StringIO()
    board = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        heading = "Row" if name == "input" else name.capitalize()
        right = name not in ("prediction", "probabilities") or not any(
            isinstance(row[name], str) for row in rows
        )
        board.add_column(heading, justify="right" if right else "left", no_wrap=True)
    for row in rows:
        board.add_row(*(Text(plain(row[name])) for name in names))
    Console(file=file, highlight=False, width=_WIDE).print(board)
    return "".join(f"{line.rstrip()}\n" for line in file.getvalue().splitlines())


def _shown(found: "TablePredictions", *, probabilities: bool) -> list[dict[str, Any]]:
    """Rows for people: with how sure a class is, and with the most probable ones on demand."""
    rows = _rows(found, probabilities=False)
    for row, answers in zip(rows, found.answers if found.classes else (), strict=False):
        row["confidence"] = f"{100 * answers.max():.1f} %"
        if probabilities:
            ranked = sorted(zip(answers, found.classes, strict=True), key=lambda pair: -pair[0])
            told = [f"{name} {100 * p:.1f} %" for p, name in ranked[:_RUNNERS_UP]]
            row["probabilities"] = ", ".join(told) + (", ..." if ranked[_RUNNERS_UP:] else "")
    return rows


def _rows(found: "TablePredictions", *, probabilities: bool) -> list[dict[str, Any]]:
    if not found.classes:
        assert found.low is not None and found.high is not None
        columns = (found.answers[:, 0], found.low, found.high)
        return [
            {"prediction": _number(a), "low": _number(b), "high": _number(c)}
            for a, b, c in zip(*columns, strict=True)
        ]
    rows: list[dict[str, Any]] = [{"prediction": label} for label in found.labels]
    if probabilities:
        for row, answers in zip(rows, found.answers, strict=True):
            named = zip(found.classes, answers, strict=True)
            row |= {f"p_{name}": _number(p) for name, p in named}
    return rows


def _number(value: float) -> float:
    """With the digits that mean something."""
    return float(f"{value:.6g}")
