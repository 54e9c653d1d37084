"""Experience as a file: runs and trials as JSON lines, without weights, to be taken elsewhere."""

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from metawright.errors import InputError, VersionError
from metawright.spaces.design import Design
from metawright.store.database import Store
from metawright.store.files import json_text, write_text
from metawright.store.records import RunRecord, Trial

__all__ = ["export_runs", "import_runs"]

_FORMAT = "metawright experience 1"


def export_runs(store: Store, path: Path, runs: Collection[str] | None = None) -> tuple[int, int]:
    """Writes runs and their trials, one a line; a file that is there is replaced as a whole.

    Arguments:
        runs: ids; None for all.

    Returns:
        How many runs and how many trials.
    """
    chosen = [run for run in store.runs() if runs is None or run.id in runs]
    trials = [trial for run in chosen for trial in store.trials(run=run.id)]
    lines = [json_text({"format": _FORMAT})]
    lines += [json_text({"run": asdict(run)}) for run in chosen]
    lines += [json_text({"trial": _plain(trial)}) for trial in trials]
    write_text(path, "\n".join(lines) + "\n")
    return len(chosen), len(trials)


def import_runs(store: Store, path: Path) -> tuple[int, int]:
    """Adds the runs and trials of a file; those that are known change nothing.

    Returns:
        How many runs and how many trials the file holds.

    Raises:
        InputError: there is no such file, or a line cannot be read.
        VersionError: another version wrote it.
    """
    if not path.is_file():
        raise InputError(f"There is no file '{path}' to import.")
    runs: list[RunRecord] = []
    trials: list[Trial] = []
    for number, entry in _entries(path):
        try:
            if "run" in entry:
                runs.append(RunRecord(**entry["run"]))
            else:
                trials.append(_trial(entry["trial"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"Line {number} of '{path}' is no run or trial ({error}).") from error
    for run in runs:
        store.add_run(run)
    store.add_trials(trials)
    return len(runs), len(trials)


def _entries(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The lines after the first, which says what the file is."""
    try:
        lines = path.read_text("utf-8").splitlines()
        head = json.loads(lines[0]) if lines else None
    except (UnicodeDecodeError, json.JSONDecodeError):
        head = None
    if not isinstance(head, dict) or "format" not in head:
        raise InputError(f"'{path}' is no exported experience: make one with `store export`.")
    if head["format"] != _FORMAT:
        raise VersionError(
            f"'{path}' has format {head['format']!r}, but this version of metawright reads "
            f"{_FORMAT!r}."
        )
    for number, line in enumerate(lines[1:], start=2):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"Line {number} of '{path}' is damaged ({error}).") from error
        if not isinstance(entry, dict):
            raise InputError(f"Line {number} of '{path}' is no run or trial.")
        yield number, entry


def _plain(trial: Trial) -> dict[str, Any]:
    """The trial as plain data, without its weights, which stay where they are."""
    told = {name: getattr(trial, name) for name in _FIELDS}
    return told | {"design": trial.design.to_json()}


_FIELDS = ("id", "task", "scores", "cost", "evidence", "status", "run", "created")


def _trial(told: dict[str, Any]) -> Trial:
    numbers = {
        name: {key: float("nan") if value is None else value for key, value in told[name].items()}
        for name in ("scores", "cost")
    }
    return Trial(**{**told, **numbers, "design": Design.from_json(told["design"])})
