"""Folders of searches as the pages read them, made up: nothing is trained here."""

from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
import torch

from metawright.recipes.search.asked import Asked
from metawright.rng import stream
from metawright.spaces import SPACES, count, decisions, space_to_json
from metawright.spaces.draw import sample
from metawright.store import RunRecord, Store, Trial, write_json
from metawright.tasks.task import Kind, TaskSpec

SPEC = TaskSpec(Kind.CLASSIFICATION, (1, 8, 8), 10)
TRIALS = 24
TRACE = 'Traceback (most recent call last):\n  File "own.py", line 3\n    <b>x</b> = 1 / 0'


def make_search(
    folder: Path,
    *,
    space: str = "cells",
    objectives: tuple[str, ...] = ("accuracy",),
    constraints: tuple[tuple[str, float], ...] = (),
    status: str = "done",
    controls: bool = True,
    name: str = "digits",
) -> Path:
    """A run with trials of every role and state, and with "why" where it is done."""
    trials = _trials(space, constraints)
    with Store(folder / "store") as store:
        store.add_run(RunRecord("run", "search"))
        store.add_trials(trials)
    asked = Asked("digits", space, "evolution", objectives, constraints, controls=controls)
    ranked = trials[:TRIALS]
    best = max(ranked, key=lambda trial: trial.scores["accuracy"])
    front = [best] if len(objectives) == 1 else _front(ranked, objectives[1])
    whole = count(SPACES[space]())
    told = {
        "format": 1, "kind": "search", "id": "run", "metawright": "0.1.0",
        "created": "2026-01-02T03:04:05+00:00", "status": status, "seconds": 58.2,
        "asked": asked.to_json(), "space": space_to_json(SPACES[space]()),
        "designs": whole if isinstance(whole, int) else None,
        "data": {"name": name, "fingerprint": "0123456789abcdef", "notes": [f"A note on {name}."]},
        "spec": SPEC.to_json(), "budget": {"seconds": 60.0, "trials": None}, "epochs": 4,
        "trials": len(trials), "failed": 2, "front": [trial.id for trial in front],
        "best": best.id, "made_at": {trial.id: 2.0 * n for n, trial in enumerate(trials)},
    }  # fmt: skip
    if status == "done":
        told |= {"kept": "longer", "why": _why(space, trials, best, controls)}
    write_json(folder / "run.json", told)
    return folder


def _front(trials: list[Trial], cost: str) -> list[Trial]:
    """By brute force: nobody is better and cheaper."""
    return sorted(
        (
            one
            for one in trials
            if not any(
                other.scores["accuracy"] > one.scores["accuracy"]
                and other.cost[cost] < one.cost[cost]
                for other in trials
            )
        ),
        key=lambda trial: -trial.scores["accuracy"],
    )


def _trials(space: str, constraints: tuple[tuple[str, float], ...]) -> list[Trial]:
    rng = stream(0, "made-up", space)
    made = []
    for index in range(TRIALS):
        role = "control" if index % 4 == 3 else "search"
        evidence = {"role": role, "seed": 0, "curve": [2.3 * 0.8**e for e in range(4)]}
        made.append(_trial(f"t{index:02d}", space, evidence, 0.95 - 0.3 * 0.85**index, rng))
    best = made[-2]
    for index in range(4):
        evidence = {"role": "mutant", "seed": 0, "of": best.id}
        made.append(_trial(f"m{index}", space, evidence, 0.92 + index / 200, rng))
        again = {"role": "repeat", "seed": index + 1, "of": best.id}
        made.append(_trial(f"r{index}", space, again, 0.93 + index / 300, rng))
    longer = {"role": "final", "seed": 0, "of": best.id, "stretch": 3.0,
              "curve": [2.3 * 0.7**e for e in range(12)]}  # fmt: skip
    made.append(_trial("longer", space, longer, 0.97, rng))
    part = {"role": "search", "seed": 0, "fidelity": 0.25}
    made.append(_trial("part", space, part, 0.99, rng))
    for index in range(2):
        told = {"role": "search", "error": "ZeroDivisionError: <i>no</i>", "traceback": TRACE}
        design = sample(SPACES[space](), rng)
        made.append(Trial(f"bad{index}", "d", design, {}, {"seconds": 1.0}, told, "failed", "run"))
    if constraints:
        told = {"role": "search", "skipped": "parameters 90,000 is above 50,000: not trained."}
        cost = {"parameters": 90_000.0}
        design = sample(SPACES[space](), rng)
        made.append(Trial("left", "d", design, {}, cost, told, run="run"))
    return made


def _trial(
    name: str, space: str, evidence: dict[str, Any], accuracy: float, rng: torch.Generator
) -> Trial:
    noise, size = torch.rand(2, generator=rng).tolist()
    accuracy = min(accuracy + 0.04 * (noise - 0.5), 0.99)
    cost = {
        "seconds": 1.5 + noise,
        "parameters": 2000.0 * 30**size,
        "flops": 3e5 * 20**size,
        "latency": 0.0003 + 0.0008 * size * noise,
        "bytes": 8000.0 * 30**size,
    }
    design = sample(SPACES[space](), rng)
    scores = {"accuracy": accuracy, "log_loss": 1 - accuracy}
    return Trial(name, "d", design, scores, cost, evidence, run="run")


def _why(space: str, trials: list[Trial], best: Trial, controls: bool) -> dict[str, Any]:
    own = [t.scores["accuracy"] for t in trials[:TRIALS] if t.evidence["role"] == "search"]
    names = [decision.name for decision in decisions(SPACES[space]())]
    importance = [
        {"decision": name, "share": 0.5 * 0.6**index, "sd": 0.1 * 0.6**index}
        for index, name in enumerate(names)
    ]
    path = [
        {"trial": trial.id, "value": trial.scores["accuracy"], "changes": changes}
        for trial, changes in (
            (trials[0], []),
            (trials[5], [f"{name} a → b" for name in names]),
            (best, [f"{names[-1]} 0.0 → 0.25"]),
        )
    ]
    random = {
        "expected": [0.92 - 0.2 * 0.8**n for n in range(len(own))],
        "low": [0.86 - 0.25 * 0.85**n for n in range(len(own))],
        "high": [0.94 - 0.05 * 0.9**n for n in range(len(own))],
    }
    compared = {
        "random": random,
        "mean_design": {"value": 0.78, "sd": 0.11, "count": 6},
        "mutants": {"best": 0.935, "count": 4, "better": 1},
        "transfer": {"value": 0.9, "trial": trials[0].id},
        "seeds": {"sd": 0.008, "chosen": [0.93, 0.94, 0.935], "rival": [0.92, 0.925, 0.93],
                  "rival_trial": trials[1].id},
    }  # fmt: skip
    sure = {"probability": 0.91, "difference": 0.01, "low": -0.002, "high": 0.022, "pairs": 3}
    rows = [
        {"name": "chosen", "value": 0.964, "low": 0.94, "high": 0.979, "own": True},
        {"name": "best of 6 random designs", "value": 0.93, "low": 0.9, "high": 0.952,
         "own": False},
        {"name": "mean random design", "value": 0.76, "low": None, "high": None, "own": False},
    ]  # fmt: skip
    return {
        "measure": {"name": "accuracy", "maximise": True},
        "test": {"measure": "accuracy", "examples": 359, "rows": rows},
        "controls": {"search": list(accumulate(own, max)),
                     **(compared if controls else dict.fromkeys(compared))},
        "confidence": sure if controls else None,
        "importance": importance,
        "path": path,
        "robustness": {"clean": 0.964, "noise of 0.1 sd": 0.951, "noise of 0.5 sd": 0.71},
        "sentences": ["On 359 examples that nothing was chosen by: accuracy 96.4 %."],
    }  # fmt: skip


@pytest.fixture
def searched(tmp_path: Path) -> Callable[..., Path]:
    """`searched(space=..., objectives=...)`: the folder of such a search."""
    return lambda **arguments: make_search(tmp_path / "run", **arguments)
