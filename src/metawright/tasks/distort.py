"""Distortions that turn one drawing of a character into another that a hand might have made.

All work on a batch at once, on any device, and draw from the generator they are given.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["HANDWRITING", "Distortion", "scaled", "warp"]


@dataclass(frozen=True)
class Distortion:
    """How strongly drawings are distorted; called with images it distorts each of them anew.

    Arguments:
        rotation: largest turn in degrees.
        shear: largest slant (horizontal shift per unit of height).
        stretch: largest relative change of each axis.
        shift: largest move, as a share of the side.
        elastic: standard deviation of the elastic displacement, as a share of the side.
        thickness: largest change of the stroke, in pixels of a 28-pixel image.
        coarse: share of the images that are passed through a lower resolution.
        size: side of the resulting images in pixels, or None for the side that came.

    References:
        Best practices for convolutional neural networks applied to visual document analysis,
        Simard, Steinkraus and Platt 2003, https://doi.org/10.1109/ICDAR.2003.1227801
        (elastic displacement; here on a coarse grid with bicubic interpolation).
    """

    rotation: float = 10.0
    shear: float = 0.2
    stretch: float = 0.15
    shift: float = 0.05
    elastic: float = 0.03
    thickness: float = 0.0
    coarse: float = 0.0
    size: int | None = None

    def __post_init__(self) -> None:
        for name in ("rotation", "shear", "stretch", "shift", "elastic", "thickness", "coarse"):
            limit = 1 if name == "coarse" else math.inf
            if not 0 <= getattr(self, name) <= limit:
                raise ValueError(f"`0 <= {name} <= {limit}` must hold, got {getattr(self, name)}.")
        if self.size is not None and self.size < 1:
            raise ValueError(f"`size >= 1` must hold, but got {self.size}.")

    def __call__(self, images: Tensor, rng: torch.Generator) -> Tensor:
        """Distorted copies of images (images, channels, side, side) in 0..1, of the same side or
        `size`."""
        images = warp(images, self, rng)
        if self.thickness > 0:
            images = _thicken(images, self.thickness, rng)
        if self.coarse > 0:
            images = _coarsen(images, self.coarse, rng)
        return images.clamp(0, 1)


HANDWRITING = Distortion(
    rotation=15, shear=0.3, stretch=0.2, elastic=0.04, thickness=1.0, coarse=0.4, size=28
)
"""As different as several hands, pens and scanners make one printed character."""


def scaled(distortion: Distortion, strength: float, *, size: int | None = None) -> Distortion:
    """The distortion with every limit multiplied by `strength`; nothing is made coarser."""
    return replace(
        distortion,
        rotation=distortion.rotation * strength,
        shear=distortion.shear * strength,
        stretch=distortion.stretch * strength,
        shift=distortion.shift * strength,
        elastic=distortion.elastic * strength,
        thickness=distortion.thickness * strength,
        coarse=0.0,
        size=size,
    )


def warp(images: Tensor, distortion: Distortion, rng: torch.Generator) -> Tensor:
    """The geometric part: affine map and elastic displacement in one resampling."""
    size = distortion.size or images.shape[-1]
    total, device = len(images), images.device
    grid = F.affine_grid(
        _affine(total, distortion, rng, device), [total, 1, size, size], align_corners=False
    )
    if distortion.elastic > 0:
        # Two grids: a coarse one bends the whole character, a finer one lets strokes wobble.
        for cells, share in ((4, 1.0), (7, 0.5)):
            noise = torch.randn(total, 2, cells, cells, generator=rng, device=device)
            strength = torch.rand(total, 1, 1, 1, generator=rng, device=device)
            smooth = F.interpolate(noise, (size, size), mode="bicubic", align_corners=True)
            field = 2 * distortion.elastic * share * strength * 1.7 * smooth
            grid = grid + field.permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode="bilinear", align_corners=False)


def _affine(
    total: int, distortion: Distortion, rng: torch.Generator, device: torch.device
) -> Tensor:
    def uniform(limit: float) -> Tensor:
        return (2 * torch.rand(total, generator=rng, device=device) - 1) * limit

    angle = uniform(distortion.rotation * torch.pi / 180)
    slant = uniform(distortion.shear)
    wide, high = 1 + uniform(distortion.stretch), 1 + uniform(distortion.stretch)
    cos, sin = torch.cos(angle), torch.sin(angle)
    first = torch.stack([cos * wide, (cos * slant - sin) * high, uniform(2 * distortion.shift)], 1)
    second = torch.stack(
        [sin * wide, (sin * slant + cos) * high, uniform(2 * distortion.shift)], 1
    )
    return torch.stack([first, second], 1)


def _thicken(images: Tensor, limit: float, rng: torch.Generator) -> Tensor:
    """Strokes made thicker or thinner by a random part of `limit` pixels (at 28 pixels a side).

    A blend of the image with its 3 x 3 maximum (minimum) moves the edge of a stroke by up to one
    pixel; repeated, by more.
    """
    change = (
        2 * torch.rand(len(images), 1, 1, 1, generator=rng, device=images.device) - 1
    ) * limit
    change = change * images.shape[-1] / 28
    for step in range(int(-(-limit * images.shape[-1] // 28))):
        share = (change.abs() - step).clamp(0, 1)
        thick = F.max_pool2d(images, 3, 1, 1)
        thin = -F.max_pool2d(-images, 3, 1, 1)
        # Thinning is halved: a stroke of two pixels must not vanish.
        images = images + share * torch.where(change > 0, thick - images, 0.5 * (thin - images))
    return images


def _coarsen(images: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """A random part of the images loses detail as if scanned at 7 to 20 pixels a side."""
    size = images.shape[-1]
    chosen = torch.rand(len(images), generator=rng, device=images.device) < share
    side = 7 + int(torch.randint(14, (), generator=rng, device=images.device))
    small = F.interpolate(images, (side, side), mode="area")
    back = F.interpolate(small, (size, size), mode="bilinear", align_corners=False)
    return torch.where(chosen[:, None, None, None], back, images)
