"""Accuracy against time: MAML on Omniglot by metawright, by a loop written by hand, by higher.

Network, first weights, tasks, order of tasks and CPU-minutes are the same; what differs is how
fast each makes its meta-gradients. The contenders take turns, each on one thread.

    python benchmarks/omniglot_curve.py --minutes 20     # an hour and more
    python benchmarks/omniglot_curve.py                  # ten minutes
    python benchmarks/omniglot_curve.py --quick          # under a minute
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from contenders.cells import Cell
from contenders.course import characters
from contenders.crew import HAND, OURS, contenders, install
from harness import RESULTS, Check, finish, progress
from metawright.evaluate import evaluate
from metawright.learners import MAML
from metawright.rng import stream
from metawright.tasks import Split

PEER = "higher"
CELL = Cell("b", 32, 5, True, 4)  # four pooled blocks of 32 filters, five steps, second order
MARKS = 6
ABOUT = (
    "Second-order MAML, 5-way 1-shot, the papers' random split, four pooled blocks of 32 filters, "
    "five inner steps of 0.1, 4 tasks a step, Adam 2e-3 with a cosine over the CPU time. First "
    "weights, tasks and their order are the same for all; each has one thread of its own and the "
    "same CPU time, the drawing of tasks and metawright's trial of ways to run them included. "
    "Accuracy with the queries together, %, on the same test tasks for all; ±: 95 % confidence."
)


def judged(weights: Mapping[str, torch.Tensor], tasks: int) -> dict[str, float]:
    """Accuracy of MAML from these first weights, with its interval, %."""
    net = CELL.net(torch.float32)
    net.load_state_dict(weights)
    learner = MAML(net, inner_lr=CELL.inner_lr, inner_steps=CELL.steps)
    rng = stream(0, "omniglot_curve", "test")
    found = evaluate(learner, characters(5), Split.TEST, tasks=tasks, rng=rng, transductive=True)
    return {"accuracy": 100 * found.mean, "ci95": 100 * found.ci95, "tasks": tasks}


def measure(
    names: Sequence[str], peers: Path, minutes: float, marks: Sequence[float], tasks: int
) -> dict[str, list[dict[str, Any]]]:
    """What each contender reached at each mark (a share of the time), by name."""
    seconds = 60 * minutes
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with (
        tempfile.TemporaryDirectory() as scratch,
        contenders(names, peers) as crew,
        progress("Omniglot, accuracy against time (turns)", len(names) * len(marks)) as bar,
    ):
        path = str(Path(scratch) / "weights.safetensors")
        for name in names:
            _ask(crew[name].ask("start", cell=CELL.to_json(), seconds=seconds), name)
        for turn, mark in enumerate(marks):
            for place, name in enumerate(names):
                answer = _ask(crew[name].ask("learn", until=mark * seconds, path=path), name)
                figures = judged(load_file(path), tasks if mark == 1 else max(3, tasks // 6))
                found[name].append(answer | figures)
                note = f"{name}: {figures['accuracy']:.1f} % after {answer['seconds']:.0f} s"
                bar.reach(turn * len(names) + place + 1, note)
    return found


def _ask(answer: dict[str, Any], name: str) -> dict[str, Any]:
    if "error" in answer:
        raise RuntimeError(f"{name} failed: {answer['error']}")
    return answer


def table(found: Mapping[str, Sequence[Mapping[str, Any]]], missing: str) -> dict[str, Any]:
    """A row a contender, a column a mark."""
    first = next(iter(found.values()))
    return {
        "title": "Omniglot, 5-way 1-shot: accuracy by CPU-minutes of meta-training, %",
        "columns": ["by", *(f"{p['seconds'] / 60:.2g} minutes" for p in first), "steps made"],
        "rows": [
            [
                name,
                *(f"{p['accuracy']:.1f} ± {p['ci95']:.1f}" for p in points),
                points[-1]["steps"],
            ]
            for name, points in found.items()
        ],
        "note": f"{PEER} was not measured: {missing}." if missing else "",
    }


def checks(
    found: Mapping[str, Sequence[Mapping[str, Any]]], minutes: float, names: Sequence[str]
) -> Iterator[Check]:
    """Ours beside the best of the others, at the end."""
    ends = {name: points[-1]["accuracy"] for name, points in found.items()}
    best = max((ends[name] for name in names if name != OURS and name in ends), default=0.0)
    name = f"accuracy after {minutes:g} CPU-minutes, ours less the best other's, points"
    yield Check(name, ends[OURS] - best, must=0.0)
    if PEER not in found:
        yield Check(f"{PEER} was measured", float("nan"), must=1.0)


def main() -> int:
    """Reads the flags, measures, and hands the record to the harness."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="tiny settings, under a minute")
    parser.add_argument("--minutes", type=float, default=3.0, help="CPU-minutes of a contender")
    parser.add_argument(
        "--peers", type=Path, default=RESULTS / ".partial" / "peers", help="where peers live"
    )
    flags = parser.parse_args()
    minutes = 0.02 if flags.quick else flags.minutes
    marks = [1.0] if flags.quick else [(turn + 1) / MARKS for turn in range(MARKS)]
    peers = flags.peers.resolve()
    missing = install(peers, patient=False, only=(PEER,)).get(PEER, "")
    names = [OURS, HAND, *([] if missing else [PEER])]
    found = measure(names, peers, minutes, marks, 3 if flags.quick else 600)
    result = {
        "title": "Accuracy against time, beside a loop and higher",
        "about": ABOUT,
        "seeds": [0],
        "minutes_a_contender": minutes,
        "tables": [table(found, missing)],
        "curves": found,
    }
    return finish("omniglot_curve", result, list(checks(found, minutes, names)), flags.quick)


if __name__ == "__main__":
    sys.exit(main())
