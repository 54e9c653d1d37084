"""Reptile: move the start towards where adaptation ends. No query, no second derivative.

The outer direction `start - mean(end)` is handed to the loop as if it were a gradient: with plain
SGD its learning rate is the paper's step size, and any other optimiser works as well.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from metawright.learners.inner import (
    Forward,
    Rows,
    check_adaptable,
    descend_adaptively,
    forward_of,
    forward_of_tasks,
    predictor,
    repeated,
    summed,
)
from metawright.learners.learner import Loss, Predictor, task_loss
from metawright.models.backbones import backbone
from metawright.params import Params, detached, map_params, params_of
from metawright.tasks.task import Batch, Task, TaskSpec
from metawright.training.trainable import Step

__all__ = ["Reptile", "build_reptile"]


class Reptile:
    r"""Learns the start $\theta$ of adaptation by stepping along

    $$\theta - \frac{1}{n} \sum_i Adapt_i(\theta)$$

    where a task is adapted to on all its examples, support and query alike, by Adam without
    momentum (beta1 = 0) on small batches. Train it on tasks with 10 to 15 examples a class, also
    for use with one. Unlike in the authors' code, Adam's second moments begin anew with each task,
    so that the learner has no state beside its parameters.

    Arguments:
        model: any module without running statistics; its parameters are $\theta$.
        inner_lr: learning rate of adaptation.
        inner_steps: steps of adaptation in training.
        inner_batch: examples a step in training.
        evaluation_steps: steps in `adapt`; None for as many as in training.
        evaluation_batch: examples a step in `adapt`; None for as many as in training.
        loss: of outputs and answers; default cross-entropy for classes, squared error for numbers.
        batched: run tasks of one shape at once where the model can (`TaskBatched`).

    References:
        On First-Order Meta-Learning Algorithms, Nichol, Achiam and Schulman, 2018,
        https://arxiv.org/abs/1803.02999
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 1e-3,
        inner_steps: int = 5,
        inner_batch: int = 10,
        evaluation_steps: int | None = 50,
        evaluation_batch: int | None = 5,
        loss: Loss = task_loss,
        batched: bool = True,
    ) -> None:
        check_adaptable(model)
        self.model = model
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.inner_batch = inner_batch
        self.evaluation_steps = inner_steps if evaluation_steps is None else evaluation_steps
        self.evaluation_batch = inner_batch if evaluation_batch is None else evaluation_batch
        for name in ("inner_lr", "inner_steps", "inner_batch", "evaluation_batch"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name} > 0` must hold, but got {getattr(self, name)}.")
        self.loss = loss
        self.batched = batched

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The model's own."""
        return self.model.named_parameters()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """The start minus the mean of where the tasks' adaptation ends.

        The metrics are the loss on the first and on the last inner batch.
        """
        start = params_of(self.model)
        whole = [_whole(task) for task in batch]
        rows = [_rows(len(b.x), self.inner_steps, self.inner_batch, rng) for b in whole]
        forward = forward_of_tasks(self.model, batch) if self.batched else None
        if forward is not None:
            stack = Batch(*(torch.stack(part) for part in zip(*whole, strict=True)))
            copies = repeated(start, len(batch))
            end, losses = self._end(forward, copies, stack, torch.stack(rows), summed(self.loss))
            ends = map_params(lambda value: value.mean(0), end)
        else:
            forward = forward_of(self.model)
            parts = [
                self._end(forward, start, own, at, self.loss)
                for own, at in zip(whole, rows, strict=True)
            ]
            ends = {n: torch.stack([end[n] for end, _ in parts]).mean(0) for n in start}
            losses = [math.fsum(values) for values in zip(*(v for _, v in parts), strict=True)]
        grads = {name: value.detach() - ends[name] for name, value in start.items()}
        first, last = losses[0] / len(batch), losses[-1] / len(batch)
        return Step(grads, {"loss": last, "first_loss": first})

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        """The model after `evaluation_steps` steps on batches of the support.

        The support stays in every batch that is predicted. Where gradients are enabled, the end of
        adaptation follows the start one to one, as in first-order MAML.
        """
        start = params_of(self.model)
        forward = forward_of(self.model)
        rows = _rows(len(support.x), self.evaluation_steps, self.evaluation_batch, rng)
        end, _ = self._end(forward, start, support, rows, self.loss)
        if torch.is_grad_enabled():
            end = {name: value + (end[name] - value.detach()) for name, value in start.items()}
        return predictor(forward, end, support.x)

    def _end(
        self, forward: Forward, start: Params, examples: Batch, rows: Rows, loss: Loss
    ) -> tuple[Params, list[float]]:
        leaves = detached(start, requires_grad=True)
        return descend_adaptively(forward, leaves, examples, rows, loss=loss, lr=self.inner_lr)


def build_reptile(spec: TaskSpec, rng: torch.Generator) -> Reptile:
    """Reptile with the paper's network and its settings for 5-way Omniglot."""
    return Reptile(backbone(spec, rng))


def _whole(task: Task) -> Batch:
    """All examples of a task in one batch."""
    return Batch(
        torch.cat([task.support.x, task.query.x]),
        torch.cat([task.support.labels, task.query.labels]),
    )


def _rows(examples: int, steps: int, size: int, rng: torch.Generator) -> Tensor:
    """Which examples each step sees, (steps, size): all once before any again."""
    size = min(size, examples)
    rounds = -(-steps * size // examples)
    orders = [torch.randperm(examples, generator=rng) for _ in range(rounds)]
    return torch.cat([*orders, torch.empty(0, dtype=torch.int64)])[: steps * size].view(
        steps, size
    )
