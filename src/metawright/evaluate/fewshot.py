"""How well a learner does on tasks it has never seen: accuracy with its confidence interval.

Two figures must not be mixed. Inductive: every query is predicted alone. Transductive: all queries
of a task are predicted at once, so that a model that normalises with the batch at hand learns
something from the other queries too. Many published figures are transductive without saying so.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metawright.learners.learner import Learner, Predictor, accuracy
from metawright.rng import fork
from metawright.tasks.task import Kind, Split, Task, TaskSource

__all__ = ["Accuracy", "evaluate", "predict_alone", "summary"]


@dataclass(frozen=True)
class Accuracy:
    """Mean accuracy over tasks, in 0..1.

    Arguments:
        mean: the mean.
        ci95: half the width of its 95 % confidence interval, 1.96 standard deviations of a task's
            accuracy over the root of the number of tasks, as the papers give it.
        tasks: how many tasks.
        transductive: whether the queries of a task were predicted together.
    """

    mean: float
    ci95: float
    tasks: int
    transductive: bool

    def __str__(self) -> str:
        return f"{100 * self.mean:.2f} ± {100 * self.ci95:.2f} %"


def evaluate(
    learner: Learner,
    source: TaskSource,
    split: Split,
    *,
    tasks: int = 600,
    rng: torch.Generator,
    transductive: bool,
) -> Accuracy:
    """Accuracy of a learner on fresh classification tasks of `split`.

    Every learner sees the same tasks from the same generator, whatever it draws itself.

    Arguments:
        learner: what adapts; it is left unchanged.
        source: where the tasks come from.
        split: which part of its classes.
        tasks: how many tasks; the published figures use 600 or more.
        rng: draws the tasks and what the learner needs.
        transductive: whether the queries of a task are predicted together or one by one. Makes no
            difference to a learner that treats examples independently.

    Raises:
        ValueError: a task is no classification.
    """
    if tasks < 1:
        raise ValueError(f"`tasks >= 1` must hold, but got {tasks}.")
    scores = []
    with torch.no_grad():
        for _ in range(tasks):
            own = fork(rng)
            scores.append(_score(learner, source.draw(split, rng), own, transductive))
    return summary(scores, transductive=transductive)


def summary(scores: Sequence[float], *, transductive: bool) -> Accuracy:
    """Mean and confidence interval of the accuracies of single tasks.

    Example:
        >>> from metawright.evaluate.fewshot import summary
        >>> print(summary([0.8, 1.0, 0.9, 0.9], transductive=False))
        90.00 ± 8.00 %
    """
    values = torch.tensor(scores, dtype=torch.float64)
    spread = float(values.std()) if len(values) > 1 else math.inf
    ci95 = 1.96 * spread / math.sqrt(len(values))
    return Accuracy(float(values.mean()), ci95, len(values), transductive)


def predict_alone(predict: Predictor, x: Tensor) -> Tensor:
    """Outputs of a predictor that never sees two of these examples together."""
    return torch.cat([predict(example) for example in torch.split(x, 1)])


def _score(learner: Learner, task: Task, rng: torch.Generator, transductive: bool) -> float:
    if task.spec.kind is not Kind.CLASSIFICATION:
        raise ValueError(f"Accuracy needs classification tasks, but got {task.spec.kind}.")
    predict = learner.adapt(task.support, rng)
    x = task.query.x
    outputs = predict(x) if transductive else predict_alone(predict, x)
    # A head may be wider than this task: its further outputs stand for no class.
    return accuracy(outputs[:, : task.spec.outputs], task.query.labels)
