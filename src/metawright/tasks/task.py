"""A task: something to learn from, something to be judged on, and what kind of problem it is.

A few-shot episode is a task with little support; a file of examples is a task with much.
Tasks are values: they hold tensors and plain data, and know nothing of models or training.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from metawright.tasks.kind import Kind

__all__ = ["Batch", "Kind", "Split", "Task", "TaskSource", "TaskSpec"]


class Split(StrEnum):
    """Which part of a source's classes a task is drawn from; parts share no class."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class Batch(NamedTuple):
    """Examples with their answers.

    `x`: (examples, *features) float, or int64 where it holds token ids (`TaskSpec.vocabulary`);
    `y`: (examples,) int64 for classification,
    (examples, *targets) float for regression, or None where no answer is known. For control an
    example is an episode: `x` its noise, `y` what its rewards depend on.
    """

    x: Tensor
    y: Tensor | None

    @property
    def labels(self) -> Tensor:
        """`y`, where it must be known."""
        if self.y is None:
            raise ValueError("The batch has no answers (y is None), but they are needed here.")
        return self.y

    def to(self, device: torch.device | str) -> "Batch":
        """The same examples on another device."""
        return Batch(self.x.to(device), None if self.y is None else self.y.to(device))


@dataclass(frozen=True)
class TaskSpec:
    """What kind of problem a task is, in plain data.

    Arguments:
        kind: classification, regression or control.
        features: shape of one example, for images (channels, height, width), for control
            (horizon, actions).
        outputs: number of classes (ways), of regression targets, or of entries of an action.
        classes: names of the classes in label order; empty for regression or when unnamed.
        native_size: the larger side of the images in pixels before they were resized to `features`
            (0: not an image or not resized). A profile of the task uses it.
        source: name of the source that the task was drawn from.
        vocabulary: how many token ids there are, where the examples are texts: `x` then holds
            0 .. vocabulary - 1, and 0 stands for no token. 0: not texts.
    """

    kind: Kind
    features: tuple[int, ...]
    outputs: int
    classes: tuple[str, ...] = ()
    native_size: int = 0
    source: str = ""
    vocabulary: int = 0

    def to_json(self) -> dict[str, Any]:
        """A JSON-ready dictionary; `TaskSpec.from_json` reads it back."""
        return asdict(self) | {"kind": self.kind.value}

    @staticmethod
    def from_json(data: dict[str, Any]) -> "TaskSpec":
        """The spec that `to_json` wrote."""
        return TaskSpec(
            **data
            | {
                "kind": Kind(data["kind"]),
                "features": tuple(data["features"]),
                "classes": tuple(data["classes"]),
            }
        )


class Task(NamedTuple):
    """One learning problem: learn from `support`, be judged on `query`."""

    support: Batch
    query: Batch
    spec: TaskSpec

    def to(self, device: torch.device | str) -> "Task":
        """The same task on another device."""
        return Task(self.support.to(device), self.query.to(device), self.spec)


class TaskSource(Protocol):
    """Where tasks come from. Classes (or functions) are split, never examples."""

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of `split`; the same generator state gives the same task."""
        ...
