"""How the examples of a task enter a network and how its answers leave it."""

from collections.abc import Sequence
from typing import Literal

from metawright.errors import InputError
from metawright.models.build import Blueprint
from metawright.tasks.task import Kind, TaskSpec

__all__ = ["Form", "answer_blueprint", "form", "form_of", "image_shape", "input_blueprint"]

Form = Literal["vector", "image", "signal", "text"]

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
