"""Meta-learning the weights that all networks of a space share.

Each step draws a task and some networks of the space; each network gives a meta-gradient on the
task through its part of the shared weights. The head of a network is not learned: it starts at the
class means of the task, as a linear layer, and the inner steps move it together with the network.
With zero inner steps the objective is that of a prototypical network.

References:
    Meta-Dataset: A Dataset of Datasets for Learning to Learn from Few Examples, Triantafillou
    et al. 2020, https://arxiv.org/abs/1903.03096 (MAML from a prototype head, "Proto-MAML").
    On First-Order Meta-Learning Algorithms, Nichol, Achiam and Schulman 2018,
    https://arxiv.org/abs/1803.02999 (Reptile).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metawright.learners.inner import Forward, descend
from metawright.learners.learner import Predictor, accuracy, task_loss
from metawright.models.heads import prototype_layer
from metawright.models.shared import features_of, sub_params
from metawright.params import Params, detached
from metawright.rng import integer
from metawright.tasks.task import Batch, Task
from metawright.training.trainable import Step

__all__ = ["Networks", "WeightSharing", "headed"]

Networks = Callable[[torch.Generator], Sequence[Mapping[str, Any]]]
"""Draws the networks that one step trains."""


class WeightSharing:
    """The shared weights as a learner: a field of gradients that can adapt.

    Arguments:
        shared: first weights (`metawright.models.shared.shared_params`).
        networks: draws the networks of a step; the first of them is what `adapt` uses.
        prepare: brings images into the form the networks see.
        method: "maml" (gradient of the query loss after adapting) or "reptile" (difference to the
            weights adapted on support and query together, as the mean gradient along the way:
            over `inner_lr` and the number of steps; it does not learn the sharpness).
        inner_steps: inclusive range of the number of inner steps, drawn anew for each network.
        inner_lr: rate of the inner steps.
        second_order: whether MAML differentiates through the inner gradients.
        scale: first value of the learned sharpness of the prototype head.
    """

    def __init__(
        self,
        shared: Mapping[str, Tensor],
        networks: Networks,
        *,
        prepare: nn.Module,
        method: str = "maml",
        inner_steps: tuple[int, int] = (0, 1),
        inner_lr: float = 0.05,
        second_order: bool = False,
        scale: float = 10.0,
    ) -> None:
        low, high = inner_steps
        if method not in ("maml", "reptile"):
            raise ValueError(f"`method` must be 'maml' or 'reptile', but got {method!r}.")
        if not 0 <= low <= high or (method == "reptile" and low < 1):
            raise ValueError(
                "`0 <= inner_steps` (low <= high; at least 1 for reptile) must hold, but got "
                f"{inner_steps}."
            )
        if scale <= 0 or inner_lr <= 0:
            raise ValueError(
                "`scale > 0` and `inner_lr > 0` must hold, but got "
                f"(scale={scale}, inner_lr={inner_lr})."
            )
        self.parameters = {name: nn.Parameter(value) for name, value in detached(shared).items()}
        self.parameters["log_scale"] = nn.Parameter(torch.tensor(scale).log())
        self.networks, self.prepare = networks, prepare
        self.method, self.second_order = method, second_order
        self.inner_steps, self.inner_lr = inner_steps, inner_lr

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The shared weights and the head's sharpness."""
        yield from self.parameters.items()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """Mean meta-gradient over tasks and networks."""
        pairs = [(task, network) for task in batch for network in self.networks(rng)]
        totals = {name: torch.zeros_like(value) for name, value in self.parameters.items()}
        loss = correct = 0.0
        for task, network in pairs:
            grads, value, share = self._one(task, network, rng)
            for name, grad in grads.items():
                totals[name] += grad / len(pairs)
            loss += value / len(pairs)
            correct += share / len(pairs)
        return Step(totals, {"loss": loss, "accuracy": correct})

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        """A predictor from the most inner steps of the range, with the first drawn network."""
        network = self.networks(rng)[0]
        with torch.enable_grad():
            images = support._replace(x=self.prepare(support.x))
            forward, start = self._start(network, images.x, images.labels)
            adapted = self._descend(forward, start, images, self.inner_steps[1])
        if not torch.is_grad_enabled():
            adapted = detached(adapted)
        return lambda x: forward(adapted, self.prepare(x))

    def _one(
        self, task: Task, network: Mapping[str, Any], rng: torch.Generator
    ) -> tuple[Params, float, float]:
        low, high = self.inner_steps
        steps = low + integer(rng, high - low + 1)
        with torch.no_grad():
            support = task.support._replace(x=self.prepare(task.support.x))
            query = task.query._replace(x=self.prepare(task.query.x))
        if self.method == "reptile":
            return self._reptile(network, support, query, steps)
        if steps == 0:
            return self._prototypical(network, support, query)
        forward, start = self._start(network, support.x, support.labels)
        adapted = self._descend(forward, start, support, steps)
        outputs = forward(adapted, query.x)
        return self._finish(outputs, query.labels)

    def _prototypical(
        self, network: Mapping[str, Any], support: Batch, query: Batch
    ) -> tuple[Params, float, float]:
        # Zero steps: support and query in one pass, which is a third cheaper.
        own = sub_params(self.parameters, network)
        features = features_of(own, network, torch.cat([support.x, query.x]))
        head = self._head(features[: len(support.x)], support.labels)
        outputs = F.linear(features[len(support.x) :], head["weight"], head["bias"])
        return self._finish(outputs, query.labels)

    def _finish(self, outputs: Tensor, labels: Tensor) -> tuple[Params, float, float]:
        loss = task_loss(outputs, labels)
        grads = torch.autograd.grad(loss, list(self.parameters.values()), materialize_grads=True)
        share = accuracy(outputs.detach(), labels)
        return dict(zip(self.parameters, grads, strict=True)), float(loss.detach()), share

    def _reptile(
        self, network: Mapping[str, Any], support: Batch, query: Batch, steps: int
    ) -> tuple[Params, float, float]:
        examples = Batch(
            torch.cat([support.x, query.x]), torch.cat([support.labels, query.labels])
        )
        forward, start = self._start(network, support.x, support.labels)
        before = forward(detached(start), query.x)
        leaves = detached(start, requires_grad=True)
        end = self._descend(forward, leaves, examples, steps)
        names = [name for name in start if not name.startswith("head.")]
        grads = torch.autograd.grad(
            [start[name] for name in names],
            list(self.parameters.values()),
            [(start[name] - end[name]).detach() / (self.inner_lr * steps) for name in names],
            materialize_grads=True,
        )
        loss, share = task_loss(before, query.labels), accuracy(before, query.labels)
        return dict(zip(self.parameters, grads, strict=True)), float(loss.detach()), share

    def _descend(self, forward: Forward, start: Params, support: Batch, steps: int) -> Params:
        return descend(
            forward,
            start,
            support,
            loss=task_loss,
            lr=self.inner_lr,
            steps=steps,
            second_order=self.second_order and self.method == "maml",
        )

    def _start(
        self, network: Mapping[str, Any], x: Tensor, labels: Tensor
    ) -> tuple[Forward, Params]:
        own = sub_params(self.parameters, network)
        head = self._head(features_of(own, network, x), labels)
        # Inner gradients must not flow through the head's dependence on the network: the clones
        # are what the inner steps move, and the head was made from the originals.
        start = {name: value.clone() for name, value in own.items()}
        return headed(network), start | {f"head.{name}": value for name, value in head.items()}

    def _head(self, features: Tensor, labels: Tensor) -> Params:
        classes = int(labels.max()) + 1
        return prototype_layer(features, labels, classes, self.parameters["log_scale"].exp())


def headed(network: Mapping[str, Any]) -> Forward:
    """A network with a linear head ("head.weight", "head.bias") as a function of its weights."""

    def forward(params: Params, x: Tensor) -> Tensor:
        own = {name: value for name, value in params.items() if not name.startswith("head.")}
        features = features_of(own, network, x)
        return F.linear(features, params["head.weight"], params["head.bias"])

    return forward
