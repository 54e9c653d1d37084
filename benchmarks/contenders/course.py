"""A contender's meta-training on Omniglot: what its gradients are worth in some CPU-minutes."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from harness import data_folder
from metawright.rng import stream
from metawright.tasks import Omniglot, Split
from metawright.tasks.task import Task

__all__ = ["Course", "characters"]

_TASKS = 4
_LR = 2e-3


def characters(queries: int) -> Omniglot:
    """5-way 1-shot tasks of the papers' random split, with `queries` a class."""
    return Omniglot(data_folder("omniglot"), ways=5, shots=1, queries=queries, protocol="random")


class Course:
    """Meta-training by Adam with a cosine over CPU time, on the same stream of tasks for all.

    Arguments:
        gradients: mean meta-gradient of some tasks, by name.
        weights: what is trained, by the same names.
        seconds: CPU seconds in all, with the drawing of the tasks.
    """

    def __init__(
        self,
        gradients: Callable[[Sequence[Task]], Mapping[str, Tensor]],
        weights: Mapping[str, nn.Parameter],
        seconds: float,
    ) -> None:
        self.gradients, self.weights, self.seconds = gradients, weights, seconds
        self.optimiser = torch.optim.Adam(weights.values(), lr=_LR)
        self.source, self.rng = characters(3), stream(0, "omniglot_curve", "training")
        self.steps, self.spent = 0, 0.0

    def learn(self, until: float) -> int:
        """Goes on until so many CPU seconds are spent; gives the steps made in all."""
        before = time.process_time() - self.spent
        while self.spent < until:
            tasks = [self.source.draw(Split.TRAIN, self.rng) for _ in range(_TASKS)]
            found = self.gradients(tasks)
            for name, weight in self.weights.items():
                weight.grad = found[name].detach().contiguous()
            for group in self.optimiser.param_groups:
                group["lr"] = _LR * (0.5 + 0.5 * math.cos(math.pi * self.spent / self.seconds))
            self.optimiser.step()
            self.steps += 1
            self.spent = time.process_time() - before
        return self.steps
