"""Small tasks in float64 that learners of the engine's tests are given."""

from collections.abc import Callable

import pytest
import torch

from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, Task, TaskSpec


@pytest.fixture(scope="session")
def draw_tasks() -> Callable[..., list[Task]]:
    """`draw_tasks(count, size=8)`: tasks of three classes, of random images in float64."""

    def batch(examples: int, size: int, rng: torch.Generator) -> Batch:
        x = torch.randn(examples, 1, size, size, generator=rng, dtype=torch.float64)
        return Batch(x, torch.arange(examples) % 3)

    def draw(count: int, size: int = 8) -> list[Task]:
        spec = TaskSpec(Kind.CLASSIFICATION, (1, size, size), 3)
        rng = stream(0, "tasks", size)
        return [Task(batch(3, size, rng), batch(6, size, rng), spec) for _ in range(count)]

    return draw
