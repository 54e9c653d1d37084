"""A profile of a task: a few numbers that say which designs may suit it.

They are measured on the support alone, in a fraction of a second.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from metawright.models.heads import balanced_rows
from metawright.models.layers import PixelFeatures
from metawright.tasks.task import TaskSpec

__all__ = ["PROFILE", "profile", "reference_network"]

PROFILE = (
    "log classes",
    "log examples a class",
    "one example a class",
    "log native size",
    "ink",
    "pixel separation",
    "network separation",
)
"""Names of the numbers, in order."""

_COMPARED = 2000  # examples at most that are compared in pairs


def reference_network() -> dict[str, Any]:
    """The network whose features profiles are measured on: a middling one of the space."""
    return {
        "depth": 4,
        "width": 48,
        "kernel": 3,
        "normalisation": "group",
        "pool": "max",
        "skip": True,
    }


@torch.no_grad()
def profile(
    spec: TaskSpec, labels: Tensor, x: Tensor, copies: Tensor, features: Mapping[str, Tensor]
) -> Tensor:
    """The numbers `PROFILE` of a support set, (7,) float64.

    Arguments:
        spec: of the task.
        labels: (examples,).
        x: prepared images (examples, channels, size, size).
        copies: one prepared distorted copy of each, same shape.
        features: features of the reference network for "x" and "copies", (examples, features).
    """
    counts = torch.bincount(labels, minlength=spec.outputs).clamp_min(1).double()
    pixels = PixelFeatures(14)
    native = spec.native_size or x.shape[-1]
    return torch.tensor(
        [
            math.log(spec.outputs),
            float(counts.log().mean()),
            float((counts == 1).double().mean()),
            math.log(min(native, 64)),
            float(x.mean()),
            _separation(pixels(x), pixels(copies), labels),
            _separation(features["x"], features["copies"], labels),
        ],
        dtype=torch.float64,
    )


def _separation(originals: Tensor, copies: Tensor, labels: Tensor) -> float:
    """Log of how much farther the nearest other class is than an example's own copy."""
    rows = balanced_rows(labels, _COMPARED)
    originals, copies, labels = originals[rows], copies[rows], labels[rows]
    own = (originals - copies).norm(dim=1).mean()
    distances = torch.cdist(F.normalize(originals), F.normalize(originals))
    same = labels[:, None] == labels[None]
    other = distances.masked_fill(same, float("inf")).min(1).values
    other = other[other.isfinite()]
    if not len(other):
        return 0.0
    return float(torch.log(other.mean().clamp_min(1e-3) / own.clamp_min(1e-3)))
