"""Spaces of designs as data, and what can be done with them without torch.

`SPACES` is the table of those that are asked for by name.

Sampling, mutation and crossover draw from torch's generators: they are in
`metawright.spaces.draw`, so that importing this package stays light.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from metawright.lazy import attributes
from metawright.spaces.cells import cells
from metawright.spaces.convolutional import convolutional
from metawright.spaces.counting import count, grid
from metawright.spaces.darts import darts
from metawright.spaces.decisions import Condition, Decision, active, decisions
from metawright.spaces.dense import dense
from metawright.spaces.design import Design, Value
from metawright.spaces.discriminator import discriminator
from metawright.spaces.generator import generator
from metawright.spaces.macro import macro
from metawright.spaces.pipelines import pipelines
from metawright.spaces.points import check, contains, explain_mismatch, read, write
from metawright.spaces.recurrent import recurrent
from metawright.spaces.schema import space_from_json, space_to_json
from metawright.spaces.space import (
    Cell,
    Choice,
    Domain,
    Either,
    Integer,
    Point,
    Real,
    Record,
    Repeat,
    Scalar,
    Space,
)
from metawright.spaces.training import trained, training_space
from metawright.spaces.transformer import transformer

if TYPE_CHECKING:
    from metawright.spaces.encoding import Encoding, encode, encoding_names

__all__ = [
    "SPACES",
    "TRAINABLE",
    "Cell",
    "Choice",
    "Condition",
    "Decision",
    "Design",
    "Domain",
    "Either",
    "Encoding",
    "Integer",
    "Point",
    "Real",
    "Record",
    "Repeat",
    "Scalar",
    "Space",
    "Value",
    "active",
    "check",
    "contains",
    "count",
    "decisions",
    "encode",
    "encoding_names",
    "explain_mismatch",
    "grid",
    "read",
    "space_from_json",
    "space_to_json",
    "trained",
    "training_space",
    "write",
]

SPACES: Mapping[str, Callable[[], Record]] = {
    "cells": cells,
    "convolutional": convolutional,
    "darts": darts,
    "dense": dense,
    "discriminator": discriminator,
    "generator": generator,
    "macro": macro,
    "pipelines": pipelines,
    "recurrent": recurrent,
    "transformer": transformer,
}

TRAINABLE = ("cells", "darts", "dense", "macro", "pipelines", "recurrent", "transformer")
"""Names of the spaces whose designs can be trained on data by themselves."""

# Encoding loads NumPy, which a command line that only names spaces has no use for.
__getattr__ = attributes(
    __name__,
    dict.fromkeys(("Encoding", "encode", "encoding_names"), "metawright.spaces.encoding"),
)
