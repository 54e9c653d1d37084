"""MAML: weights from which a few steps of gradient descent solve a new task.

The meta-gradient goes through the inner steps (second order), or takes their gradients as
constants (first order), which costs half and is nearly as good on many tasks.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from metawright.learners.inner import (
    Forward,
    check_adaptable,
    descend,
    forward_of,
    forward_of_tasks,
    gradient,
    predictor,
    repeated,
    stacked,
    summed,
)
from metawright.learners.learner import Loss, Predictor, accuracy, task_loss
from metawright.models.backbones import backbone
from metawright.params import Params, detached, map_params, params_of
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training.trainable import Step

__all__ = ["MAML", "build_maml"]


class MAML:
    r"""Learns the start $\theta$ of adaptation by descending

    $$\sum_i L_i^{query}(\theta - \alpha \nabla L_i^{support}(\theta))$$

    Arguments:
        model: any module without running statistics; its parameters are $\theta$.
        inner_lr: $\alpha$.
        inner_steps: steps of adaptation in training.
        evaluation_steps: steps in `adapt`; None for as many as in training. On Omniglot the paper
            trains with 1 and evaluates with 3; on regression more steps than in training can
            diverge.
        second_order: whether the meta-gradient goes through the inner gradients.
        loss: of outputs and answers; default cross-entropy for classes, squared error for numbers.
        batched: run tasks of one shape at once where the model can (`TaskBatched`): the same
            numbers up to rounding, faster for small tasks.

    References:
        Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, Finn, Abbeel and Levine,
        2017, https://arxiv.org/abs/1703.03400
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.4,
        inner_steps: int = 1,
        evaluation_steps: int | None = None,
        second_order: bool = True,
        loss: Loss = task_loss,
        batched: bool = True,
    ) -> None:
        check_adaptable(model)
        for name, value in (("inner_lr", inner_lr), ("inner_steps", inner_steps)):
            if value <= 0:
                raise ValueError(f"`{name} > 0` must hold, but got {value}.")
        self.model = model
        self.inner_lr = inner_lr
        self.inner_steps = inner_steps
        self.evaluation_steps = inner_steps if evaluation_steps is None else evaluation_steps
        self.second_order = second_order
        self.loss = loss
        self.batched = batched

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The model's own."""
        return self.model.named_parameters()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """Mean meta-gradient of the tasks' query losses, at `inner_steps` steps."""
        del rng  # MAML draws nothing
        start = params_of(self.model)
        forward = forward_of_tasks(self.model, batch) if self.batched else None
        if forward is not None:
            total, metrics = self._stack_gradients(forward, start, batch)
        else:
            total, metrics = self._loop_gradients(start, batch)
        grads = map_params(lambda value: value / len(batch), total)
        return Step(grads, {name: value / len(batch) for name, value in metrics.items()})

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        """The model after `evaluation_steps` steps on the support.

        The support stays in every batch that is predicted: a query alone is normalised with it.
        """
        del rng
        forward = forward_of(self.model)
        start = params_of(self.model)
        if torch.is_grad_enabled():
            adapted = self._descend(forward, start, support, self.evaluation_steps)
        else:
            # The inner steps need gradients of their own, but nothing of them is kept.
            leaves = detached(start, requires_grad=True)
            with torch.enable_grad():
                adapted = descend(
                    forward,
                    leaves,
                    support,
                    loss=self.loss,
                    lr=self.inner_lr,
                    steps=self.evaluation_steps,
                    second_order=False,
                )
            adapted = detached(adapted)
        return predictor(forward, adapted, support.x)

    def _descend(
        self, forward: Forward, start: Params, support: Batch, steps: int, loss: Loss | None = None
    ) -> Params:
        return descend(
            forward,
            start,
            support,
            loss=loss or self.loss,
            lr=self.inner_lr,
            steps=steps,
            second_order=self.second_order,
        )

    def _loop_gradients(
        self, start: Params, tasks: Sequence[Task]
    ) -> tuple[Params, dict[str, float]]:
        forward = forward_of(self.model)
        total = map_params(torch.zeros_like, start)
        metrics: dict[str, float] = {}
        for task in tasks:
            adapted = self._descend(forward, start, task.support, self.inner_steps)
            outputs = forward(adapted, task.query.x)
            loss = self.loss(outputs, task.query.labels)
            # One task's graph at a time: memory does not grow with the batch of tasks.
            grads = gradient(loss, start)
            total = {name: value + grads[name] for name, value in total.items()}
            for name, value in _metrics(loss, outputs, task.query.labels).items():
                metrics[name] = metrics.get(name, 0.0) + value
        return total, metrics

    def _stack_gradients(
        self, forward: Forward, start: Params, tasks: Sequence[Task]
    ) -> tuple[Params, dict[str, float]]:
        stack = stacked(tasks)
        copies = repeated(start, len(tasks))
        over_tasks = summed(self.loss)
        adapted = self._descend(forward, copies, stack.support, self.inner_steps, over_tasks)
        outputs = forward(adapted, stack.query.x)
        loss = over_tasks(outputs, stack.query.labels)
        metrics = _metrics(loss, outputs, stack.query.labels)
        if "accuracy" in metrics:
            metrics["accuracy"] *= len(tasks)
        return gradient(loss, start), metrics


def build_maml(spec: TaskSpec, rng: torch.Generator, *, second_order: bool = True) -> MAML:
    """MAML with the paper's network and inner rates: 0.4 for classes, 0.01 for numbers."""
    inner_lr = 0.4 if spec.kind is Kind.CLASSIFICATION else 0.01
    return MAML(backbone(spec, rng, head="mean"), inner_lr=inner_lr, second_order=second_order)


def _metrics(loss: Tensor, outputs: Tensor, answers: Tensor) -> dict[str, float]:
    values = {"loss": float(loss.detach())}
    if not answers.is_floating_point():
        values["accuracy"] = accuracy(outputs, answers)
    return values
