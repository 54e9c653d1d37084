"""Blueprints of searched convolutional networks: repeated cells, pairs of cells, stages.

Images of more than 16 pixels a side are halved by the first convolution; a spectrogram is an image
of one channel.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from metawright.errors import InputError
from metawright.models.build import Blueprint
from metawright.models.task_inputs import answer_blueprint, form_of, image_shape, input_blueprint
from metawright.tasks.task import TaskSpec

__all__ = ["cells_blueprint", "darts_blueprint", "macro_blueprint"]

_LARGE = 16  # pixels a side; more are halved at once
_GRID = 4  # places a side that are read out, at most
_BANDS = 8  # of a signal that is read as an image, at least


def cells_blueprint(architecture: Mapping[str, Any], spec: TaskSpec) -> Blueprint:
    """Stages of one cell that reads the output before it; between them the image is halved."""
    parts, _ = _entry("cells", spec, architecture["width"])
    width = architecture["width"]
    for stage in range(architecture["stages"]):
        if stage:
            parts.append(_convolution(width, 2 * width, stride=2))
            width *= 2
        parts += [_dense_cell(architecture["cell"], width) for _ in range(architecture["cells"])]
    return _network(parts, width, spec, halvings=architecture["stages"] - 1)


def _dense_cell(cell: Sequence[Mapping[str, Any]], width: int) -> Blueprint:
    """A cell without its "none" edges and without the nodes that its output does not read."""
    sources, operations = [], []
    for node in cell:
        kept = [
            (source, operation)
            for source, operation in zip(node["sources"], node["operations"], strict=True)
            if operation != "none"
        ]
        sources.append([source for source, _ in kept])
        operations.append([_cell_operation(operation, width) for _, operation in kept])
    last = len(cell)
    read = _read_by(last, sources)
    for number in range(1, last):
        if number not in read:
            sources[number - 1], operations[number - 1] = [], []
    return {"layer": "Graph", "sources": sources, "operations": operations, "outputs": [last]}


def _read_by(node: int, sources: list[list[int]]) -> set[int]:
    """Numbers of the nodes from which a way leads to `node`; node 0 is given."""
    found, waiting = set[int](), [node]
    while waiting:
        number = waiting.pop()
        found.add(number)
        if number:
            waiting += [source for source in sources[number - 1] if source not in found]
    return found


def _cell_operation(name: str, width: int) -> Blueprint:
    if name == "skip":
        return {"layer": "Identity"}
    if name == "pool3":
        return _pool("AvgPool2d", 1)
    return _convolution(width, width, kernel={"conv1": 1, "conv3": 3}[name])


def darts_blueprint(architecture: Mapping[str, Any], spec: TaskSpec) -> Blueprint:
    """Normal cells with reduction cells between the stages; a cell gives all its nodes."""
    width = architecture["width"]
    nodes = len(architecture["normal"])
    parts, channels = _entry("darts", spec, width * nodes)
    *scale, stem = parts
    cells: list[Blueprint] = []
    first: list[Blueprint] = []
    second: list[Blueprint] = []
    older = newer = channels
    shrunk = False  # whether the newer output is half as large as the older one
    for stage in range(architecture["stages"]):
        kinds = ["reduction"] * bool(stage) + ["normal"] * architecture["cells"]
        for kind in kinds:
            reduces = kind == "reduction"
            width *= 2 if reduces else 1
            first.append(_convolution(older, width, kernel=1, stride=2 if shrunk else 1))
            second.append(_convolution(newer, width, kernel=1))
            cells.append(_sparse_cell(architecture[kind], width, reduces=reduces))
            older, newer, shrunk = newer, width * nodes, reduces
    paired = {"layer": "TwoBack", "stem": stem, "cells": cells, "first": first, "second": second}
    halvings = architecture["stages"] - 1
    return _network([*scale, paired], newer, spec, halvings=halvings)


def _sparse_cell(cell: Sequence[Mapping[str, Any]], width: int, *, reduces: bool) -> Blueprint:
    """A cell of two inputs; one that reduces halves what it reads of them."""
    return {
        "layer": "Graph",
        "sources": [list(node["sources"]) for node in cell],
        "operations": [
            [
                _sparse_operation(operation, width, 2 if reduces and source < 2 else 1)
                for source, operation in zip(node["sources"], node["operations"], strict=True)
            ]
            for node in cell
        ],
        "outputs": list(range(2, 2 + len(cell))),
    }


def _sparse_operation(name: str, width: int, stride: int) -> Blueprint:
    if name == "skip":
        if stride == 1:
            return {"layer": "Identity"}
        return _convolution(width, width, kernel=1, stride=stride)
    if name in ("max3", "avg3"):
        return _pool("MaxPool2d" if name == "max3" else "AvgPool2d", stride)
    kernel = 5 if name == "sep5" else 3
    alone = {"groups": width, "normalisation": "none", "activation": "identity"}
    dilation = 2 if name == "dil3" else 1
    each = _convolution(width, width, kernel=kernel, stride=stride, dilation=dilation, **alone)
    return {"layer": "Chain", "parts": [each, _convolution(width, width, kernel=1)]}


def macro_blueprint(architecture: Mapping[str, Any], spec: TaskSpec) -> Blueprint:
    """Stages of blocks; each but the first begins by halving the image."""
    shape = {name: architecture[name] for name in ("normalisation", "activation")}
    pooling = architecture["pooling"]
    width = architecture["stages"][0]["width"]
    parts, before = _entry("macro", spec, width, **shape)
    for number, stage in enumerate(architecture["stages"]):
        if number and pooling != "stride":
            kind = {"max": "MaxPool2d", "average": "AvgPool2d"}[pooling]
            parts.append({"layer": kind, "kernel_size": 2, "ceil_mode": True})
        for index in range(stage["depth"]):
            stride = 2 if number and not index and pooling == "stride" else 1
            block = _macro_block(before, stage, stride, shape)
            same = before == stage["width"] and stride == 1
            parts.append({"layer": "Residual", "part": block} if stage["skip"] and same else block)
            before = stage["width"]
    return _network(parts, before, spec, halvings=len(architecture["stages"]) - 1)


def _macro_block(
    before: int, stage: Mapping[str, Any], stride: int, shape: Mapping[str, Any]
) -> Blueprint:
    width, kernel, hidden = stage["width"], stage["kernel"], before * stage["expansion"]
    if stage["expansion"] == 1:
        return _convolution(before, width, kernel=kernel, stride=stride, **shape)
    narrow = {**shape, "activation": "identity"}
    parts = [
        _convolution(before, hidden, kernel=1, **shape),
        _convolution(hidden, hidden, kernel=kernel, stride=stride, groups=hidden, **shape),
        _convolution(hidden, width, kernel=1, **narrow),
    ]
    return {"layer": "Chain", "parts": parts}


def _entry(space: str, spec: TaskSpec, width: int, **shape: Any) -> tuple[list[Blueprint], int]:
    """Scaling and the first convolution, and the channels that come out."""
    found = form_of(space, spec, ("image", "signal"))
    channels, height, wide = image_shape(spec)
    if found == "signal" and height < _BANDS:
        raise InputError(
            f"The space '{space}' reads a signal as an image of {_BANDS} bands or more, but the "
            f"signals have {height}: choose another space, such as 'recurrent'."
        )
    parts = [input_blueprint(spec)]
    if found == "signal":
        parts.append({"layer": "AsImage"})
    stride = 2 if min(height, wide) > _LARGE else 1
    parts.append(_convolution(channels, width, stride=stride, **shape))
    return parts, width


def _network(parts: list[Blueprint], width: int, spec: TaskSpec, *, halvings: int) -> Blueprint:
    """The parts and what reads them out, on as fine a grid as there is, up to 4 x 4: where ink
    lies matters, and on MNIST in three epochs 4 x 4 errs a quarter less than 2 x 2."""
    _, height, wide = image_shape(spec)
    side = min(height, wide)
    for _ in range(halvings + (side > _LARGE)):
        side = -(-side // 2)
    grid = min(_GRID, side)
    head = {"layer": "Readout", "channels": width, "outputs": spec.outputs, "grid": grid}
    return {"layer": "Chain", "parts": [*parts, head, *answer_blueprint(spec)]}


def _convolution(inputs: int, outputs: int, **shape: Any) -> Blueprint:
    return {"layer": "Convolution", "inputs": inputs, "outputs": outputs, **shape}


def _pool(kind: str, stride: int) -> Blueprint:
    pool = {"layer": kind, "kernel_size": 3, "stride": stride, "padding": 1}
    # The border counts for what it is, not for zeros.
    return pool | ({"count_include_pad": False} if kind == "AvgPool2d" else {})
