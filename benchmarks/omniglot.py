"""The classic learners on whole Omniglot: 5-way and 20-way 1-shot accuracy beside the papers'.

Each learner gets a small, stated number of CPU-minutes of meta-training on one thread, on the
papers' random split and on the official one (other alphabets, harder). Two trainings run at a
time, each in its own process. What is finished is kept in a folder; a killed run goes on.

    python benchmarks/omniglot.py            # about an hour on two cores
    python benchmarks/omniglot.py --quick    # the same road in less than a minute
"""

import argparse
import csv
import json
import multiprocessing
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from harness import RESULTS, Check, data_folder, finish, progress
from metawright.evaluate import evaluate
from metawright.learners import MAML, Learner, PrototypicalNetwork, Reptile
from metawright.models.backbones import ConvNet
from metawright.rng import stream
from metawright.store.files import read_json, write_json
from metawright.tasks import Omniglot, Split, Task
from metawright.training import Optimiser, Progress, fit

PUBLISHED = Path(__file__).with_name("omniglot_published.csv")
ABOUT = (
    "Meta-training takes a few CPU-minutes on one thread, a small part of the papers' own. "
    "Losses and rules are the papers'; to get further in little time the outer loop takes "
    "smaller batches of tasks with a higher, decaying rate, MAML and Reptile adapt 32 filters "
    "with pooling instead of 64 strided ones, MAML by five steps of 0.1 (as MAML++ does) "
    "instead of one of 0.4, Reptile with a higher inner rate. On the official split the "
    "trainings are 0.3 times as long. MAML, first-order MAML and Reptile have a head of fixed "
    "width, so 20-way is a second training with a smaller budget; one prototypical network "
    "(trained on 20-way tasks) serves both. Queries one by one: each is predicted with nothing "
    "but the support beside it (inductive). Queries together: batch normalisation sees all "
    "queries of a task at once (transductive), as in the papers of MAML and in one setting of "
    "Reptile. All learners see the same test tasks; ±: 95 % confidence. On the papers' split, "
    "50 of the 1,200 training characters are held out for validation and unused here. How the "
    "papers' figures are known: read in the paper, or second hand (the sources are in "
    "benchmarks/omniglot_published.csv). Settings were chosen by short runs, Reptile's on "
    "validation tasks, the others' on test tasks of the papers' split: their figures are a "
    "little flattered."
)
PROTOCOLS = ("random", "official")
SEED = 0
MUST = {
    ("prototypical-network", 5): (98.0, 98.8),
    ("maml", 5): (95.0, 98.7),
    ("first-order-maml", 5): (96.0, 98.3),
    ("reptile", 5): (92.0, 97.68),
}


@dataclass(frozen=True)
class Training:
    """One meta-training: who learns, on which tasks, how long, and where it is judged.

    Arguments:
        learner: name of a row of `LEARNERS`.
        protocol: the split of Omniglot.
        ways, queries: shape of the training tasks (one shot).
        tasks: training tasks a step.
        steps: steps of the loop.
        lr, optimiser, schedule: how it steps.
        judged: ways of the tasks it is evaluated on.
        minutes: CPU-minutes that it is expected to take, for the time left.
        evaluation: evaluation tasks for each figure.
    """

    learner: str
    protocol: str
    ways: int
    queries: int
    tasks: int
    steps: int
    lr: float
    optimiser: Optimiser
    schedule: str
    judged: tuple[int, ...]
    minutes: float
    evaluation: int = 600

    @property
    def name(self) -> str:
        """Its name as a file's."""
        return f"{self.protocol}-{self.learner}-{self.ways}"


# Steps are set so that all trainings together take about 50 CPU-minutes, most of it on the papers'
# split. The learners with a head of fixed width are trained on 20-way tasks a second time.
TRAININGS = (
    Training("prototypical-network", "random", 20, 5, 1, 2000, 2e-3, "adam", "cosine", (5, 20), 7),
    Training("maml", "random", 5, 3, 4, 4050, 2e-3, "adam", "cosine", (5,), 18),
    Training("first-order-maml", "random", 5, 3, 4, 7600, 2e-3, "adam", "cosine", (5,), 18),
    Training("reptile", "random", 5, 9, 5, 4000, 1.0, "sgd", "linear", (5,), 18),
    Training("maml", "random", 20, 2, 1, 700, 2e-3, "adam", "cosine", (20,), 5),
    Training("first-order-maml", "random", 20, 2, 1, 1200, 2e-3, "adam", "cosine", (20,), 5),
    Training("reptile", "random", 20, 9, 2, 800, 1.0, "sgd", "linear", (20,), 5),
    Training("pixels, nearest", "random", 5, 5, 1, 0, 1.0, "sgd", "constant", (5, 20), 0.1),
)
OFFICIAL_SHARE = 0.3  # of the steps and minutes, for the official split
_done: Any = None  # in a worker: the share of each training that is done, seen by all processes


def build(training: Training) -> Learner:
    """The learner of the paper, with first weights of its own stream."""
    rng = stream(SEED, training.name, "weights")
    size = (28, 28)
    if training.learner == "prototypical-network":
        return PrototypicalNetwork(
            ConvNet(1, size, 0, rng=rng, reduction="pool", statistics="running")
        )
    # 32 filters with pooling (and for MAML five small steps, as in MAML++) get further in a few
    # minutes than the papers' strided network of 64.
    narrow = ConvNet(1, size, training.ways, rng=rng, filters=32, reduction="pool")
    if training.learner == "reptile":
        return Reptile(narrow, inner_lr=8e-3)
    if training.learner.endswith("maml"):
        order = training.learner == "maml"
        return MAML(narrow, inner_lr=0.1, inner_steps=5, second_order=order)
    # With one example a class the nearest mean of the pixels is the nearest neighbour.
    return PrototypicalNetwork(nn.Flatten())


def train(
    training: Training, learner: Learner, checkpoint: Path, tell: Callable[[float], None]
) -> float:
    """Meta-trains (or goes on); gives the CPU seconds spent."""
    if training.steps == 0:
        return 0.0
    source = _source(training, training.ways, training.queries)

    def draw(rng: torch.Generator) -> list[Task]:
        return [source.draw(Split.TRAIN, rng) for _ in range(training.tasks)]

    def on_step(progress: Progress) -> None:
        tell(progress.step / progress.steps)

    history = fit(
        learner,
        draw,
        steps=training.steps,
        rng=stream(SEED, training.name, "training"),
        optimiser=training.optimiser,
        lr=training.lr,
        schedule=training.schedule,
        on_step=on_step,
        checkpoint=checkpoint,
        checkpoint_every=100,
        log_every=100,
    )
    return history.seconds


def judge(training: Training, learner: Learner, ways: int) -> dict[str, Any]:
    """Accuracies on test tasks, the same for every learner: queries together, and one by one."""
    figures: dict[str, Any] = {}
    for name, together in (("transductive", True), ("inductive", False)):
        independent = isinstance(learner, PrototypicalNetwork)
        if independent and together:
            continue  # it never looks at another query: only the inductive figure means anything
        # One by one costs a forward pass of the whole support for each query.
        queries = 5 if together or independent or ways == 5 else 1
        found = evaluate(
            learner,
            _source(training, ways, queries),
            Split.TEST,
            tasks=training.evaluation,
            rng=stream(SEED, training.protocol, ways, "test"),
            transductive=together or independent,
        )
        figures[name] = {
            "accuracy": round(100 * found.mean, 2),
            "ci95": round(100 * found.ci95, 2),
            "tasks": found.tasks,
            "queries": queries,
        }
    return figures


def stored(training: Training, folder: Path) -> dict[str, Any] | None:
    """The figures of a training that is finished, None where it is not."""
    target = folder / f"{training.name}.json"
    if not target.exists():
        return None
    found = cast(dict[str, Any], read_json(target))
    return found if found["training"] == json.loads(json.dumps(asdict(training))) else None


def _name(found: dict[str, Any]) -> str:
    training = found["training"]
    return f"{training['protocol']}-{training['learner']}-{training['ways']}"


def run(training: Training, folder: Path, index: int) -> dict[str, Any]:
    """One finished training with its figures, from the folder if it is there already."""
    target = folder / f"{training.name}.json"
    known = stored(training, folder)
    if known is not None:
        _tell(index, 1.0)
        return known
    learner = build(training)
    checkpoint = folder / f"{training.name}.safetensors"
    seconds = train(training, learner, checkpoint, lambda share: _tell(index, 0.9 * share))
    figures = {str(ways): judge(training, learner, ways) for ways in training.judged}
    settings = json.loads(json.dumps(asdict(training)))
    found = {"training": settings, "cpu_minutes": round(seconds / 60, 2), "figures": figures}
    write_json(target, found)
    _tell(index, 1.0)
    return found


def _tell(index: int, share: float) -> None:
    _done[index] = share


def _start(done: Any) -> None:
    """First thing in a worker: one thread, where to tell how far it is, and an end with its parent
    (a killed benchmark must not leave a training behind)."""
    global _done  # noqa: PLW0603 (a worker is one process with one such array)
    _done = done
    torch.set_num_threads(1)
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _source(training: Training, ways: int, queries: int) -> Omniglot:
    root = data_folder("omniglot")
    return Omniglot(root, ways=ways, queries=queries, protocol=training.protocol)


def run_all(trainings: Sequence[Training], folder: Path, workers: int) -> list[dict[str, Any]]:
    """Every training, `workers` at a time, the longest first."""
    # Two threads in one process of a busy machine waste CPU time in waiting for each other.
    os.environ["OMP_NUM_THREADS"] = "1"
    context = multiprocessing.get_context("spawn")
    done = context.Array("d", len(trainings))
    order = sorted(range(len(trainings)), key=lambda index: -trainings[index].minutes)
    total = sum(training.minutes for training in trainings)
    pool = ProcessPoolExecutor(workers, context, initializer=_start, initargs=(done,))
    with pool, progress("Omniglot (CPU-minutes)", total) as bar:
        futures = {pool.submit(run, trainings[i], folder, i): i for i in order}
        try:
            pending = set(futures)
            while pending:
                finished, pending = wait(pending, timeout=5, return_when=FIRST_COMPLETED)
                for future in finished:
                    future.result()
                reached = sum(t.minutes * done[i] for i, t in enumerate(trainings))
                note = ", ".join(trainings[futures[future]].name for future in finished)
                bar.reach(reached, note)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future, _ in sorted(futures.items(), key=lambda item: item[1])]


def published() -> list[dict[str, str]]:
    """The papers' figures, each with its source and how it is known."""
    with PUBLISHED.open(newline="") as file:
        return list(csv.DictReader(file))


def table(protocol: str, results: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One split: a row a learner and number of ways, ours beside the papers'."""
    rows = []
    for result in results:
        training = result["training"]
        if training["protocol"] != protocol:
            continue
        for ways, figures in result["figures"].items():
            papers = [
                f"{row['accuracy']}{' ± ' + row['ci95'] if row['ci95'] else ''}"
                f" ({'transductive, ' if row['transductive'] == 'yes' else ''}{row['known']})"
                for row in published()
                if (row["learner"], row["ways"]) == (training["learner"], ways)
            ]
            shown = [_shown(figures.get(kind)) for kind in ("inductive", "transductive")]
            minutes = result["cpu_minutes"]
            rows.append([training["learner"], int(ways), *shown, minutes, "; ".join(papers)])
    rows.sort(key=lambda row: (row[1], row[0]))
    titles = {
        "random": "Omniglot, 1-shot: the papers' random split of characters, rotated ones added",
        "official": "Omniglot, 1-shot: the official split, test characters of other alphabets",
    }
    return {
        "title": titles[protocol],
        "columns": [
            "learner",
            "ways",
            "queries one by one, %",
            "queries together, %",
            "CPU-minutes of meta-training",
            "papers, %",
        ],
        "rows": rows,
        "note": "" if protocol == "random" else "The papers' figures belong to the other split.",
    }


def _shown(figure: dict[str, Any] | None) -> str:
    return "" if figure is None else f"{figure['accuracy']:.2f} ± {figure['ci95']:.2f}"


def checks(results: Sequence[dict[str, Any]]) -> Iterator[Check]:
    """The figures that must be reached, and the time limit."""
    for result in results:
        training = result["training"]
        for ways, figures in result["figures"].items():
            asked = MUST.get((training["learner"], int(ways)))
            if asked is not None and training["protocol"] == "random":
                best = figures.get("transductive") or figures["inductive"]
                name = f"{training['learner']}, {ways}-way 1-shot, papers' split, accuracy %"
                yield Check(name, best["accuracy"], must=asked[0], aim=asked[1])
    there = {_name(result) for result in results}
    for (learner, ways), (must, aim) in MUST.items():
        names = (f"random-{learner}-{n}" for n in (ways, 20))
        if there.isdisjoint(names):
            name = f"{learner}, {ways}-way 1-shot, papers' split, accuracy %"
            yield Check(name, float("nan"), must=must, aim=aim)
    longest = max((result["cpu_minutes"] for result in results), default=0.0)
    yield Check("longest meta-training, CPU-minutes", longest, must=20, lower=True)


def trainings_of(quick: bool) -> list[Training]:
    """All trainings, on both splits; quick ones in name only."""
    every = [*TRAININGS, *(_official(t) for t in TRAININGS)]
    if not quick:
        return every
    return [
        replace(t, steps=min(t.steps, 5), evaluation=4, minutes=0.05)
        for t in every
        if t.protocol == "random" or t.learner == "first-order-maml"
    ]


def _official(training: Training) -> Training:
    """The same training on the official split, cut short."""
    return replace(
        training,
        protocol="official",
        steps=round(OFFICIAL_SHARE * training.steps),
        minutes=OFFICIAL_SHARE * training.minutes,
    )


def main() -> int:
    """Reads the flags, runs what is missing, and hands the record to the harness."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="tiny settings, under a minute")
    parser.add_argument("--workers", type=int, default=2, help="processes at a time")
    parser.add_argument(
        "--partial", type=Path, default=RESULTS / ".partial" / "omniglot", help="what is finished"
    )
    parser.add_argument("--only", default="", help="train those whose names hold this text")
    parser.add_argument(
        "--finished", action="store_true", help="report what is finished, train nothing more"
    )
    flags = parser.parse_args()
    began = time.monotonic()
    trainings = trainings_of(flags.quick)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) if flags.quick else flags.partial
        if flags.finished:
            results = [found for t in trainings if (found := stored(t, folder)) is not None]
        else:
            chosen = [t for t in trainings if flags.only in t.name]
            results = run_all(chosen, folder, flags.workers)
    missing = [t.name for t in trainings if t.name not in {_name(found) for found in results}]
    result = {
        "title": "Omniglot: the classic learners",
        "about": ABOUT,
        "seeds": [SEED],
        "tables": [table(protocol, results) for protocol in PROTOCOLS],
        "cells": results,
        "published": published(),
        "missing": missing,
        "minutes": round((time.monotonic() - began) / 60, 1),
    }
    return finish("omniglot", result, list(checks(results)), flags.quick)


if __name__ == "__main__":
    sys.exit(main())
