"""Adaptation as pure functions: weights and a batch in, adapted weights out.

Everything here works on `Params` and on a `Forward`, a function of weights and examples. The same
code adapts one task (`forward_of`) or a stack of tasks, each weight with a leading axis of tasks
(`forward_of_tasks`): the sum of the tasks' losses has each task's own gradient in its own slice.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from metawright.learners.learner import Loss, Predictor
from metawright.models.backbones import TaskBatched
from metawright.params import Params, detached, map_params
from metawright.tasks.task import Batch, Task

__all__ = [
    "Descent",
    "Forward",
    "Rows",
    "Stack",
    "check_adaptable",
    "descend",
    "descend_adaptively",
    "forward_of",
    "forward_of_tasks",
    "gradient",
    "predictor",
    "repeated",
    "stacked",
    "summed",
]

Forward = Callable[[Params, Tensor], Tensor]
"""From weights and examples to outputs."""

Rows = Tensor
"""Which examples each step sees: (steps, size), or (tasks, steps, size) for a stack of tasks."""

_DECAY = 0.999
_EPSILON = 1e-8


def forward_of(model: nn.Module) -> Forward:
    """The model as a function of its weights."""
    return lambda params, x: cast(Tensor, torch.func.functional_call(model, params, (x,)))


def forward_of_tasks(model: nn.Module, tasks: Sequence[Task]) -> Forward | None:
    """The model as a function of stacked weights and examples (tasks, examples, *features).

    None where it cannot run these tasks at once: it does not know how (`TaskBatched`), or their
    shapes differ.
    """
    shapes = {(t.support.x.shape, t.support.labels.shape, t.query.x.shape) for t in tasks}
    return model.forward_tasks if isinstance(model, TaskBatched) and len(shapes) == 1 else None


def summed(loss: Loss) -> Loss:
    """`loss` summed over a stack of tasks, each its own mean."""

    def over_tasks(outputs: Tensor, answers: Tensor) -> Tensor:
        return torch.stack(
            [loss(own, right) for own, right in zip(outputs, answers, strict=True)]
        ).sum()

    return over_tasks


def descend(
    forward: Forward,
    params: Mapping[str, Tensor],
    support: Batch,
    *,
    loss: Loss,
    lr: float,
    steps: int,
    second_order: bool,
) -> Params:
    r"""`steps` steps of gradient descent on the support: $w \leftarrow w - lr \nabla L(w)$.

    The result is differentiable in `params`. With `second_order` the derivative goes through the
    inner gradients too; without, they count as constants, and the derivative is the identity.
    """
    current = dict(params)
    for _ in range(steps):
        value = loss(forward(current, support.x), support.labels)
        grads = gradient(value, current, create_graph=second_order)
        current = {name: weight - lr * grads[name] for name, weight in current.items()}
    return current


class Descent(NamedTuple):
    """Where `descend_adaptively` ended: weights, second moments, and the loss before each step."""

    params: Params
    moments: Params
    losses: list[float]


def descend_adaptively(
    forward: Forward,
    params: Mapping[str, Tensor],
    examples: Batch,
    rows: Rows,
    *,
    moments: Mapping[str, Tensor],
    count: int,
    loss: Loss,
    lr: float,
) -> Descent:
    r"""Adam without momentum on small batches, one step a row; the result holds no graph.

    $$v \leftarrow 0.999 v + 0.001 g^2, \quad w \leftarrow w - lr \, g / \sqrt{\hat v}$$

    Arguments:
        moments: $v$ at the start; `count`: how many steps made it (zeros and 0 at first).
    """
    current, squares = detached(params), detached(moments)
    losses = []
    for step in range(rows.shape[-2]):
        batch = _select(examples, rows[..., step, :])
        with torch.enable_grad():
            leaves = map_params(lambda weight: weight.requires_grad_(), current)
            value = loss(forward(leaves, batch.x), batch.labels)
            grads = gradient(value, leaves)
        losses.append(float(value.detach()))
        correction = 1 - _DECAY ** (count + step + 1)
        for name, weight in current.items():
            grad = grads[name]
            squares[name].mul_(_DECAY).addcmul_(grad, grad, value=1 - _DECAY)
            scale = (squares[name] / correction).sqrt_().add_(_EPSILON)
            current[name] = weight.detach().addcdiv(grad, scale, value=-lr)
    return Descent(detached(current), squares, losses)


def _select(examples: Batch, rows: Tensor) -> Batch:
    """The examples `rows` (size,), or of each task its own, (tasks, size)."""
    rows = rows.to(examples.x.device)
    if rows.dim() == 1:
        return Batch(examples.x[rows], examples.labels[rows])
    tasks = torch.arange(len(rows), device=rows.device)[:, None]
    return Batch(examples.x[tasks, rows], examples.labels[tasks, rows])


def gradient(value: Tensor, params: Mapping[str, Tensor], *, create_graph: bool = False) -> Params:
    """Gradient of a scalar by name; zero for weights that it does not depend on."""
    grads = torch.autograd.grad(
        value, list(params.values()), create_graph=create_graph, materialize_grads=True
    )
    return dict(zip(params, grads, strict=True))


def predictor(forward: Forward, params: Params, context: Tensor) -> Predictor:
    """Predicts with the support (`context`) in the same batch.

    Where a model normalises with the batch at hand, a query is then never alone: one by one, the
    support gives the statistics (inductive); all at once, the queries do too (transductive).
    """

    def predict(x: Tensor) -> Tensor:
        return forward(params, torch.cat([context, x]))[len(context) :]

    return predict


def check_adaptable(model: nn.Module) -> None:
    """Refuses models that keep running statistics: adapting would change them.

    Raises:
        ValueError: names the layer.
    """
    for name, module in model.named_modules():
        if getattr(module, "track_running_stats", False) or getattr(module, "running", False):
            raise ValueError(
                "The model must normalise with the batch at hand, but "
                f"'{name or type(module).__name__}' keeps running statistics: build it with "
                "track_running_stats=False (or statistics='batch')."
            )


class Stack(NamedTuple):
    """Tasks of one shape in one: x (tasks, examples, *features), y (tasks, examples, ...)."""

    support: Batch
    query: Batch


def stacked(tasks: Sequence[Task]) -> Stack:
    """The tasks as one stack."""
    return Stack(_pile([t.support for t in tasks]), _pile([t.query for t in tasks]))


def _pile(batches: Sequence[Batch]) -> Batch:
    return Batch(torch.stack([b.x for b in batches]), torch.stack([b.labels for b in batches]))


def repeated(params: Mapping[str, Tensor], tasks: int) -> Params:
    """One copy of the weights a task, (tasks, *shape), sharing storage; gradients add up."""
    return {name: value.expand(tasks, *value.shape) for name, value in params.items()}
