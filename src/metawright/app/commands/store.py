"""The verb `store`: what is remembered of earlier runs, and what becomes of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from metawright.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from metawright.store.database import Store
    from metawright.store.records import RunRecord, Trial

__all__ = ["store"]

_ACTIONS = ("list", "show", "export", "import", "forget")


def store(
    action: Annotated[
        str,
        typer.Argument(
            help="list: the runs; show: the trials of one; export or import: a file; forget: runs."
        ),
    ] = "list",
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Ids or data names of runs, or the file to export or import."),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(help="Folder of the store (default: METAWRIGHT_STORE, else your own)."),
    ] = None,
    run: Annotated[
        list[str] | None, typer.Option(help="With export: only this run (repeatable).")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="With forget: all runs of the store.")
    ] = False,
) -> None:
    """See what is remembered of earlier runs; take it elsewhere, or forget it."""
    if action not in _ACTIONS:
        raise InputError(f"`store` cannot '{action}': {did_you_mean(action, _ACTIONS)}")
    _check(action, names or [], run=bool(run), everything=everything)
    # SQLAlchemy loads from here on.
    from metawright.store.home import home_store

    folder = home_store(store)
    if folder is None:
        raise InputError("METAWRIGHT_STORE is 'none': name a store with --store FOLDER.")
    if action != "import" and not (folder / "store.sqlite").is_file():
        if action == "list" and store is None:
            typer.echo(f"Nothing is remembered yet (no store in {folder}).")
            return
        raise InputError(f"There is no store in '{folder}'.")
    from metawright.store.database import Store

    with Store(folder) as opened:
        told = _done(opened, action, names or [], run, everything=everything)
    typer.echo("\n".join(told))


def _check(action: str, names: list[str], *, run: bool, everything: bool) -> None:
    """Refuses what does not belong together before anything is opened."""
    if run and action != "export":
        raise InputError("--run goes with `store export` only.")
    if everything and (action != "forget" or names):
        raise InputError("--all goes with `store forget` only, and without names.")
    if action in ("export", "import") and len(names) != 1:
        raise InputError(f"Give one file, such as `metawright store {action} experience.jsonl`.")
    if action == "show" and len(names) != 1:
        raise InputError("Give one run to show: its id or data name, as `store list` says.")
    if action == "forget" and not (names or everything):
        raise InputError("Say which runs to forget: their ids or data names, or --all.")
    if action == "list" and names:
        raise InputError(f"`store list` takes no names, but got '{names[0]}': use `store show`.")


def _done(
    opened: "Store", action: str, names: list[str], run: list[str] | None, *, everything: bool
) -> list[str]:
    from metawright.store.exchange import export_runs, import_runs

    if action == "list":
        return _listed(opened)
    if action == "show":
        return _shown(opened, _found(opened, names))
    if action == "export":
        chosen = None if run is None else [one.id for one in _found(opened, run)]
        runs, trials = export_runs(opened, Path(names[0]), chosen)
        return [f"Wrote {runs} runs with {trials} trials to {names[0]}."]
    if action == "import":
        runs, trials = import_runs(opened, Path(names[0]))
        return [f"Read {runs} runs with {trials} trials into {opened.folder}."]
    gone = opened.runs() if everything else _found(opened, names)
    trials = opened.forget(one.id for one in gone)
    return [f"Forgot {len(gone)} runs with {trials} trials."]


def _found(opened: "Store", names: list[str]) -> list["RunRecord"]:
    """Runs by id or by the name of their data."""
    runs = opened.runs()
    found = []
    for name in names:
        mine = [run for run in runs if name in (run.id, _name(run))]
        if not mine:
            known = [run.id for run in runs] + [_name(run) for run in runs]
            raise InputError(f"No run '{name}' is remembered: {did_you_mean(name, known)}")
        found += mine
    return list({run.id: run for run in found}.values())


def _name(run: "RunRecord") -> str:
    return str(run.info.get("name") or run.info.get("data") or "")


def _listed(opened: "Store") -> list[str]:
    from datetime import datetime

    rows = [("run", "when", "made by", "data", "kind", "trials", "best")]
    for run in opened.runs():
        trials = opened.trials(run=run.id)
        when = f"{datetime.fromtimestamp(run.created):%Y-%m-%d %H:%M}"
        kind = str(run.info.get("kind", ""))
        rows.append(
            (run.id, when, run.command, _name(run), kind, str(len(trials)), _best(run, trials))
        )
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)) for r in rows]
    return [f"{len(rows) - 1} runs in {opened.folder}", *(line.rstrip() for line in lines)]


def _best(run: "RunRecord", trials: list["Trial"]) -> str:
    measure = str(run.info.get("measure", ""))
    values = [t.scores[measure] for t in trials if t.status == "ok" and measure in t.scores]
    return f"{measure.replace('_', ' ')} {min(values):.4g}" if values else ""


def _shown(opened: "Store", runs: list["RunRecord"]) -> list[str]:
    lines = []
    for run in runs:
        lines.append(f"{run.id}: {_name(run)} ({run.command})")
        for trial in opened.trials(run=run.id):
            scores = ", ".join(f"{name} {value:.4g}" for name, value in trial.scores.items())
            lines.append(f"  {trial.design.key}  {scores or trial.status}")
    return lines
