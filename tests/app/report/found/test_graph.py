"""Graphs of cells: every edge is there, with its operation, and no two run over each other."""

from collections import Counter
from typing import Any

import pytest

from metawright.app.report.drawing import Dot, Line, Picture, Rect, Text
from metawright.app.report.found.graph import cell_legend, cell_picture
from metawright.app.report.found.words import cells_of
from metawright.rng import stream
from metawright.spaces import SPACES, Cell, Design, Record
from metawright.spaces.draw import sample

BIG = Cell(6, ("none", "skip", "a", "b", "c", "d", "e", "f", "g"))


def drawn(space: str, seed: int) -> tuple[Picture, Any]:
    made = Record({"cell": BIG}) if space == "big" else SPACES[space]()
    design = sample(made, stream(seed, "graph", space))
    found = list(cells_of(made, design))
    assert len(found) == (2 if space == "darts" else 1)
    _, cell, nodes = found[0]
    return cell_picture(cell, nodes, name="cell", outputs=[cell.nodes - 1]), nodes


@pytest.mark.parametrize("space", ["cells", "darts", "big"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_every_edge_is_drawn_and_named(space: str, seed: int) -> None:
    picture, nodes = drawn(space, seed)
    wanted = Counter(operation for node in nodes for operation in node["operations"])
    texts = [shape for shape in picture.shapes if isinstance(shape, Text)]
    assert Counter(text.text for text in texts if not text.text.isdigit()) == wanted
    lines = [shape for shape in picture.shapes if isinstance(shape, Line)]
    assert len(lines) == wanted.total()
    assert sum(line.dashed for line in lines) == wanted["none"]
    for text in texts:
        assert 0 < text.x - 3.5 * len(text.text) and text.x + 3.5 * len(text.text) < picture.width


@pytest.mark.parametrize("space", ["cells", "darts", "big"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_labels_and_lanes_do_not_overlap(space: str, seed: int) -> None:
    picture, _ = drawn(space, seed)
    labels = [shape for shape in picture.shapes if isinstance(shape, Rect)]
    for index, one in enumerate(labels):
        for two in labels[index + 1 :]:
            apart_x = one.x + one.width <= two.x or two.x + two.width <= one.x
            assert apart_x or one.y + one.height <= two.y or two.y + two.height <= one.y
    upright = [
        (a[0], min(a[1], b[1]), max(a[1], b[1]))
        for line in picture.shapes
        if isinstance(line, Line)
        for a, b in zip(line.points, line.points[1:], strict=False)
        if a[0] == b[0]
    ]
    for index, (x, low, high) in enumerate(upright):
        for other, bottom, top in upright[index + 1 :]:
            assert x != other or high <= bottom or top <= low


def test_given_and_output_nodes_stand_out() -> None:
    cell = Cell(4, ("skip",), inputs=2, fan_in=1)
    nodes = [Design({"sources": [0], "operations": ["skip"]})] * 2
    picture = cell_picture(cell, nodes, name="cell", outputs=[2, 3])
    looks = [
        (s.fill, s.hollow) for s in picture.shapes if isinstance(s, Dot) and s.fill != "ground"
    ]
    assert looks == [("muted", True)] * 2 + [("accent", False)] * 2
    assert cell_legend(cell, nodes) == "skip: the node as it is"
    assert picture.title == "A cell of 4 nodes. 0 to 2: skip; 0 to 3: skip"
