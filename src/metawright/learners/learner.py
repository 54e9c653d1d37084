"""What a meta-learner is: it can be trained on tasks, and it can adapt to one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from metawright.tasks.task import Batch, Task
from metawright.training.trainable import Step

__all__ = ["Learner", "Loss", "Predictor", "accuracy", "task_loss"]

Predictor = Callable[[Tensor], Tensor]
"""From examples (examples, *features) to outputs: logits (examples, ways) or targets."""

Loss = Callable[[Tensor, Tensor], Tensor]
"""From outputs and answers to a scalar, the mean over the examples."""


class Learner(Protocol):
    """A trainable that can also adapt. Its batch is a sequence of tasks."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """What is meta-learned, by name."""
        ...

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """Meta-gradients, the mean over a batch of tasks."""
        ...

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        """A predictor for the task that `support` shows; the learner itself stays as it is.

        Differentiable in the learner's parameters where gradients are enabled; under
        `torch.no_grad()` the predictor holds no graph.
        """
        ...


def task_loss(outputs: Tensor, answers: Tensor) -> Tensor:
    """Cross-entropy for classes (integers), mean squared error for numbers."""
    if answers.is_floating_point():
        return functional.mse_loss(outputs, answers)
    return functional.cross_entropy(outputs, answers)


def accuracy(outputs: Tensor, labels: Tensor) -> float:
    """Share of the examples whose largest output is their label's."""
    return float((outputs.argmax(-1) == labels).double().mean())
