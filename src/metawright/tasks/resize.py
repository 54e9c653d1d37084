"""Images of any size and number of channels, brought to one form, so that sources can be mixed."""

import torch
import torch.nn.functional as F
from torch import Tensor

from metawright.errors import InputError

__all__ = ["check_form", "resized"]

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601-2, as Pillow turns colour into grey


def resized(images: Tensor, *, channels: int, size: int) -> Tensor:
    """Images (images, channels, height, width) with other channels and sides, of the same type.

    Colour becomes grey by its luma, grey becomes colour by repetition; sides are interpolated
    bilinearly, with antialiasing where they shrink.

    Example:
        >>> import torch
        >>> from metawright.tasks.resize import resized
        >>> resized(torch.rand(2, 3, 32, 32), channels=1, size=28).shape
        torch.Size([2, 1, 28, 28])
    """
    check_form(size, channels)
    if images.shape[1:] == (channels, size, size):
        return images
    whole = images.dtype == torch.uint8
    x = images.float() if whole else images
    if x.shape[1] == 3 and channels == 1:
        x = (x * x.new_tensor(_LUMA)[:, None, None]).sum(1, keepdim=True)
    if not len(x):
        x = x.new_zeros(0, x.shape[1], size, size)
    elif x.shape[-2:] != (size, size):
        x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
    x = x.expand(-1, channels, -1, -1)
    return x.round().clamp(0, 255).to(torch.uint8) if whole else x


def check_form(size: int, channels: int) -> None:
    """Refuses sizes and channels that no image has."""
    if size < 1 or channels not in (1, 3):
        raise InputError(
            "`size >= 1` and `channels` of 1 (grey) or 3 (colour) must hold, but got "
            f"(size={size}, channels={channels})."
        )
