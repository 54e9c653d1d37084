"""Adaptation as pure functions: weights and a batch in, adapted weights out.

Everything here works on `Params` and on a `Forward`, a function of weights and examples. The same
code adapts one task (`forward_of`) or a stack of tasks, each weight with a leading axis of tasks
(`forward_of_tasks`): the sum of the tasks' losses has each task's own gradient in its own slice.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss, mse_loss
from torch.utils.checkpoint import checkpoint

from metawright.learners.adaptable import check_adaptable
from metawright.learners.learner import Loss, Predictor, task_loss
from metawright.models.backbones import TaskBatched
from metawright.params import Params, detached, map_params
from metawright.tasks.task import Batch, Task
from metawright.training.optimisers import SGD, InnerOptimiser, Rate, State

__all__ = [
    "Descent",
    "Each",
    "Forward",
    "Rates",
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

Rates = Rate | Callable[[int], Rate]
"""A learning rate, or one for each step 0, 1, ..."""

Each = Callable[[Params, State], None]
"""Is given the weights and the optimiser's state after every step."""

Around = Callable[[int], AbstractContextManager[None]]
"""What to enter around the forward pass of step 0, 1, ..."""

_SUMS: Mapping[Loss, Loss] = {
    mean: partial(mean, reduction="sum") for mean in (cross_entropy, mse_loss, l1_loss)
}
_DECAY = 0.999
_EPSILON = 1e-8


def forward_of(model: nn.Module) -> Forward:
    """The model as a function of its weights; those that are not given are its own.

    A weight that stands in several places is given once, by its first name.
    """
    places = _places(model)

    def forward(params: Params, x: Tensor) -> Tensor:
        given = {place: params[name] for place, name in places.items() if name in params}
        outputs = torch.func.functional_call(model, given, (x,), tie_weights=False)
        return cast(Tensor, outputs)

    return forward


def _places(model: nn.Module) -> dict[str, str]:
    """Every place in which a weight stands, and the weight's name.

    A module under two names is one place: given it twice, `functional_call` would leave the
    second weight in the module for good.
    """
    names = {value: name for name, value in model.named_parameters()}
    return {
        f"{prefix}.{own}".lstrip("."): names[value]
        for prefix, module in model.named_modules()
        for own, value in module.named_parameters(recurse=False, remove_duplicate=False)
    }


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
        # Tasks of a stack have equally many answers: the sum over all of them divided by the
        # answers of one task is the sum of the means, without a loop over the tasks.
        standard = _standard(loss, answers)
        if standard in _SUMS:
            total = _SUMS[standard](outputs.flatten(0, 1), answers.flatten(0, 1))
            return total / answers[0].numel()
        try:
            each = torch.func.vmap(loss)(outputs, answers)
        except RuntimeError:  # a loss that looks at its numbers: one task after the other
            pairs = zip(outputs, answers, strict=True)
            each = torch.stack([loss(own, right) for own, right in pairs])
        return each.sum()

    return over_tasks


def _standard(loss: Loss, answers: Tensor) -> Loss:
    """The loss that `task_loss` stands for, or the loss itself."""
    if loss is task_loss:
        return mse_loss if answers.is_floating_point() else cross_entropy
    return loss


def descend(
    forward: Forward,
    params: Mapping[str, Tensor],
    support: Batch,
    *,
    loss: Loss,
    lr: Rates,
    steps: int,
    second_order: bool,
    optimiser: InnerOptimiser | None = None,
    state: State | None = None,
    adapts: Callable[[str], bool] | None = None,
    checkpointed: bool = False,
    functional: bool = False,
    around: Around | None = None,
    each: Each | None = None,
) -> Params:
    r"""`steps` steps of descent on the support, by default $w \leftarrow w - lr \nabla L(w)$.

    The result is differentiable in `params` and in the rates. With `second_order` the derivative
    goes through the inner gradients too; without, they count as constants, and the derivative by
    `params` is the identity.

    Arguments:
        optimiser: the rule of a step; default `SGD`. `state`: where it stands; default anew.
        adapts: which weights the steps move, by name; default all. The others stay, and have
            their part in the derivative.
        checkpointed: keep the weights of each step only, and make its pass again on the way back:
            memory about flat in the number of steps for half as much work again. Without second
            order nothing is kept in the first place.
        functional: take inner gradients by `torch.func.grad`, as `torch.func.vmap` needs.
        around: entered around the forward pass of each step.
        each: is given the weights and the state after each step.
    """
    if checkpointed and functional:
        raise ValueError("Steps cannot be checkpointed under `torch.func.vmap`: use one of them.")
    rule = SGD() if optimiser is None else optimiser
    inside = around or (lambda step: nullcontext())
    value_of = _inner_gradient if functional else _graph_gradient

    def advance(step: int, current: Params, state: State) -> tuple[Params, State]:
        moving = {n: w for n, w in current.items() if adapts is None or adapts(n)}

        def value(weights: Params) -> Tensor:
            with inside(step):
                return loss(forward(current | weights, support.x), support.labels)

        grads = value_of(value, moving, second_order)
        rate = lr(step) if callable(lr) else lr
        moved, state = rule.update(moving, grads, state, rate)
        return current | moved, state

    current = dict(params)
    if state is None:
        state = rule.init({n: w for n, w in current.items() if adapts is None or adapts(n)})
    for step in range(steps):
        if checkpointed and second_order:
            current, state = checkpoint(advance, step, current, state, use_reentrant=False)
        else:
            current, state = advance(step, current, state)
        if each is not None:
            each(current, state)
    return current


def _graph_gradient(
    value: Callable[[Params], Tensor], params: Params, create_graph: bool
) -> Params:
    return gradient(value(params), params, create_graph=create_graph)


def _inner_gradient(
    value: Callable[[Params], Tensor], params: Params, create_graph: bool
) -> Params:
    grads = cast(Params, torch.func.grad(value)(params))
    return grads if create_graph else map_params(torch.detach, grads)


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
    """Predicts with the support (`context`) in the same batch, so that a query is never alone."""

    def predict(x: Tensor) -> Tensor:
        return forward(params, torch.cat([context, x]))[len(context) :]

    return predict


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
