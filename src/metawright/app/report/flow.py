"""The layers of a model in order, with the shapes that they give and the parameters they hold.

Shapes and parameters are not computed by rules: the model runs once on the meta device, where
nothing is calculated, and every layer is asked what it gave.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from metawright.app.report.layers import SMALL, block_words, layer_words
from metawright.models.layers import assemble
from metawright.tasks.task import Kind, TaskSpec

__all__ = ["Flow", "Layer", "flow_of", "member_blueprints"]


@dataclass(frozen=True)
class Layer:
    """One box of the picture.

    Arguments:
        title, details: what it is, and its settings.
        shape: of what it gives for one example.
        outside: whether it stands for what goes in or comes out.
    """

    title: str
    details: str
    shape: tuple[int, ...]
    parameters: int = 0
    outside: bool = False


@dataclass(frozen=True)
class Flow:
    """Layers in the order in which an example goes through them.

    Arguments:
        before: from the example on; branches: side by side; after: to the answer.
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
    """The layers of one classifier, or of a network whose layers stand in a row."""
    start = _start(spec)
    with torch.device("meta"):
        module = assemble(dict(blueprint))
        kind = torch.long if spec.vocabulary else torch.float32
        example = torch.zeros(1, *spec.features, dtype=kind)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, part in module.named_modules():
        part.register_forward_hook(_keep_shape(shapes, name))
    with torch.no_grad():
        module(example)
    told = _Teller(module, shapes)
    words = ("Class", "softmax, the most probable")
    if spec.kind is not Kind.CLASSIFICATION:
        words = ("Answer", "in the unit of the data")
    output = Layer(*words, shapes[""], outside=True)
    if blueprint["layer"] == "Chain":
        return Flow((start, *told.row("", blueprint["parts"])), (), (output,))
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


def _start(spec: TaskSpec) -> Layer:
    """What goes in."""
    if spec.vocabulary:
        words = ("Text", f"a vocabulary of {spec.vocabulary:,} tokens")
    else:
        words = {3: ("Image", "any size"), 2: ("Signal", "bands × steps")}.get(
            len(spec.features), ("Features", "a row of numbers")
        )
    return Layer(*words, spec.features, outside=True)


def _keep_shape(shapes: dict[str, tuple[int, ...]], name: str) -> Any:
    def keep(module: nn.Module, inputs: Any, output: Tensor | tuple[Any, ...]) -> None:
        # A sequence comes with its mask, a recurrent layer with its last state.
        given = output[0] if isinstance(output, tuple) else output
        shapes[name] = tuple(given.shape[1:])

    return keep


class _Teller:
    """Puts the layers of a module that has run into words."""

    def __init__(self, module: nn.Module, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._module = module
        self._shapes = shapes

    def layer(self, path: str, told: Mapping[str, Any], *, own: bool = False) -> Layer:
        """The box of the layer at `path`; `own`: without the parameters of the layers inside."""
        title, details = layer_words(told)
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
            title, details = block_words(told, index, shape[0])
            blocks.append(Layer(title, details, shape, self._held(part)))
        readout = Layer("Read-out", "mean on a 3 × 3 grid, unit length", self._shapes[path])
        return (*blocks, readout)

    def row(self, path: str, parts: list[Mapping[str, Any]]) -> list[Layer]:
        """The boxes of layers in a row: what has few words of its own goes with the layer before,
        and what consists of layers is taken apart."""
        boxes: list[Layer] = []
        for index, told in enumerate(parts):
            place = f"{path}.{index}" if path else str(index)
            if told["layer"] in SMALL and boxes:
                boxes[-1] = self._joined(boxes[-1], place, told)
            else:
                boxes += self._boxes(place, told)
        return boxes

    def _boxes(self, path: str, told: Mapping[str, Any]) -> list[Layer]:
        if told["layer"] == "TwoBack":
            stem = self.layer(f"{path}.stem", told["stem"])
            return [stem, *self._pairs(path, told)]
        if told["layer"] == "Encoder":
            return self._encoder(path, told)
        return [self.layer(path, told)]

    def _joined(self, box: Layer, path: str, told: Mapping[str, Any]) -> Layer:
        """A box that a small layer has become a part of."""
        details = ", ".join(part for part in (box.details, SMALL[told["layer"]](told)) if part)
        held = box.parameters + self._held(path)
        return Layer(box.title, details, self._shapes[path], held)

    def _pairs(self, path: str, told: Mapping[str, Any]) -> list[Layer]:
        """Cells that read the last two outputs, each with what brings these to its form."""
        boxes = []
        for index, cell in enumerate(told["cells"]):
            shape = self._shapes[f"{path}.cells.{index}"]
            halves = shape[1:] != self._shapes[f"{path}.second.{index}"][1:]
            kind = "Reduction cell" if halves else "Normal cell"
            held = sum(self._held(f"{path}.{name}.{index}") for name in _PAIR)
            _, details = layer_words(cell)
            boxes.append(Layer(kind, details, shape, held))
        return boxes

    def _encoder(self, path: str, told: Mapping[str, Any]) -> list[Layer]:
        inside = [f"{path}.layers.{index}" for index in range(told["layers"])]
        own = self._held(path) - sum(self._held(part) for part in (f"{path}.norm", *inside))
        token = ", and a token that reads" if told["pooling"] == "token" else ""
        first = Layer("Projection", f"with places{token}", self._shapes[f"{path}.project"], own)
        words = f"{told['heads']} heads, then {told['hidden']} {told['activation']}"
        layers = [
            Layer(f"Attention {number}", words, self._shapes[part], self._held(part))
            for number, part in enumerate(inside, 1)
        ]
        pooled = "the token that reads" if told["pooling"] == "token" else "mean of the tokens"
        held = self._held(f"{path}.norm")
        return [first, *layers, Layer("Read-out", pooled, self._shapes[path], held)]

    def _held(self, path: str) -> int:
        return sum(p.numel() for p in self._module.get_submodule(path).parameters())


_PAIR = ("first", "second", "cells")
