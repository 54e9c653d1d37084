"""Transformer encoders over patches of an image, tokens of a text, steps of a signal or features.

References:
    Attention Is All You Need, Vaswani et al., 2017, https://arxiv.org/abs/1706.03762
    An Image is Worth 16x16 Words, Dosovitskiy et al., 2021, https://arxiv.org/abs/2010.11929
"""

from metawright.spaces.space import Choice, Integer, Record
from metawright.spaces.training import trained

__all__ = ["transformer", "transformer_networks"]


def transformer_networks() -> Record:
    """Layers of self-attention and feed-forward networks, normalised before each.

    - `patches`: along a side of an image (a signal has four times as many along its time); texts
      and features have a token for each word and each feature instead;
    - `ratio`: width of the feed-forward network over `width`;
    - `pooling`: the mean of the tokens, or a token of its own that reads them.
    """
    return Record(
        {
            "layers": Integer(1, 3),
            "heads": Choice((1, 2, 4)),
            "width": Choice((32, 48, 64)),
            "ratio": Choice((1, 2, 4)),
            "patches": Choice((4, 7)),
            "activation": Choice(("relu", "gelu")),
            "dropout": Choice((0.0, 0.1)),
            "pooling": Choice(("mean", "token")),
        }
    )


def transformer() -> Record:
    """`transformer_networks` with their training."""
    return trained(transformer_networks())
