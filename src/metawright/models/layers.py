"""Every layer that a generated model is made of, and `assemble`, which puts them together.

This file and those whose text goes with it (see `carried.py`) need torch and nothing else: an
exported model carries them along, so that the code which ran here is the code that runs there. A
model is described by plain data, `{"layer": name, **arguments}`, where an argument may again be
such a description.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metawright.models.adversarial import ADVERSARIAL
from metawright.models.blocks import BLOCKS
from metawright.models.prepare import Prepare
from metawright.models.sequences import SEQUENCES


class Norm(nn.Module):
    """Normalisation that depends on one image only: `group` (8 channels), `instance` or `layer`.

    One image is then predicted as a thousand are, and no running statistics are kept.
    """

    def __init__(self, kind: str, channels: int) -> None:
        super().__init__()
        self.groups = {"group": max(channels // 8, 1), "instance": channels, "layer": 1}[kind]
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.groups, self.weight, self.bias)


class Block(nn.Module):
    """Convolution, pooling, normalisation, rectifier, and a residual convolution with `skip`.

    Pooling comes before the normalisation: a quarter of the work, and for `max` nearly the same.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        kernel: int,
        normalisation: str,
        pool: str,
        skip: bool,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, padding=kernel // 2, bias=False)
        self.norm = Norm(normalisation, channels)
        self.pool = pool
        if skip:
            self.conv_skip = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False)
            self.norm_skip = Norm(normalisation, channels)
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.pool == "max":
            x = F.max_pool2d(x, 2)
        elif self.pool == "average":
            x = F.avg_pool2d(x, 2)
        x = F.relu(self.norm(x))
        if self.skip:
            x = x + F.relu(self.norm_skip(self.conv_skip(x)))
        return x


class ConvFeatures(nn.Module):
    """Blocks of convolutions, read out on a 3 x 3 grid: unit vectors (images, 9 * width).

    Arguments:
        channels: of the images.
        depth: number of blocks; the first three halve the image.
        width: channels of every block but the first, which has half as many because it works on
            the full image.
        kernel, normalisation, pool: of every block; skip: of every block but the first.
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        width: int,
        kernel: int,
        normalisation: str,
        pool: str,
        skip: bool,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            Block(
                (channels, width // 2)[index] if index < 2 else width,
                width if index else width // 2,
                kernel,
                normalisation,
                pool if index < 3 else "none",
                skip and index > 0,
            )
            for index in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return F.normalize(F.adaptive_avg_pool2d(x, 3).flatten(1), dim=1)


class PixelFeatures(nn.Module):
    """The image, smoothed to `side` x `side`: unit vectors (images, channels * side ** 2)."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        smooth = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        small = F.interpolate(smooth, (self.side, self.side), mode="area")
        return F.normalize(small.flatten(1), dim=1)


class Join(nn.Module):
    """Several features side by side, each with the share `weights` of the squared length."""

    def __init__(self, parts: list[nn.Module], weights: list[float]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:
        joined = [
            part(x) * weight**0.5 for part, weight in zip(self.parts, self.weights, strict=True)
        ]
        return torch.cat(joined, 1)


def squared_distances(first: Tensor, second: Tensor) -> Tensor:
    """`|a - b| ** 2` for all pairs: (first, second). Written out, so that it exports to ONNX."""
    lengths = (first**2).sum(1)[:, None] + (second**2).sum(1)
    return (lengths - 2 * first @ second.T).clamp_min(0)


class PrototypeHead(nn.Module):
    """Logits by nearness to one mean feature a class: `-scale * |feature - prototype| ** 2`."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.prototypes = nn.Parameter(torch.zeros(classes, features))
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, features: Tensor) -> Tensor:
        return -self.scale * squared_distances(features, self.prototypes)


class LinearHead(nn.Module):
    """Logits as a linear function of the features."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(classes, features))
        self.bias = nn.Parameter(torch.zeros(classes))

    def forward(self, features: Tensor) -> Tensor:
        return F.linear(features, self.weight, self.bias)


class KernelHead(nn.Module):
    """Logits as a weighted sum of Gaussian kernels on the support's features.

    `scale * (sum_i exp(-gamma |feature - anchor_i| ** 2) * weight_i + bias)`; the weights are the
    solution of a ridge regression (a least-squares support vector machine).
    """

    def __init__(self, features: int, classes: int, anchors: int, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma
        self.anchors = nn.Parameter(torch.zeros(anchors, features))
        self.weight = nn.Parameter(torch.zeros(anchors, classes))
        self.bias = nn.Parameter(torch.zeros(classes))
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, features: Tensor) -> Tensor:
        kernel = torch.exp(-self.gamma * squared_distances(features, self.anchors))
        return self.scale * (kernel @ self.weight + self.bias)


class Classifier(nn.Module):
    """Preparation, features and head in a row: images in, logits (images, classes) out."""

    def __init__(self, prepare: nn.Module, features: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.prepare, self.features, self.head = prepare, features, head

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(self.prepare(x)))
        return logits


class Ensemble(nn.Module):
    """The log of the weighted mean of the members' probabilities."""

    def __init__(self, members: list[nn.Module], weights: list[float]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:
        parts = [
            F.log_softmax(member(x), 1) + torch.log(torch.tensor(weight))
            for member, weight in zip(self.members, self.weights, strict=True)
        ]
        return torch.logsumexp(torch.stack(parts), 0)


_OWN: tuple[type[nn.Module], ...] = (
    Prepare,
    ConvFeatures,
    PixelFeatures,
    Join,
    PrototypeHead,
    LinearHead,
    KernelHead,
    Classifier,
    Ensemble,
)

LAYERS: dict[str, Any] = {
    **BLOCKS,
    **SEQUENCES,
    **ADVERSARIAL,
    **{layer.__name__: layer for layer in _OWN},
}


def assemble(blueprint: dict[str, Any]) -> nn.Module:
    """The module that a blueprint describes; its parameters are as initialised."""
    module: nn.Module = _assemble(blueprint)
    return module


def _assemble(value: Any) -> Any:
    if isinstance(value, dict) and "layer" in value:
        arguments = {key: _assemble(part) for key, part in value.items() if key != "layer"}
        return LAYERS[value["layer"]](**arguments)
    return [_assemble(part) for part in value] if isinstance(value, list) else value
