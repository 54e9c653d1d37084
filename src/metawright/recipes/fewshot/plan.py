"""How many steps a budget of seconds is worth, and when to look how far training has come."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from metawright.learners import Learner
from metawright.recipes.fewshot.asked import Asked
from metawright.recipes.fewshot.judging import scores_together
from metawright.rng import stream
from metawright.tasks.task import Split, Task, TaskSource

__all__ = ["Plan", "make_plan"]

VALIDATIONS = 20  # along the way
_VALIDATION_TASKS = 40
_VALIDATION_SHARE = 0.15  # of a budget, at most
_SHORT = 100  # steps of a run that is not worth careful timing


@dataclass(frozen=True)
class Plan:
    """What training will do, however often it is stopped.

    Arguments:
        steps: of the loop; validate_every, log_every: steps between two of them.
        validation_tasks: tasks of one validation.
        step_seconds: what a step takes, its share of the validations included.
    """

    steps: int
    validate_every: int
    log_every: int
    validation_tasks: int
    step_seconds: float


def make_plan(
    spare: Learner,
    draw: Callable[[torch.Generator], Sequence[Task]],
    judged: TaskSource,
    asked: Asked,
    *,
    device: str = "cpu",
) -> Plan:
    """A plan for what was asked: the steps themselves, or as many as fit into the budget.

    Arguments:
        spare: a learner to take the time with; it is used up.
        draw: gives the tasks of a step.
        judged: gives validation tasks.
    """
    rng = stream(asked.seed, "pace")
    tasks = min(_VALIDATION_TASKS, asked.tasks)
    rounds = 1 if asked.steps is not None and asked.steps < _SHORT else 4
    step_seconds = min(_timed(lambda: spare.gradients(draw(rng), rng)) for _ in range(rounds))
    look = min(2, tasks)

    def validate() -> None:
        scores_together(spare, judged, Split.VALIDATION, tasks=look, rng=rng, device=device)

    validation_seconds = tasks / look * _timed(validate)
    if asked.steps is not None:
        steps, validations = asked.steps, max(1, min(VALIDATIONS, asked.steps // 5))
    else:
        assert asked.budget is not None  # a request has one of the two
        most = int(_VALIDATION_SHARE * asked.budget / max(validation_seconds, 1e-9))
        validations = max(1, min(VALIDATIONS, most))
        left = asked.budget - min(validations * validation_seconds, asked.budget / 2)
        steps = max(validations, int(left / step_seconds))
    whole = step_seconds + validations * validation_seconds / steps
    return Plan(
        steps=steps,
        validate_every=math.ceil(steps / validations),
        log_every=max(1, steps // 200),
        validation_tasks=tasks,
        step_seconds=max(whole, 1e-4),
    )


def _timed(job: Callable[[], object]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start
