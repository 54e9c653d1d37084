"""Networks of two searched cells, one that keeps the image's size and one that halves it.

References:
    DARTS: Differentiable Architecture Search, Liu, Simonyan and Yang, 2019,
    https://arxiv.org/abs/1806.09055
"""

from metawright.spaces.space import Cell, Choice, Integer, Record
from metawright.spaces.training import trained

__all__ = ["OPERATIONS", "darts", "darts_networks"]

OPERATIONS = ("skip", "sep3", "sep5", "dil3", "max3", "avg3")
"""Identity, separable convolutions, a dilated separable one, and poolings."""


def darts_networks() -> Record:
    """Cells whose nodes read two earlier ones out of the last two cells and their own.

    The published cells have four nodes of their own, these have three, and a separable convolution
    is applied once and not twice: networks for minutes on a CPU.

    - `normal`, `reduction`: the two cells; the output of a cell is all its own nodes side by side;
    - `stages`: reductions stand between them, doubling the channels;
    - `cells`: normal cells in a stage;
    - `width`: channels of a node in the first stage.
    """
    cell = Cell(5, OPERATIONS, inputs=2, fan_in=2)
    return Record(
        {
            "normal": cell,
            "reduction": cell,
            "stages": Integer(1, 2),
            "cells": Integer(1, 2),
            "width": Choice((6, 8, 12)),
        }
    )


def darts() -> Record:
    """`darts_networks` with their training."""
    return trained(darts_networks())
