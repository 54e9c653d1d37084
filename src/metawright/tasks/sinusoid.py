"""Sine waves of random amplitude and phase: the standard few-shot regression source."""

import math

import torch

from metawright.errors import InputError
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec

__all__ = ["Sinusoid"]


class Sinusoid:
    r"""Tasks of fitting $y = a \sin(x - p)$ from a few points.

    $a$ is uniform in [0.1, 5], $p$ in [0, pi], $x$ in [-5, 5]. Waves are drawn from a continuum,
    so the splits differ by their draws.

    Arguments:
        shots: support points of a task.
        queries: query points of a task.
        noise: standard deviation of the noise on the support's answers.

    References:
        Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, Finn, Abbeel and Levine
        2017, https://arxiv.org/abs/1703.03400 (section 5.1).
    """

    name = "sinusoid"

    def __init__(self, *, shots: int = 10, queries: int = 10, noise: float = 0.0) -> None:
        if shots < 1 or queries < 0 or noise < 0:
            raise InputError(
                "`shots >= 1`, `queries >= 0` and `noise >= 0` must hold, but got "
                f"(shots={shots}, queries={queries}, noise={noise})."
            )
        self.shots, self.queries, self.noise = shots, queries, noise

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One wave: x (points, 1) and y (points, 1) float32."""
        amplitude, phase = torch.rand(2, generator=rng).tolist()
        amplitude, phase = 0.1 + 4.9 * amplitude, math.pi * phase
        x = 10 * torch.rand(self.shots + self.queries, 1, generator=rng) - 5
        y = amplitude * torch.sin(x - phase)
        cut = self.shots
        answers = y[:cut] + self.noise * torch.randn(cut, 1, generator=rng)
        spec = TaskSpec(Kind.REGRESSION, (1,), 1, source=self.name)
        return Task(Batch(x[:cut], answers), Batch(x[cut:], y[cut:]), spec)
