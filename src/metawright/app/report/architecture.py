"""The layers of a model as a picture, from what goes in to what comes out, with their shapes."""

from collections.abc import Sequence
from typing import TypeAlias

from metawright.app.report.drawing import Area, Line, Picture, Rect, Shape, Text
from metawright.app.report.flow import Flow, Layer
from metawright.app.report.words import amount, short

__all__ = ["architecture", "side_by_side"]

Point: TypeAlias = tuple[float, float]

_WIDTH, _HEIGHT, _GAP, _MARGIN = 232.0, 62.0, 24.0, 6.0


def architecture(flow: Flow, *, title: str, stacked: bool = False) -> Picture:
    """The picture of one classifier, from top to bottom.

    Arguments:
        stacked: branches one under the other, for narrow screens, in place of side by side.
    """
    columns = 1 if stacked else max(len(flow.branches), 1)
    width = columns * _WIDTH + (columns - 1) * _GAP
    middle = width / 2
    shapes: list[Shape] = []
    y = 0.0
    ends = [(middle, y)]
    ends, y = _chain(shapes, flow.before, middle, y, ends)
    if flow.branches and stacked:
        ends, y = _stack(shapes, flow.branches, y, ends)
    elif flow.branches:
        tops, top = ends, y
        ends = []
        for index, branch in enumerate(flow.branches):
            x = _WIDTH / 2 + index * (_WIDTH + _GAP)
            last, bottom = _chain(shapes, branch, x, top, tops)
            ends += last
            y = max(y, bottom)
    ends, y = _chain(shapes, flow.after, middle, y, ends)
    margin = _MARGIN + (_GAP if stacked and flow.branches else 0)
    inside = Picture("architecture", title, width, y - _GAP, tuple(shapes))
    whole = (width + 2 * margin, y - _GAP + 2 * _MARGIN)
    return Picture("architecture", title, *whole, inside.moved(margin, _MARGIN))


def side_by_side(pictures: Sequence[Picture], captions: Sequence[str], *, title: str) -> Picture:
    """Several pictures in a row, each under its caption."""
    shapes: list[Shape] = []
    x, top, gap = 0.0, 34.0, 28.0
    for picture, caption in zip(pictures, captions, strict=True):
        shapes.append(Text(x + picture.width / 2, 18, caption, anchor="middle", bold=True))
        shapes += picture.moved(x, top)
        x += picture.width + gap
    height = max(picture.height for picture in pictures) + top
    return Picture("architecture", title, x - gap, height, tuple(shapes))


def _chain(
    shapes: list[Shape], layers: Sequence[Layer], middle: float, y: float, ends: list[Point]
) -> tuple[list[Point], float]:
    """Adds boxes under each other; gives where they end, and where the next may begin."""
    for layer in layers:
        ends, y = _place(shapes, layer, middle, y, ends)
    return ends, y


def _stack(
    shapes: list[Shape], branches: Sequence[Sequence[Layer]], y: float, ends: list[Point]
) -> tuple[list[Point], float]:
    """Adds branches under each other: inputs go past them on the left, outputs on the right."""
    middle, side, half = _WIDTH / 2, _WIDTH / 2 + _GAP * 0.7, _GAP / 2
    start, outputs = ends[0], []
    for index, branch in enumerate(branches):
        if index:
            y += _GAP  # room for the way out of the last branch and into this one
            way = [
                (0.0, half),
                (-side, half),
                (-side, y - half - start[1]),
                (0.0, y - half - start[1]),
            ]
            shapes.append(Line(tuple((middle + a, start[1] + b) for a, b in way), "line"))
        last, y = _chain(shapes, branch, middle, y, ends if not index else [(middle, y - half)])
        outputs += last
    for _, out in outputs[:-1]:
        way = [
            (0.0, out),
            (0.0, out + half),
            (side, out + half),
            (side, y - half),
            (0.0, y - half),
        ]
        shapes.append(Line(tuple((middle + a, b) for a, b in way), "line"))
    return outputs[-1:], y


def _place(
    shapes: list[Shape], layer: Layer, middle: float, y: float, ends: list[Point]
) -> tuple[list[Point], float]:
    """Adds a box and the arrows to it; gives where it ends, and where the next one may begin."""
    for x_end, y_end in ends:
        if y_end < y:
            shapes += _arrow(x_end, y_end, middle, y)
    left = middle - _WIDTH / 2
    fill, stroke = ("ground", "accent") if layer.outside else ("panel", "line")
    shapes.append(Rect(left, y, _WIDTH, _HEIGHT, fill, stroke, 10))  # type: ignore[arg-type]
    shapes.append(Text(left + 12, y + 15, layer.title, 13, "ink", bold=True))
    shapes.append(Text(left + 12, y + 32, short(layer.details, 38), 11, "muted"))
    form = " × ".join(str(side) for side in layer.shape)
    shapes.append(Text(left + 12, y + 48, f"→ {form}", 11, "accent"))
    if layer.parameters:
        held = f"{amount(layer.parameters)} parameters"
        shapes.append(Text(left + _WIDTH - 12, y + 48, held, 11, "muted", "end"))
    return [(middle, y + _HEIGHT)], y + _HEIGHT + _GAP


def _arrow(x: float, y: float, to_x: float, to_y: float) -> list[Shape]:
    turn = to_y - _GAP / 2
    points = ((x, y), (x, turn), (to_x, turn), (to_x, to_y - 6))
    tip = ((to_x - 4, to_y - 7), (to_x + 4, to_y - 7), (to_x, to_y - 1))
    return [Line(points if x != to_x else (points[0], points[3]), "line"), Area(tip, "line")]
