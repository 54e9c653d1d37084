"""Products with the Hessian of a loss, and linear systems solved by them: no matrix is built."""

from collections.abc import Callable

import torch
from torch import Tensor

from metawright.learners.inner import Forward, gradient
from metawright.learners.learner import Loss
from metawright.params import Params, detached, map_params
from metawright.tasks.task import Batch

__all__ = ["Operator", "conjugate_gradients", "hessian_product"]

Operator = Callable[[Params], Params]
"""A linear map of weights."""


def hessian_product(forward: Forward, params: Params, support: Batch, loss: Loss) -> Operator:
    """The Hessian of the support's loss at `params` as a function of a vector.

    The graph of the gradient is built once and serves every product.
    """
    leaves = detached(params, requires_grad=True)
    with torch.enable_grad():
        value = loss(forward(leaves, support.x), support.labels)
        grads = gradient(value, leaves, create_graph=True)

    def product(vector: Params) -> Params:
        linked = [name for name in grads if grads[name].requires_grad]
        if not linked:
            return map_params(torch.zeros_like, vector)
        found = torch.autograd.grad(
            [grads[name] for name in linked],
            list(leaves.values()),
            [vector[name] for name in linked],
            retain_graph=True,
            materialize_grads=True,
        )
        return dict(zip(leaves, found, strict=True))

    return product


def conjugate_gradients(operator: Operator, target: Params, *, steps: int) -> Params:
    """An approximate solution x of operator(x) = target, for a symmetric positive operator.

    It starts from the target itself, and ends early where it is exact or where the operator turns
    out not to be positive.

    Example:
        >>> import torch
        >>> from metawright.learners.curvature import conjugate_gradients
        >>> target, factors = {"w": torch.tensor([2.0, 3.0])}, torch.tensor([1.0, 3.0])
        >>> conjugate_gradients(lambda v: {"w": factors * v["w"]}, target, steps=2)
        {'w': tensor([2., 1.])}
    """
    found = dict(target)
    image = operator(found)
    residual = {name: value - image[name] for name, value in target.items()}
    direction, size = residual, _inner_product(residual, residual)
    for _ in range(steps):
        image = operator(direction)
        bend = _inner_product(direction, image)
        if not float(bend) > 0:
            break
        length = size / bend
        found = {name: value + length * direction[name] for name, value in found.items()}
        residual = {name: value - length * image[name] for name, value in residual.items()}
        size, before = _inner_product(residual, residual), size
        direction = {
            name: value + size / before * direction[name] for name, value in residual.items()
        }
    return found


def _inner_product(first: Params, second: Params) -> Tensor:
    return torch.stack([(value * second[name]).sum() for name, value in first.items()]).sum()
