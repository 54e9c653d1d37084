"""Layers that make sequences of data, and what is done to sequences; they need torch alone.

A sequence is a tensor (examples, steps, width) with a mask (examples, steps) that is False where
there is no token, or None where all are there. What is not there changes no answer.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Sequence = tuple[Tensor, Tensor | None]


class Rows(nn.Module):
    """An image as a sequence of `rows` rows at a time: (examples, steps, channels*rows*width)."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, x: Tensor) -> Sequence:
        x = F.pad(x, (0, 0, 0, -x.shape[2] % self.rows))
        parts = torch.unflatten(x, 2, (-1, self.rows))  # (examples, channels, steps, rows, width)
        return parts.transpose(1, 2).flatten(2), None


class Steps(nn.Module):
    """A signal (examples, bands, steps) as a sequence of `patch` steps at a time."""

    def __init__(self, patch: int) -> None:
        super().__init__()
        self.patch = patch

    def forward(self, x: Tensor) -> Sequence:
        x = F.pad(x, (0, -x.shape[-1] % self.patch))
        parts = torch.unflatten(x, -1, (-1, self.patch))  # (examples, bands, parts, patch)
        return parts.transpose(1, 2).flatten(2), None


class Patches(nn.Module):
    """An image cut into patches of `height` x `width` pixels, one after the other."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width

    def forward(self, x: Tensor) -> Sequence:
        x = F.pad(x, (0, -x.shape[-1] % self.width, 0, -x.shape[-2] % self.height))
        parts = torch.unflatten(x, -1, (-1, self.width))
        parts = torch.unflatten(parts, -3, (-1, self.height))
        return parts.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2), None


class Features(nn.Module):
    """A token for each feature of a vector: its number times a vector of its own, and another."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(features, width))
        self.bias = nn.Parameter(torch.randn(features, width))

    def forward(self, x: Tensor) -> Sequence:
        return x[:, :, None] * self.weight + self.bias, None


class Tokens(nn.Module):
    """Vectors of token ids (examples, tokens); 0 is no token. An empty text has one."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(vocabulary, width, padding_idx=0)

    def forward(self, x: Tensor) -> Sequence:
        there = x != 0
        first = torch.zeros_like(there)
        first[:, 0] = ~there.any(1)
        return self.table(x), there | first


class Bag(nn.Module):
    """The mean of a text's token vectors: (examples, width)."""

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.tokens = Tokens(vocabulary, width)

    def forward(self, x: Tensor) -> Tensor:
        tokens, mask = self.tokens(x)
        return pooled(tokens, mask, "mean")


def pooled(x: Tensor, mask: Tensor | None, kind: str) -> Tensor:
    """One vector of a sequence: its `last`, `mean` or `max`, over what is there."""
    if mask is None:
        return {"last": x[:, -1], "mean": x.mean(1), "max": x.amax(1)}[kind]
    there = mask[:, :, None]
    if kind == "max":
        return x.masked_fill(~there, -math.inf).amax(1)
    if kind == "mean":
        return (x * there).sum(1) / there.sum(1)
    steps = torch.arange(1, x.shape[1] + 1, device=x.device)
    last = (mask * steps).argmax(1)
    return x[torch.arange(len(x), device=x.device), last]


def turned(x: Tensor, mask: Tensor | None) -> Tensor:
    """The sequence backwards; what is not there stays behind its end. Twice gives it again."""
    if mask is None:
        return x.flip(1)
    steps = torch.arange(x.shape[1], device=x.device)
    ends = (mask * (steps + 1)).amax(1)[:, None]  # what lies between two tokens is a step too
    order = torch.where(steps < ends, ends - 1 - steps, steps)
    return x.gather(1, order[:, :, None].expand_as(x))


_LAYERS: tuple[type[nn.Module], ...] = (Rows, Steps, Patches, Features, Tokens, Bag)

TOKENS: dict[str, Any] = {layer.__name__: layer for layer in _LAYERS}
