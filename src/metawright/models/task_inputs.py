"""How the examples of a task enter a network and how its answers leave it."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from metawright.errors import InputError
from metawright.models.blocks import Input, Output
from metawright.models.build import Blueprint
from metawright.tasks.task import Batch, Kind, TaskSpec

__all__ = [
    "Form",
    "answer_blueprint",
    "form",
    "form_of",
    "image_shape",
    "input_blueprint",
    "set_scales",
]

Form = Literal["vector", "image", "signal", "text"]

_CONSTANT = 1e-6  # a deviation below is none

_WORDS: dict[Form, str] = {
    "vector": "feature vectors",
    "image": "images",
    "signal": "signals",
    "text": "texts",
}


def form(spec: TaskSpec) -> Form:
    """What the examples of a task are: vectors, images, signals (bands, steps) or texts.

    Raises:
        InputError: they are none of these, or the task is one of control.
    """
    if spec.kind is Kind.CONTROL:
        raise InputError(
            "A searched network learns from examples with answers, but the task is one of control."
        )
    if spec.vocabulary:
        return "text"
    forms: dict[int, Form] = {1: "vector", 2: "signal", 3: "image"}
    if len(spec.features) not in forms or min(spec.features) < 1:
        raise InputError(
            "An example must be a vector (features,), a signal (bands, steps) or an image "
            f"(channels, height, width), but has the shape {spec.features}."
        )
    return forms[len(spec.features)]


def form_of(space: str, spec: TaskSpec, allowed: Sequence[Form]) -> Form:
    """The form of the examples, if the space can read it.

    Raises:
        InputError: it cannot; the sentence says what it needs and what there is.
    """
    found = form(spec)
    if found not in allowed:
        *first, last = (_WORDS[kind] for kind in allowed)
        needed = f"{', '.join(first)} or {last}" if first else last
        raise InputError(
            f"The space '{space}' needs {needed}, but the examples are {_WORDS[found]} of shape "
            f"{spec.features}: choose another space."
        )
    return found


def image_shape(spec: TaskSpec) -> tuple[int, int, int]:
    """(channels, height, width) of an image, or of a signal that is read as one."""
    shape = spec.features if len(spec.features) == 3 else (1, *spec.features)
    channels, height, width = shape
    return channels, height, width


def input_blueprint(spec: TaskSpec) -> Blueprint:
    """What brings numbers to a common scale; texts need none."""
    return {"layer": "Input", "features": list(spec.features)}


def answer_blueprint(spec: TaskSpec) -> list[Blueprint]:
    """What follows the last layer: targets in their own unit, logits as they are."""
    if spec.kind is Kind.REGRESSION:
        return [{"layer": "Output", "outputs": spec.outputs}]
    return []


def set_scales(module: nn.Module, support: Batch) -> None:
    """Gives the `Input` and `Output` layers of a module means and deviations of the examples.

    A feature that does not vary is left at its own scale.
    """
    for part in module.modules():
        if isinstance(part, Input):
            others = [axis for axis in range(support.x.dim()) if axis != 1]
            _set(part, support.x.mean(others), support.x.std(others, correction=0))
        elif isinstance(part, Output):
            targets = support.labels.flatten(1).to(part.mean.dtype)
            _set(part, targets.mean(0), targets.std(0, correction=0))


def _set(part: Input | Output, mean: Tensor, deviation: Tensor) -> None:
    deviation = torch.where(deviation < _CONSTANT, torch.ones_like(deviation), deviation)
    with torch.no_grad():
        part.mean.copy_(mean.view_as(part.mean))
        part.deviation.copy_(deviation.view_as(part.deviation))
