"""How a batch of tasks is run: one after the other, as a stack, or under vmap.

All three give the same gradients; they differ in time and memory. A convolution of a stack is a
grouped one, which pays for little work per task only; matrix products of a stack always pay.
"""

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

from torch import nn

from metawright.models.backbones import ConvNet, TaskBatched
from metawright.tasks.task import Task

__all__ = ["Batching", "Part", "Way", "check_batching", "parts"]

Way = Literal["loop", "stack", "vmap"]
Batching = Literal["auto", "loop", "stack", "vmap"]

# Numbers a task in the largest outputs of a convolution up to which a stack is faster than a loop
# on a CPU. Measured in one thread, 8 tasks, 28x28, in first | second order: stride 2, 64 filters,
# 5-way 1-shot with one query a class (125,000) 2.0 | 1.8 times as fast; pooled, 32 filters, 15
# queries a class (2,000,000) 1.4 | 1.4; pooled, 64 filters (4,000,000) 0.94 | 0.94.
_SMALL = 2_500_000
# Numbers in the inputs and the largest outputs of one stack; more tasks make several stacks, so
# that memory does not grow with the batch.
_NUMBERS, _NUMBERS_ON_GPU = 2**23, 2**27


class Part(NamedTuple):
    """Tasks of a batch that are run together: how, and which, by their place in the batch."""

    way: Way
    places: tuple[int, ...]


def parts(batching: Batching, model: nn.Module, tasks: Sequence[Task]) -> list[Part]:
    """The parts in which a batch of tasks is run; each task is in one of them.

    Tasks of one shape go together. "auto" stacks them where the model can (`TaskBatched`) and
    where that is faster: always on a GPU and for matrix products, for small tasks with
    convolutions on a CPU.
    """
    groups: dict[tuple[object, ...], list[int]] = {}
    for place, task in enumerate(tasks):
        groups.setdefault(_shape(task), []).append(place)
    found = []
    for places in groups.values():
        way = _way(batching, model, tasks[places[0]], len(places))
        size = _stack_size(model, tasks[places[0]]) if way != "loop" else 1
        cut = [tuple(places[first : first + size]) for first in range(0, len(places), size)]
        found += [Part(way, part) for part in cut]
    return found


def check_batching(batching: str, model: nn.Module) -> None:
    """Raises `ValueError` for a way that does not exist or that the model cannot go."""
    if batching not in get_args(Batching):
        raise ValueError(f"`batching` must be one of {get_args(Batching)}, but got {batching!r}.")
    if batching == "stack" and not isinstance(model, TaskBatched):
        raise ValueError(
            f"batching='stack' needs a model with `forward_tasks`, but {type(model).__name__} has "
            "none: use 'vmap', 'loop' or 'auto'."
        )


def _shape(task: Task) -> tuple[object, ...]:
    support, query = task.support, task.query
    return support.x.shape, support.labels.shape, query.x.shape, query.labels.shape


def _way(batching: Batching, model: nn.Module, task: Task, tasks: int) -> Way:
    if batching != "auto":
        return batching
    if tasks == 1 or not isinstance(model, TaskBatched):
        return "loop"
    small = task.support.x.is_cuda or _outputs(model, task) <= _SMALL
    return "stack" if small else "loop"


def _stack_size(model: nn.Module, task: Task) -> int:
    """How many tasks a stack may hold."""
    inputs = task.support.x.numel() + task.query.x.numel()
    most = _NUMBERS_ON_GPU if task.support.x.is_cuda else _NUMBERS
    return max(1, most // max(1, inputs + _outputs(model, task)))


def _outputs(model: nn.Module, task: Task) -> int:
    """Numbers in the outputs of the first convolution for all examples of a task; 0 without."""
    if not isinstance(model, ConvNet):
        return 0
    sides = task.support.x.shape[2:]
    halved = 4 if model.reduction == "stride" else 1
    examples = len(task.support.x) + len(task.query.x)
    return examples * model.filters * math.prod(sides) // halved
