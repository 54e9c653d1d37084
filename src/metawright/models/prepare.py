"""Images of any size brought to one form; this file needs torch alone, as `layers.py` does."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Prepare(nn.Module):
    """Images of any size brought to the form that the features were learned on.

    Bright ink on a dark ground is kept, dark ink on a bright ground is inverted (judged by the
    border); with `frame`, ink is moved to the centre and scaled to a common spread (first and
    second moments), so that place and size of a drawing do not matter.

    Arguments:
        channels, size: (images, channels, size, size) is what comes out.
        frame: whether to centre and scale the ink (grey images only).
        spread: root mean square distance of ink from its centre, as a share of the half side.
    """

    def __init__(self, channels: int, size: int, frame: bool, spread: float = 0.5) -> None:
        super().__init__()
        self.channels, self.size, self.frame, self.spread = channels, size, frame, spread

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[1] != self.channels:
            x = x.mean(1, keepdim=True).expand(-1, self.channels, -1, -1)
        if not self.frame:
            if x.shape[-2:] == (self.size, self.size):
                return x
            return F.interpolate(x, (self.size, self.size), mode="bilinear", antialias=True)
        border = torch.cat([x[:, :, 0], x[:, :, -1], x[:, :, :, 0], x[:, :, :, -1]], 2)
        bright = border.mean((1, 2)) > 0.5
        x = torch.where(bright[:, None, None, None], 1 - x, x)
        return self._framed(x).clamp(0, 1)

    def _framed(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        ink = x.mean(1)
        # The faint ground of a scan must not pull the centre: only what stands out counts.
        ink = (ink - 0.2 * ink.amax((1, 2), keepdim=True)).clamp_min(0)
        mass = ink.sum((1, 2)).clamp_min(1e-6)
        # Lengths are shares of the longer half side, so that a drawing keeps its proportions.
        side = max(height, width)
        tall, wide = height / side, width / side
        rows = (torch.arange(height, device=x.device, dtype=x.dtype) + 0.5) * (2 / height) - 1
        columns = (torch.arange(width, device=x.device, dtype=x.dtype) + 0.5) * (2 / width) - 1
        rows, columns = rows * tall, columns * wide
        middle_y = (ink.sum(2) * rows).sum(1) / mass
        middle_x = (ink.sum(1) * columns).sum(1) / mass
        spread_y = (ink.sum(2) * (rows - middle_y[:, None]) ** 2).sum(1) / mass
        spread_x = (ink.sum(1) * (columns - middle_x[:, None]) ** 2).sum(1) / mass
        # A pixel has an extent of its own, which counts on coarse images.
        spread = (spread_y + spread_x + (2 / side) ** 2 / 6).clamp_min(1e-4).sqrt()
        zoom = (spread / self.spread).clamp(0.15, 2.0)
        zero = torch.zeros_like(zoom)
        theta = torch.stack(
            [
                torch.stack([zoom / wide, zero, middle_x / wide], 1),
                torch.stack([zero, zoom / tall, middle_y / tall], 1),
            ],
            1,
        )
        grid = F.affine_grid(theta, [x.shape[0], 1, self.size, self.size], align_corners=False)
        return F.grid_sample(x, grid.to(x.dtype), mode="bilinear", align_corners=False)
