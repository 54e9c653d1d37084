"""Epochs of a training: every example once in each, the mean loss of each, and the end of time."""

import math
from typing import Any

import torch
from torch import Tensor

from metawright.tasks.task import Batch
from metawright.training.fit import Progress

__all__ = ["Batches", "Epochs", "OutOfTimeError"]


class Batches:
    """Every example once an epoch, in a new order; the last batch of an epoch may be smaller, but
    one example alone is joined to the batch before, for it has no statistics.

    `count` is the batches of an epoch.
    """

    def __init__(self, support: Batch, size: int) -> None:
        self.support, self.sizes = support, _sizes(len(support.x), size)
        self.count = len(self.sizes)
        self.waiting: list[Tensor] = []

    def __call__(self, rng: torch.Generator) -> Batch:
        if not self.waiting:
            order = torch.randperm(len(self.support.x), generator=rng)
            self.waiting = list(torch.split(order, self.sizes))[::-1]
        rows = self.waiting.pop().to(self.support.x.device)
        return Batch(self.support.x[rows], self.support.labels[rows])


def _sizes(examples: int, size: int) -> list[int]:
    whole, rest = divmod(examples, size)
    sizes = [size] * whole
    if rest == 1 and whole:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


class OutOfTimeError(Exception):
    """Training has had its seconds."""


class Epochs:
    """Listens to training: the mean loss of each epoch, and the end of its time.

    Raises:
        OutOfTimeError: after a step by which `max_seconds` are over, unless it is the last.
    """

    def __init__(self, per_epoch: int, max_seconds: float | None) -> None:
        self.per_epoch, self.max_seconds = per_epoch, max_seconds
        self.steps = 0
        self.losses: list[float] = []

    def __call__(self, progress: Progress) -> None:
        self.steps = progress.step
        self.losses.append(progress.metrics["loss"])
        if self.max_seconds is not None and progress.step < progress.steps:
            if progress.seconds > self.max_seconds:
                raise OutOfTimeError

    def told(self) -> dict[str, Any]:
        """What the evidence of a trial says: "epochs" done and "curve", the mean loss of each."""
        parts = [
            self.losses[start : start + self.per_epoch]
            for start in range(0, len(self.losses), self.per_epoch)
        ]
        curve = [math.fsum(part) / len(part) for part in parts]
        return {"epochs": round(self.steps / self.per_epoch, 3), "curve": curve}
