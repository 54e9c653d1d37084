"""Convolutional networks in stages, each with its own depth, width and kind of block.

References:
    ProxylessNAS: Direct Neural Architecture Search on Target Task and Hardware, Cai, Zhu and Han,
    2019, https://arxiv.org/abs/1812.00332 (kernels and expansions of inverted bottlenecks)
"""

from metawright.spaces.space import Choice, Integer, Record, Repeat
from metawright.spaces.training import trained

__all__ = ["macro", "macro_networks"]


def macro_networks() -> Record:
    """One to three stages; each later one halves the image.

    Of each stage: `depth` blocks of `width` channels with kernels of side `kernel`; `expansion` 1
    is a plain convolution, more is an inverted bottleneck (widen, convolve each channel by itself,
    narrow); with `skip` a block of equal input and output is added to its input. Of all stages:
    how to halve (`pooling`), `normalisation` and `activation`.
    """
    stage = Record(
        {
            "depth": Integer(1, 2),
            "width": Choice((8, 16, 24, 32)),
            "kernel": Choice((3, 5)),
            "expansion": Choice((1, 2, 4)),
            "skip": Choice((False, True)),
        }
    )
    return Record(
        {
            "stages": Repeat(stage, 1, 3),
            "pooling": Choice(("max", "average", "stride")),
            "normalisation": Choice(("group", "layer", "none")),
            "activation": Choice(("relu", "silu", "gelu")),
        }
    )


def macro() -> Record:
    """`macro_networks` with their training."""
    return trained(macro_networks())
