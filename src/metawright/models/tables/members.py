"""Layers that hold several networks of one form: all their tensors have a first axis of members.

Members share nothing. To step eight small networks together takes hardly longer than to step one:
on small tables most of the time goes into calls, not into numbers.
"""

import math

import torch
from torch import Tensor, nn

__all__ = ["MemberLinear", "MemberNorm", "dropped", "uniform"]


def uniform(shape: tuple[int, ...], inputs: int, rng: torch.Generator) -> nn.Parameter:
    """First weights, uniform within one over the root of the inputs, as torch's own layers."""
    bound = 1 / math.sqrt(max(inputs, 1))
    return nn.Parameter((2 * torch.rand(shape, generator=rng) - 1) * bound)


class MemberLinear(nn.Module):
    """An affine layer a member: (members, ..., inputs) to (members, ..., outputs).

    Arguments:
        zero: whether to start at weights of zero, for the last layer of a network.
    """

    def __init__(
        self, members: int, inputs: int, outputs: int, rng: torch.Generator, *, zero: bool = False
    ) -> None:
        super().__init__()
        shape = (members, inputs, outputs)
        self.weight = nn.Parameter(torch.zeros(shape)) if zero else uniform(shape, inputs, rng)
        bias = (members, 1, outputs)
        self.bias = nn.Parameter(torch.zeros(bias)) if zero else uniform(bias, inputs, rng)

    def forward(self, x: Tensor) -> Tensor:
        """One batched product; axes between the first and the last are flattened for it."""
        found = torch.baddbmm(self.bias, x.flatten(1, -2), self.weight)
        return found.reshape(*x.shape[:-1], found.shape[-1])


class MemberNorm(nn.Module):
    """Layer normalisation with a scale and a shift a member: (members, ..., width)."""

    def __init__(self, members: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.weight = nn.Parameter(torch.ones(members, width))
        self.bias = nn.Parameter(torch.zeros(members, width))

    def forward(self, x: Tensor) -> Tensor:
        """Each vector of the last axis to mean 0 and variance 1, then scaled and shifted."""
        shape = (len(x), *[1] * (x.dim() - 2), self.width)
        normal = nn.functional.layer_norm(x, (self.width,))
        return torch.addcmul(self.bias.view(shape), normal, self.weight.view(shape))


def dropped(x: Tensor, share: float, rng: torch.Generator | None) -> Tensor:
    """`x` with a share of its entries set to 0 and the others scaled up; as it is without `rng`.

    References:
        Dropout: A Simple Way to Prevent Neural Networks from Overfitting, Srivastava et al.,
        2014, https://jmlr.org/papers/v15/srivastava14a.html
    """
    if rng is None or share <= 0:
        return x
    kept = torch.rand(x.shape, generator=rng, device=x.device) >= share
    return x * kept / (1 - share)
