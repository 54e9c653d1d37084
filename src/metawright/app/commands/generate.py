"""The verb `generate`: a model for a new task."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from metawright.app import console
from metawright.app.age import process_age
from metawright.app.flags import refuse_flags
from metawright.app.table_commands import generate_for_table
from metawright.engine.budget import Budget, parse_duration
from metawright.engine.run_folder import check_free
from metawright.errors import InputError
from metawright.generators.header import read_header
from metawright.recipes.search.asked import Limits, parse_amount, usual_workers
from metawright.tasks import SOURCES
from metawright.tasks.tables.files import is_table

if TYPE_CHECKING:
    from metawright.recipes.generate import Generated
    from metawright.tasks.folder import ClassFolder

__all__ = ["generate"]

SCOPE = ("digits", "glyphs", "omniglot")

_OF_SOURCES = ("shots", "ways", "queries")
_OF_IMAGES = _OF_SOURCES
_POSED = ("kind", "group", "time", "drop", "keep", "strict", "force")
_OF_TABLES = ("target", *_POSED, "sheet", "workers", "explain", "max_bytes", "max_latency")


def generate(
    context: typer.Context,
    data: Annotated[
        str,
        typer.Argument(
            help="A folder with one sub-folder of images a class, a source (digits, glyphs, "
            "omniglot), or a table: CSV, TSV, JSON lines, Parquet or Excel."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run; the same command goes on in it.")],
    budget: Annotated[
        str, typer.Option(help="How long it may take, such as 30s or 5m, from the start.")
    ] = "30s",
    trials: Annotated[
        int | None, typer.Option(help="How many designs to try, instead of a time.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="A meta-trained bundle (default: the one that is shipped).")
    ] = None,
    shots: Annotated[int, typer.Option(help="Of a source: examples a class.")] = 5,
    ways: Annotated[int, typer.Option(help="Of a source: classes.")] = 10,
    queries: Annotated[
        int, typer.Option(help="Of a source: examples a class to judge the model on.")
    ] = 50,
    seed: Annotated[int, typer.Option(help="Of the drawn task and of all designs.")] = 0,
    store: Annotated[
        str | None,
        typer.Option(
            help="A further store that gets a copy of every trial. Of a table: experience to "
            "start from and add to (default: METAWRIGHT_STORE, else your own; none: neither)."
        ),
    ] = None,
    report: Annotated[bool, typer.Option(help="Write report.html at the end.")] = True,
    target: Annotated[
        str | None, typer.Option(help="Of a table: the column to be predicted (needed).")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(help="Of a table: classification or regression.")
    ] = None,
    group: Annotated[
        str | None, typer.Option(help="Of a table: the column whose rows belong together.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(help="Of a table: the column that says when a row was.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(help="Of a table: a column not to use (repeatable).")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="Of a table: a column to use though the check leaves it out."),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Of a table: refuse it where the target has gaps.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Of a table: go on with fewer than ten rows.")
    ] = False,
    sheet: Annotated[str | None, typer.Option(help="Of an Excel file (the first).")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Of a table: pipelines tried at once (one a core).")
    ] = None,
    explain: Annotated[
        bool, typer.Option(help="Of a table: find out what the model looks at, at the end.")
    ] = True,
    max_bytes: Annotated[
        str | None, typer.Option(help="Of a table: what the model may take on the disk, as 1MB.")
    ] = None,
    max_latency: Annotated[
        str | None,
        typer.Option(help="Of a table: time to predict a row (of a thousand) at most, as 50us."),
    ] = None,
) -> None:
    """Make a model for a new task: from a few labelled images, or from a table."""
    if trials is not None:
        refuse_flags(context, ("budget",), "for a time, and --trials counts designs")
    if is_table(data):
        refuse_flags(context, _OF_IMAGES, f"for images, and '{data}' is a table")
        seconds = None if trials is not None else parse_duration(budget)
        if workers is not None and workers < 1:
            raise InputError(f"--workers must be at least 1, but got {workers}.")
        limits = Limits(seconds, trials, usual_workers() if workers is None else workers)
        most = [
            None if asked is None else parse_amount(asked, flag)
            for asked, flag in ((max_bytes, "--max-bytes"), (max_latency, "--max-latency"))
        ]
        check_free(out)
        generate_for_table(
            data, out, limits, target=target, sheet=sheet,
            posed={"kind": kind, "group": group, "time": time, "drop": drop or (),
                   "keep": keep or (), "strict": strict, "force": force},
            store=store, bundle=bundle, seed=seed, report=report, explain=explain,
            max_bytes=most[0], max_latency=most[1],
        )  # fmt: skip
        return
    refuse_flags(context, _OF_TABLES, f"for tables, and '{data}' is none")
    limit = Budget(seconds=parse_duration(budget)) if trials is None else _trials_budget(trials)
    _at_least(shots=shots, ways=ways, queries=queries)
    check_free(out)
    if bundle is not None:
        read_header(bundle)
    folder = _folder(data)
    if folder is not None:
        refuse_flags(context, _OF_SOURCES, f"for a source, and '{data}' is a folder")
    console.message(f"Loading (budget {budget if trials is None else f'{trials} trials'}) ...")

    # torch loads from here on: everything that can be refused at once has been.
    from metawright.generators.bundle import load_bundle
    from metawright.recipes.data import folder_task, source_task
    from metawright.recipes.generate import generate_run

    _one_thread_each()
    known = load_bundle(bundle)
    notes: tuple[str, ...] = ()
    if folder is not None:
        task, notes = folder_task(folder, channels=known.channels, size=known.size)
    else:
        task = source_task(data, ways=ways, shots=shots, queries=queries, seed=seed)
    for note in notes:
        console.message(note)
    size = limit.seconds or float(trials or 1)
    with console.progress("Generating", size) as job:

        def watch(event: Mapping[str, Any]) -> None:
            done = event["seconds"] if limit.seconds else event["trials"]
            best = "" if event["best"] is None else f", best {100 * event['best']:.1f} %"
            if event["trials"] == 1:
                console.message(f"First usable model after {event['seconds']:.1f} s{best}.")
            job.reach(min(done, size), f"{event['trials']} designs{best}")

        made = generate_run(
            task,
            known,
            limit,
            out,
            name=data,
            notes=notes,
            seed=seed,
            store=None if store is None else Path(store),
            spent=process_age(),
            on_trial=watch,
        )
    _tell(made, out, report=report)


def _folder(data: str) -> "ClassFolder | None":
    """The folder that `data` names, or None for a source; refused at once where it is neither."""
    path = Path(data)
    if data in SOURCES and not path.is_dir():
        if data not in SCOPE:
            raise InputError(
                f"The source '{data}' has no images to classify: use one of {', '.join(SCOPE)}, "
                "or a folder with one sub-folder of images a class."
            )
        return None
    if not path.exists():
        raise InputError(
            f"There is no folder or source '{data}': give a folder with one sub-folder of images "
            f"a class, or one of {', '.join(SCOPE)}."
        )
    # NumPy and Pillow load from here on.
    from metawright.tasks.folder import scan_classes

    return scan_classes(path)


def _trials_budget(trials: int) -> Budget:
    if trials < 1:
        raise InputError(f"--trials must be at least 1, but got {trials}.")
    return Budget(trials=trials)


def _at_least(*, shots: int, ways: int, queries: int) -> None:
    for name, value, least in (("shots", shots, 1), ("ways", ways, 2), ("queries", queries, 0)):
        if value < least:
            raise InputError(f"--{name} must be at least {least}, but got {value}.")


def _one_thread_each() -> None:
    """Two OpenMP threads on a busy machine can be many times slower than one."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    torch.set_num_threads(max(1, min(2, cores)))


def _tell(made: "Generated", out: Path, *, report: bool) -> None:
    """The result on stdout: a table against the baselines, and where everything is."""
    from metawright.app.report import write_report

    score, test = made.record["score"], made.record["test"]
    lines = []
    if test is not None:
        rows = [("metawright", test), *((row["name"], row) for row in test["baselines"])]
        width = max(len(name) for name, _ in rows)
        lines.append(f"Accuracy on {test['examples']} new examples (95 % interval):")
        lines += [
            f"  {name:<{width}}  {100 * row['accuracy']:5.1f} %  "
            f"({100 * row['low']:.1f} to {100 * row['high']:.1f})"
            for name, row in rows
        ]
    lines.append(
        f"Expected accuracy from the support alone: {100 * score['accuracy']:.1f} % "
        f"({100 * score['low']:.1f} to {100 * score['high']:.1f}), by {score['how']}."
    )
    lines += made.why
    lines.append(f"Model:  {out}")
    if report:
        lines.append(f"Report: {write_report(out)}")
    typer.echo("\n".join(lines))
