"""How well a learner fits functions it has never seen: squared error by steps of adaptation, and
whether the intervals of those that predict with uncertainty hold what they promise."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from metawright.evaluate.calibration import coverage, interval, log_loss
from metawright.learners.learner import Learner
from metawright.learners.particles import Hypotheses
from metawright.rng import fork
from metawright.tasks.task import Kind, Split, Task, TaskSource

__all__ = [
    "Calibration",
    "Measured",
    "Regression",
    "evaluate_regression",
    "measured",
    "with_steps",
]

AnyLearner = TypeVar("AnyLearner", bound=Learner)


@dataclass(frozen=True)
class Measured:
    """A number that was measured on many tasks.

    Arguments:
        mean: over the tasks.
        ci95: half the width of the mean's 95 % confidence interval, 1.96 standard deviations of a
            task over the root of the number of tasks; infinite for one task.
        median: over the tasks. It stands where adaptation diverges on a few.
        tasks: how many tasks.
    """

    mean: float
    ci95: float
    median: float
    tasks: int

    def __str__(self) -> str:
        return f"{self.mean:.3f} ± {self.ci95:.3f}"


@dataclass(frozen=True)
class Calibration:
    """How sure a learner was of the queries, on many tasks.

    Arguments:
        log_loss: negative log likelihood of an example.
        coverage: share of the answers in the central interval.
        width: width of that interval, in units of the answers (sharpness).
        level: what the coverage should be.
    """

    log_loss: Measured
    coverage: Measured
    width: Measured
    level: float


@dataclass(frozen=True)
class Regression:
    """What `evaluate_regression` finds.

    Arguments:
        error: mean squared error on the queries, by steps of adaptation; for a learner with
            several hypotheses that of their mean.
        calibration: by the same steps; empty for learners that give no uncertainty.
    """

    error: Mapping[int, Measured]
    calibration: Mapping[int, Calibration]


def evaluate_regression(
    learner: Learner,
    source: TaskSource,
    split: Split,
    *,
    tasks: int = 600,
    rng: torch.Generator,
    steps: Sequence[int] = (0, 1, 5, 10),
    level: float = 0.9,
) -> Regression:
    """Squared error, and where there is one the calibration, on fresh regression tasks of `split`.

    Every learner and every number of steps sees the same tasks from the same generator.

    Arguments:
        learner: what adapts, with an attribute `evaluation_steps`; it is left unchanged.
        source: where the tasks come from; with many queries a task the figures are sharper.
        split: which part of its functions.
        tasks: how many tasks; the published figures use 600.
        rng: draws the tasks and what the learner needs.
        steps: after how many steps of adaptation.
        level: of the interval whose coverage is measured.

    Raises:
        ValueError: a task is no regression, or the learner's steps cannot be set.
    """
    if tasks < 1:
        raise ValueError(f"`tasks >= 1` must hold, but got {tasks}.")
    learners = {count: with_steps(learner, count) for count in steps}
    errors: dict[int, list[float]] = {count: [] for count in steps}
    sure: dict[int, list[tuple[float, float, float]]] = {count: [] for count in steps}
    with torch.no_grad():
        for _ in range(tasks):
            own = fork(rng)
            task = source.draw(split, rng)
            state = own.get_state()
            for count, one in learners.items():
                own.set_state(state)
                error, found = _score(one, task, own, level)
                errors[count].append(error)
                sure[count] += [found] if found is not None else []
    return Regression(
        {count: measured(values) for count, values in errors.items()},
        {count: _calibration(values, level) for count, values in sure.items() if values},
    )


def with_steps(learner: AnyLearner, steps: int) -> AnyLearner:
    """The same learner (its weights are shared) but that it adapts by `steps` steps.

    Raises:
        ValueError: it has no `evaluation_steps`.
    """
    if not hasattr(learner, "evaluation_steps"):
        raise ValueError(
            "Steps of adaptation can be set only where a learner has `evaluation_steps`, but "
            f"{type(learner).__name__} has none."
        )
    if steps < 0:
        raise ValueError(f"`steps >= 0` must hold, but got {steps}.")
    twin = copy.copy(learner)
    twin.evaluation_steps = steps
    return twin


def measured(values: Sequence[float]) -> Measured:
    """Mean, its interval, and median of one number a task.

    Example:
        >>> from metawright.evaluate.regression import measured
        >>> print(measured([1.0, 3.0, 2.0, 2.0]))
        2.000 ± 0.800
    """
    many = torch.tensor(values, dtype=torch.float64)
    spread = float(many.std()) if len(many) > 1 else math.inf
    half = 1.96 * spread / math.sqrt(len(many))
    return Measured(float(many.mean()), half, float(many.median()), len(many))


def _score(
    learner: Learner, task: Task, rng: torch.Generator, level: float
) -> tuple[float, tuple[float, float, float] | None]:
    """Squared error; and log loss, coverage and width where the prediction has intervals."""
    if task.spec.kind is not Kind.REGRESSION:
        raise ValueError(f"Squared error needs regression tasks, but got {task.spec.kind}.")
    predict = learner.adapt(task.support, rng)
    x, answers = task.query.x, task.query.labels
    if not isinstance(predict, Hypotheses) or predict.noise is None:
        return _error(predict(x), answers), None
    samples, noise = predict.samples(x).double(), predict.noise.double()
    low, high = interval(samples, noise, level=level)
    found = (
        log_loss(samples, noise, answers.double()),
        coverage(samples, noise, answers.double(), level=level),
        float((high - low).mean()),
    )
    return _error(samples.mean(0), answers), found


def _error(outputs: Tensor, answers: Tensor) -> float:
    return float((outputs.double() - answers.double()).square().mean())


def _calibration(values: Sequence[tuple[float, float, float]], level: float) -> Calibration:
    losses, held, widths = zip(*values, strict=True)
    return Calibration(measured(losses), measured(held), measured(widths), level)
