"""From an architecture of a named space to a blueprint, for the data at hand.

`ARCHITECTURES` has a row for each space of `metawright.spaces.SPACES` that means a network. A
blueprint is plain data (`metawright.models.layers.assemble` makes a module of it), so a trained
network can be saved and exported.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from metawright.errors import InputError
from metawright.models.build import Blueprint
from metawright.models.convolutional_architectures import (
    cells_blueprint,
    darts_blueprint,
    macro_blueprint,
)
from metawright.models.layers import assemble
from metawright.models.sequence_architectures import recurrent_blueprint, transformer_blueprint
from metawright.models.task_inputs import answer_blueprint, form_of, input_blueprint
from metawright.rng import global_draws
from metawright.spaces.design import Design
from metawright.tasks.task import TaskSpec

__all__ = ["ARCHITECTURES", "Architecture", "build_network", "network_blueprint"]

Architecture = Callable[[Mapping[str, Any], TaskSpec], Blueprint]
"""From a design's "architecture" and the spec of a task to a blueprint.

Raises `InputError` where the data has no form that such a network could read.
"""

_BAG = 64  # width of a token in a bag of tokens


def dense_blueprint(architecture: Mapping[str, Any], spec: TaskSpec) -> Blueprint:
    """A fully connected network on anything, flattened; a text is the mean of its tokens."""
    form = form_of("dense", spec, ("vector", "image", "signal", "text"))
    parts: list[Blueprint] = [input_blueprint(spec), {"layer": "Flatten"}]
    width = math.prod(spec.features)
    if form == "text":
        parts = [{"layer": "Bag", "vocabulary": spec.vocabulary, "width": _BAG}]
        width = _BAG
    for layer in architecture["layers"]:
        parts.append({"layer": "Linear", "in_features": width, "out_features": layer["width"]})
        width = layer["width"]
        if layer["normalisation"] == "layer":
            parts.append({"layer": "LayerNorm", "normalized_shape": width})
        parts.append({"layer": _ACTIVATIONS[layer["activation"]]})
        if layer["dropout"]:
            parts.append({"layer": "Dropout", "p": layer["dropout"]})
    head = {"layer": "Linear", "in_features": width, "out_features": spec.outputs}
    return {"layer": "Chain", "parts": [*parts, head, *answer_blueprint(spec)]}


_ACTIVATIONS = {"relu": "ReLU", "tanh": "Tanh", "silu": "SiLU", "gelu": "GELU"}


def generator_blueprint(architecture: Mapping[str, Any], spec: TaskSpec) -> Blueprint:
    """Noise to images of the task's shape."""
    form_of("generator", spec, ("image",))
    width, activation = architecture["width"], architecture["activation"]
    cells = [
        {
            "layer": "GeneratorCell",
            "width": width,
            "upsampling": cell["upsampling"],
            "shortcut": cell["shortcut"],
            "memory": min({"none": 0, "last": 1, "all": index}[cell["memory"]], index),
            "normalisation": cell["normalisation"],
            "activation": activation,
            "before": cell["order"] == "before",
        }
        for index, cell in enumerate(architecture["cells"])
    ]
    return {
        "layer": "Generator",
        "noise": architecture["noise"],
        "features": list(spec.features),
        "width": width,
        "cells": cells,
        "normalisation": architecture["cells"][-1]["normalisation"],
        "activation": activation,
    }


def discriminator_blueprint(architecture: Mapping[str, Any], spec: TaskSpec) -> Blueprint:
    """Images to one number each: (examples, 1)."""
    form_of("discriminator", spec, ("image",))
    width, before = architecture["width"], spec.features[0]
    parts: list[Blueprint] = []
    for cell in architecture["cells"]:
        shape = {name: architecture[name] for name in ("width", "normalisation", "activation")}
        parts.append({"layer": "DiscriminatorCell", "inputs": before, **shape, **cell.to_json()})
        before = width
    return {
        "layer": "Chain",
        "parts": [*parts, {"layer": "Readout", "channels": width, "outputs": 1}],
    }


ARCHITECTURES: Mapping[str, Architecture] = {
    "cells": cells_blueprint,
    "darts": darts_blueprint,
    "dense": dense_blueprint,
    "discriminator": discriminator_blueprint,
    "generator": generator_blueprint,
    "macro": macro_blueprint,
    "recurrent": recurrent_blueprint,
    "transformer": transformer_blueprint,
}


def network_blueprint(space: str, design: Design, spec: TaskSpec) -> Blueprint:
    """The network of a design of the space of that name, as plain data.

    Raises:
        InputError: no networks come from that space, or the data does not fit it.
    """
    if space not in ARCHITECTURES:
        raise InputError(
            f"Networks come from the spaces {', '.join(ARCHITECTURES)}, but got '{space}'."
        )
    return ARCHITECTURES[space](design["architecture"], spec)


def build_network(space: str, design: Design, spec: TaskSpec, rng: torch.Generator) -> nn.Module:
    """The network of a design, its first weights drawn from `rng`.

    It takes examples (examples, *features) as `TaskSpec` has them and gives logits
    (examples, classes) or targets (examples, outputs); a generator takes noise (examples, noise).

    Raises:
        InputError: see `network_blueprint`.

    Example:
        >>> import torch
        >>> from metawright.models.architectures import build_network
        >>> from metawright.rng import stream
        >>> from metawright.spaces import SPACES
        >>> from metawright.spaces.draw import sample
        >>> from metawright.tasks.task import Kind, TaskSpec
        >>> design = sample(SPACES["cells"](), stream(0, "doc"))
        >>> spec = TaskSpec(Kind.CLASSIFICATION, (1, 8, 8), 10)
        >>> network = build_network("cells", design, spec, stream(0, "weights"))
        >>> network(torch.rand(5, 1, 8, 8)).shape
        torch.Size([5, 10])
    """
    blueprint = network_blueprint(space, design, spec)
    with global_draws(rng):
        return assemble(blueprint)
