"""What `generate` and `predict` do where they are given tables."""

import csv
import json
from collections.abc import Collection, Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from metawright.app import console
from metawright.app.age import process_age
from metawright.errors import InputError
from metawright.recipes.search.asked import Limits
from metawright.recipes.tables.words import looks_at
from metawright.tasks.tables.files import ENDINGS, table_file

if TYPE_CHECKING:
    from metawright.recipes.tables.model import TablePredictions

__all__ = ["generate_for_table", "is_table", "predict_tables"]


def is_table(data: str) -> bool:
    """Whether data names a file that is read as a table."""
    name = data.lower().removesuffix(".gz")
    return name.endswith(ENDINGS) and not Path(data).is_dir()


def generate_for_table(
    data: str,
    out: Path,
    limits: Limits,
    *,
    target: str | None,
    kind: str | None,
    group: str | None,
    time: str | None,
    drop: Collection[str],
    seed: int,
    report: bool,
    max_bytes: float | None = None,
    max_latency: float | None = None,
) -> None:
    """The verb `generate` for a table: the data check, progress, and the result on stdout."""
    path = table_file(data)
    # pandas loads from here on.
    from metawright.app.table_check import show_check
    from metawright.tasks.tables import pose_table, read_table

    frame = read_table(path)
    if target is None:
        names = ", ".join(f"'{name}'" for name in list(frame.data.columns)[:12])
        raise InputError(f"Give --target, the column to be predicted; '{path}' has {names}.")
    task = pose_table(frame, target, kind=kind, group=group, time=time, drop=drop)
    show_check(frame.name, task.to_json(), Console(stderr=True, highlight=False))
    # torch loads from here on.
    from metawright.recipes.tables.limits import constraints
    from metawright.recipes.tables.run import generate_table

    total = limits.seconds or float(limits.trials or 1)
    with console.progress("Generating", total) as job:

        def watch(event: Mapping[str, Any]) -> None:
            done = event["seconds"] if limits.seconds else event["trials"]
            measure = event["measure"].replace("_", " ")
            best = "" if event["best"] is None else f", best {measure} {event['best']:.4g}"
            if event["trials"] == 1:
                console.message(f"First model after {event['seconds']:.1f} s{best}.")
            job.reach(min(done, total), f"{event['trials']} pipelines{best}")

        _, record = generate_table(
            task,
            limits,
            out,
            name=frame.name,
            seed=seed,
            spent=process_age(),
            watch=watch,
            most=constraints(max_bytes, max_latency),
        )
    lines = [*_lines(record), f"Model:  {out}"]
    if report:
        from metawright.app.report.tables.page import write_table_report

        lines.append(f"Report: {write_table_report(out, pictures=False)}")
    typer.echo("\n".join(lines))


def _lines(record: Mapping[str, Any]) -> list[str]:
    """Scores with their intervals beside guessing, and why this model."""
    names = ("accuracy", "log_loss", "auc", "balanced_accuracy", "r2", "rmse", "mae")
    rows = []
    for name in names:
        if name in record["scores"]:
            low, high = record["intervals"][name]
            guess = record["baseline"].get(name)
            beside = "" if guess is None else f"   guessing {_shown(name, guess)}"
            value = _shown(name, record["scores"][name])
            ends = f"({_shown(name, low)} to {_shown(name, high)})"
            rows.append(f"  {name.replace('_', ' '):<17} {value:>9}  {ends}{beside}")
    return ["Cross-validated (95 % interval):", *rows, *record.get("why", []), *looks_at(record)]


def _shown(name: str, value: float) -> str:
    return f"{100 * value:.1f} %" if "accuracy" in name else f"{value:.4g}"


def predict_tables(
    run: Path, paths: Collection[Path], form: str, *, probabilities: bool, fill: bool
) -> tuple[str, list[str]]:
    """Predictions for the rows of tables as text ("table", "csv" or "jsonl"), and notes."""
    from metawright.recipes.tables.model import load_table_model
    from metawright.tasks.tables import read_table

    model = load_table_model(run)
    parts, notes = [], []
    for path in paths:
        found = model.predict(read_table(table_file(path)), fill=fill)
        notes += [f"{path}: {note}" for note in found.notes]
        parts += _rows(found, probabilities=probabilities)
    for number, row in enumerate(parts, start=1):
        row["input"] = number
    names = ["input", *(name for name in (parts[0] if parts else {}) if name != "input")]
    if form == "jsonl":
        lines = [json.dumps({n: row[n] for n in names}, ensure_ascii=False) for row in parts]
        return "\n".join(lines) + "\n", notes
    file = StringIO()
    writer = csv.writer(file, lineterminator="\n", delimiter="\t" if form == "table" else ",")
    writer.writerow(names)
    writer.writerows([row[name] for name in names] for row in parts)
    return file.getvalue(), notes


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
