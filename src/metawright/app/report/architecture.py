"""The architecture of a model as a picture: its layers from image to class, with their shapes.

Shapes and parameters are not computed by rules: the model runs once on the meta device, where
nothing is calculated, and every layer is asked what it gave.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from metawright.app.report.drawing import Area, Line, Picture, Rect, Shape, Text
from metawright.app.report.words import amount, number, percent, short
from metawright.models.layers import assemble
from metawright.tasks.task import TaskSpec

__all__ = ["Flow", "Layer", "architecture", "flow_of", "member_blueprints", "side_by_side"]

Point: TypeAlias = tuple[float, float]

_WIDTH, _HEIGHT, _GAP, _MARGIN = 232.0, 62.0, 24.0, 6.0


@dataclass(frozen=True)
class Layer:
    """One box of the picture: what it is, its settings, the shape it gives, its parameters."""

    title: str
    details: str
    shape: tuple[int, ...]
    parameters: int = 0


@dataclass(frozen=True)
class Flow:
    """Layers in the order in which an image goes through them.

    Arguments:
        before: from the image on; branches: side by side; after: to the class.
    """

    before: tuple[Layer, ...]
    branches: tuple[tuple[Layer, ...], ...]
    after: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """Of all layers together."""
        chains = (self.before, *self.branches, self.after)
        return sum(layer.parameters for chain in chains for layer in chain)


def member_blueprints(blueprint: Mapping[str, Any]) -> list[tuple[dict[str, Any], float]]:
    """The classifiers that a model consists of, with their shares."""
    if blueprint["layer"] == "Ensemble":
        return list(zip(blueprint["members"], blueprint["weights"], strict=True))
    return [(dict(blueprint), 1.0)]


def flow_of(blueprint: Mapping[str, Any], spec: TaskSpec) -> Flow:
    """The layers of one classifier."""
    with torch.device("meta"):
        module = assemble(dict(blueprint))
        image = torch.zeros(1, *spec.features)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, part in module.named_modules():
        part.register_forward_hook(_keep_shape(shapes, name))
    with torch.no_grad():
        module(image)
    told = _Teller(module, shapes)
    start = Layer("Image", "any size", spec.features)
    output = Layer("Class", "softmax, the most probable", shapes[""])
    if blueprint["layer"] != "Classifier":
        return Flow((start,), (), (told.layer("", blueprint), output))
    features = blueprint["features"]
    before = (start, told.layer("prepare", blueprint["prepare"]))
    after = (told.layer("head", blueprint["head"]), output)
    if features["layer"] != "Join":
        return Flow((*before, *told.chain("features", features)), (), after)
    branches = tuple(
        told.chain(f"features.parts.{index}", part) for index, part in enumerate(features["parts"])
    )
    return Flow(before, branches, (told.layer("features", features, own=True), *after))


def architecture(flow: Flow, *, title: str, stacked: bool = False) -> Picture:
    """The picture of one classifier, from top to bottom.

    Arguments:
        stacked: branches one under the other, for narrow screens, in place of side by side.
    """
    columns = 1 if stacked else max(len(flow.branches), 1)
    width = columns * _WIDTH + (columns - 1) * _GAP
    middle = width / 2
    shapes: list[Shape] = []
    y = 0.0
    ends = [(middle, y)]
    ends, y = _chain(shapes, flow.before, middle, y, ends)
    if flow.branches and stacked:
        ends, y = _stack(shapes, flow.branches, y, ends)
    elif flow.branches:
        tops, top = ends, y
        ends = []
        for index, branch in enumerate(flow.branches):
            x = _WIDTH / 2 + index * (_WIDTH + _GAP)
            last, bottom = _chain(shapes, branch, x, top, tops)
            ends += last
            y = max(y, bottom)
    ends, y = _chain(shapes, flow.after, middle, y, ends)
    margin = _MARGIN + (_GAP if stacked and flow.branches else 0)
    inside = Picture("architecture", title, width, y - _GAP, tuple(shapes))
    whole = (width + 2 * margin, y - _GAP + 2 * _MARGIN)
    return Picture("architecture", title, *whole, inside.moved(margin, _MARGIN))


def side_by_side(pictures: Sequence[Picture], captions: Sequence[str], *, title: str) -> Picture:
    """Several pictures in a row, each under its caption."""
    shapes: list[Shape] = []
    x, top, gap = 0.0, 34.0, 28.0
    for picture, caption in zip(pictures, captions, strict=True):
        shapes.append(Text(x + picture.width / 2, 18, caption, anchor="middle", bold=True))
        shapes += picture.moved(x, top)
        x += picture.width + gap
    height = max(picture.height for picture in pictures) + top
    return Picture("architecture", title, x - gap, height, tuple(shapes))


def _chain(
    shapes: list[Shape], layers: Sequence[Layer], middle: float, y: float, ends: list[Point]
) -> tuple[list[Point], float]:
    """Adds boxes under each other; gives where they end, and where the next may begin."""
    for layer in layers:
        ends, y = _place(shapes, layer, middle, y, ends)
    return ends, y


def _stack(
    shapes: list[Shape], branches: Sequence[Sequence[Layer]], y: float, ends: list[Point]
) -> tuple[list[Point], float]:
    """Adds branches under each other: inputs go past them on the left, outputs on the right."""
    middle, side, half = _WIDTH / 2, _WIDTH / 2 + _GAP * 0.7, _GAP / 2
    start, outputs = ends[0], []
    for index, branch in enumerate(branches):
        if index:
            y += _GAP  # room for the way out of the last branch and into this one
            way = [
                (0.0, half),
                (-side, half),
                (-side, y - half - start[1]),
                (0.0, y - half - start[1]),
            ]
            shapes.append(Line(tuple((middle + a, start[1] + b) for a, b in way), "line"))
        last, y = _chain(shapes, branch, middle, y, ends if not index else [(middle, y - half)])
        outputs += last
    for _, out in outputs[:-1]:
        way = [
            (0.0, out),
            (0.0, out + half),
            (side, out + half),
            (side, y - half),
            (0.0, y - half),
        ]
        shapes.append(Line(tuple((middle + a, b) for a, b in way), "line"))
    return outputs[-1:], y


def _place(
    shapes: list[Shape], layer: Layer, middle: float, y: float, ends: list[Point]
) -> tuple[list[Point], float]:
    """Adds a box and the arrows to it; gives where it ends, and where the next one may begin."""
    for x_end, y_end in ends:
        if y_end < y:
            shapes += _arrow(x_end, y_end, middle, y)
    ends_here = layer.title in ("Image", "Class")
    left = middle - _WIDTH / 2
    fill, stroke = ("ground", "accent") if ends_here else ("panel", "line")
    shapes.append(Rect(left, y, _WIDTH, _HEIGHT, fill, stroke, 10))  # type: ignore[arg-type]
    shapes.append(Text(left + 12, y + 15, layer.title, 13, "ink", bold=True))
    shapes.append(Text(left + 12, y + 32, short(layer.details, 38), 11, "muted"))
    form = " × ".join(str(side) for side in layer.shape)
    shapes.append(Text(left + 12, y + 48, f"→ {form}", 11, "accent"))
    if layer.parameters:
        held = f"{amount(layer.parameters)} parameters"
        shapes.append(Text(left + _WIDTH - 12, y + 48, held, 11, "muted", "end"))
    return [(middle, y + _HEIGHT)], y + _HEIGHT + _GAP


def _arrow(x: float, y: float, to_x: float, to_y: float) -> list[Shape]:
    turn = to_y - _GAP / 2
    points = ((x, y), (x, turn), (to_x, turn), (to_x, to_y - 6))
    tip = ((to_x - 4, to_y - 7), (to_x + 4, to_y - 7), (to_x, to_y - 1))
    return [Line(points if x != to_x else (points[0], points[3]), "line"), Area(tip, "line")]


def _keep_shape(shapes: dict[str, tuple[int, ...]], name: str) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Tensor) -> None:
        shapes[name] = tuple(output.shape[1:])

    return keep


class _Teller:
    """Puts the layers of a module that has run into words."""

    def __init__(self, module: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._module = module
        self._shapes = shapes

    def layer(self, path: str, told: Mapping[str, Any], *, own: bool = False) -> Layer:
        """The box of the layer at `path`; `own`: without the parameters of the layers inside."""
        title, details = _words(told)
        held = self._module.get_submodule(path).parameters(recurse=not own)
        return Layer(title, details, self._shapes[path], sum(p.numel() for p in held))

    def chain(self, path: str, told: Mapping[str, Any]) -> tuple[Layer, ...]:
        """The boxes of a feature extractor: a network has one for each block."""
        if told["layer"] != "ConvFeatures":
            return (self.layer(path, told),)
        blocks = []
        for index in range(told["depth"]):
            part = f"{path}.blocks.{index}"
            shape = self._shapes[part]
            title = f"Block {index + 1}: {shape[0]} filters {told['kernel']} × {told['kernel']}"
            pool = f"{told['pool']} pool, " if index < 3 and told["pool"] != "none" else ""
            skip = ", skip" if told["skip"] and index else ""
            held = sum(p.numel() for p in self._module.get_submodule(part).parameters())
            details = f"{pool}{told['normalisation']} norm{skip}"
            blocks.append(Layer(title, details, shape, held))
        readout = Layer("Read-out", "mean on a 3 × 3 grid, unit length", self._shapes[path])
        return (*blocks, readout)


def _words(told: Mapping[str, Any]) -> tuple[str, str]:
    """Title and details of a layer."""
    kind = told["layer"]
    if kind == "Prepare":
        how = "ink bright, centred, same spread" if told["frame"] else "resized"
        return "Prepare", how
    if kind == "PixelFeatures":
        return "Pixels", f"smoothed to {told['side']} × {told['side']}, unit length"
    if kind == "Join":
        return "Join", "shares " + " and ".join(percent(w, 0) for w in told["weights"])
    if kind == "PrototypeHead":
        return "Nearest class mean", f"{told['classes']} prototypes"
    if kind == "LinearHead":
        return "Linear", f"{told['features']} features, ridge regression"
    if kind == "KernelHead":
        gamma = number(told["gamma"], 3)
        return "Kernel ridge", f"Gaussian, γ {gamma}, {told['anchors']} anchors"
    settings = ", ".join(f"{key} {_setting(told[key])}" for key in told if key != "layer")
    return str(kind), settings


def _setting(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return number(value)
    return "…" if isinstance(value, dict | list) else str(value)
