"""Networks for tables: a perceptron, a residual network, and a Transformer over features.

Each holds several members that share nothing (see `members`); rows come as scaled numbers and
places of categories, and go out as logits or numbers (members, rows, outputs).
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metawright.models.tables.members import MemberLinear, MemberNorm, dropped, uniform
from metawright.models.tables.tokens import Fields, LevelTokens, NumberTokens

__all__ = ["FTTransformer", "MLP", "ResNet", "network"]

_LEVEL_SIZE = 8  # of a category's token beside plain numbers
_HEAD = 8  # width of a head of attention


class _Flat(nn.Module):
    """All tokens of a row side by side: (members, rows, inputs)."""

    def __init__(
        self, members: int, fields: Fields, embedding: Mapping[str, Any], rng: torch.Generator
    ) -> None:
        super().__init__()
        kind, size = embedding["kind"], embedding.get("size", 1)
        self.tokens = (
            None if kind == "none" else _number_tokens(members, fields, embedding, size, rng)
        )
        self.levels = _level_tokens(members, fields, _LEVEL_SIZE, rng)
        self.width = len(fields.numbers) * size + len(fields.sizes) * _LEVEL_SIZE

    def forward(self, numbers: Tensor, places: Tensor) -> Tensor:
        parts = [numbers if self.tokens is None else self.tokens(numbers).flatten(2)]
        if self.levels is not None:
            parts.append(self.levels(places).flatten(2))
        return torch.cat(parts, -1)


class MLP(nn.Module):
    """Layers of rectifiers with dropout.

    References:
        Revisiting Deep Learning Models for Tabular Data, Gorishniy et al., 2021,
        https://arxiv.org/abs/2106.11959
    """

    def __init__(
        self, model: Mapping[str, Any], fields: Fields, outputs: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        members, width = model["members"], model["width"]
        self.dropout = model["dropout"]
        self.inputs = _Flat(members, fields, model["embedding"], rng)
        sizes = [self.inputs.width, *[width] * model["depth"]]
        pairs = pairwise(sizes)
        self.layers = nn.ModuleList(MemberLinear(members, a, b, rng) for a, b in pairs)
        self.head = MemberLinear(members, width, outputs, rng, zero=True)

    def forward(
        self, numbers: Tensor, places: Tensor, rng: torch.Generator | None = None
    ) -> Tensor:
        """Answers of rows; `rng` draws what is dropped, in training only."""
        x = self.inputs(numbers, places)
        for layer in self.layers:
            x = dropped(layer(x).relu(), self.dropout, rng)
        answers: Tensor = self.head(x)
        return answers


class ResNet(nn.Module):
    """Blocks of two layers around each of which a row also passes unchanged.

    Unlike the paper's, rows are normalised by themselves and not by their batch (layer instead
    of batch normalisation), so that one row is predicted as a thousand are.

    References:
        Revisiting Deep Learning Models for Tabular Data, Gorishniy et al., 2021,
        https://arxiv.org/abs/2106.11959
    """

    def __init__(
        self, model: Mapping[str, Any], fields: Fields, outputs: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        members, width = model["members"], model["width"]
        self.dropout = model["dropout"]
        self.inputs = _Flat(members, fields, model["embedding"], rng)
        self.first = MemberLinear(members, self.inputs.width, width, rng)
        blocks = range(model["depth"])
        self.norms = nn.ModuleList(MemberNorm(members, width) for _ in blocks)
        self.widen = nn.ModuleList(MemberLinear(members, width, 2 * width, rng) for _ in blocks)
        self.narrow = nn.ModuleList(MemberLinear(members, 2 * width, width, rng) for _ in blocks)
        self.norm = MemberNorm(members, width)
        self.head = MemberLinear(members, width, outputs, rng, zero=True)

    def forward(
        self, numbers: Tensor, places: Tensor, rng: torch.Generator | None = None
    ) -> Tensor:
        """Answers of rows; `rng` draws what is dropped, in training only."""
        x = self.first(self.inputs(numbers, places))
        for norm, widen, narrow in zip(self.norms, self.widen, self.narrow, strict=True):
            x = x + narrow(dropped(widen(norm(x)).relu(), self.dropout, rng))
        answers: Tensor = self.head(self.norm(x).relu())
        return answers


class FTTransformer(nn.Module):
    """Attention among the features of a row: a token each, and one more that gives the answer.

    Blocks normalise first, heads are 8 wide, and the layers between are gated rectifiers (ReGLU)
    of the width of a token.

    References:
        Revisiting Deep Learning Models for Tabular Data, Gorishniy et al., 2021,
        https://arxiv.org/abs/2106.11959
    """

    def __init__(
        self, model: Mapping[str, Any], fields: Fields, outputs: int, rng: torch.Generator
    ) -> None:
        super().__init__()
        members, width = model["members"], model["width"]
        embedding = dict(model["embedding"])
        if embedding["kind"] == "none":
            embedding["kind"] = "linear"
        self.tokens = _number_tokens(members, fields, embedding, width, rng)
        self.levels = _level_tokens(members, fields, width, rng)
        self.answer = uniform((members, 1, 1, width), width, rng)
        blocks = range(model["depth"])
        self.blocks = nn.ModuleList(_Attention(members, width, model, rng) for _ in blocks)
        self.norm = MemberNorm(members, width)
        self.head = MemberLinear(members, width, outputs, rng, zero=True)

    def forward(
        self, numbers: Tensor, places: Tensor, rng: torch.Generator | None = None
    ) -> Tensor:
        """Answers of rows; `rng` draws what is dropped, in training only."""
        parts = [self.answer.expand(-1, numbers.shape[1], -1, -1), self.tokens(numbers)]
        if self.levels is not None:
            parts.append(self.levels(places))
        x = torch.cat(parts, 2)
        for number, block in enumerate(self.blocks):
            x = block(x, rng, alone=number == len(self.blocks) - 1)
        answers: Tensor = self.head(self.norm(x[:, :, 0]).relu())
        return answers


class _Attention(nn.Module):
    """A block of the Transformer: (members, rows, tokens, width) to the same."""

    def __init__(
        self, members: int, width: int, model: Mapping[str, Any], rng: torch.Generator
    ) -> None:
        super().__init__()
        self.heads, self.dropout = width // _HEAD, model["dropout"]
        self.norms = nn.ModuleList(MemberNorm(members, width) for _ in range(2))
        self.query = MemberLinear(members, width, width, rng)
        self.keys = MemberLinear(members, width, 2 * width, rng)
        self.mixed = MemberLinear(members, width, width, rng)
        self.gate = MemberLinear(members, width, 2 * width, rng)
        self.narrow = MemberLinear(members, width, width, rng)

    def forward(self, x: Tensor, rng: torch.Generator | None, *, alone: bool) -> Tensor:
        """`alone`: only the first token is asked for, and comes back."""
        normal = self.norms[0](x)
        if alone:
            x = x[:, :, :1]
        query = self._heads(self.query(normal[:, :, : x.shape[2]]))
        keys, values = (self._heads(part) for part in self.keys(normal).chunk(2, -1))
        found = F.scaled_dot_product_attention(query, keys, values)
        found = found.transpose(1, 2).reshape(x.shape)
        x = x + dropped(self.mixed(found), self.dropout, rng)
        value, gate = self.gate(self.norms[1](x)).chunk(2, -1)
        passed: Tensor = x + self.narrow(dropped(value * gate.relu(), self.dropout, rng))
        return passed

    def _heads(self, x: Tensor) -> Tensor:
        """(members * rows, heads, tokens, width of a head)."""
        shape = (-1, x.shape[2], self.heads, _HEAD)
        return x.reshape(shape).transpose(1, 2)


_NETWORKS: Mapping[str, Callable[..., nn.Module]] = MappingProxyType(
    {"mlp_ensemble": MLP, "resnet": ResNet, "ft_transformer": FTTransformer}
)


def network(
    model: Mapping[str, Any], fields: Fields, outputs: int, rng: torch.Generator
) -> nn.Module:
    """The network of a design's model, its first weights drawn from `rng`."""
    return _NETWORKS[model["kind"]](model, fields, outputs, rng)


def _number_tokens(
    members: int, fields: Fields, embedding: Mapping[str, Any], size: int, rng: torch.Generator
) -> NumberTokens:
    edges = torch.as_tensor(fields.edges, dtype=torch.float32)
    deviation = embedding.get("deviation", 1.0)
    return NumberTokens(embedding["kind"], members, edges, size, rng, deviation=deviation)


def _level_tokens(
    members: int, fields: Fields, size: int, rng: torch.Generator
) -> LevelTokens | None:
    if not fields.sizes:
        return None
    seen = torch.as_tensor(fields.seen, dtype=torch.float32)
    return LevelTokens(members, fields.sizes, seen, size, rng)
