"""How well a learner does while the examples of a task come in one after the other.

Beside going on from where it was (`adapt_more`) stands the same learner adapted anew to all
examples so far: what going on costs or brings is the difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from metawright.evaluate.fewshot import predict_alone
from metawright.evaluate.regression import Measured, measured
from metawright.learners.adapted import Adapted
from metawright.learners.learner import Learner, accuracy
from metawright.rng import fork
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSource

__all__ = ["OnlineLearner", "OnlineScore", "Score", "evaluate_online"]

Score = Callable[[Tensor, Tensor], float]
"""From outputs and answers of a task's query to one number."""


class OnlineLearner(Learner, Protocol):
    """A learner that goes on adapting when more examples come."""

    def adapt(self, support: Batch, rng: torch.Generator) -> Adapted:
        """As of every learner."""
        ...

    def adapt_more(self, adapted: Adapted, support: Batch, rng: torch.Generator) -> Adapted:
        """The same task after further examples, from where it was."""
        ...


@dataclass(frozen=True)
class OnlineScore:
    """Scores after some examples of each task.

    Arguments:
        examples: how many came so far.
        online: of the learner that went on from where it was.
        anew: of the same learner, adapted once to all of them.
        difference: online less anew, task by task: its interval is narrower than those of the two.
    """

    examples: int
    online: Measured
    anew: Measured
    difference: Measured


def evaluate_online(
    learner: OnlineLearner,
    source: TaskSource,
    split: Split,
    *,
    counts: Sequence[int] = (1, 2, 5, 10),
    tasks: int = 600,
    rng: torch.Generator,
    transductive: bool = False,
    score: Score | None = None,
) -> list[OnlineScore]:
    """Scores on the query after `counts` examples of the support, which come in random order.

    The examples between one count and the next come together: `counts=range(1, 11)` lets ten
    come one by one. Every learner sees the same tasks in the same order from the same generator.

    Arguments:
        learner: what adapts; it is left unchanged.
        source: where the tasks come from; their support must hold `max(counts)` examples.
        split: which part of the source.
        counts: after how many examples to look, rising.
        tasks: how many tasks.
        rng: draws the tasks, their order, and what the learner needs.
        transductive: whether the queries of a task are predicted together or one by one.
        score: of outputs and answers; default accuracy in 0..1 for classes, mean squared error for
            numbers.

    Raises:
        ValueError: the counts do not rise, or a task has too few examples or no default score.
    """
    wanted = list(counts)
    if min(wanted, default=0) < 1 or wanted != sorted(set(wanted)):
        raise ValueError(f"`counts` must rise from 1 or more, but got {wanted}.")
    if tasks < 1:
        raise ValueError(f"`tasks >= 1` must hold, but got {tasks}.")
    rows = []
    with torch.no_grad():
        for _ in range(tasks):
            own = fork(rng)
            task = source.draw(split, own)
            rows.append(_run(learner, task, wanted, own, transductive, score))
    table = torch.tensor(rows, dtype=torch.float64)  # (tasks, counts, online and anew)
    return [
        OnlineScore(
            examples,
            measured(table[:, column, 0].tolist()),
            measured(table[:, column, 1].tolist()),
            measured((table[:, column, 0] - table[:, column, 1]).tolist()),
        )
        for column, examples in enumerate(wanted)
    ]


def _run(
    learner: OnlineLearner,
    task: Task,
    counts: Sequence[int],
    rng: torch.Generator,
    transductive: bool,
    score: Score | None,
) -> list[tuple[float, float]]:
    """Scores of one task, online and anew, for each count."""
    support = task.support
    if len(support.x) < counts[-1]:
        raise ValueError(
            f"`counts` ask for {counts[-1]} examples, but a task's support has {len(support.x)}: "
            "give the source more shots."
        )
    score = score or _default_score(task)
    order = torch.randperm(len(support.x), generator=rng)
    adapted, before, scores = None, 0, []
    for count in counts:
        more = _rows(support, order[before:count])
        if adapted is None:
            adapted = learner.adapt(more, fork(rng))
        else:
            adapted = learner.adapt_more(adapted, more, fork(rng))
        anew = learner.adapt(_rows(support, order[:count]), fork(rng))
        before = count
        online, fresh = (_judge(one, task, transductive, score) for one in (adapted, anew))
        scores.append((online, fresh))
    return scores


def _judge(adapted: Adapted, task: Task, transductive: bool, score: Score) -> float:
    x = task.query.x
    outputs = adapted(x) if transductive else predict_alone(adapted, x)
    # A head may be wider than this task: its further outputs stand for no class.
    if task.spec.kind is Kind.CLASSIFICATION:
        outputs = outputs[:, : task.spec.outputs]
    return score(outputs, task.query.labels)


def _default_score(task: Task) -> Score:
    if task.spec.kind is Kind.CLASSIFICATION:
        return accuracy
    if task.spec.kind is Kind.REGRESSION:
        return _squared_error
    raise ValueError(f"Tasks of {task.spec.kind} have no default score: give `score`.")


def _squared_error(outputs: Tensor, answers: Tensor) -> float:
    return float(functional.mse_loss(outputs, answers))


def _rows(batch: Batch, rows: Tensor) -> Batch:
    rows = rows.to(batch.x.device)
    return Batch(batch.x[rows], batch.labels[rows])
