"""Spaces of designs as data, and what can be done with them without torch.

`SPACES` is the table of those that are asked for by name.

Sampling, mutation and crossover draw from torch's generators: they are in
`metawright.spaces.draw`, so that importing this package stays light.
"""

from collections.abc import Callable, Mapping

from metawright.spaces.convolutional import convolutional
from metawright.spaces.counting import count, grid
from metawright.spaces.decisions import Condition, Decision, active, decisions
from metawright.spaces.design import Design, Value
from metawright.spaces.encoding import Encoding, encode, encoding_names
from metawright.spaces.points import check, contains, explain_mismatch, read, write
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

__all__ = [
    "SPACES",
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
    "write",
]

SPACES: Mapping[str, Callable[[], Record]] = {"convolutional": convolutional}
