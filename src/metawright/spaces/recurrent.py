"""Recurrent networks: known cells, or a searched one.

References:
    Efficient Neural Architecture Search via Parameter Sharing, Pham et al., 2018,
    https://arxiv.org/abs/1802.03268
    DARTS: Differentiable Architecture Search, Liu, Simonyan and Yang, 2019,
    https://arxiv.org/abs/1806.09055
"""

from metawright.spaces.space import Cell, Choice, Either, Integer, Record
from metawright.spaces.training import trained

__all__ = ["ACTIVATIONS", "recurrent", "recurrent_networks"]

ACTIVATIONS = ("tanh", "relu", "sigmoid", "identity")
"""What a node of a searched cell may do with the node that it reads."""


def recurrent_networks() -> Record:
    """Layers of one recurrent cell over the steps of a sequence.

    - `cell`: "gru", "lstm", "rnn" with its activation, or "searched": three nodes after the first,
      each reading one earlier node through an activation, with a gate; the new state is the mean
      of all nodes;
    - `pooling`: how the states become one vector.
    """
    nodes = Cell(4, ACTIVATIONS, fan_in=1)
    cell = Either(
        {
            "gru": Record({}),
            "lstm": Record({}),
            "rnn": Record({"activation": Choice(("tanh", "relu"))}),
            "searched": Record({"nodes": nodes}),
        }
    )
    return Record(
        {
            "cell": cell,
            "layers": Integer(1, 2),
            "width": Choice((32, 48, 64)),
            "bidirectional": Choice((False, True)),
            "dropout": Choice((0.0, 0.1, 0.3)),
            "pooling": Choice(("last", "mean", "max")),
        }
    )


def recurrent() -> Record:
    """`recurrent_networks` with their training."""
    return trained(recurrent_networks())
