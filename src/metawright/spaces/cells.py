"""Networks that repeat one searched cell in which every node reads all earlier ones.

References:
    NAS-Bench-201: Extending the Scope of Reproducible Neural Architecture Search,
    Dong and Yang, 2020, https://arxiv.org/abs/2001.00326
"""

from metawright.spaces.space import Cell, Choice, Integer, Record
from metawright.spaces.training import trained

__all__ = ["OPERATIONS", "cell_networks", "cells"]

OPERATIONS = ("none", "skip", "conv1", "conv3", "pool3")
"""Zero, identity, 1x1 and 3x3 convolution (each normalised and rectified), 3x3 average pooling."""


def cell_networks() -> Record:
    """The 15,625 cells of NAS-Bench-201 in small networks.

    - `cell`: four nodes, an operation on each of the six edges;
    - `stages`: each later one halves the image and doubles the channels;
    - `cells`: how many stand in a stage;
    - `width`: channels of the first stage.
    """
    return Record(
        {
            "cell": Cell(4, OPERATIONS),
            "stages": Integer(1, 3),
            "cells": Integer(1, 2),
            "width": Choice((8, 12, 16)),
        }
    )


def cells() -> Record:
    """`cell_networks` with their training."""
    return trained(cell_networks())
