"""Adaptation by descent with all its settings, and the loss of queries after it.

`InnerLoop` knows how one task is adapted to; the same code runs a task by itself, a stack of
tasks, and many tasks under `torch.func.vmap`. What is learned by it is another's business.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metawright.learners.adaptable import twice_differentiable
from metawright.learners.adapted import Adapted
from metawright.learners.inner import (
    Around,
    Each,
    Forward,
    descend,
    forward_of,
    repeated,
    stacked,
    summed,
)
from metawright.learners.learner import Loss
from metawright.learners.precision import mixed
from metawright.learners.statistics import Recording, Statistics
from metawright.models.backbones import TaskBatched
from metawright.models.normalisation import normalising
from metawright.params import Params, detached, params_of
from metawright.tasks.task import Batch, Task
from metawright.training.optimisers import InnerOptimiser, Rate, State

__all__ = ["InnerLoop", "Judged", "Plan"]


@dataclass(frozen=True)
class Plan:
    """What a batch of tasks is run by: it changes as meta-training goes on.

    Arguments:
        second_order: whether the derivative goes through the inner gradients.
        weights: of the query loss after each inner step (`step_weights`).
        recording: where the statistics of the passes go.
    """

    second_order: bool
    weights: tuple[float, ...]
    recording: Recording


class Judged(NamedTuple):
    """What a task, or several together, gave: what is descended, the last loss, the outputs."""

    objective: Tensor
    loss: Tensor
    outputs: Tensor


@dataclass(frozen=True)
class InnerLoop:
    """The settings of adaptation.

    Arguments:
        model: whose parameters are where adaptation starts.
        loss: of outputs and answers.
        lr: the rate of each step.
        optimiser: the rule of a step.
        moving: names of the parameters that the steps move.
        second_order: whether it will be differentiated twice, at any time.
        checkpointed: whether the passes of the steps are made again on the way back.
        autocast: type of the network's computations; None for that of its weights.
        statistics: the normalisation policy at work.
    """

    model: nn.Module
    loss: Loss
    lr: Callable[[int], Rate]
    optimiser: InnerOptimiser
    moving: frozenset[str]
    second_order: bool
    checkpointed: bool
    autocast: torch.dtype | None
    statistics: Statistics

    def forward(self) -> Forward:
        """The model as a function of its weights, for one task."""
        forward = forward_of(self.model)
        if self.second_order and not isinstance(self.model, TaskBatched):
            forward = twice_differentiable(forward)
        return mixed(forward, self.autocast)

    def adapted(self, before: Adapted, steps: int) -> Adapted:
        """`steps` further steps on all that was seen, from where `before` stands.

        Differentiable where gradients are enabled; else it holds no graph.
        """
        tied = torch.is_grad_enabled()
        last: list[State] = []
        with torch.enable_grad():  # inner steps need gradients of their own
            params = self._descend(
                before.forward,
                self._ready(before.params, tied),
                before.seen,
                steps,
                second_order=self.second_order and tied,
                around=lambda step: self.statistics.adapting(before.steps + step),
                first=before.steps,
                state=before.state,
                each=lambda _, state: last.append(state),
            )
        state = last[-1] if last else before.state
        if not tied:
            params, state = detached(params), state and _without_graph(state)
        made = before.steps + steps
        given = self.statistics.for_query(before.forward, params, before.seen.x, made)
        return replace(before, params=params, given=given, steps=made, state=state)

    def alone(self, tasks: Sequence[Task], plan: Plan) -> Judged:
        """A single task."""
        (task,) = tasks
        start = params_of(self.model)
        return self._judged(self.forward(), start, task.support, task.query, plan, loss=self.loss)

    def stack(self, tasks: Sequence[Task], plan: Plan) -> Judged:
        """Tasks of one shape through `forward_tasks`: sums of their losses."""
        assert isinstance(self.model, TaskBatched)
        pile, copies = stacked(tasks), repeated(params_of(self.model), len(tasks))
        forward, loss = mixed(self.model.forward_tasks, self.autocast), summed(self.loss)
        return self._judged(forward, copies, pile.support, pile.query, plan, loss=loss)

    def vmap(self, tasks: Sequence[Task], plan: Plan) -> Judged:
        """Tasks of one shape under `torch.func.vmap`: sums of their losses."""
        forward, start, pile = self.forward(), params_of(self.model), stacked(tasks)

        def one(support: Batch, query: Batch) -> Judged:
            return self._judged(
                forward, start, support, query, plan, loss=self.loss, functional=True
            )

        each = torch.func.vmap(one, randomness="different")(pile.support, pile.query)
        return Judged(each.objective.sum(), each.loss.sum(), each.outputs)

    def losses(self, task: Task, plan: Plan) -> list[float]:
        """The loss of a task on its support before each inner step, and then on its query."""
        values: list[float] = []

        def watched(outputs: Tensor, answers: Tensor) -> Tensor:
            value = self.loss(outputs, answers)
            values.append(float(value.detach()))
            return value

        start, once = params_of(self.model), replace(plan, second_order=False)
        self._judged(self.forward(), start, task.support, task.query, once, loss=watched)
        return values

    def _judged(
        self,
        forward: Forward,
        start: Params,
        support: Batch,
        query: Batch,
        plan: Plan,
        *,
        loss: Loss,
        functional: bool = False,
    ) -> Judged:
        """The query losses after the inner steps, weighted."""
        ends: list[Params] = []
        self._descend(
            forward,
            start,
            support,
            len(plan.weights),
            second_order=plan.second_order,
            around=plan.recording.support,
            each=lambda params, _: ends.append(params),
            loss=loss,
            functional=functional,
        )
        shares: list[Tensor] = []
        for step, (weight, params) in enumerate(zip(plan.weights, ends, strict=True), 1):
            if weight == 0:
                continue
            with self._query_pass(forward, params, support.x, step, plan):
                outputs = forward(params, query.x)
            last = loss(outputs, query.labels)
            shares.append(last if weight == 1 else weight * last)
        return Judged(sum(shares[1:], shares[0]), last, outputs)

    def _query_pass(
        self, forward: Forward, params: Params, support: Tensor, step: int, plan: Plan
    ) -> AbstractContextManager[None]:
        if self.statistics.policy == "support":
            return normalising(given=self.statistics.of_support(forward, params, support))
        return plan.recording.passing(step, "query")

    def _descend(
        self,
        forward: Forward,
        start: Params,
        support: Batch,
        steps: int,
        *,
        second_order: bool,
        around: Around,
        each: Each,
        loss: Loss | None = None,
        functional: bool = False,
        first: int = 0,
        state: State | None = None,
    ) -> Params:
        return descend(
            forward,
            start,
            support,
            loss=loss or self.loss,
            lr=lambda step: self.lr(first + step),
            steps=steps,
            second_order=second_order,
            optimiser=self.optimiser,
            state=state,
            adapts=self.moving.__contains__,
            checkpointed=self.checkpointed,
            functional=functional,
            around=around,
            each=each,
        )

    def _ready(self, params: Params, tied: bool) -> Params:
        """Weights to step from: the same where a graph is asked for, else free copies."""
        if not tied:
            return detached(params, requires_grad=True)
        cut = {name for name in self.moving if not params[name].requires_grad}
        return params | {name: params[name].detach().requires_grad_() for name in cut}


def _without_graph(state: State) -> State:
    moments = {name: detached(values) for name, values in state.moments.items()}
    return State(moments, state.steps)
