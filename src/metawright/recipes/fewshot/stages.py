"""What comes after training: each stage is noted in `run.json` and skipped where it is there."""

from collections.abc import Callable
from typing import Any

import torch

from metawright.engine.run_folder import RunFolder
from metawright.learners import Learner
from metawright.recipes.fewshot.asked import Asked
from metawright.recipes.fewshot.baselines import CHANCE, RANDOM, plain_learners
from metawright.recipes.fewshot.judging import Tick, judge, judge_steps
from metawright.recipes.fewshot.learners import read_weights
from metawright.recipes.fewshot.samples import sample_tasks
from metawright.recipes.fewshot.sources import Opened
from metawright.recipes.fewshot.training import BEST, Watch
from metawright.rng import stream
from metawright.store.files import write_json
from metawright.tasks.task import Kind, Split

__all__ = ["SAMPLES", "judge_run"]

SAMPLES = "samples.json"
_BASELINE_TASKS, _STEP_TASKS = 200, 100  # at most; their figures decide nothing
_SAMPLE_TASKS = 3


def judge_run(
    folder: RunFolder,
    learner: Learner,
    make: Callable[[], Learner],
    opened: Opened,
    asked: Asked,
    *,
    device: str = "cpu",
    watch: Watch | None = None,
) -> None:
    """The stages after training; each is skipped where `run.json` has it already."""
    read_weights(folder.path / BEST, learner)

    def rng() -> torch.Generator:
        return stream(asked.seed, "test")  # whoever is judged sees the same tasks

    if folder.record.get("test") is None:
        tick = _ticking(watch, "Test tasks")
        found = judge(
            learner, opened.judged, Split.TEST, tasks=asked.tasks, rng=rng(), device=device,
            tick=tick,
        )  # fmt: skip
        folder.save(test=found.to_json())
    if folder.record.get("adaptation") is None:
        rows = judge_steps(
            learner, opened.judged, tasks=min(asked.tasks, _STEP_TASKS), make_rng=rng,
            device=device, tick=_ticking(watch, "Step by step"),
        )  # fmt: skip
        folder.save(adaptation=rows)
    if folder.record.get("baselines") is None:
        tick = _ticking(watch, "Baselines")
        folder.save(baselines=_baselines(make, opened, asked, rng, device, tick))
    if not (folder.path / SAMPLES).exists():
        drawn = sample_tasks(learner, opened.judged, tasks=_SAMPLE_TASKS, rng=rng(), device=device)
        write_json(folder.path / SAMPLES, drawn)


def _baselines(
    make: Callable[[], Learner],
    opened: Opened,
    asked: Asked,
    rng: Callable[[], torch.Generator],
    device: str,
    tick: Tick | None,
) -> list[dict[str, Any]]:
    """What the learner must beat, on the first of the same test tasks."""
    tasks = min(asked.tasks, _BASELINE_TASKS)
    rows: list[dict[str, Any]] = []
    if opened.spec.kind is Kind.CLASSIFICATION:
        rows.append({"name": CHANCE, "mean": 1 / asked.ways, "ci95": 0.0, "tasks": None})
    for name, learner in {**plain_learners(opened.spec), RANDOM: make()}.items():
        found = judge(
            learner, opened.judged, Split.TEST, tasks=tasks, rng=rng(), device=device,
            tick=tick if name == RANDOM else None,
        ).to_json()  # fmt: skip
        together = found["transductive"]["mean"]
        rows.append({"name": name, **found["inductive"], "transductive": together})
    return rows


def _ticking(watch: Watch | None, stage: str) -> Tick | None:
    if watch is None:
        return None
    return lambda done, total: watch(stage, done, total, f"{done} of {total} tasks")
