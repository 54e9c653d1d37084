"""Reptile: move the start towards where adaptation ends. No query, no second derivative.

The outer direction `start - mean(end)` is handed to the loop as if it were a gradient: with plain
SGD its learning rate is the paper's step size, and any other optimiser works as well.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count as count_up
from typing import Literal

import torch
from torch import Tensor, nn

from metawright.learners.adaptable import check_adaptable, check_unchanged
from metawright.learners.adapted import Adapted, both
from metawright.learners.inner import (
    Descent,
    Forward,
    Rows,
    descend_adaptively,
    forward_of,
    forward_of_tasks,
    repeated,
    summed,
)
from metawright.learners.learner import Loss, task_loss
from metawright.learners.statistics import Recording, Statistics
from metawright.models.backbones import TaskBatched, backbone
from metawright.models.normalisation import Policy, with_policy
from metawright.params import Params, detached, map_params, params_of
from metawright.tasks.task import Batch, Task, TaskSpec
from metawright.training.optimisers import State
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
        model: any module; its parameters are $\theta$. Where it has `nn.BatchNorm*d`,
            `with_policy` takes its place, with the same parameters.
        inner_lr: learning rate of adaptation.
        inner_steps: steps of adaptation in training.
        inner_batch: examples a step in training.
        evaluation_steps: steps in `adapt`; None for as many as in training.
        evaluation_batch: examples a step in `adapt`; None for as many as in training.
        loss: of outputs and answers; default cross-entropy for classes, squared error for numbers.
        batching: "stack" runs tasks of one shape at once, "loop" one after the other; "auto"
            stacks where the model can (`TaskBatched`): with small inner batches it always pays.
        normalisation: where statistics come from when a query is predicted. "transductive" gives
            both of the paper's figures: without transduction when queries are predicted one by
            one, with it when they are predicted at once. "per-step" is for learners that are used
            with as many steps as they are trained with.

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
        batching: Literal["auto", "loop", "stack"] = "auto",
        normalisation: Policy = "transductive",
    ) -> None:
        self.model = with_policy(model)
        check_adaptable(self.model)
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.inner_batch = inner_batch
        self.evaluation_steps = inner_steps if evaluation_steps is None else evaluation_steps
        self.evaluation_batch = inner_batch if evaluation_batch is None else evaluation_batch
        for name in ("inner_lr", "inner_steps", "inner_batch", "evaluation_batch"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name} > 0` must hold, but got {getattr(self, name)}.")
        if batching not in ("auto", "loop", "stack"):
            raise ValueError(f"`batching` must be auto, loop or stack, but got {batching!r}.")
        if batching == "stack" and not isinstance(self.model, TaskBatched):
            raise ValueError("batching='stack' needs a model with `forward_tasks`: use 'auto'.")
        if normalisation == "per-step":
            raise ValueError("`normalisation` of Reptile cannot be 'per-step': use 'running'.")
        self.loss = loss
        self.batching = batching
        self.statistics = Statistics(normalisation, self.model, steps=inner_steps)
        self.moments = map_params(torch.zeros_like, detached(params_of(self.model)))
        self._checked = False
        self.count = torch.zeros((), dtype=torch.int64)

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Adam's second moments and the number of steps that made them; running statistics."""
        yield from ((f"moment.{name}", value) for name, value in self.moments.items())
        yield "moment_steps", self.count
        yield from self.statistics.named_buffers()

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The model's own."""
        return self.model.named_parameters()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """The start minus the mean of where the tasks' adaptation ends.

        The metrics are the loss on the first and on the last inner batch.
        """
        self._check_model(batch[0].support.x)
        start, recording = params_of(self.model), self.statistics.recording()
        whole = [_whole(task) for task in batch]
        rows = [_rows(len(b.x), self.inner_steps, self.inner_batch, rng) for b in whole]
        forward = None if self.batching == "loop" else forward_of_tasks(self.model, batch)
        if forward is not None:
            recording.begin()
            stack = Batch(*(torch.stack(part) for part in zip(*whole, strict=True)))
            watched = _watched(forward, recording)
            found = self._descend(watched, start, stack, torch.stack(rows), len(batch))
            ends = map_params(lambda value: value.mean(0), found.params)
            moments = map_params(lambda value: value.mean(0), found.moments)
            losses = found.losses
        else:
            parts = []
            for own, at in zip(whole, rows, strict=True):
                recording.begin()
                watched = _watched(forward_of(self.model), recording)
                parts.append(self._descend(watched, start, own, at))
            ends = _mean([part.params for part in parts])
            moments = _mean([part.moments for part in parts])
            losses = [
                math.fsum(values) for values in zip(*(part.losses for part in parts), strict=True)
            ]
        for name, value in moments.items():
            self.moments[name].copy_(value)
        self.count += self.inner_steps
        self.statistics.absorb(recording)
        grads = {name: value.detach() - ends[name] for name, value in start.items()}
        first, last = losses[0] / len(batch), losses[-1] / len(batch)
        return Step(grads, {"loss": last, "first_loss": first})

    def adapt(self, support: Batch, rng: torch.Generator) -> Adapted:
        """The model after `evaluation_steps` steps on batches of the support.

        Where gradients are enabled, the end of adaptation follows the start one to one, as in
        first-order MAML.
        """
        self._check_model(support.x)
        state = State({"square": self.moments}, int(self.count))
        start = params_of(self.model)
        return self._go_on(Adapted(forward_of(self.model), start, support, state=state), rng)

    def adapt_more(self, adapted: Adapted, support: Batch, rng: torch.Generator) -> Adapted:
        """`adapted` after `evaluation_steps` further steps, on all it has seen and `support`."""
        return self._go_on(replace(adapted, seen=both(adapted.seen, support)), rng)

    def _go_on(self, before: Adapted, rng: torch.Generator) -> Adapted:
        def forward(params: Params, x: Tensor) -> Tensor:
            with self.statistics.adapting(0):
                return before.forward(params, x)

        rows = _rows(len(before.seen.x), self.evaluation_steps, self.evaluation_batch, rng)
        found = self._descend(forward, before.params, before.seen, rows, state=before.state)
        end = found.params
        if torch.is_grad_enabled():
            end = {n: value + (end[n] - value.detach()) for n, value in before.params.items()}
        steps = before.steps + self.evaluation_steps
        given = self.statistics.for_query(before.forward, end, before.seen.x, steps)
        count = (before.state.steps if before.state else 0) + self.evaluation_steps
        state = State({"square": found.moments}, count)
        return replace(before, params=end, given=given, steps=steps, state=state)

    def _check_model(self, x: Tensor) -> None:
        if not self._checked:
            check_unchanged(self.model, x)
            self._checked = True

    def _descend(
        self,
        forward: Forward,
        start: Params,
        examples: Batch,
        rows: Rows,
        tasks: int | None = None,
        state: State | None = None,
    ) -> Descent:
        now = state or State({"square": self.moments}, int(self.count))
        moments = {name: now.moments["square"][name].to(value) for name, value in start.items()}
        return descend_adaptively(
            forward,
            start if tasks is None else repeated(start, tasks),
            examples,
            rows,
            moments=moments if tasks is None else repeated(moments, tasks),
            count=now.steps,
            loss=self.loss if tasks is None else summed(self.loss),
            lr=self.inner_lr,
        )


def build_reptile(spec: TaskSpec, rng: torch.Generator) -> Reptile:
    """Reptile with the paper's network and its settings for 5-way Omniglot."""
    return Reptile(backbone(spec, rng))


def _watched(forward: Forward, recording: Recording) -> Forward:
    """`forward` that records what its layers see in each pass."""
    steps = count_up()

    def watched(params: Params, x: Tensor) -> Tensor:
        with recording.support(next(steps)):
            return forward(params, x)

    return watched if recording.on else forward


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
