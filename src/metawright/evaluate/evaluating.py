"""Asking a network: in evaluation mode, and as it was afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

__all__ = ["evaluating", "predictions"]

_CHUNK = 512  # examples predicted at once


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every part is in the mode that it was in."""
    modes = {part: part.training for part in module.modules()}
    module.eval()
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training


def predictions(module: nn.Module, x: Tensor) -> Tensor:
    """Answers to all examples (examples, outputs), a few hundred at a time."""
    with evaluating(module), torch.inference_mode():
        return torch.cat([module(part) for part in torch.split(x, _CHUNK)])
