"""What the one training loop needs: parameters by name and a gradient for each.

Gradients and not a loss, because several methods (Reptile, games between networks) have no single
loss that all their parameters descend. Each of them is a field of gradients.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from metawright.params import Params

__all__ = ["Stateful", "Step", "Trainable"]


class Step(NamedTuple):
    """What one batch gives.

    `grads`: a gradient by parameter name; a parameter that is left out stays as it is.
    `metrics`: numbers to record, such as {"loss": 1.6}.
    """

    grads: Params
    metrics: dict[str, float]


class Trainable(Protocol):
    """Anything the loop can train."""

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The parameters to step, by name."""
        ...

    def gradients(self, batch: Any, rng: torch.Generator) -> Step:
        """Gradients on `batch`; reads the parameters, never steps them."""
        ...


@runtime_checkable
class Stateful(Protocol):
    """A trainable with tensors that training changes although no optimiser steps them, such as
    running statistics. Checkpoints hold them too."""

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The tensors by name; loading copies into them."""
        ...
