"""How many of the answers that an ambiguous support allows a learner holds, and how well."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from metawright.evaluate.calibration import hypotheses_held
from metawright.evaluate.regression import Measured, measured
from metawright.learners.learner import Learner, Predictor
from metawright.learners.particles import Hypotheses
from metawright.rng import fork
from metawright.tasks.ambiguous import OpenTask
from metawright.tasks.task import Batch, Split

__all__ = ["Held", "OpenSource", "evaluate_hypotheses"]


class OpenSource(Protocol):
    """A source whose supports allow several answers."""

    def draw_open(self, split: Split, rng: torch.Generator) -> OpenTask:
        """One support with the queries of all hypotheses."""
        ...


@dataclass(frozen=True)
class Held:
    """Over many ambiguous tasks, see `calibration.Hold`.

    Arguments:
        accuracy: of each particle under the hypothesis that it fits best.
        coverage: how many hypotheses the particles hold, from 1 to all of them.
        log_loss: negative log likelihood of an example, the mean over all hypotheses.
    """

    accuracy: Measured
    coverage: Measured
    log_loss: Measured


def evaluate_hypotheses(
    learner: Learner,
    source: OpenSource,
    split: Split,
    *,
    tasks: int = 200,
    rng: torch.Generator,
) -> Held:
    """Accuracy, coverage of hypotheses and log loss on fresh ambiguous tasks of `split`.

    A learner with one answer is one particle. The queries of a hypothesis are predicted together.
    """
    if tasks < 1:
        raise ValueError(f"`tasks >= 1` must hold, but got {tasks}.")
    found = []
    with torch.no_grad():
        for _ in range(tasks):
            own = fork(rng)
            task = source.draw_open(split, rng)
            predict = learner.adapt(task.support, own)
            labels = torch.stack([batch.labels for batch in task.queries.values()])
            found.append(hypotheses_held(_log_probabilities(predict, task.queries), labels))
    return Held(
        measured([hold.accuracy for hold in found]),
        measured([float(hold.held) for hold in found]),
        measured([hold.log_loss for hold in found]),
    )


def _log_probabilities(predict: Predictor, queries: Mapping[str, Batch]) -> Tensor:
    """(particles, hypotheses, queries, ways)."""
    sides = []
    for batch in queries.values():
        if isinstance(predict, Hypotheses):
            sides.append(predict.samples(batch.x))
        else:
            sides.append(predict(batch.x)[None])
    return torch.stack(sides, 1).double().log_softmax(-1)
