"""Heads in closed form: from the support's features and labels straight to a classifier.

All take unit feature vectors (examples, features) and labels (examples,), and give logits. They
are solved in float64, because a kernel matrix of near-copies is almost singular.

References:
    Prototypical Networks for Few-shot Learning, Snell, Swersky and Zemel 2017,
    https://arxiv.org/abs/1703.05175 (nearest class mean).
    Least Squares Support Vector Machine Classifiers, Suykens and Vandewalle 1999,
    https://doi.org/10.1023/A:1018628609742 (ridge regression on labels of -1 and 1, with bias).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from metawright.models.layers import squared_distances
from metawright.params import Params

__all__ = [
    "KernelRidge",
    "balanced_rows",
    "gaussian_kernel",
    "prototype_layer",
    "prototypes",
    "solve_ridge",
    "solve_ridge_by_features",
]


class KernelRidge(NamedTuple):
    """Dual weights (examples, classes) and bias (classes,) of a solved head."""

    weight: Tensor
    bias: Tensor


def prototypes(features: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Mean feature of each class: (classes, features)."""
    member = F.one_hot(labels, classes).to(features.dtype)
    return (member.T @ features) / member.sum(0).clamp_min(1)[:, None]


def prototype_layer(features: Tensor, labels: Tensor, classes: int, scale: Tensor) -> Params:
    """A linear layer whose logits are `-scale * |x - prototype| ** 2` up to a shared term."""
    means = prototypes(features, labels, classes)
    return {"weight": 2 * scale * means, "bias": -scale * (means**2).sum(1)}


def balanced_rows(labels: Tensor, limit: int) -> Tensor:
    """Numbers of at most `limit` examples: the first of every class, then the second, and so on.

    Example:
        >>> import torch
        >>> from metawright.models.heads import balanced_rows
        >>> balanced_rows(torch.tensor([0, 0, 0, 1, 2, 2]), 4)
        tensor([0, 1, 3, 4])
    """
    number_in_class = F.one_hot(labels).cumsum(0).gather(1, labels[:, None])[:, 0]
    return torch.argsort(number_in_class, stable=True)[:limit].sort().values


def gaussian_kernel(first: Tensor, second: Tensor, gamma: float) -> Tensor:
    """`exp(-gamma |a - b| ** 2)` for all pairs: (first, second)."""
    return torch.exp(-gamma * squared_distances(first, second))


def solve_ridge(kernel: Tensor, labels: Tensor, classes: int, penalty: float) -> KernelRidge:
    """Ridge regression on labels of -1 and 1 in the space of `kernel` (examples, examples).

    Every class weighs the same, however many examples it has. `penalty` is relative to one
    example of a class.

    Raises:
        ValueError: `penalty` is not above zero.
    """
    if penalty <= 0:
        raise ValueError(f"`penalty > 0` must hold, but got {penalty}.")
    total = len(kernel)
    share, targets = _weights_and_targets(labels, classes)
    system = torch.zeros(total + 1, total + 1, dtype=torch.float64, device=kernel.device)
    system[0, 1:] = system[1:, 0] = 1
    system[1:, 1:] = kernel.double() + torch.diag(penalty / share)
    right = torch.cat([torch.zeros(1, classes, device=kernel.device).double(), targets])
    solution = torch.linalg.solve(system, right).to(kernel.dtype)
    return KernelRidge(solution[1:], solution[0])


def solve_ridge_by_features(
    features: Tensor, labels: Tensor, classes: int, penalty: float
) -> KernelRidge:
    """What `solve_ridge` gives on the kernel `features @ features.T`, as weights of the features
    (features, classes): cheaper where there are more examples than features."""
    share, targets = _weights_and_targets(labels, classes)
    x = torch.cat([features.double(), torch.ones_like(features[:, :1]).double()], 1)
    # The bias, the last row, is not shrunk.
    shrink = torch.full((x.shape[1],), penalty, dtype=torch.float64, device=x.device)
    shrink[-1] = 0
    system = x.T @ (share[:, None] * x) + torch.diag(shrink)
    solution = torch.linalg.solve(system, x.T @ (share[:, None] * targets)).to(features.dtype)
    return KernelRidge(solution[:-1], solution[-1])


def _weights_and_targets(labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The weight of each example (examples,) and its -1 and 1 (examples, classes), float64."""
    counts = torch.bincount(labels, minlength=classes).clamp_min(1)
    targets = 2 * F.one_hot(labels, classes).double() - 1
    return counts.double().mean() / counts[labels], targets
