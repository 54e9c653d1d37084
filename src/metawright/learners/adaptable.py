"""Whether a module can be adapted: differentiated twice, and not changed by being called.

What cannot be mended is refused before training, by the name of the layer; what can be is mended
here (batch normalisation with running statistics, fused attention).
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.parameter import is_lazy

from metawright.params import Params

__all__ = ["check_adaptable", "check_unchanged", "twice_differentiable"]

# Their second derivative is wrong under vmap, without an error: pytorch/functorch#534.
_WRONG_UNDER_VMAP = (
    nn.LayerNorm,
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
)


def check_adaptable(
    model: nn.Module, *, second_order: bool = False, vmapped: bool = False
) -> None:
    """Refuses modules with layers that cannot be adapted.

    Arguments:
        model: the module, after `with_policy`.
        second_order: whether it will be differentiated twice.
        vmapped: whether it will run under `torch.func.vmap`.

    Raises:
        ValueError: names the layer and what to do.
    """
    for name, module in model.named_modules():
        reason = _refusal(module, second_order=second_order, vmapped=vmapped)
        if reason:
            raise ValueError(f"'{name or type(module).__name__}' {reason}.")
    for name, value in model.named_parameters():
        if is_lazy(value):
            raise ValueError(
                f"The parameter '{name}' has no shape yet: run the model on one batch first."
            )
        if not value.is_floating_point():
            raise ValueError(
                f"Parameters must be real numbers to be adapted, but '{name}' is {value.dtype}: "
                "make it a buffer."
            )
    if not any(value.requires_grad for value in model.parameters()):
        raise ValueError("The model has no parameter that requires a gradient: nothing to adapt.")


def _refusal(module: nn.Module, *, second_order: bool, vmapped: bool) -> str:
    """What is wrong with a module, as the end of a sentence; empty for nothing."""
    if getattr(module, "track_running_stats", False) or getattr(module, "running", False):
        return (
            "keeps running statistics, which adapting would change: build it with "
            "track_running_stats=False (or statistics='batch')"
        )
    if vmapped and second_order and isinstance(module, _WRONG_UNDER_VMAP):
        if any(True for _ in module.parameters(recurse=False)):
            return (
                f"({type(module).__name__} with scale and shift) has a wrong second derivative "
                "under torch.func.vmap: use batching='loop', or second_order=False"
            )
    if second_order and isinstance(module, nn.RNNBase):
        if any(value.is_cuda for value in module.parameters()):
            return (
                f"({type(module).__name__}) has no second derivative on a GPU: use "
                "second_order=False, or an RNN of single cells"
            )
    return ""


def check_unchanged(model: nn.Module, x: Tensor) -> None:
    """Refuses a module that changes its buffers when it is called: tasks would see each other.

    Makes one pass where there are buffers, and leaves them and torch's generator as they were.

    Raises:
        ValueError: names the buffer.
    """
    buffers = dict(model.named_buffers())
    if not buffers:
        return
    before = {name: (value._version, value.clone()) for name, value in buffers.items()}
    with torch.no_grad(), torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
        model(x)
    changed = [name for name, value in buffers.items() if value._version != before[name][0]]
    for name in changed:
        buffers[name].copy_(before[name][1])
    if changed:
        raise ValueError(
            f"The model changes its buffers {changed} whenever it is called, so tasks would see "
            "each other: put that layer into evaluation mode, or leave it out."
        )


def twice_differentiable(
    forward: Callable[[Params, Tensor], Tensor],
) -> Callable[[Params, Tensor], Tensor]:
    """`forward` with attention by plain products: the fused kernels have no second derivative."""

    def plain(params: Params, x: Tensor) -> Tensor:
        with sdpa_kernel(SDPBackend.MATH):
            return forward(params, x)

    return plain
