"""Meta-training of a few-shot run: planned once, then the same to the bit however often it stops.

A budget of seconds is turned into a number of steps by timing a spare learner; the number is kept
in `run.json`, so that a run that was stopped goes on to the same end as one that never stopped.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch

from metawright.engine.run_folder import RunFolder
from metawright.errors import MetawrightError
from metawright.learners import Learner
from metawright.recipes.fewshot.asked import Asked
from metawright.recipes.fewshot.judging import figure, scores_together
from metawright.recipes.fewshot.learners import copy_tensors, write_weights
from metawright.recipes.fewshot.plan import Plan, make_plan
from metawright.recipes.fewshot.settings import Settings
from metawright.recipes.fewshot.sources import Opened
from metawright.recipes.fewshot.watched import Watched
from metawright.rng import stream
from metawright.tasks.task import Kind, Split, Task, TaskSource
from metawright.training import checkpoint as checkpoints
from metawright.training.fit import Progress, fit

__all__ = ["BEST", "LAST", "Watch", "train"]

BEST, LAST = "weights.safetensors", "last.safetensors"
CHECKPOINT, CURVES = "training.ckpt", "curves.jsonl"
SAVE_EVERY = 5.0  # seconds between two checkpoints
_OVERTIME = 1.1  # times the budget, after which training ends where it is

Watch = Callable[[str, float, float, str], None]
"""Is told the stage, how much of how much of it is done, and a few words."""


class _Spent(Exception):
    """The budget is used up: training ends where it stands."""


def train(
    learner: Learner,
    spare: Learner,
    opened: Opened,
    training: TaskSource,
    asked: Asked,
    settings: Settings,
    folder: RunFolder,
    *,
    device: str = "cpu",
    watch: Watch | None = None,
) -> None:
    """Trains `learner` in place, or goes on; at the end the folder holds the last weights and
    those that were best on the validation tasks.

    Arguments:
        spare: a learner of the same kind, to take the time with; it is used up.
        opened, training: where the tasks of validation and of training come from.

    Raises:
        MetawrightError: loss or gradient is no number any more; names step and task. The last
            good weights are in the folder.
    """
    course = _Course(learner, opened, training, asked, settings, folder, device, watch)
    course.plan = course.planned(spare)
    course.catch_up()
    try:
        fit(
            course.watched,
            course.draw,
            steps=course.plan.steps,
            rng=stream(asked.seed, asked.learner, "training"),
            optimiser=settings.optimiser,
            lr=settings.lr,
            schedule=settings.schedule,
            clip=settings.clip,
            on_step=course.on_step,
            checkpoint=folder.path / CHECKPOINT,
            checkpoint_every=max(1, min(500, round(SAVE_EVERY / course.plan.step_seconds))),
            log=folder.path / CURVES,
            log_every=course.plan.log_every,
        )
    except _Spent:
        course.validate(course.step)
    except MetawrightError as error:
        if course.watched.broken is None:
            raise
        raise course.broken() from error
    except KeyboardInterrupt:
        course.save(status="interrupted")
        raise
    write_weights(folder.path / LAST, learner, {"step": course.step})
    course.save(trained={"steps": course.step})


class _Course:
    """The moving parts of `train`."""

    plan: Plan

    def __init__(
        self,
        learner: Learner,
        opened: Opened,
        training: TaskSource,
        asked: Asked,
        settings: Settings,
        folder: RunFolder,
        device: str,
        watch: Watch | None,
    ) -> None:
        self.learner, self.opened, self.asked = learner, opened, asked
        self.training = training
        self.settings, self.folder, self.device = settings, folder, device
        self.watch = watch
        self.watched = Watched(learner)
        self.step = 0
        self.began = time.monotonic() - float(folder.record.get("training_seconds") or 0.0)
        self.saved = time.monotonic()

    @property
    def seconds(self) -> float:
        """Spent on training, in all sessions."""
        return time.monotonic() - self.began

    def draw(self, rng: torch.Generator) -> list[Task]:
        """The tasks of one step."""
        tasks = (self.training.draw(Split.TRAIN, rng) for _ in range(self.settings.tasks))
        return [task.to(self.device) for task in tasks]

    def planned(self, spare: Learner) -> Plan:
        """The plan in `run.json`, or a new one that is noted there."""
        known = self.folder.record.get("plan")
        if known is None:
            judged, device = self.opened.judged, self.device
            known = asdict(make_plan(spare, self.draw, judged, self.asked, device=device))
            self.save(plan=known)
        return Plan(**known)

    def catch_up(self) -> None:
        """Takes the state that an earlier session left, and makes the validation that is owed
        where that session ended between a checkpoint and its validation."""
        path = self.folder.path / CHECKPOINT
        if not path.exists():
            return
        found = checkpoints.read(path)
        self.step = found.step
        copy_tensors(self.learner, found.tensors)
        known = {entry["step"] for entry in self.folder.record["history"]}
        if self._due(found.step) and found.step not in known:
            self.validate(found.step)

    def on_step(self, progress: Progress) -> None:
        """After every step: validation, notes, and the end of the time."""
        self.step = progress.step
        if self._due(progress.step):
            self.validate(progress.step)
        elif time.monotonic() - self.saved > SAVE_EVERY:
            self.save()
        if self.watch is not None:
            self.watch("Meta-training", progress.step, progress.steps, self._note(progress))
        limit = self.asked.budget
        if limit is not None and progress.step < progress.steps:
            if self.seconds > _OVERTIME * limit:
                raise _Spent

    def validate(self, step: int) -> None:
        """The score on the validation tasks, the same every time; better weights are kept."""
        history = [entry for entry in self.folder.record["history"] if entry["step"] != step]
        scores = scores_together(
            self.learner,
            self.opened.judged,
            Split.VALIDATION,
            tasks=self.plan.validation_tasks,
            rng=stream(self.asked.seed, "validation"),
            device=self.device,
        )
        entry = {"step": step, "seconds": round(self.seconds, 3), **figure(scores)}
        if all(self._better(entry, other) for other in history if other["step"] < step):
            # The weights first: a kill between the two is mended by the same validation again.
            write_weights(self.folder.path / BEST, self.learner, {"step": step})
        history.append(entry)
        self.save(history=sorted(history, key=lambda known: int(known["step"])))

    def save(self, **changes: Any) -> None:
        """Writes `run.json`."""
        self.saved = time.monotonic()
        self.folder.save(training_seconds=round(self.seconds, 3), **changes)

    def broken(self) -> MetawrightError:
        """What to tell when the numbers exploded; the weights before that are kept."""
        last, best = self.folder.path / LAST, self.folder.path / BEST
        write_weights(last, self.learner, {"step": self.step})
        if not best.exists():
            write_weights(best, self.learner, {"step": self.step})
        sentence = (
            f"Training broke at step {self.step + 1}{self.watched.broken}; the weights of "
            f"step {self.step} are kept in '{last}': try a lower --lr or --inner-lr, with another "
            "--out."
        )
        self.save(status="broken", broken=sentence)
        return MetawrightError(sentence)

    def _due(self, step: int) -> bool:
        return step > 0 and (step % self.plan.validate_every == 0 or step == self.plan.steps)

    def _better(self, entry: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        sign = 1 if self.opened.spec.kind is Kind.CLASSIFICATION else -1
        value = entry["mean"]
        return math.isfinite(value) and not sign * value <= sign * (other["mean"] or math.nan)

    def _note(self, progress: Progress) -> str:
        words = [f"loss {progress.metrics['loss']:.3g}"] if "loss" in progress.metrics else []
        if history := self.folder.record["history"]:
            mean = history[-1]["mean"]
            score = f"{100 * mean:.1f} %" if self._classes else f"{mean:.3g}"
            words.append(f"validation {score}")
        return ", ".join(words)

    @property
    def _classes(self) -> bool:
        return self.opened.spec.kind is Kind.CLASSIFICATION
