"""Mixed precision: the network computes in half the bits, weights and gradients stay whole."""

import torch
from torch import Tensor

from metawright.learners.inner import Forward
from metawright.params import Params

__all__ = ["check_autocast", "mixed"]

_HALVES = (torch.bfloat16, torch.float16)


def mixed(forward: Forward, dtype: torch.dtype | None) -> Forward:
    """`forward` under `torch.autocast`, its outputs in the type of the weights; None leaves it.

    Losses are not scaled: with `torch.float16` small gradients become zero, `torch.bfloat16` has
    the range of a whole number.
    """
    if dtype is None:
        return forward

    def half(params: Params, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype):
            outputs = forward(params, x)
        return outputs.to(next(iter(params.values())).dtype)

    return half


def check_autocast(dtype: torch.dtype | None) -> None:
    """Raises `ValueError` for a type that is no half precision."""
    if dtype is not None and dtype not in _HALVES:
        raise ValueError(f"`autocast` must be None or one of {_HALVES}, but got {dtype}.")
