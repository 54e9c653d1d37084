"""Blueprints of recurrent networks and Transformers: how each kind of data becomes a sequence."""

from collections.abc import Mapping
from typing import Any

from metawright.errors import InputError
from metawright.models.build import Blueprint
from metawright.models.task_inputs import Form, answer_blueprint, form_of, input_blueprint
from metawright.tasks.task import TaskSpec

__all__ = ["recurrent_blueprint", "transformer_blueprint"]

_ROWS = 16  # of an image at most; of higher ones several are read at a time
_STEPS = 64  # of a signal at most; longer ones are read several steps at a time
_FEATURES = 256  # of a vector at most, where each is a token


def recurrent_blueprint(architecture: Mapping[str, Any], spec: TaskSpec) -> Blueprint:
    """Reads an image by rows, a signal step by step, a text token by token."""
    found = form_of("recurrent", spec, ("image", "signal", "text"))
    width = architecture["width"]
    if found == "text":
        read, inputs = [_tokens(spec, width)], width
    elif found == "image":
        channels, height, wide = spec.features
        rows = -(-height // _ROWS)
        read = [input_blueprint(spec), {"layer": "Rows", "rows": rows}]
        inputs = channels * rows * wide
    else:
        read, inputs, _ = _steps(spec, _STEPS)
    body = {
        "layer": "Recurrent",
        "cell": _cell(architecture["cell"]),
        "inputs": inputs,
        **{
            name: architecture[name]
            for name in ("width", "layers", "bidirectional", "dropout", "pooling")
        },
    }
    return _network([*read, body], width * (2 if architecture["bidirectional"] else 1), spec)


def _cell(cell: Mapping[str, Any]) -> dict[str, Any]:
    if cell["kind"] != "searched":
        return dict(cell)
    return {
        "kind": "searched",
        "sources": [node["sources"][0] for node in cell["nodes"]],
        "activations": [node["operations"][0] for node in cell["nodes"]],
    }


def transformer_blueprint(architecture: Mapping[str, Any], spec: TaskSpec) -> Blueprint:
    """Reads patches of an image, parts of a signal, tokens of a text, features of a vector."""
    found = form_of("transformer", spec, ("vector", "image", "signal", "text"))
    width = architecture["width"]
    read, inputs, steps = _read(found, spec, width, architecture["patches"])
    body = {
        "layer": "Encoder",
        "inputs": inputs,
        "steps": steps,
        "hidden": architecture["ratio"] * width,
        **{
            name: architecture[name]
            for name in ("width", "layers", "heads", "activation", "dropout", "pooling")
        },
    }
    return _network([*read, body], width, spec)


def _read(
    found: Form, spec: TaskSpec, width: int, patches: int
) -> tuple[list[Blueprint], int, int]:
    """What makes a sequence of the examples, the width of its steps, and how many there are."""
    if found == "text":
        return [_tokens(spec, width)], width, spec.features[0]
    if found == "signal":
        return _steps(spec, 4 * patches)
    if found == "image":
        channels, height, wide = spec.features
        tall, broad = -(-height // patches), -(-wide // patches)
        cut = {"layer": "Patches", "height": tall, "width": broad}
        steps = -(-height // tall) * -(-wide // broad)
        return [input_blueprint(spec), cut], channels * tall * broad, steps
    (features,) = spec.features
    if features > _FEATURES:
        raise InputError(
            f"The space 'transformer' reads a feature as a token and at most {_FEATURES} of them, "
            f"but the examples have {features}: choose another space, such as 'dense'."
        )
    own = {"layer": "Features", "features": features, "width": width}
    return [input_blueprint(spec), own], width, features


def _steps(spec: TaskSpec, most: int) -> tuple[list[Blueprint], int, int]:
    bands, steps = spec.features
    patch = -(-steps // most)
    read = [input_blueprint(spec), {"layer": "Steps", "patch": patch}]
    return read, bands * patch, -(-steps // patch)


def _tokens(spec: TaskSpec, width: int) -> Blueprint:
    return {"layer": "Tokens", "vocabulary": spec.vocabulary, "width": width}


def _network(parts: list[Blueprint], width: int, spec: TaskSpec) -> Blueprint:
    head = {"layer": "Linear", "in_features": width, "out_features": spec.outputs}
    return {"layer": "Chain", "parts": [*parts, head, *answer_blueprint(spec)]}
