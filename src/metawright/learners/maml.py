"""MAML: weights from which a few steps of gradient descent solve a new task.

The meta-gradient goes through the inner steps (second order), or takes their gradients as
constants (first order), which costs half and is nearly as good on many tasks. Its relatives are
options of the one class: Meta-SGD learns the inner rates, ANIL adapts the head alone, MAML++
learns a rate for every layer and step and makes training stable.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from metawright.errors import MetawrightError
from metawright.learners.adaptable import check_adaptable, check_unchanged
from metawright.learners.adapted import Adapted, both
from metawright.learners.batching import Batching, check_batching, parts
from metawright.learners.breakage import breakage
from metawright.learners.inner import gradient
from metawright.learners.inner_loop import InnerLoop, Judged, Plan
from metawright.learners.learner import Loss, accuracy, task_loss
from metawright.learners.multi_step import step_weights
from metawright.learners.precision import check_autocast
from metawright.learners.rates import RateKind, rates_of
from metawright.learners.statistics import Statistics
from metawright.models.normalisation import Policy, with_policy
from metawright.params import Params, map_params, params_of
from metawright.tasks.task import Batch, Task
from metawright.training.optimisers import INNER_OPTIMISERS, InnerOptimiser, Rate
from metawright.training.trainable import Step

__all__ = ["MAML"]


class MAML:
    r"""Learns the start $\theta$ of adaptation by descending

    $$\sum_i L_i^{query}(\theta - \alpha \nabla L_i^{support}(\theta))$$

    Arguments:
        model: any module; its parameters that require a gradient are $\theta$. Where it has
            `nn.BatchNorm*d`, `with_policy` takes its place, with the same parameters.
        inner_lr: $\alpha$.
        inner_steps: steps of adaptation in training.
        evaluation_steps: steps in `adapt`; None for as many as in training. On Omniglot the paper
            trains with 1 and evaluates with 3; on regression more steps than in training can
            diverge.
        second_order: whether the meta-gradient goes through the inner gradients.
        loss: of outputs and answers; default cross-entropy for classes, squared error for numbers.
        rates: inner rates that are learned, beginning at `inner_lr`: "per-entry" (Meta-SGD),
            "per-step" (MAML++), or "fixed".
        optimiser: the rule of an inner step, or its name in `INNER_OPTIMISERS`.
        adapts: which parameters the inner steps move, by name; default all. With `head_of(model)`
            this is ANIL.
        first_order_steps: so many steps of meta-training at the start are first order (MAML++).
        fading: steps of meta-training over which the losses after the earlier inner steps fade
            (`step_weights`, MAML++); 0 for the last step's alone.
        checkpointed: make the inner passes again on the way back instead of keeping them: memory
            about flat in the number of inner steps.
        autocast: `torch.bfloat16` or `torch.float16` for the network's computations; None for
            those of its weights.
        batching: how a batch of tasks is run; the gradients are the same. "auto" stacks tasks of
            one shape where the model can and where that is faster.
        normalisation: where statistics come from when a query is predicted.

    Raises:
        ValueError: a setting makes no sense, or the model has a layer that cannot be adapted.

    References:
        Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, Finn, Abbeel and Levine,
        2017, https://arxiv.org/abs/1703.03400
        How to train your MAML, Antoniou, Edwards and Storkey, 2018,
        https://arxiv.org/abs/1810.09502
        Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML, Raghu,
        Raghu, Bengio and Vinyals, 2019, https://arxiv.org/abs/1909.09157 (ANIL)
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
        rates: RateKind = "fixed",
        optimiser: InnerOptimiser | str = "sgd",
        adapts: Callable[[str], bool] | None = None,
        first_order_steps: int = 0,
        fading: int = 0,
        checkpointed: bool = False,
        autocast: torch.dtype | None = None,
        batching: Batching = "auto",
        normalisation: Policy = "transductive",
    ) -> None:
        for name, value in (("inner_lr", inner_lr), ("inner_steps", inner_steps)):
            if value <= 0:
                raise ValueError(f"`{name} > 0` must hold, but got {value}.")
        for name, value in (("first_order_steps", first_order_steps), ("fading", fading)):
            if value < 0:
                raise ValueError(f"`{name} >= 0` must hold, but got {value}.")
        self.model = with_policy(model)
        vmapped = batching == "vmap"
        check_adaptable(self.model, second_order=second_order, vmapped=vmapped)
        check_batching(batching, self.model)
        check_autocast(autocast)
        self.inner_lr, self.inner_steps = inner_lr, inner_steps
        self.evaluation_steps = inner_steps if evaluation_steps is None else evaluation_steps
        self.second_order, self.loss, self.batching = second_order, loss, batching
        self.first_order_steps, self.fading = first_order_steps, fading
        self.statistics = Statistics(normalisation, self.model, steps=inner_steps)
        if vmapped and (checkpointed or self.statistics.running is not None):
            raise ValueError(
                "batching='vmap' can neither checkpoint steps nor keep running statistics: use "
                "'auto', 'stack' or 'loop'."
            )
        start, moving = params_of(self.model), _moving(self.model, adapts)
        moved = {name: value for name, value in start.items() if name in moving}
        self.rates = rates_of(rates, moved, lr=inner_lr, steps=inner_steps)
        self.inner = InnerLoop(
            model=self.model,
            loss=loss,
            lr=self._rate,
            optimiser=_optimiser(optimiser),
            moving=moving,
            second_order=second_order,
            checkpointed=checkpointed,
            autocast=autocast,
            statistics=self.statistics,
        )
        self.meta_steps = torch.zeros((), dtype=torch.int64)
        self._checked = False

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The model's own, and the learned inner rates ("inner_lr.NAME")."""
        yield from self.model.named_parameters()
        if self.rates is not None:
            yield from ((f"inner_lr.{n}", p) for n, p in self.rates.parameters.items())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """How many steps were made, where that matters, and running statistics."""
        if self.first_order_steps or self.fading:
            yield "meta_steps", self.meta_steps
        yield from self.statistics.named_buffers()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """Mean meta-gradient of the tasks' query losses, at `inner_steps` steps.

        Raises:
            MetawrightError: a loss is not finite; says at which task and inner step.
        """
        del rng  # MAML draws nothing
        self._check_model(batch[0].support.x)
        made = int(self.meta_steps)
        plan = Plan(
            self.second_order and made >= self.first_order_steps,
            step_weights(made, steps=self.inner_steps, fading=self.fading),
            self.statistics.recording(),
        )
        leaves = {name: value for name, value in self.named_parameters() if value.requires_grad}
        total: Params = {}
        metrics: dict[str, float] = {}
        run = {"loop": self.inner.alone, "stack": self.inner.stack, "vmap": self.inner.vmap}
        for part in parts(self.batching, self.model, batch):
            tasks = [batch[place] for place in part.places]
            plan.recording.begin()
            judged = run[part.way](tasks, plan)
            # One part's graph at a time: memory does not grow with the batch of tasks.
            grads = gradient(judged.objective, leaves)
            total = {n: total[n] + grad for n, grad in grads.items()} if total else grads
            for name, value in _metrics(judged, tasks).items():
                metrics[name] = metrics.get(name, 0.0) + value
        if not math.isfinite(metrics["loss"]):
            losses = partial(self.inner.losses, plan=plan)
            raise MetawrightError(breakage(batch, losses, steps=self.inner_steps))
        self.statistics.absorb(plan.recording)
        self.meta_steps += 1
        return Step(
            map_params(lambda value: value / len(batch), total),
            {name: value / len(batch) for name, value in metrics.items()},
        )

    def adapt(self, support: Batch, rng: torch.Generator) -> Adapted:
        """The model after `evaluation_steps` steps on the support."""
        del rng
        self._check_model(support.x)
        before = Adapted(self.inner.forward(), params_of(self.model), support)
        return self.inner.adapted(before, self.evaluation_steps)

    def adapt_more(self, adapted: Adapted, support: Batch, rng: torch.Generator) -> Adapted:
        """`adapted` after `evaluation_steps` further steps, on all it has seen and `support`."""
        del rng
        seen = both(adapted.seen, support)
        return self.inner.adapted(replace(adapted, seen=seen), self.evaluation_steps)

    def _rate(self, step: int) -> Rate:
        return self.inner_lr if self.rates is None else self.rates.at(step)

    def _check_model(self, x: Tensor) -> None:
        if not self._checked:
            check_unchanged(self.model, x)
            self._checked = True


def _optimiser(optimiser: InnerOptimiser | str) -> InnerOptimiser:
    if not isinstance(optimiser, str):
        return optimiser
    if optimiser not in INNER_OPTIMISERS:
        known = sorted(INNER_OPTIMISERS)
        raise ValueError(f"`optimiser` must be one of {known} or a rule, but got {optimiser!r}.")
    return INNER_OPTIMISERS[optimiser]()


def _moving(model: nn.Module, adapts: Callable[[str], bool] | None) -> frozenset[str]:
    """Names of the parameters that the inner steps move."""
    found = frozenset(
        name
        for name, value in model.named_parameters()
        if value.requires_grad and (adapts is None or adapts(name))
    )
    if not found:
        raise ValueError("`adapts` must hold for some parameter, but it holds for none.")
    return found


def _metrics(judged: Judged, tasks: Sequence[Task]) -> dict[str, float]:
    """Sums over the tasks."""
    values = {"loss": float(judged.loss.detach())}
    labels = torch.cat([task.query.labels for task in tasks])
    if not labels.is_floating_point():
        outputs = judged.outputs.detach().flatten(0, -2)
        values["accuracy"] = len(tasks) * accuracy(outputs, labels)
    return values
