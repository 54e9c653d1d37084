"""Networks that tell images from made ones, as in the search for discriminators of GANs.

References:
    AdversarialNAS: Adversarial Neural Architecture Search for GANs, Gao et al., 2020,
    https://arxiv.org/abs/1912.02037
"""

from metawright.spaces.space import Choice, Record, Repeat

__all__ = ["discriminator"]


def discriminator() -> Record:
    """Two to four cells of two convolutions, and one number for an image.

    Of each cell: how it halves the image, if it does (`downsampling`), whether its input is added
    to its output (`shortcut`), and its `kernel`. Further the channels, the `normalisation`
    ("spectral": each weight is divided by its largest singular value) and the `activation`.
    """
    cell = Record(
        {
            "downsampling": Choice(("none", "average", "max", "stride")),
            "shortcut": Choice((False, True)),
            "kernel": Choice((3, 5)),
        }
    )
    network = Record(
        {
            "width": Choice((16, 32, 64)),
            "normalisation": Choice(("none", "group", "spectral")),
            "activation": Choice(("relu", "leaky_relu", "silu")),
            "cells": Repeat(cell, 2, 4),
        }
    )
    return Record({"architecture": network})
