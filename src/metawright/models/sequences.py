"""Layers of searched recurrent networks and Transformers; they need torch alone.

What a sequence is, and what makes one of data, stands in `tokens.py`.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metawright.models.blocks import ACTIVATIONS, activation_of
from metawright.models.tokens import TOKENS, Sequence, pooled, turned

_PLACE = 0.3  # deviation of the first places: about that of what they are added to


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


_LAYERS: tuple[type[nn.Module], ...] = (Recurrent, Encoder)

SEQUENCES: dict[str, Any] = TOKENS | {layer.__name__: layer for layer in _LAYERS}
