"""Tensors laid out in one block of memory that several processes see.

A block is a tensor of bytes. What lies in it is told by places, which are plain data: they travel
to another process in a message, the numbers do not.
"""

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from metawright.errors import MetawrightError
from metawright.tasks.task import Batch, Task, TaskSpec

__all__ = ["PlacedTask", "Place", "allocate", "place", "place_tasks"]

_ALIGNMENT = 64
_DISK = Path("/dev/shm")  # where Linux keeps shared memory; it may be small in a container


class Place(NamedTuple):
    """Where a tensor lies in a block, contiguous."""

    start: int
    shape: tuple[int, ...]
    dtype: torch.dtype

    def of(self, memory: Tensor) -> Tensor:
        """The tensor that lies there; it shares the memory."""
        size = math.prod(self.shape) * self.dtype.itemsize
        return memory[self.start : self.start + size].view(self.dtype).view(self.shape)


class PlacedTask(NamedTuple):
    """Where the tensors of a task lie: x and y of the support and of the query (None: no y)."""

    support: tuple[Place, Place | None]
    query: tuple[Place, Place | None]
    spec: TaskSpec

    def of(self, memory: Tensor) -> Task:
        """The task that lies there; its tensors share the memory."""
        support, query = (
            Batch(x.of(memory), None if y is None else y.of(memory))
            for x, y in (self.support, self.query)
        )
        return Task(support, query, self.spec)


def place(tensors: Sequence[Tensor], start: int = 0) -> tuple[list[Place], int]:
    """Places for tensors one after the other, and the size in bytes that they need."""
    places = []
    for tensor in tensors:
        places.append(Place(start, tuple(tensor.shape), tensor.dtype))
        size = tensor.numel() * tensor.element_size()
        start += -(-size // _ALIGNMENT) * _ALIGNMENT
    return places, start


def place_tasks(tasks: Sequence[Task]) -> tuple[list[PlacedTask], int]:
    """Places for the tensors of tasks, and the size in bytes that they need."""
    placed, start = [], 0
    for task in tasks:
        sides: list[tuple[Place, Place | None]] = []
        for batch in (task.support, task.query):
            tensors = [batch.x] if batch.y is None else [batch.x, batch.y]
            places, start = place(tensors, start)
            sides.append((places[0], places[1] if len(places) > 1 else None))
        placed.append(PlacedTask(sides[0], sides[1], task.spec))
    return placed, start


def allocate(size: int) -> Tensor:
    """A block of at least `size` bytes, all zero, that other processes can be given.

    Raises:
        MetawrightError: the system has not so much shared memory.
    """
    size = max(size, _ALIGNMENT)
    # Where it runs out, the system kills whoever touches it, with no word of explanation.
    free = shutil.disk_usage(_DISK).free if _DISK.is_dir() else size
    if free < size:
        raise MetawrightError(
            f"Worker processes need {size / 2**20:.0f} MiB of shared memory, but {_DISK} has "
            f"{free / 2**20:.0f} MiB left: run the tasks in this process (how='loop'), or give "
            "the container more (docker run --shm-size)."
        )
    memory = torch.zeros(size, dtype=torch.uint8)
    memory.share_memory_()  # type: ignore[no-untyped-call]
    return memory
