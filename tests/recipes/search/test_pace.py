"""The length of a full training, from designs that are timed."""

from typing import Any

import pytest
import torch

from metawright.engine.workers import Outcome
from metawright.evaluate.supervised import Supervised
from metawright.recipes.search.asked import Limits
from metawright.recipes.search.pace import settled_epochs
from metawright.tasks.task import Batch, Kind, Task, TaskSpec


class Timer:
    """Two that work at once and need a tenth of a second for an epoch; one that breaks."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.out: list[str] = []

    @property
    def free(self) -> int:
        return 2 - len(self.out)

    def submit(
        self, key: Any, *arguments: Any, seconds: float | None = None, **keywords: Any
    ) -> None:
        assert keywords["timing"] and seconds == 6.0  # a tenth of the time
        assert key not in self.out
        self.keys.append(key)
        self.out.append(key)

    def wait(self, seconds: float | None = None) -> list[Outcome]:
        key = self.out.pop(0)
        how: Any = "failed" if len(self.keys) == 3 else "done"
        return [Outcome(key, how, 0.1, "", "", 0.2)]


def evaluator(epochs: int | None = None) -> Supervised:
    batch = Batch(torch.rand(40, 3), torch.arange(40) % 2)
    return Supervised(Task(batch, batch, TaskSpec(Kind.CLASSIFICATION, (3,), 2)), "dense",
                      epochs=epochs)  # fmt: skip


@pytest.mark.parametrize(("most", "epochs"), [(1000, 15), (4, 4)])
def test_forty_designs_fit_into_half_of_the_time(most: int, epochs: int) -> None:
    timer, limits = Timer(), Limits(seconds=60.0, workers=2)
    # 60 s * 1/2 * 2 workers / 40 designs / 0.1 s
    assert settled_epochs(evaluator(most), timer, limits, share=0.5, seed=0) == epochs
    assert len(set(timer.keys)) == len(timer.keys) == 6


def test_without_a_time_the_evaluators_own_number_stands() -> None:
    timer = Timer()
    assert settled_epochs(evaluator(7), timer, Limits(trials=3), share=0.5, seed=0) == 7
    assert not timer.keys
