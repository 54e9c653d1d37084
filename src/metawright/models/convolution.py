"""The convolution of networks that are adapted: fast in every derivative that adaptation takes.

Torch differentiates a convolution's gradient by a convolution whose kernel is as large as the
image, once for each group. A convolution is bilinear, so the derivatives of its gradients are
convolutions and gradients of the same shapes again: here the three are written in terms of each
other, to any order. `folded` is the first block, where all of convolution, normalisation, scale
and shift is one matrix product.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["convolve", "folded"]

_SIDE = 3
_EPSILON = 1e-5


def convolve(x: Tensor, weight: Tensor, *, stride: int, groups: int = 1) -> Tensor:
    """The convolution by 3x3 kernels of an image padded by one zero on each side.

    Arguments:
        x: (examples, groups * channels, height, width).
        weight: (groups * filters, channels, 3, 3).
        stride: step of the kernel.
        groups: how many parts lie side by side as channels, each with its own kernels.
    """
    if torch.is_autocast_enabled(x.device.type) and x.dtype != torch.float64:
        # Autocast does not look into a function of one's own.
        half = torch.get_autocast_dtype(x.device.type)
        x, weight = x.to(half), weight.to(half)
    return _convolve(x, weight, stride, groups)


def folded(x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor, *, stride: int) -> Tensor:
    r"""Convolution, normalisation by the batch, scale and shift as one matrix product.

    A patch $p$ has few entries, and the responses to a kernel $k$ have mean $k \bar p$ and
    variance $k^T Cov(p) k$: known before any response is made, so they go into the kernel.

    Arguments:
        x: images (tasks, examples, channels, height, width).
        weight: kernels (tasks, filters, channels, 3, 3).
        scale, shift: (tasks, filters).
        stride: step of the kernel.

    Returns:
        (tasks, examples, new height, new width, filters).
    """
    tasks, examples = x.shape[:2]
    patches = _patches(x, stride)
    sides = patches.shape[2:4]
    patches = patches.flatten(1, 3)
    mean = patches.mean(1, keepdim=True)
    centred = patches - mean
    covariance = torch.bmm(centred.transpose(1, 2), centred) / patches.shape[1]
    kernels = weight.permute(0, 3, 4, 2, 1).flatten(1, 3)
    variance = (kernels * torch.bmm(covariance, kernels)).sum(1)
    kernels = kernels * (scale * torch.rsqrt(variance + _EPSILON)).unsqueeze(1)
    bias = shift.unsqueeze(1) - torch.bmm(mean, kernels)
    return torch.baddbmm(bias, patches, kernels).view(tasks, examples, *sides, -1)


def _patches(x: Tensor, stride: int) -> Tensor:
    """(tasks, examples, new height, new width, 9 * channels) of such images."""
    height, width = (side - (side - 1) % stride for side in x.shape[3:])
    x = functional.pad(x.permute(0, 1, 3, 4, 2), (0, 0, 1, 1, 1, 1))
    corners = [(top, left) for top in range(_SIDE) for left in range(_SIDE)]
    return torch.cat(
        [x[:, :, i : i + height : stride, j : j + width : stride] for i, j in corners], -1
    )


class _Convolve(torch.autograd.Function):
    """C(x, w)."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, stride: int, groups: int) -> Tensor:
        return functional.conv2d(x, weight, stride=stride, padding=1, groups=groups)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, weight, ctx.stride, ctx.groups = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight = ctx.needs_input_grad[:2]
        by_x = _by_input(grad, weight, x.shape[-2:], *_how(ctx)) if wants_x else None
        by_weight = _by_weight(x, grad, *_how(ctx)) if wants_weight else None
        return by_x, by_weight, None, None


class _ByInput(torch.autograd.Function):
    """I(g, w): the gradient of <C(x, w), g> by x."""

    generate_vmap_rule = True

    @staticmethod
    def forward(
        grad: Tensor, weight: Tensor, sides: tuple[int, int], stride: int, groups: int
    ) -> Tensor:
        # Of the input only the shape is looked at; channels last, as the networks here have it.
        x = grad.new_empty(len(grad), *sides, groups * weight.shape[1]).permute(0, 3, 1, 2)
        return _backward(grad, x, weight, stride, groups, 0)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        grad, weight, _, ctx.stride, ctx.groups = inputs
        ctx.save_for_backward(grad, weight)

    @staticmethod
    def backward(ctx: Any, way: Tensor) -> tuple[Tensor | None, ...]:
        grad, weight = ctx.saved_tensors
        wants_grad, wants_weight = ctx.needs_input_grad[:2]
        by_grad = _convolve(way, weight, *_how(ctx)) if wants_grad else None
        by_weight = _by_weight(way, grad, *_how(ctx)) if wants_weight else None
        return by_grad, by_weight, None, None, None


class _ByWeight(torch.autograd.Function):
    """W(x, g): the gradient of <C(x, w), g> by w."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, grad: Tensor, stride: int, groups: int) -> Tensor:
        weight = x.new_empty(grad.shape[1], _SIDE, _SIDE, x.shape[1] // groups).permute(0, 3, 1, 2)
        return _backward(grad, x, weight, stride, groups, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        x, grad, ctx.stride, ctx.groups = inputs
        ctx.save_for_backward(x, grad)

    @staticmethod
    def backward(ctx: Any, way: Tensor) -> tuple[Tensor | None, ...]:
        x, grad = ctx.saved_tensors
        wants_x, wants_grad = ctx.needs_input_grad[:2]
        by_x = _by_input(grad, way, x.shape[-2:], *_how(ctx)) if wants_x else None
        by_grad = _convolve(x, way, *_how(ctx)) if wants_grad else None
        return by_x, by_grad, None, None


# Names with types for what torch leaves untyped.
_convolve: Callable[..., Tensor] = _Convolve.apply
_by_input: Callable[..., Tensor] = _ByInput.apply
_by_weight: Callable[..., Tensor] = _ByWeight.apply


def _how(ctx: Any) -> tuple[int, int]:
    return ctx.stride, ctx.groups


def _backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int, groups: int, which: int
) -> Tensor:
    """The gradient by the input (`which` 0) or by the weight (1)."""
    wanted = [which == 0, which == 1, False]
    steps, edges, spread = [stride] * 2, [1, 1], [1, 1]
    found = torch.ops.aten.convolution_backward(
        grad, x, weight, None, steps, edges, spread, False, [0, 0], groups, wanted
    )
    return cast(Tensor, found[which])
