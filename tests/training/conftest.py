"""A trainable of a few numbers: linear regression with running statistics of its data."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metawright.rng import stream
from metawright.training import Step


class Line:
    """Fits y = x w + b; its buffer is a running mean of the inputs."""

    def __init__(self) -> None:
        self.module = nn.Linear(3, 1, dtype=torch.float64)
        rng = stream(0, "line")
        for value in self.module.parameters():
            value.data = torch.randn(value.shape, generator=rng, dtype=torch.float64)
        self.mean = torch.zeros(3, dtype=torch.float64)

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        return self.module.named_parameters()

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        yield "mean", self.mean

    def gradients(self, batch: Any, rng: torch.Generator) -> Step:
        noise = 0.01 * torch.randn(len(batch), 1, generator=rng, dtype=torch.float64)
        self.mean.mul_(0.9).add_(0.1 * batch.mean(0))
        loss = (self.module(batch) - batch.sum(1, keepdim=True) - noise).square().mean()
        grads = torch.autograd.grad(loss, list(self.module.parameters()))
        names = [name for name, _ in self.module.named_parameters()]
        return Step(dict(zip(names, grads, strict=True)), {"loss": float(loss.detach())})

    def state(self) -> dict[str, Tensor]:
        named = {name: value.detach().clone() for name, value in self.named_parameters()}
        return named | {"mean": self.mean.clone()}


@pytest.fixture
def make_line() -> Callable[[], Line]:
    return Line


@pytest.fixture
def draw() -> Callable[[torch.Generator], Tensor]:
    return lambda rng: torch.randn(8, 3, generator=rng, dtype=torch.float64)
