"""What `generate` does where it is given a table."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from metawright.app import console
from metawright.app.age import process_age
from metawright.errors import InputError
from metawright.recipes.search.asked import Limits
from metawright.recipes.tables.words import looks_at
from metawright.store.home import home_store
from metawright.tasks.tables.files import table_file

__all__ = ["generate_for_table"]


def generate_for_table(
    data: str,
    out: Path,
    limits: Limits,
    *,
    target: str | None,
    posed: Mapping[str, Any],
    sheet: str | None,
    store: str | None,
    bundle: Path | None,
    seed: int,
    report: bool,
    explain: bool = True,
    max_bytes: float | None = None,
    max_latency: float | None = None,
) -> None:
    """The verb `generate` for a table: the data check, progress, and the result on stdout.

    Arguments:
        posed: keywords of `pose_table`.
    """
    path = table_file(data)
    # NumPy, torch and scikit-learn read this when they load: two threads that wait for each other
    # on a busy machine take many times as long as one.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # pandas loads from here on.
    from metawright.app.table_check import show_check
    from metawright.tasks.tables import pose_table, read_table

    frame = read_table(path, sheet=sheet)
    if target is None:
        names = ", ".join(f"'{name}'" for name in list(frame.data.columns)[:12])
        raise InputError(f"Give --target, the column to be predicted; '{path}' has {names}.")
    task = pose_table(frame, target, **posed)
    show_check(frame.name, task.to_json(), Console(stderr=True, highlight=False))
    # torch loads from here on.
    from metawright.recipes.tables.limits import constraints
    from metawright.recipes.tables.run import Earlier, generate_table

    shared = home_store(store)
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
            earlier=Earlier(shared, bundle),
            watch=watch,
            most=constraints(max_bytes, max_latency),
            explained=explain,
        )
    if shared is not None:
        console.message(
            f"Remembered for later runs: scores, no rows, in {shared} (or --store none)."
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
