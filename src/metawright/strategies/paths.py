"""What a cell does with its data, as a measure for surrogates.

The encoding of a design says which decision was taken where. In a cell, that hides much: the same
operations on other edges may be the same function. The paths through it show more.
"""

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from metawright.spaces.design import Design
from metawright.spaces.space import Cell, Either, Record, Repeat, Space

__all__ = ["Paths"]

# Paths of a cell are counted in so many places, by a hash of their operations.
_PLACES = 64
# A cell in which every node reads all earlier ones has 2^(nodes - 2) paths.
_MOST_PATHS = 256
# What data do not pass, and what leaves them as they are.
_BLOCKING, _IDENTITY = {"none", "zero"}, {"skip", "skip_connect", "identity"}


class Paths:
    """Counts of the paths through the cells of a design, by the operations along them.

    A path runs from an input to a node that nobody reads; "none" cuts it, and "skip" is not
    counted. Cells that do the same have the same counts, wherever their operations stand. To be
    given to a surrogate as a further measure (`features` of `Predictor`).

    Arguments:
        space: a space of designs, with cells anywhere in it.

    References:
        BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search,
        White, Neiswanger and Savani, 2021, https://arxiv.org/abs/1910.11858 (path encoding)

    Example:
        >>> from metawright.spaces import Cell, Design, Record
        >>> paths = Paths(Record({"cell": Cell(3, ("none", "skip", "conv"))}))
        >>> def cell(first, past, second):
        ...     nodes = (Design({"sources": (0,), "operations": (first,)}),
        ...              Design({"sources": (0, 1), "operations": (past, second)}))
        ...     return Design({"cell": nodes})
        >>> paths(cell("conv", "none", "skip")) == paths(cell("skip", "none", "conv"))
        True
    """

    def __init__(self, space: Space) -> None:
        self.space = space

    def __call__(self, design: Design) -> list[list[float]]:
        """The share of the paths in each of 64 places, by a hash of their operations."""
        counts = [0.0] * _PLACES
        for name, cell, nodes in _cells(self.space, design, ""):
            for path in _walked(cell, nodes):
                text = f"{name}:{'>'.join(path)}"
                counts[zlib.crc32(text.encode()) % _PLACES] += 1
        # The number of paths grows fast with the nodes; their shares tell what a cell does.
        total = sum(counts) or 1.0
        return [[count / total for count in counts]]


def _cells(space: Space, value: Any, name: str) -> Iterator[tuple[str, Cell, Sequence[Design]]]:
    """The cells of a design with the names of their fields."""
    match space:
        case Cell():
            yield name, space, value
        case Record(fields):
            for field, part in fields.items():
                yield from _cells(part, value[field], field)
        case Repeat(item):
            for part in value:
                yield from _cells(item, part, name)
        case Either(cases):
            yield from _cells(cases[value["kind"]], value, name)


def _walked(cell: Cell, nodes: Sequence[Design]) -> list[tuple[str, ...]]:
    """The operations along each path from an input to a node that nobody reads."""
    paths: list[list[tuple[str, ...]]] = [[(str(node),)] for node in range(cell.inputs)]
    for node in nodes:
        found = []
        for source, operation in zip(node["sources"], node["operations"], strict=True):
            if operation in _BLOCKING:
                continue
            step = () if operation in _IDENTITY else (operation,)
            found += [path + step for path in paths[source]]
        paths.append(found[:_MOST_PATHS])
    read = Counter(source for node in nodes for source in node["sources"])
    ends = [number for number in range(cell.inputs, cell.nodes) if not read[number]]
    return [path for end in ends for path in paths[end]]
