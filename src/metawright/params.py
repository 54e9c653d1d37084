"""Parameters as a value: weights by name, the only form in which weights travel.

Fast weights, checkpoints, bundles and shared networks are all `Params`; a module is called with
them through `torch.func.functional_call`, so nothing is ever patched into a module.
"""

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn

__all__ = ["Params", "count", "detached", "global_norm", "interpolate", "map_params", "params_of"]

Params = dict[str, Tensor]


def params_of(module: nn.Module) -> Params:
    """The module's own parameters by name (not copied)."""
    return dict(module.named_parameters())


def map_params(function: Callable[[Tensor], Tensor], params: Mapping[str, Tensor]) -> Params:
    """`function` applied to every tensor."""
    return {name: function(value) for name, value in params.items()}


def detached(params: Mapping[str, Tensor], *, requires_grad: bool = False) -> Params:
    """Copies that share no storage and no graph with the originals."""
    return map_params(lambda p: p.detach().clone().requires_grad_(requires_grad), params)


def interpolate(start: Mapping[str, Tensor], end: Mapping[str, Tensor], share: float) -> Params:
    """`start + share * (end - start)`, name by name."""
    return {name: value + share * (end[name] - value) for name, value in start.items()}


def global_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Euclidean norm of all entries of all tensors together, a scalar."""
    norms = torch.stack([torch.linalg.vector_norm(tensor) for tensor in tensors])
    total: Tensor = norms.norm()
    return total


def count(params: Mapping[str, Tensor]) -> int:
    """How many numbers the parameters hold."""
    return sum(value.numel() for value in params.values())
