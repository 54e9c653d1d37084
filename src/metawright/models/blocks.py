"""Layers of searched image and dense networks; `metawright.models.layers` lists them all.

Like `layers.py` this file needs torch alone, for an exported model carries its text along.
Normalisation is by group or layer, so that one example is predicted as a thousand are.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "identity": nn.Identity,
}


class Input(nn.Module):
    """Examples on a common scale, `(x - mean) / deviation` by channel, and in the size learned on.

    Arguments:
        features: shape of one example; of a single feature each is its own channel. Images of
            another size are resized to it.
    """

    def __init__(self, features: list[int]) -> None:
        super().__init__()
        self.features = tuple(features)
        shape = (self.features[0],) + (1,) * (len(self.features) - 1)
        # Set from data and never trained; parameters, so that they travel with the weights.
        self.mean = nn.Parameter(torch.zeros(shape), requires_grad=False)
        self.deviation = nn.Parameter(torch.ones(shape), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        if len(self.features) == 3 and x.shape[-2:] != self.features[1:]:
            x = F.interpolate(x, self.features[1:], mode="bilinear", antialias=True)
        return (x - self.mean) / self.deviation


class Output(nn.Module):
    """Answers of a regression in the unit of the data: `x * deviation + mean`."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(outputs), requires_grad=False)
        self.deviation = nn.Parameter(torch.ones(outputs), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.deviation + self.mean


class Chain(nn.Sequential):
    """Parts in a row."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__(*parts)


class Residual(nn.Module):
    """`x + part(x)`."""

    def __init__(self, part: nn.Module) -> None:
        super().__init__()
        self.part = part

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.part(x)
        return x + changed


class AsImage(nn.Module):
    """Signals (examples, bands, steps) as images of one channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unsqueeze(1)


def activation_of(kind: str) -> nn.Module:
    """The activation of that name."""
    return ACTIVATIONS[kind]()


def norm_of(kind: str, channels: int) -> nn.Module:
    """`group` (about 8 channels each), `layer` (all channels), `instance` (each alone), `none`."""
    if kind == "none":
        return nn.Identity()
    most = {"group": max(channels // 8, 1), "layer": 1, "instance": channels}[kind]
    groups = next(number for number in range(most, 0, -1) if channels % number == 0)
    return nn.GroupNorm(groups, channels)


class Convolution(nn.Module):
    """Convolution, normalisation and activation; in reverse order with `before`.

    Sides are kept, or halved (rounded up) with `stride` 2.

    Arguments:
        normalisation: see `norm_of`; `spectral` divides the weight by its largest singular value.
        before: whether normalisation and activation come before the convolution.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        normalisation: str = "group",
        activation: str = "relu",
        before: bool = False,
    ) -> None:
        super().__init__()
        self.before, self.spectral = before, normalisation == "spectral"
        plain = self.spectral or normalisation == "none" or before
        self.conv = nn.Conv2d(
            inputs,
            outputs,
            kernel,
            stride,
            dilation * (kernel // 2),
            dilation,
            groups,
            bias=plain,
        )
        # As wide as rectifiers need, for networks without normalisation too.
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        kind = "none" if self.spectral else normalisation
        self.norm = norm_of(kind, inputs if before else outputs)
        self.activation = activation_of(activation)

    def forward(self, x: Tensor) -> Tensor:
        if self.before:
            return self._convolve(self.activation(self.norm(x)))
        changed: Tensor = self.activation(self.norm(self._convolve(x)))
        return changed

    def _convolve(self, x: Tensor) -> Tensor:
        conv, weight = self.conv, self.conv.weight
        if self.spectral:
            weight = weight / torch.linalg.matrix_norm(weight.flatten(1), 2)
        return F.conv2d(
            x, weight, conv.bias, conv.stride, conv.padding, conv.dilation, conv.groups
        )


class Graph(nn.Module):
    """A cell: each of its nodes adds up what operations make of earlier nodes.

    Arguments:
        sources: of each own node, the numbers of the nodes that it reads; none: it is zero.
        operations: of each own node, one for each source.
        outputs: numbers of the nodes that are given, side by side.
    """

    def __init__(
        self,
        sources: list[list[int]],
        operations: list[list[nn.Module]],
        outputs: list[int],
    ) -> None:
        super().__init__()
        self.sources, self.outputs = sources, outputs
        self.operations = nn.ModuleList(nn.ModuleList(node) for node in operations)

    def forward(self, *inputs: Tensor) -> Tensor:
        nodes = list(inputs)
        for sources, operations in zip(self.sources, self.operations, strict=True):
            parts = [
                operation(nodes[source])
                for source, operation in zip(sources, operations.children(), strict=True)
            ]
            nodes.append(sum(parts[1:], parts[0]) if parts else torch.zeros_like(inputs[0]))
        chosen = [nodes[number] for number in self.outputs]
        return chosen[0] if len(chosen) == 1 else torch.cat(chosen, 1)


class TwoBack(nn.Module):
    """Cells in a row, each of which reads the last two outputs, brought to its width before.

    Arguments:
        stem: makes the first output, which stands for two.
        cells: of two inputs each.
        first, second: for each cell, what brings the older and the newer output to its form.
    """

    def __init__(
        self,
        stem: nn.Module,
        cells: list[nn.Module],
        first: list[nn.Module],
        second: list[nn.Module],
    ) -> None:
        super().__init__()
        self.stem, self.cells = stem, nn.ModuleList(cells)
        self.first, self.second = nn.ModuleList(first), nn.ModuleList(second)

    def forward(self, x: Tensor) -> Tensor:
        older = newer = self.stem(x)
        for cell, first, second in zip(self.cells, self.first, self.second, strict=True):
            older, newer = newer, cell(first(older), second(newer))
        last: Tensor = newer
        return last


class Readout(nn.Module):
    """Means over a `grid` x `grid` of the image, and a linear function of them."""

    def __init__(self, channels: int, outputs: int, grid: int = 1) -> None:
        super().__init__()
        self.grid = grid
        self.linear = nn.Linear(channels * grid**2, outputs)

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.linear(F.adaptive_avg_pool2d(x, self.grid).flatten(1))
        return answer


_TORCH: tuple[type[nn.Module], ...] = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.GroupNorm,
    nn.LayerNorm,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.Dropout,
    nn.Flatten,
    nn.Identity,
    nn.ReLU,
    nn.LeakyReLU,
    nn.SiLU,
    nn.GELU,
    nn.Tanh,
    nn.Sigmoid,
    nn.ELU,
)

_OWN: tuple[type[nn.Module], ...] = (
    Input,
    Output,
    Chain,
    Residual,
    AsImage,
    Convolution,
    Graph,
    TwoBack,
    Readout,
)

BLOCKS: dict[str, Any] = {layer.__name__: layer for layer in _TORCH + _OWN}
