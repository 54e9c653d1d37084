"""Cells of a long benchmark: independent trainings, several at a time, kept when finished.

A cell is one training with its settings. What it gives is kept as JSON beside its checkpoint, so
that a killed benchmark goes on where it was, and a cell is run again when its settings change.
"""

import argparse
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from harness import RESULTS, progress
from metawright.store.files import read_json, write_json

__all__ = ["Cell", "Work", "figures_of", "finished", "flags_of", "run_cells"]

Tell = Callable[[float], None]
"""Called with the share (0..1) of a cell that is done."""

Work = Callable[[Mapping[str, Any], Path, Tell], Mapping[str, Any]]
"""From a cell's settings and the path of its checkpoint to its figures (JSON-ready). A function of
a module's top level, because it runs in another process."""

_done: Any = None  # in a worker: the share of each cell that is done, seen by all processes


@dataclass(frozen=True)
class Cell:
    """One training.

    Arguments:
        name: as a file's.
        settings: JSON-ready; others than those of the kept result run the cell again.
        minutes: CPU-minutes that it is expected to take, for the time left.
    """

    name: str
    settings: Mapping[str, Any]
    minutes: float


def flags_of(doc: str | None, *, workers: int = 2) -> argparse.ArgumentParser:
    """The flags of a benchmark of cells; it may add further ones before it reads them.

    Arguments:
        doc: of the benchmark; its first line is its help.
        workers: processes at a time, where nothing is said.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="tiny settings, under a minute")
    parser.add_argument("--workers", type=int, default=workers, help="processes at a time")
    parser.add_argument("--only", default="", help="run cells whose names hold this text")
    parser.add_argument("--finished", action="store_true", help="report what is finished")
    return parser


def figures_of(
    title: str, name: str, cells: Sequence[Cell], work: Work, flags: argparse.Namespace
) -> dict[str, dict[str, Any]]:
    """Runs what `flags` (see `flags_of`) ask for; gives the figures of all that is finished.

    Arguments:
        title: for people; name: of the benchmark, whose cells are kept under it. A quick run
            keeps nothing.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if flags.quick else RESULTS / ".partial" / name
        if not flags.finished:
            chosen = [cell for cell in cells if flags.only in cell.name]
            run_cells(title, chosen, work, folder, flags.workers)
        return finished(cells, folder)


def finished(cells: Sequence[Cell], folder: Path) -> dict[str, dict[str, Any]]:
    """The figures of those cells that are finished with these settings, by name."""
    found = {cell.name: _stored(cell, folder) for cell in cells}
    return {name: figures for name, figures in found.items() if figures is not None}


def run_cells(
    title: str, cells: Sequence[Cell], work: Work, folder: Path, workers: int
) -> dict[str, dict[str, Any]]:
    """The figures of every cell by name, `workers` cells at a time, the longest first."""
    # Two threads in one process of a busy machine waste CPU time in waiting for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
    folder.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    done = context.Array("d", len(cells))
    order = sorted(range(len(cells)), key=lambda index: -cells[index].minutes)
    total = sum(cell.minutes for cell in cells)
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(done, os.getpid()))
    with pool, progress(f"{title} (CPU-minutes)", total) as bar:
        futures = {pool.submit(_run, cells[i], work, folder, i): i for i in order}
        try:
            pending = set(futures)
            while pending:
                ended, pending = wait(pending, timeout=5, return_when=FIRST_COMPLETED)
                for future in ended:
                    future.result()
                reached = sum(cell.minutes * done[i] for i, cell in enumerate(cells))
                bar.reach(reached, ", ".join(cells[futures[future]].name for future in ended))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {cells[i].name: future.result() for future, i in futures.items()}


def _run(cell: Cell, work: Work, folder: Path, index: int) -> dict[str, Any]:
    known = _stored(cell, folder)
    if known is None:
        settings = json.loads(json.dumps(dict(cell.settings)))
        checkpoint = _checkpoint(cell, folder, settings)
        known = dict(work(settings, checkpoint, lambda share: _tell(index, share)))
        write_json(_target(cell, folder), {"settings": settings, "figures": known})
    _tell(index, 1.0)
    return known


def _stored(cell: Cell, folder: Path) -> dict[str, Any] | None:
    if not _target(cell, folder).exists():
        return None
    found = read_json(_target(cell, folder))
    same = found["settings"] == json.loads(json.dumps(dict(cell.settings)))
    return cast(dict[str, Any], found["figures"]) if same else None


def _checkpoint(cell: Cell, folder: Path, settings: Mapping[str, Any]) -> Path:
    """The cell's checkpoint; one that was made under other settings is left alone, not gone on."""
    number = 0
    while True:
        path = folder / f"{cell.name}{f'-{number}' if number else ''}.safetensors"
        made = path.with_suffix(".settings.json")
        if not made.exists():
            write_json(made, settings)
            return path
        if read_json(made) == settings:
            return path
        number += 1


def _target(cell: Cell, folder: Path) -> Path:
    return folder / f"{cell.name}.json"


def _tell(index: int, share: float) -> None:
    _done[index] = share


def _start(done: Any, parent: int) -> None:
    """First thing in a worker: one thread, where to tell how far it is, and an end with its parent
    (a killed benchmark must not leave a training behind)."""
    global _done  # noqa: PLW0603 (a worker is one process with one such array)
    _done = done
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
