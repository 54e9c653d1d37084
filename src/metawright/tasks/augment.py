"""Examples changed a little, as others of their class might be, for each kind of data."""

import torch
from torch import Tensor

from metawright.tasks.distort import Distortion, scaled
from metawright.tasks.task import TaskSpec

__all__ = ["augmented"]

_NOISE = 0.1  # of the deviation of each feature, at strength 1
_SHIFT = 0.1  # of a signal's length or an image's side
_LOST = 0.2  # share of a text's tokens


def augmented(x: Tensor, spec: TaskSpec, strength: float, rng: torch.Generator) -> Tensor:
    """Copies of the examples, each changed anew; 0 leaves them as they are, 1 is strong.

    Square images are turned, slanted, stretched, moved and bent; other images and signals are
    moved along their last axis, and features and signals get noise; texts lose tokens.

    Arguments:
        x: (examples, *features) as `spec` says; images in 0..1.
    """
    if strength == 0:
        return x
    if spec.vocabulary:
        lost = torch.rand(x.shape, generator=rng, device=x.device) < _LOST * strength
        return x.masked_fill(lost, 0)
    if x.dim() == 4 and x.shape[2] == x.shape[3]:
        return scaled(Distortion(), strength)(x, rng)
    noise = torch.randn(x.shape, generator=rng, device=x.device, dtype=x.dtype)
    noisy = x + _NOISE * strength * noise * x.std(0, correction=0)
    if x.dim() == 2:
        return noisy
    moved = _moved(x if x.dim() == 4 else noisy, _SHIFT * strength, rng)
    return moved


def _moved(x: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Each example rolled along its last axis by up to a share of its length."""
    length = x.shape[-1]
    most = max(1, round(share * length))
    moves = torch.randint(-most, most + 1, (len(x),), generator=rng, device=x.device)
    places = (torch.arange(length, device=x.device) - moves[:, None]) % length
    index = places.view(len(x), *(1,) * (x.dim() - 2), length).expand_as(x)
    return x.gather(-1, index)
