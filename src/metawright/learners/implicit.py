r"""iMAML: the meta-gradient from where adaptation ends, whatever way it took.

Adaptation solves $\min_\phi L^{support}(\phi) + \frac\lambda2 \|\phi - \theta\|^2$. At a solution
the derivative of $\phi$ by $\theta$ is $(I + H/\lambda)^{-1}$, with $H$ the Hessian of
$L^{support}$, so nothing of the way needs to be kept: memory is flat in the number of inner steps.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from metawright.errors import MetawrightError
from metawright.learners.adaptable import (
    check_adaptable,
    check_unchanged,
    twice_differentiable,
)
from metawright.learners.adapted import Adapted, both
from metawright.learners.breakage import breakage
from metawright.learners.curvature import Operator, conjugate_gradients, hessian_product
from metawright.learners.inner import descend, forward_of, gradient
from metawright.learners.learner import Loss, accuracy, task_loss
from metawright.learners.statistics import Statistics
from metawright.models.backbones import backbone
from metawright.models.normalisation import Policy, normalising, with_policy
from metawright.params import Params, detached, map_params, params_of
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training.optimisers import SGD, InnerOptimiser, Rate, State
from metawright.training.trainable import Step

__all__ = ["ImplicitMAML", "Proximal", "build_implicit_maml"]


@dataclass(frozen=True)
class Proximal:
    r"""A rule for steps on the loss plus $\frac\lambda2 \|w - anchor\|^2$.

    Arguments:
        rule: steps along the gradient of the sum.
        anchor: where the pull goes.
        strength: $\lambda$.
    """

    rule: InnerOptimiser
    anchor: Mapping[str, Tensor]
    strength: float

    def init(self, params: Mapping[str, Tensor]) -> State:
        """As the rule."""
        return self.rule.init(params)

    def update(
        self, params: Mapping[str, Tensor], grads: Mapping[str, Tensor], state: State, lr: Rate
    ) -> tuple[Params, State]:
        """One step of the rule."""
        pulled = {
            name: grad + self.strength * (params[name] - self.anchor[name])
            for name, grad in grads.items()
        }
        return self.rule.update(params, pulled, state, lr)


class ImplicitMAML:
    r"""MAML with implicit gradients.

    Arguments:
        model: any module without running statistics (`with_policy` replaces `nn.BatchNorm*d`);
            its parameters are $\theta$.
        inner_lr: rate of adaptation by gradient descent.
        inner_steps: steps of adaptation in training; they must come near a solution.
        evaluation_steps: steps in `adapt`; None for as many as in training.
        strength: $\lambda$; it must exceed the most negative curvature of the support's loss.
        conjugate_steps: steps of conjugate gradients for a task's meta-gradient. They start from
            the gradient of the query's loss (first order) and end early at negative curvature.
        loss: of outputs and answers; default cross-entropy for classes, squared error for numbers.
        normalisation: "transductive" or "support".

    References:
        Meta-Learning with Implicit Gradients, Rajeswaran, Finn, Kakade and Levine, 2019,
        https://arxiv.org/abs/1909.04630
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        inner_lr: float = 0.1,
        inner_steps: int = 16,
        evaluation_steps: int | None = None,
        strength: float = 2.0,
        conjugate_steps: int = 5,
        loss: Loss = task_loss,
        normalisation: Policy = "transductive",
    ) -> None:
        positive = {"inner_lr": inner_lr, "inner_steps": inner_steps, "strength": strength}
        for name, value in positive.items():
            if value <= 0:
                raise ValueError(f"`{name} > 0` must hold, but got {value}.")
        if conjugate_steps < 0:
            raise ValueError(f"`conjugate_steps >= 0` must hold, but got {conjugate_steps}.")
        if normalisation in ("per-step", "running"):
            raise ValueError(
                "`normalisation` of implicit gradients must be 'transductive' or 'support', but "
                f"got {normalisation!r}."
            )
        self.model = with_policy(model)
        check_adaptable(self.model, second_order=True)
        self.inner_lr, self.inner_steps = inner_lr, inner_steps
        self.evaluation_steps = inner_steps if evaluation_steps is None else evaluation_steps
        self.strength, self.conjugate_steps, self.loss = strength, conjugate_steps, loss
        self.statistics = Statistics(normalisation, self.model, steps=inner_steps)
        self._forward = twice_differentiable(forward_of(self.model))
        self._checked = False

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The model's own."""
        return self.model.named_parameters()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """Mean implicit meta-gradient of the tasks' query losses, one task after the other.

        Raises:
            MetawrightError: a loss is not finite; says at which task and inner step.
        """
        del rng  # nothing is drawn
        self._check_model(batch[0].support.x)
        start = self._start()
        total = map_params(torch.zeros_like, start)
        metrics: dict[str, float] = {}
        for task in batch:
            end = self._solution(start, start, task.support, self.inner_steps, self.loss)
            outputs = self._query_outputs(end, task)
            loss = self.loss(outputs, task.query.labels)
            grads = gradient(loss, start)
            total = {name: value + grads[name] for name, value in total.items()}
            values = {"loss": float(loss.detach())}
            if not task.query.labels.is_floating_point():
                values["accuracy"] = accuracy(outputs, task.query.labels)
            metrics = {name: metrics.get(name, 0.0) + value for name, value in values.items()}
        if not math.isfinite(metrics["loss"]):
            raise MetawrightError(breakage(batch, self._losses, steps=self.inner_steps))
        return Step(
            map_params(lambda value: value / len(batch), total),
            {name: value / len(batch) for name, value in metrics.items()},
        )

    def adapt(self, support: Batch, rng: torch.Generator) -> Adapted:
        """The model after `evaluation_steps` steps towards the solution of the support.

        Where gradients are enabled, its derivative is the implicit one.
        """
        del rng
        self._check_model(support.x)
        return self._go_on(Adapted(self._forward, self._start(), support))

    def adapt_more(self, adapted: Adapted, support: Batch, rng: torch.Generator) -> Adapted:
        """`adapted` after `evaluation_steps` steps towards the solution of all it has seen and
        `support`; the pull goes to the learner's weights, as they are now."""
        del rng
        return self._go_on(replace(adapted, seen=both(adapted.seen, support)))

    def _go_on(self, before: Adapted) -> Adapted:
        anchor, steps = self._start(), self.evaluation_steps
        tied = torch.is_grad_enabled()
        with torch.enable_grad():
            params = self._solution(anchor, before.params, before.seen, steps, self.loss)
        if not tied:
            params = detached(params)
        made = before.steps + steps
        given = self.statistics.for_query(self._forward, params, before.seen.x, made)
        return replace(before, params=params, given=given, steps=made)

    def _solution(
        self, anchor: Params, start: Params, support: Batch, steps: int, loss: Loss
    ) -> Params:
        """Where descent ends, as a function of `anchor` by the implicit derivative."""
        pull_to = detached(anchor)
        end = descend(
            self._forward,
            detached(start, requires_grad=True),
            support,
            loss=loss,
            lr=self.inner_lr,
            steps=steps,
            second_order=False,
            optimiser=Proximal(SGD(), pull_to, self.strength),
        )
        end = detached(end)

        def pulled_back(cotangent: Params) -> Params:
            """$(I + H/\\lambda)^{-1}$ times the cotangent."""
            curvature = hessian_product(self._forward, end, support, loss)

            def operator(vector: Params) -> Params:
                bent = curvature(vector)
                return {name: v + bent[name] / self.strength for name, v in vector.items()}

            return conjugate_gradients(operator, cotangent, steps=self.conjugate_steps)

        values = _Solution.apply(pulled_back, end, *anchor.values())  # type: ignore[no-untyped-call]
        return dict(zip(anchor, values, strict=True))

    def _query_outputs(self, end: Params, task: Task) -> Tensor:
        given = self.statistics.for_query(self._forward, end, task.support.x, self.inner_steps)
        with nullcontext() if given is None else normalising(given=given):
            return self._forward(end, task.query.x)

    def _losses(self, task: Task) -> list[float]:
        values: list[float] = []

        def watched(outputs: Tensor, answers: Tensor) -> Tensor:
            value = self.loss(outputs, answers)
            values.append(float(value.detach()))
            return value

        start = self._start()
        end = self._solution(start, start, task.support, self.inner_steps, watched)
        watched(self._query_outputs(end, task), task.query.labels)
        return values

    def _start(self) -> Params:
        """The weights that are learned and adapted; those without gradient stay in the module."""
        return {n: value for n, value in params_of(self.model).items() if value.requires_grad}

    def _check_model(self, x: Tensor) -> None:
        if not self._checked:
            check_unchanged(self.model, x)
            self._checked = True


class _Solution(torch.autograd.Function):
    """The solution as it was found, with a derivative of its own by the anchor."""

    @staticmethod
    def forward(ctx: Any, pulled_back: Operator, end: Params, *anchor: Tensor) -> Any:
        del anchor
        ctx.pulled_back, ctx.names = pulled_back, list(end)
        return tuple(value.clone() for value in end.values())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *cotangents: Tensor) -> Any:
        found = ctx.pulled_back(dict(zip(ctx.names, cotangents, strict=True)))
        return None, None, *(found[name] for name in ctx.names)


def build_implicit_maml(spec: TaskSpec, rng: torch.Generator) -> ImplicitMAML:
    """iMAML with MAML's network and the paper's settings for Omniglot: 16 steps of gradient
    descent, a pull of 2, 5 steps of conjugate gradients; rates 0.1 for classes, 0.01 for numbers.
    """
    inner_lr = 0.1 if spec.kind is Kind.CLASSIFICATION else 0.01
    return ImplicitMAML(backbone(spec, rng, head="mean"), inner_lr=inner_lr)
