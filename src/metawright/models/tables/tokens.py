"""Features of a table as vectors that networks can bend: a token a feature.

A network on plain numbers is smooth in each of them, but tables seldom are. Numbers are therefore
told by where they lie between quantiles, or by waves of learned lengths.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metawright.models.tables.members import uniform

__all__ = ["Fields", "LevelTokens", "NumberTokens", "fields_of"]

Matrix = NDArray[np.float64]

_WAVES = 16  # waves of a number under "periodic"
_LEAST_SCALE = 1e-8


@dataclass(frozen=True)
class Fields:
    """What the features of a table are.

    Arguments:
        numbers: indices of features that are numbers; levels: of those that are places of a
            category. The place of a level is from 0 to `sizes[i] - 1`.
        sizes: of each category, one more for places that were not seen.
        seen: of each place of all categories together, whether it occurred.
        centres, scales: (numbers,) mean and deviation of each number.
        edges: (numbers, most bins + 1) edges of bins with about as many rows in each, as scaled
            numbers; those of a number with fewer bins are repeated at the end.
    """

    numbers: tuple[int, ...]
    levels: tuple[int, ...]
    sizes: tuple[int, ...]
    seen: NDArray[np.bool_]
    centres: Matrix
    scales: Matrix
    edges: Matrix


def fields_of(features: Matrix, categorical: NDArray[np.bool_], bins: int) -> Fields:
    """The fields of features (rows, features); at most so many bins a number."""
    numbers, levels = np.flatnonzero(~categorical), np.flatnonzero(categorical)
    values = features[:, numbers]
    centres, scales = values.mean(0), values.std(0)
    scales = np.where(scales > _LEAST_SCALE, scales, 1.0)
    scaled = (values - centres) / scales
    edges = np.quantile(scaled, np.linspace(0, 1, bins + 1), axis=0).T.reshape(-1, bins + 1)
    for row in edges:
        distinct = np.unique(row)
        row[:] = np.append(distinct, np.full(bins + 1 - len(distinct), distinct[-1]))
    places = features[:, levels].astype(np.int64)
    sizes = tuple(int(size) for size in places.max(0, initial=0) + 2)
    seen = [
        np.bincount(column, minlength=size) > 0
        for column, size in zip(places.T, sizes, strict=True)
    ]
    return Fields(
        tuple(numbers.tolist()), tuple(levels.tolist()), sizes,
        np.concatenate([np.zeros(0, np.bool_), *seen]), centres, scales, edges,
    )  # fmt: skip


class NumberTokens(nn.Module):
    r"""Numbers (members, rows, numbers) as tokens (members, rows, numbers, size).

    - "linear": $x w + b$.
    - "piecewise": $\mathrm{relu}(W e(x) + b)$, where the t-th entry of $e(x)$ says how much of the
      t-th bin lies below x, 0 to 1. Beyond the outer edges it stays 0 and 1, unlike the paper's.
    - "periodic": x itself, and $W \cos(2 \pi (w x + c)) + b$ with 16 learned frequencies w.

    Arguments:
        kind: one of the three.
        size: of a token, at least 2 for "periodic".
        edges: (numbers, bins + 1); see `Fields`.
        deviation: of the first frequencies, for "periodic".

    References:
        On Embeddings for Numerical Features in Tabular Deep Learning, Gorishniy et al., 2022,
        https://arxiv.org/abs/2203.05556; the form of "periodic" is that of Better by Default,
        Holzmüller et al., 2024, https://arxiv.org/abs/2407.04491
    """

    left: Tensor
    slope: Tensor

    def __init__(
        self, kind: str, members: int, edges: Tensor, size: int, rng: torch.Generator,
        *, deviation: float = 0.3,
    ) -> None:  # fmt: skip
        super().__init__()
        self.kind = kind
        count, bins = len(edges), edges.shape[1] - 1
        inner = {"linear": 1, "piecewise": bins, "periodic": _WAVES}[kind]
        outputs = size - 1 if kind == "periodic" else size
        self.weight = uniform((members, count, inner, outputs), inner, rng)
        self.bias = uniform((members, count, outputs), inner, rng)
        if kind == "piecewise":
            widths = edges.diff(dim=1)
            self.register_buffer("left", edges[:, :-1].clone())
            # A bin without width holds nothing: 0 at all x.
            self.register_buffer("slope", torch.where(widths > 0, 1 / widths, 0.0))
        if kind == "periodic":
            shape = (members, count, _WAVES)
            drawn = torch.randn(shape, generator=rng)
            self.frequencies = nn.Parameter(deviation * drawn)
            self.phases = nn.Parameter(torch.rand(shape, generator=rng))

    def forward(self, x: Tensor) -> Tensor:
        """The tokens of scaled numbers."""
        if self.kind == "linear":
            return x[..., None] * self.weight[:, None, :, 0] + self.bias[:, None]
        if self.kind == "piecewise":
            parts = ((x[..., None] - self.left) * self.slope).clamp(0, 1)
            return self._mapped(parts).relu()
        turns = x[..., None] * self.frequencies[:, None] + self.phases[:, None]
        return torch.cat([x[..., None], self._mapped((2 * torch.pi * turns).cos())], -1)

    def _mapped(self, parts: Tensor) -> Tensor:
        return torch.einsum("mrfk,mfkd->mrfd", parts, self.weight) + self.bias[:, None]


class LevelTokens(nn.Module):
    """Places (members, rows, categories) as tokens (members, rows, categories, size).

    A place that was not seen in fitting is the zero vector: it says nothing.
    """

    starts: Tensor
    last: Tensor

    def __init__(
        self, members: int, sizes: Sequence[int], seen: Tensor, size: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        drawn = uniform((members, sum(sizes), size), size, rng).detach()
        self.table = nn.Parameter(drawn * seen[:, None])
        starts = np.cumsum([0, *sizes])[:-1]
        self.register_buffer("starts", torch.as_tensor(starts, dtype=torch.int64))
        self.register_buffer("last", torch.as_tensor(sizes, dtype=torch.int64) - 1)

    def forward(self, places: Tensor) -> Tensor:
        """The tokens of places; those beyond the last count as not seen."""
        rows = torch.minimum(places, self.last) + self.starts
        members = torch.arange(len(places), device=places.device)
        return self.table[members[:, None, None], rows]
