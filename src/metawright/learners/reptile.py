"""Reptile: move the start towards where adaptation ends. No query, no second derivative.

The outer direction `start - mean(end)` is handed to the loop as if it were a gradient: with plain
SGD its learning rate is the paper's step size, and any other optimiser works as well.
"""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from metawright.learners.inner import (
    Descent,
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
    for use with one. As in the authors' code, Adam's second moments go on from task to task in
    training, and `adapt` starts from them without changing them: a task's few gradients could not
    tell their scale.

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
        self.moments = map_params(torch.zeros_like, detached(params_of(model)))
        self.count = torch.zeros((), dtype=torch.int64)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Adam's second moments and the number of steps that made them."""
        yield from ((f"moment.{name}", value) for name, value in self.moments.items())
        yield "moment_steps", self.count

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
            found = self._descend(forward, start, stack, torch.stack(rows), len(batch))
            ends = map_params(lambda value: value.mean(0), found.params)
            moments = map_params(lambda value: value.mean(0), found.moments)
            losses = found.losses
        else:
            forward = forward_of(self.model)
            parts = [
                self._descend(forward, start, own, at) for own, at in zip(whole, rows, strict=True)
            ]
            ends = _mean([part.params for part in parts])
            moments = _mean([part.moments for part in parts])
            losses = [
                math.fsum(values) for values in zip(*(part.losses for part in parts), strict=True)
            ]
        for name, value in moments.items():
            self.moments[name].copy_(value)
        self.count += self.inner_steps
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
        end = self._descend(forward, start, support, rows).params
        if torch.is_grad_enabled():
            end = {name: value + (end[name] - value.detach()) for name, value in start.items()}
        return predictor(forward, end, support.x)

    def _descend(
        self,
        forward: Forward,
        start: Params,
        examples: Batch,
        rows: Rows,
        tasks: int | None = None,
    ) -> Descent:
        moments = {name: self.moments[name].to(value) for name, value in start.items()}
        return descend_adaptively(
            forward,
            start if tasks is None else repeated(start, tasks),
            examples,
            rows,
            moments=moments if tasks is None else repeated(moments, tasks),
            count=int(self.count),
            loss=self.loss if tasks is None else summed(self.loss),
            lr=self.inner_lr,
        )


def build_reptile(spec: TaskSpec, rng: torch.Generator) -> Reptile:
    """Reptile with the paper's network and its settings for 5-way Omniglot."""
    return Reptile(backbone(spec, rng))


def _mean(several: Sequence[Params]) -> Params:
    """Mean of each tensor over several sets of them."""
    return {name: torch.stack([one[name] for one in several]).mean(0) for name in several[0]}


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
