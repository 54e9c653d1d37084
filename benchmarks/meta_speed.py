"""How fast MAML's meta-gradients are, beside a loop written by hand and the peers' packages.

Every contender runs in a process of its own on the same cores, in interleaved rounds, on the same
tasks and weights; its gradient is compared with the loop's in float64. The peers are installed
into a folder of their own, beside the torch that is there; metawright does not need them.

    python benchmarks/meta_speed.py                 # about twelve minutes on two idle cores
    python benchmarks/meta_speed.py --only "c64, 1 step"
    python benchmarks/meta_speed.py --quick         # the same road in less than a minute
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from contenders.cells import Cell
from contenders.crew import HAND, INSTALLED, OURS, Contender, contenders, install
from harness import RESULTS, Check, finish, progress
from metawright.engine.task_processes import cores

TASKS = 32
ROUNDS = 5
LONG = 2.0  # seconds of a batch from which a peer, a loop over tasks, is timed on a part of it
ASKED = {  # (job, second order): must and aim, times the fastest of the others
    ("a", True): (10.0, 30.0),
    ("a", False): (10.0, 30.0),
    ("b", True): (1.4, 2.0),
    ("b", False): (1.8, 2.5),
    ("c", True): (1.5, 2.0),
    ("c", False): (2.0, 3.0),
}
ABOUT = (
    "Tasks a second of MAML's meta-gradient, 32 tasks a batch. a: 40-40 perceptron, 10-shot "
    "sinusoids. b: four pooled blocks of 32 or 64 filters, 28x28, 5-way 1-shot, 15 queries a "
    "class. c: the stride-2 network of MAML's Omniglot experiments, 5-way 1-shot, one query a "
    "class. Contenders take turns on the same idle cores; a ratio is the median over rounds of "
    "paired ratios. The loop and the peers run with one thread or with one a core, whichever was "
    "faster; metawright runs tasks in the way that `run_tasks` found fastest on the first batch. "
    "Where a batch takes a peer more than two seconds it is timed on 8 of the 32 tasks: all of "
    "them are loops over tasks. TorchOpt has no switch to first order. Memory: the highest "
    "resident memory of a contender's processes together while it ran the cell; pages that "
    "processes share count in each. Gradients: largest relative difference of a parameter's "
    "gradient from the loop's, float64, two tasks; metawright's is the largest over all its ways."
)


@dataclass
class Measured:
    """What a cell gave: by contender, seconds a task in each round and much else."""

    cell: Cell
    seconds: dict[str, list[float]] = field(default_factory=dict)
    threads: dict[str, int] = field(default_factory=dict)
    memory: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    way: str = ""

    def speed(self, name: str) -> float | None:
        """Tasks a second, the median over rounds."""
        found = self.seconds.get(name)
        return None if not found else 1 / statistics.median(found)

    def ratio(self, name: str) -> float:
        """How many times as fast metawright is."""
        pairs = zip(self.seconds[name], self.seconds[OURS], strict=True)
        return statistics.median(theirs / ours for theirs, ours in pairs)

    @property
    def others(self) -> list[str]:
        """Who else was measured."""
        return [name for name in self.seconds if name != OURS]

    @property
    def least(self) -> float:
        """The ratio to the fastest of the others."""
        return min((self.ratio(name) for name in self.others), default=float("nan"))


def measure(
    cell: Cell, crew: Mapping[str, Contender], rounds: int, threads: Sequence[int]
) -> Measured:
    """A cell: everybody gets ready, then they take turns.

    Arguments:
        cell: the job.
        crew: who takes part.
        rounds: turns of each.
        threads: numbers of threads among which a peer's better one is looked for.
    """
    found = Measured(cell)
    counts: dict[str, int] = {}
    for name, contender in crew.items():
        answer = contender.ask("open", cell=cell.to_json(), workers=cores())
        if "error" not in answer:
            found.memory[name] = {"before": answer["mib"]}
            answer = _prepare(contender, found, counts, threads)
        if "error" in answer:
            found.missing[name] = answer["error"]
    order = list(counts)
    found.seconds = {name: [] for name in order}
    for turn in range(rounds):
        for name in order[turn % len(order) :] + order[: turn % len(order)]:
            asked = {"tasks": counts[name], "threads": found.threads.get(name)}
            answer = crew[name].ask("time", **asked)
            if "error" in answer:
                raise RuntimeError(f"{cell.name}: {name} failed: {answer['error']}")
            found.seconds[name].append(answer["seconds"] / counts[name])
    for name in order:
        found.memory[name] |= crew[name].ask("peak")
    return found


def _prepare(
    contender: Contender, found: Measured, counts: dict[str, int], threads: Sequence[int]
) -> dict[str, Any]:
    """Finds a peer's better number of threads, and how many tasks it is timed on; metawright
    chooses for itself."""
    cell = found.cell
    name = contender.name
    if name == OURS:
        answer = contender.ask("choose", tasks=cell.tasks)
        found.way = answer.get("way", "")
        if "error" not in answer:
            counts[name] = cell.tasks
        return answer
    tries: dict[int, float] = {}
    few = min(8, cell.tasks)
    for number in threads:
        answer = contender.ask("time", tasks=few, threads=number, warm=True)
        if "error" in answer:
            return answer
        tries[number] = answer["seconds"]
    found.threads[name] = min(tries, key=lambda number: tries[number])
    whole = tries[found.threads[name]] / few * cell.tasks
    counts[name] = few if whole > LONG else cell.tasks
    return {}


def compare(found: Measured, crew: Mapping[str, Contender], hows: Sequence[str]) -> None:
    """Everybody's gradient in float64 beside the loop's."""
    with tempfile.TemporaryDirectory() as scratch:
        path = str(Path(scratch) / "grads.safetensors")
        crew[HAND].ask("exact", path=path)
        right = load_file(path)
        for name in found.seconds:
            for how in hows if name == OURS else ["auto"]:
                answer = crew[name].ask("exact", path=path, how=how, workers=cores())
                if "error" in answer:
                    raise RuntimeError(f"{found.cell.name}: {name}, {how}: {answer['error']}")
                grads = load_file(path)
                error = max(
                    float((grads[key] - value).norm() / value.norm().clamp_min(1e-30))
                    for key, value in right.items()
                )
                found.errors[name] = max(error, found.errors.get(name, 0.0))


def scaling(folder: Path, *, quick: bool) -> list[dict[str, Any]]:
    """Tasks a second and memory by number of tasks and of worker processes.

    Batches grow, so that the highest memory so far is that of the batch at hand.
    """
    rows = []
    sizes = (4, 16) if quick else (4, 16, 64, 256)
    cell = Cell("c", 64, 1, second_order=False, tasks=sizes[-1])
    with contenders([OURS], folder) as crew:
        for workers in range(cores() if quick else 1, cores() + 1):
            crew[OURS].ask("open", cell=cell.to_json(), how="processes", workers=workers)
            for tasks in sizes:
                crew[OURS].ask("choose", tasks=tasks)
                answer = crew[OURS].ask("time", tasks=tasks)
                if "error" in answer:
                    raise RuntimeError(f"{workers} workers: {answer['error']}")
                speed = tasks / answer["seconds"]
                peak = crew[OURS].ask("peak")
                rows.append({"workers": workers, "tasks": tasks, "speed": speed} | peak)
    return rows


def cells(quick: bool) -> list[Cell]:
    """All cells; or a few small ones."""
    if quick:
        return [Cell("a", 0, 1, True, 4), Cell("b", 8, 1, False, 4), Cell("c", 8, 1, True, 4)]
    return [
        Cell(job, filters, steps, second_order, TASKS)
        for job, filters in (("a", 0), ("b", 32), ("b", 64), ("c", 64))
        for steps in (1, 5)
        for second_order in (True, False)
    ]


def checks(found: Sequence[Measured], rows: Sequence[Mapping[str, Any]]) -> Iterator[Check]:
    """The figures that must be reached."""
    for one in found:
        must, aim = ASKED[one.cell.job, one.cell.second_order]
        yield Check(f"{one.cell.name}, times the fastest other", one.least, must=must, aim=aim)
    if found:
        worst = max(max(one.errors.values()) for one in found)
        yield Check("largest difference of gradients, float64", worst, must=1e-9, lower=True)
    for workers in sorted({row["workers"] for row in rows}):
        peaks = [row["mib"] for row in rows if row["workers"] == workers]
        name = f"memory of most over fewest tasks, {workers} worker processes"
        yield Check(name, peaks[-1] / peaks[0], must=1.25, aim=1.1, lower=True)


def tables(
    found: Sequence[Measured], rows: Sequence[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Speed, memory, gradients, scaling."""
    names = [HAND, *INSTALLED]
    missing = {n: why for one in found for n, why in one.missing.items() if n != "TorchOpt"}
    yield {
        "title": "Tasks a second",
        "columns": ["cell", OURS, "run as", *names, "times the fastest other"],
        "rows": [
            [
                one.cell.name,
                _rounded(one.speed(OURS)),
                one.way,
                *(_shown(one, name) for name in names),
                round(one.least, 2),
            ]
            for one in found
        ],
        "note": "In brackets: how many times as fast metawright is, and the peer's threads. "
        + " ".join(f"{name} was not measured: {why}." for name, why in missing.items()),
    }
    yield {
        "title": "Peak memory, MiB (processes), and the largest difference of gradients",
        "columns": ["cell", OURS, *names, f"{OURS}'s difference", "peers' difference"],
        "rows": [
            [
                one.cell.name,
                *(_memory(one, name) for name in (OURS, *names)),
                f"{one.errors.get(OURS, float('nan')):.0e}",
                f"{max((one.errors[n] for n in one.others if n in one.errors), default=0):.0e}",
            ]
            for one in found
        ],
    }
    yield {
        "title": "Worker processes: c64, 1 step, first order",
        "columns": ["worker processes", "tasks a batch", "tasks a second", "peak memory, MiB"],
        "rows": [[r["workers"], r["tasks"], _rounded(r["speed"]), r["mib"]] for r in rows],
    }


def _rounded(value: float | None) -> float | str:
    return "" if value is None else float(f"{value:.3g}")


def _shown(one: Measured, name: str) -> str:
    if not one.seconds.get(name):
        return ""
    threads = one.threads[name]
    return f"{_rounded(one.speed(name))} ({one.ratio(name):.2f}x, {threads} threads)"


def _memory(one: Measured, name: str) -> str:
    if "mib" not in one.memory.get(name, {}):
        return ""
    return f"{one.memory[name]['mib']} ({one.memory[name]['processes']})"


def run_all(chosen: Sequence[Cell], folder: Path, rounds: int, quick: bool) -> list[Measured]:
    """The cells, group by group, each in fresh processes: memory counts from their start. Quick
    ones are one group."""
    missing = install(folder, patient=not quick)
    names = [OURS, HAND, *(name for name in INSTALLED if name not in missing)]
    results = []
    with progress("Speed of meta-gradients (cells)", len(chosen)) as bar:
        for _, several in groupby(chosen, key=lambda cell: "" if quick else cell.group):
            with contenders(names, folder) as crew:
                for number, cell in enumerate(several):
                    one = measure(cell, crew, rounds, [1] if quick else sorted({1, cores()}))
                    one.missing |= missing
                    # Worker processes take seconds to start: they are compared once a group.
                    more = [] if number else ["processes"]
                    compare(one, crew, ["loop", "stack", "vmap", *more])
                    results.append(one)
                    bar.reach(len(results), f"{cell.name}: {one.least:.2f}x, {one.way}")
    return results


def main() -> int:
    """Reads the flags, measures, and hands the record to the harness."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="tiny settings, under a minute")
    parser.add_argument("--only", default="", help='cells whose names hold this, or "scaling"')
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="turns of every contender")
    parser.add_argument(
        "--peers", type=Path, default=RESULTS / ".partial" / "peers", help="where peers live"
    )
    flags = parser.parse_args()
    began = time.monotonic()
    rounds = 1 if flags.quick else flags.rounds
    chosen = [cell for cell in cells(flags.quick) if flags.only in cell.name]
    if not chosen and flags.only != "scaling":
        parser.error(f"no cell is named like {flags.only!r}")
    found = run_all(chosen, flags.peers.resolve(), rounds, flags.quick) if chosen else []
    scaled = flags.only in ("", "scaling")
    rows = scaling(flags.peers.resolve(), quick=flags.quick) if scaled else []
    result = {
        "title": "Speed of meta-gradients",
        "about": ABOUT,
        "seeds": [0],
        "tables": list(tables(found, rows)),
        "cells": [
            {
                "name": one.cell.name,
                "cell": one.cell.to_json(),
                "way": one.way,
                "seconds_per_task": one.seconds,
                "threads": one.threads,
                "memory": one.memory,
                "gradient_differences": one.errors,
                "missing": one.missing,
            }
            for one in found
        ],
        "scaling": rows,
        "minutes": round((time.monotonic() - began) / 60, 1),
    }
    # A part of the cells is never kept as the result.
    return finish("meta_speed", result, list(checks(found, rows)), flags.quick or bool(flags.only))


if __name__ == "__main__":
    sys.exit(main())
