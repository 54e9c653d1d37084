"""Layers of searched recurrent networks and Transformers; they need torch alone.

A sequence is a tensor (examples, steps, width) with a mask (examples, steps) that is False where
there is no token, or None where all are there. What is not there changes no answer.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metawright.models.blocks import ACTIVATIONS, activation_of

Sequence = tuple[Tensor, Tensor | None]

_PLACE = 0.3  # deviation of the first places: about that of what they are added to


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


class SearchedCell(nn.Module):
    r"""A recurrent layer of a searched cell, called as `nn.GRU` is.

    $$h_0 = h + c_0 (\tanh(\tilde h_0) - h), \quad h_i = h_j + c_i (f_i(\tilde h_i) - h_j)$$

    with `c, \tilde h` linear in the input and state (first node) or in the node `j` that is read;
    gates `c` pass a sigmoid, and the new state is the mean of all nodes.

    Arguments:
        sources: of each node after the first, the number of the node that it reads.
        activations: of each of them, a name of `ACTIVATIONS`.
    """

    def __init__(
        self, inputs: int, width: int, sources: list[int], activations: list[str]
    ) -> None:
        super().__init__()
        self.width, self.sources = width, sources
        self.start = nn.Linear(inputs, 2 * width)
        self.state = nn.Linear(width, 2 * width, bias=False)
        self.nodes = nn.ModuleList(nn.Linear(width, 2 * width, bias=False) for _ in sources)
        self.activations = nn.ModuleList(activation_of(kind) for kind in activations)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        state = x.new_zeros(len(x), self.width)
        states = []
        for drive in self.start(x).unbind(1):
            state = self._step(drive, state)
            states.append(state)
        return torch.stack(states, 1), state

    def _step(self, drive: Tensor, state: Tensor) -> Tensor:
        gate, change = (drive + self.state(state)).chunk(2, 1)
        nodes = [torch.lerp(state, torch.tanh(change), torch.sigmoid(gate))]
        for source, linear, activation in zip(
            self.sources, self.nodes, self.activations, strict=True
        ):
            gate, change = linear(nodes[source]).chunk(2, 1)
            nodes.append(torch.lerp(nodes[source], activation(change), torch.sigmoid(gate)))
        mean: Tensor = torch.stack(nodes).mean(0)
        return mean


_CELLS: dict[str, Any] = {"gru": nn.GRU, "lstm": nn.LSTM, "rnn": nn.RNN}


class Recurrent(nn.Module):
    """Recurrent layers over a sequence, and one vector of it.

    Arguments:
        cell: `{"kind": "gru" | "lstm" | "rnn" | "searched"}` with `activation` of an "rnn" and
            `sources`, `activations` of a "searched" one.
        inputs: width of the steps; width: of the state (each direction).
        pooling: see `pooled`; with `bidirectional` "last" is the end of each direction.
    """

    def __init__(
        self,
        cell: dict[str, Any],
        inputs: int,
        width: int,
        layers: int,
        bidirectional: bool,
        dropout: float,
        pooling: str,
    ) -> None:
        super().__init__()
        self.pooling, self.dropout = pooling, nn.Dropout(dropout)
        directions = 2 if bidirectional else 1
        self.layers = nn.ModuleList(
            nn.ModuleList(
                _recurrent(cell, width * directions if layer else inputs, width)
                for _ in range(directions)
            )
            for layer in range(layers)
        )

    def forward(self, sequence: Sequence) -> Tensor:
        x, mask = sequence
        ends: list[Tensor] = []
        for layer, directions in enumerate(self.layers):
            x = self.dropout(x) if layer else x
            ways = list(directions)  # type: ignore[call-overload]
            parts = [ways[0](x)[0]]
            ends = [pooled(parts[0], mask, "last")]
            if len(ways) == 2:
                back = ways[1](turned(x, mask))[0]
                ends.append(pooled(back, mask, "last"))
                parts.append(turned(back, mask))
            x = torch.cat(parts, 2)
        if self.pooling == "last":
            return torch.cat(ends, 1)
        return pooled(x, mask, self.pooling)


def _recurrent(cell: dict[str, Any], inputs: int, width: int) -> nn.Module:
    own = {name: value for name, value in cell.items() if name != "kind"}
    if cell["kind"] == "searched":
        return SearchedCell(inputs, width, **own)
    names = {"nonlinearity": own["activation"]} if own else {}
    module: nn.Module = _CELLS[cell["kind"]](inputs, width, batch_first=True, **names)
    return module


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each added to what it read, normalised."""

    def __init__(
        self, width: int, heads: int, hidden: int, activation: str, dropout: float
    ) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_forward = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read, self.write = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.widen, self.narrow = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.activation = ACTIVATIONS[activation]()
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.dropout(self._attend(self.norm_attention(x), mask))
        hidden = self.dropout(self.activation(self.widen(self.norm_forward(x))))
        changed: Tensor = x + self.dropout(self.narrow(hidden))
        return changed

    def _attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        parts = self.read(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        keys = None if mask is None else mask[:, None, None, :]
        seen = F.scaled_dot_product_attention(parts[0], parts[1], parts[2], attn_mask=keys)
        told: Tensor = self.write(seen.transpose(1, 2).flatten(2))
        return told


class Encoder(nn.Module):
    """A Transformer encoder over a sequence, and one vector of it.

    Arguments:
        inputs: width of the steps that come; steps: how many at most.
        pooling: the mean of the tokens ("mean"), or a token of its own ("token").
    """

    def __init__(
        self,
        inputs: int,
        steps: int,
        width: int,
        layers: int,
        heads: int,
        hidden: int,
        activation: str,
        dropout: float,
        pooling: str,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(inputs, width)
        self.places = nn.Parameter(_PLACE * torch.randn(steps, width))
        own = 1 if pooling == "token" else 0
        self.token = nn.Parameter(_PLACE * torch.randn(own, width)) if own else None
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            EncoderLayer(width, heads, hidden, activation, dropout) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, sequence: Sequence) -> Tensor:
        x, mask = sequence
        x = self.project(x) + self.places[: x.shape[1]]
        if self.token is not None:
            x = torch.cat([self.token.expand(len(x), 1, -1), x], 1)
            mask = None if mask is None else F.pad(mask, (1, 0), value=True)
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x, mask)
        x = self.norm(x)
        return pooled(x, mask, "mean") if self.token is None else x[:, 0]


_LAYERS: tuple[type[nn.Module], ...] = (
    Rows,
    Steps,
    Patches,
    Features,
    Tokens,
    Bag,
    Recurrent,
    Encoder,
)

SEQUENCES: dict[str, Any] = {layer.__name__: layer for layer in _LAYERS}
