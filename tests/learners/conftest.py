"""Small tasks of random numbers, so that learners are tested without any data."""

from collections.abc import Callable

import pytest
import torch

from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, Task, TaskSpec

MakeTask = Callable[..., Task]


@pytest.fixture(scope="session")
def make_task() -> MakeTask:
    """`make_task(seed)`: images (1, 8, 8) in classes that differ in their mean."""

    def make(
        seed: int = 0,
        *,
        ways: int = 3,
        shots: int | tuple[int, ...] = 2,
        queries: int = 2,
        dtype: torch.dtype = torch.float32,
        size: int = 8,
    ) -> Task:
        rng = stream(seed, "task")
        centres = torch.randn(ways, 1, size, size, generator=rng, dtype=torch.float64)

        def batch(counts: tuple[int, ...]) -> Batch:
            labels = torch.arange(ways).repeat_interleave(torch.tensor(counts))
            noise = torch.randn(len(labels), 1, size, size, generator=rng, dtype=torch.float64)
            return Batch((centres[labels] + 0.5 * noise).to(dtype), labels)

        counts = (shots,) * ways if isinstance(shots, int) else shots
        spec = TaskSpec(Kind.CLASSIFICATION, (1, size, size), ways)
        return Task(batch(counts), batch((queries,) * ways), spec)

    return make


@pytest.fixture(scope="session")
def make_wave() -> MakeTask:
    """`make_wave(seed)`: points of a sine wave."""

    def make(seed: int = 0, *, dtype: torch.dtype = torch.float32) -> Task:
        rng = stream(seed, "wave")
        x = 10 * torch.rand(15, 1, generator=rng, dtype=torch.float64) - 5
        y = 3 * torch.sin(x - 3 * float(torch.rand((), generator=rng)))
        spec = TaskSpec(Kind.REGRESSION, (1,), 1)
        x, y = x.to(dtype), y.to(dtype)
        return Task(Batch(x[:5], y[:5]), Batch(x[5:], y[5:]), spec)

    return make
