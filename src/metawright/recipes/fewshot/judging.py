"""A learner on many test tasks: both figures of accuracy, its calibration, and step by step.

Transductive and inductive figures come from one adaptation of each task. Every learner that is
judged with the same generator sees the same tasks, whatever it draws itself.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from metawright.evaluate.calibration import calibration_error, class_log_loss, reliability
from metawright.evaluate.fewshot import predict_alone
from metawright.learners import Learner, accuracy
from metawright.recipes.fewshot.learners import adaptation_steps, stepping
from metawright.rng import fork
from metawright.tasks.task import Kind, Split, Task, TaskSource

__all__ = ["Judged", "Tick", "figure", "judge", "judge_steps", "scores_together"]

ALONE = 25  # queries of a task that are also predicted one by one, spread over its classes
_LOOK = 3  # tasks after which it is known whether a learner predicts queries independently

Tick = Callable[[int, int], None]
"""Is told how many tasks of how many are done."""


@dataclass
class Judged:
    """What came of many tasks.

    Arguments:
        kind: of the tasks; scores are accuracies or mean squared errors.
        together: a score a task, queries predicted all at once (transductive).
        alone: the same, one by one (inductive); as `together` for independent learners.
        sources: where each task came from.
        independent: whether every query was predicted as if it were alone anyway.
        probabilities, labels: of the queries of each task (inductive), (queries, ways) and
            (queries,), for the calibration.
        queries, queries_alone: of a task.
    """

    kind: Kind
    together: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)
    independent: bool = False
    probabilities: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    queries: int = 0
    queries_alone: int = 0

    def to_json(self) -> dict[str, Any]:
        """Figures with intervals, plain data."""
        by_source = {
            name: figure(
                [s for s, own in zip(self.alone, self.sources, strict=True) if own == name]
            )
            for name in dict.fromkeys(self.sources)
        }
        return {
            "measure": "accuracy" if self.kind is Kind.CLASSIFICATION else "mse",
            "tasks": len(self.together),
            "independent": self.independent,
            "queries": {"together": self.queries, "alone": self.queries_alone},
            "transductive": figure(self.together),
            "inductive": figure(self.alone),
            "sources": by_source,
            "calibration": calibration(self),
        }


def figure(scores: Sequence[float]) -> dict[str, Any]:
    """Mean of tasks' scores with its 95 % interval (1.96 standard errors), and their median.

    Example:
        >>> figure([0.5, 1.0])["mean"]
        0.75
    """
    values = torch.tensor(scores, dtype=torch.float64)
    spread = float(values.std()) if len(values) > 1 else math.inf
    return {
        "mean": float(values.mean()),
        "ci95": 1.96 * spread / math.sqrt(len(values)),
        "median": float(values.quantile(0.5)),
        "tasks": len(scores),
    }


def judge(
    learner: Learner,
    source: TaskSource,
    split: Split,
    *,
    tasks: int,
    rng: torch.Generator,
    device: str = "cpu",
    tick: Tick | None = None,
) -> Judged:
    """Scores of a learner on fresh tasks of `split`; the learner is left unchanged."""
    found: Judged | None = None
    for index in range(tasks):
        own = fork(rng)
        task = source.draw(split, rng).to(device)
        found = found or Judged(task.spec.kind, independent=True)
        with torch.no_grad():
            _score(found, learner, task, own, settled=index >= _LOOK)
        if tick is not None:
            tick(index + 1, tasks)
    if found is None:
        raise ValueError(f"`tasks >= 1` must hold, but got {tasks}.")
    if found.independent:
        found.alone, found.queries_alone = list(found.together), found.queries
    return found


def _score(
    found: Judged, learner: Learner, task: Task, rng: torch.Generator, *, settled: bool
) -> None:
    predict = learner.adapt(task.support, rng)
    outputs = _own(predict(task.query.x), task)
    answers = task.query.labels
    found.together.append(score(outputs, answers))
    found.sources.append(task.spec.source)
    found.queries = len(answers)
    rows = torch.arange(0, len(answers), math.ceil(len(answers) / ALONE), device=answers.device)
    if settled and found.independent:
        single = outputs[rows]
    else:
        single = _own(predict_alone(predict, task.query.x[rows]), task)
        scale = float(outputs.abs().max())
        same = torch.allclose(single, outputs[rows], rtol=1e-4, atol=1e-4 * scale)
        found.independent = found.independent and same
    found.alone.append(score(single, answers[rows]))
    found.queries_alone = len(rows)
    if task.spec.kind is Kind.CLASSIFICATION:
        found.probabilities.append(single.double().softmax(1).cpu())
        found.labels.append(answers[rows].cpu())


def _own(outputs: Tensor, task: Task) -> Tensor:
    """A head may be wider than the task: its further outputs stand for no class."""
    return outputs[:, : task.spec.outputs]


def score(outputs: Tensor, answers: Tensor) -> float:
    """Accuracy for classes, mean squared error for numbers."""
    if answers.is_floating_point():
        return float(functional.mse_loss(outputs.double(), answers.double()))
    return accuracy(outputs, answers)


def calibration(found: Judged, bins: int = 10) -> dict[str, Any] | None:
    """How far confidence and accuracy agree, over all queries; None where there are no classes."""
    if not found.probabilities:
        return None
    probabilities, labels = torch.cat(found.probabilities), torch.cat(found.labels)
    told = reliability(probabilities, labels, bins=bins)
    rows = zip(told.count.tolist(), told.confidence.tolist(), told.accuracy.tolist(), strict=True)
    return {
        "ece": calibration_error(probabilities, labels, bins=bins),
        "nll": class_log_loss(probabilities, labels),
        "queries": len(labels),
        "bins": [{"count": n, "confidence": c, "accuracy": a} for n, c, a in rows],
    }


def judge_steps(
    learner: Learner,
    source: TaskSource,
    *,
    tasks: int,
    make_rng: Callable[[], torch.Generator],
    device: str = "cpu",
    tick: Tick | None = None,
) -> list[dict[str, Any]]:
    """The score after 0, 1, 2, ... steps of adaptation, on the same test tasks each time, queries
    together; empty for learners that do not adapt by steps."""
    ladder = adaptation_steps(learner)
    rows = []
    for number, steps in enumerate(ladder):

        def counted(done: int, total: int, before: int = number * tasks) -> None:
            if tick is not None:
                tick(before + done, len(ladder) * total)

        with stepping(learner, steps):
            scores = scores_together(
                learner, source, Split.TEST, tasks=tasks, rng=make_rng(), device=device,
                tick=counted,
            )  # fmt: skip
        rows.append({"steps": steps, **figure(scores)})
    return rows


def scores_together(
    learner: Learner,
    source: TaskSource,
    split: Split,
    *,
    tasks: int,
    rng: torch.Generator,
    device: str = "cpu",
    tick: Tick | None = None,
) -> list[float]:
    """The score of each of so many tasks, queries predicted all at once."""
    scores = []
    for index in range(tasks):
        own = fork(rng)
        task = source.draw(split, rng).to(device)
        with torch.no_grad():
            outputs = learner.adapt(task.support, own)(task.query.x)
        scores.append(score(_own(outputs, task), task.query.labels))
        if tick is not None:
            tick(index + 1, tasks)
    return scores
