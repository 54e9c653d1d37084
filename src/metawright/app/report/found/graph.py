"""A searched cell as a graph: its nodes in a column, and what is done on the way between them.

Neighbours are joined by straight lines; every longer edge has a lane of its own beside them, left
or right, so that no two run over each other and each has room for its label.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from metawright.app.report.drawing import Area, Dot, Line, Picture, Rect, Role, Shape, Text
from metawright.app.report.words import short
from metawright.spaces.space import Cell

__all__ = ["cell_legend", "cell_picture"]

_STEP, _RADIUS, _LANE, _MARGIN = 72.0, 14.0, 64.0, 34.0
_COLOURS: tuple[Role, ...] = ("accent", "second", "third", "bad", "ink")
_PASSING = ("skip", "identity", "none")  # what does nothing is drawn in grey

_MEANINGS = {
    "none": "no connection",
    "skip": "the node as it is",
    "identity": "the node as it is",
    "conv1": "1 × 1 convolution",
    "conv3": "3 × 3 convolution",
    "pool3": "3 × 3 average pooling",
    "sep3": "separable 3 × 3 convolution",
    "sep5": "separable 5 × 5 convolution",
    "dil3": "dilated separable 3 × 3 convolution",
    "max3": "3 × 3 maximum pooling",
    "avg3": "3 × 3 average pooling",
}


class _Edge(NamedTuple):
    source: int
    target: int
    operation: str


def cell_picture(
    cell: Cell, nodes: Sequence[Mapping[str, Any]], *, name: str, outputs: Sequence[int] = ()
) -> Picture:
    """The graph of a cell.

    Arguments:
        cell: its space.
        nodes: `sources` and `operations` of each decided node.
        name: of the picture.
        outputs: numbers of the nodes that the cell gives; they stand out.
    """
    edges = list(_edges(cell, nodes))
    total = cell.inputs + len(nodes)
    lanes = _lanes([edge for edge in edges if edge.target - edge.source > 1])
    left = max((-lane for lane in lanes.values()), default=0)
    right = max(lanes.values(), default=0)
    middle = _MARGIN + max(left, 0) * _LANE + _RADIUS
    width = middle + max(right, 1) * _LANE + _MARGIN
    height = (total - 1) * _STEP + 2 * _RADIUS + 8
    colours = _colours(cell, edges)
    shapes: list[Shape] = []
    for edge in edges:
        shapes += _way(edge, middle, lanes.get(edge), colours[edge.operation])
    for edge in edges:
        shapes += _label(edge, middle, lanes.get(edge), colours[edge.operation])
    for number in range(total):
        shapes += _node(number, middle, given=number < cell.inputs, gives=number in outputs)
    told = "; ".join(f"{e.source} to {e.target}: {e.operation}" for e in edges)
    return Picture(name, f"A cell of {total} nodes. {told}", width, height, tuple(shapes))


def cell_legend(cell: Cell, nodes: Sequence[Mapping[str, Any]]) -> str:
    """What the operations of a cell mean, those that are known.

    Example:
        >>> from metawright.spaces import Cell
        >>> cell_legend(Cell(2, ("skip", "conv3")), [{"sources": [0], "operations": ["conv3"]}])
        'conv3: 3 × 3 convolution'
    """
    used = dict.fromkeys(edge.operation for edge in _edges(cell, nodes))
    told = [f"{name}: {_MEANINGS[name]}" for name in used if name in _MEANINGS]
    return "; ".join(told)


def _edges(cell: Cell, nodes: Sequence[Mapping[str, Any]]) -> Iterator[_Edge]:
    for number, node in enumerate(nodes, cell.inputs):
        for source, operation in zip(node["sources"], node["operations"], strict=True):
            yield _Edge(source, number, str(operation))


def _lanes(edges: Sequence[_Edge]) -> dict[_Edge, int]:
    """A lane for each edge, 1, 2, ... to the right and -1, -2, ... to the left; no two edges of a
    lane overlap. Short edges come first, next to the nodes."""
    taken: dict[int, list[_Edge]] = {}
    lanes = {}
    for edge in sorted(edges, key=lambda each: (each.target - each.source, each.source)):
        for lane in (side * depth for depth in range(1, len(edges) + 1) for side in (1, -1)):
            others = taken.setdefault(lane, [])
            if all(o.target <= edge.source or edge.target <= o.source for o in others):
                others.append(edge)
                lanes[edge] = lane
                break
    return lanes


def _colours(cell: Cell, edges: Sequence[_Edge]) -> dict[str, Role]:
    """A colour for each operation, the same in every cell of the space while there are enough."""
    working = [name for name in cell.operations if name not in _PASSING]
    if len(working) > len(_COLOURS):
        used = {edge.operation for edge in edges}
        working = [name for name in working if name in used]
    colours = {name: _COLOURS[place % len(_COLOURS)] for place, name in enumerate(working)}
    return {name: colours.get(name, "muted") for name in (*cell.operations, *_used(edges))}


def _used(edges: Sequence[_Edge]) -> list[str]:
    return [edge.operation for edge in edges]


def _y(number: int) -> float:
    return 4 + _RADIUS + number * _STEP


def _way(edge: _Edge, middle: float, lane: int | None, colour: Role) -> list[Shape]:
    """The line of an edge with its tip."""
    start, end = _y(edge.source), _y(edge.target)
    none = edge.operation == "none"
    width, opacity = (1.2, 0.6) if none else (2.0, 1.0)
    points: tuple[tuple[float, float], ...]
    if lane is None:
        stop = end - _RADIUS - 7
        points = ((middle, start + _RADIUS), (middle, stop))
        tip = ((middle - 5, stop), (middle + 5, stop), (middle, stop + 7))
    else:
        side = 1 if lane > 0 else -1
        x, slope = middle + lane * _LANE, 16.0 + 3 * (abs(lane) - 1)
        # Each lane leaves and meets its nodes at a height of its own, so that no two lines touch.
        out, into = 5.0 - 3 * (abs(lane) - 1), 3 * (abs(lane) - 1) - 5.0
        stop = middle + side * (_RADIUS + 7)
        points = (
            (middle + side * _RADIUS, start + out),
            (x - side * 10, start + out + slope * 0.4),
            (x, start + out + slope),
            (x, end + into - slope),
            (x - side * 10, end + into - slope * 0.4),
            (stop, end + into),
        )
        base = end + into
        tip = ((stop, base - 5), (stop, base + 5), (stop - side * 7, base))
    line = Line(points, colour, width, none, opacity)
    return [line, Area(tip, colour, opacity)]


def _label(edge: _Edge, middle: float, lane: int | None, colour: Role) -> list[Shape]:
    """The operation's name on its line, on a piece of the ground."""
    x = middle + (lane or 0) * _LANE
    # Between two nodes, where no other edge begins or ends.
    y = (_y(edge.source) + _y(edge.target) - _STEP * ((edge.target - edge.source) % 2 == 0)) / 2
    told = short(edge.operation, 10)
    width = 7.0 * len(told) + 8
    back = Rect(x - width / 2, y - 9, width, 18, "ground", radius=4, note=edge.operation)
    passing = edge.operation in _PASSING
    ink: Role = "muted" if passing else colour
    return [back, Text(x, y, told, 12, ink, "middle", not passing)]


def _node(number: int, middle: float, *, given: bool, gives: bool) -> list[Shape]:
    place = (middle, _y(number))
    shapes: list[Shape] = [Dot(*place, _RADIUS + 1, "ground")]
    if gives:
        shapes.append(Dot(*place, _RADIUS, "accent"))
    else:
        shapes.append(Dot(*place, _RADIUS, "muted" if given else "ink", hollow=True))
    ink: Role = "ground" if gives else "ink"
    shapes.append(Text(*place, str(number), 13, ink, "middle", bold=True))
    return shapes
