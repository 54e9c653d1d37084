"""What adaptation gives: weights for one task, which predict and can be adapted further.

It is a value. Adapting on with more data gives another one and leaves this as it was.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from metawright.learners.inner import Forward
from metawright.models.normalisation import Given, normalising
from metawright.params import Params
from metawright.tasks.task import Batch
from metawright.training.optimisers import State

__all__ = ["Adapted", "both"]


@dataclass(frozen=True)
class Adapted:
    """A predictor for the task that `seen` shows.

    Arguments:
        forward: the model as a function of weights and examples.
        params: the adapted weights.
        seen: all support so far.
        given: statistics to normalise with. None leaves it to the batch at hand, in which the
            support then stays, so that a query is never alone: one by one, the support gives the
            statistics (nearly inductive); all at once, the queries do too (transductive).
        steps: inner steps made so far.
        state: state of the inner optimiser; None where it begins anew.
    """

    forward: Forward
    params: Params
    seen: Batch
    given: Given | None = None
    steps: int = 0
    state: State | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """Outputs for examples (examples, *features)."""
        if self.given is None:
            joined = torch.cat([self.seen.x, x])
            return self.forward(self.params, joined)[len(self.seen.x) :]
        with normalising(given=self.given):
            return self.forward(self.params, x)


def both(first: Batch, second: Batch) -> Batch:
    """The examples of two batches in one."""
    return Batch(torch.cat([first.x, second.x]), torch.cat([first.labels, second.labels]))
