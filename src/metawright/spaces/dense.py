"""Fully connected networks."""

from metawright.spaces.space import Choice, Integer, Record, Repeat
from metawright.spaces.training import trained

__all__ = ["dense", "dense_networks"]


def dense_networks() -> Record:
    """One to four hidden layers, each of its own width, activation, dropout and normalisation."""
    layer = Record(
        {
            "width": Integer(16, 256, log=True),
            "activation": Choice(("relu", "tanh", "silu", "gelu")),
            "dropout": Choice((0.0, 0.1, 0.3)),
            "normalisation": Choice(("none", "layer")),
        }
    )
    return Record({"layers": Repeat(layer, 1, 4)})


def dense() -> Record:
    """`dense_networks` with their training."""
    return trained(dense_networks())
