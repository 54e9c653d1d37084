"""Networks that make images of noise, as in the search for generators of GANs.

References:
    AutoGAN: Neural Architecture Search for Generative Adversarial Networks, Gong et al., 2019,
    https://arxiv.org/abs/1908.03835
"""

from metawright.spaces.space import Choice, Record, Repeat

__all__ = ["generator"]


def generator() -> Record:
    """Two to four cells, each of which doubles the image.

    Of each cell: how it doubles (`upsampling`), whether its input is added to its output
    (`shortcut`), whether it reads earlier cells too (`memory`), its `normalisation`, and whether a
    convolution is followed or preceded by it and the `activation` (`order`). Further the length of
    the noise and the channels. How it is trained is a matter of the game, not of this space.
    """
    cell = Record(
        {
            "upsampling": Choice(("nearest", "bilinear", "transposed")),
            "shortcut": Choice((False, True)),
            "memory": Choice(("none", "last", "all")),
            "normalisation": Choice(("none", "group", "instance")),
            "order": Choice(("before", "after")),
        }
    )
    network = Record(
        {
            "noise": Choice((16, 32, 64, 128)),
            "width": Choice((16, 32, 64)),
            "activation": Choice(("relu", "leaky_relu", "silu")),
            "cells": Repeat(cell, 2, 4),
        }
    )
    return Record({"architecture": network})
