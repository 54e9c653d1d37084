"""Layers of searched generators and discriminators of images; they need torch alone."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from metawright.models.blocks import Convolution, activation_of, norm_of


class GeneratorCell(nn.Module):
    """Doubles an image: two convolutions, a shortcut, and what is remembered of earlier cells.

    Arguments:
        width: channels of everything.
        upsampling: "nearest", "bilinear" or "transposed" (a convolution that learns it).
        shortcut: whether the doubled input is added to the output.
        memory: how many earlier outputs are added, resized, between the convolutions.
        normalisation, activation, before: see `Convolution`.
    """

    def __init__(
        self,
        width: int,
        upsampling: str,
        shortcut: bool,
        memory: int,
        normalisation: str,
        activation: str,
        before: bool,
    ) -> None:
        super().__init__()
        self.upsampling = upsampling
        if upsampling == "transposed":
            self.enlarge = nn.ConvTranspose2d(width, width, 2, 2)
        shape: dict[str, Any] = {
            "normalisation": normalisation,
            "activation": activation,
            "before": before,
        }
        self.first = Convolution(width, width, 3, **shape)
        self.second = Convolution(width, width, 3, **shape)
        self.shortcut = nn.Conv2d(width, width, 1) if shortcut else None
        self.memory = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(memory))

    def forward(self, x: Tensor, earlier: list[Tensor]) -> Tensor:
        doubled = self._double(x)
        hidden: Tensor = self.first(doubled)
        remembered = earlier[len(earlier) - len(self.memory) :]
        for convolution, image in zip(self.memory, remembered, strict=True):
            hidden = hidden + F.interpolate(convolution(image), hidden.shape[-2:], mode="nearest")
        hidden = self.second(hidden)
        return hidden if self.shortcut is None else hidden + self.shortcut(doubled)

    def _double(self, x: Tensor) -> Tensor:
        if self.upsampling == "transposed":
            larger: Tensor = self.enlarge(x)
            return larger
        # Interpolation by mode "nearest" takes no `align_corners`.
        corners = False if self.upsampling == "bilinear" else None
        return F.interpolate(x, scale_factor=2, mode=self.upsampling, align_corners=corners)


class Generator(nn.Module):
    """Noise (examples, noise) to images (examples, channels, height, width) in 0..1.

    Arguments:
        features: (channels, height, width) of the images.
        cells: see `GeneratorCell`; each doubles the image, what is too much is cut off.
        normalisation, activation: before the last convolution.
    """

    def __init__(
        self,
        noise: int,
        features: list[int],
        width: int,
        cells: list[nn.Module],
        normalisation: str,
        activation: str,
    ) -> None:
        super().__init__()
        channels, self.height, self.width = features
        halved = 2 ** len(cells)
        self.bottom = (-(-self.height // halved), -(-self.width // halved))
        self.start = nn.Linear(noise, width * self.bottom[0] * self.bottom[1])
        self.cells = nn.ModuleList(cells)
        self.norm, self.activation = norm_of(normalisation, width), activation_of(activation)
        self.paint = nn.Conv2d(width, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        outputs = [self.start(x).unflatten(1, (-1, *self.bottom))]
        for cell in self.cells:
            outputs.append(cell(outputs[-1], outputs[:-1]))
        image: Tensor = self.paint(self.activation(self.norm(outputs[-1]))).sigmoid()
        return image[..., : self.height, : self.width]


class DiscriminatorCell(nn.Module):
    """Two convolutions, then halving, with a shortcut around both.

    Arguments:
        downsampling: "none", "average", "max" or "stride" (of the second convolution).
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        kernel: int,
        downsampling: str,
        shortcut: bool,
        normalisation: str,
        activation: str,
    ) -> None:
        super().__init__()
        self.downsampling = downsampling
        stride = 2 if downsampling == "stride" else 1
        shape: dict[str, Any] = {"normalisation": normalisation, "activation": activation}
        self.first = Convolution(inputs, width, kernel, **shape)
        self.second = Convolution(width, width, kernel, stride=stride, **shape)
        self.shortcut = nn.Conv2d(inputs, width, 1, stride) if shortcut else None

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.second(self.first(x))
        if self.shortcut is not None:
            hidden = hidden + self.shortcut(x)
        if self.downsampling == "average":
            return F.avg_pool2d(hidden, 2, ceil_mode=True)
        if self.downsampling == "max":
            return F.max_pool2d(hidden, 2, ceil_mode=True)
        return hidden


_LAYERS: tuple[type[nn.Module], ...] = (GeneratorCell, Generator, DiscriminatorCell)

ADVERSARIAL: dict[str, Any] = {layer.__name__: layer for layer in _LAYERS}
