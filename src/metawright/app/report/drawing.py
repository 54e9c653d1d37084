"""A picture as a list of shapes: drawn as SVG for the page, and as PNG by `png.py`.

Shapes name their colours by role ("ink", "accent", ...), so that one picture is right in light and
in dark. Lengths are pixels; y grows downwards.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from html import escape
from typing import Literal, TypeAlias

from metawright.app.plain import plain

__all__ = ["Anchor", "Area", "Dot", "Line", "Picture", "Rect", "Role", "Shape", "Text", "svg"]

Role: TypeAlias = Literal[
    "ink", "muted", "line", "grid", "panel", "ground", "accent", "second", "third", "bad", "none"
]
Anchor: TypeAlias = Literal["start", "middle", "end"]
Points: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Rect:
    """A rectangle, maybe with round corners; `note` shows when it is pointed at."""

    x: float
    y: float
    width: float
    height: float
    fill: Role = "none"
    stroke: Role = "none"
    radius: float = 0
    opacity: float = 1
    note: str = ""


@dataclass(frozen=True)
class Line:
    """A line through points."""

    points: Points
    stroke: Role = "line"
    width: float = 1.5
    dashed: bool = False
    opacity: float = 1


@dataclass(frozen=True)
class Area:
    """A filled polygon."""

    points: Points
    fill: Role
    opacity: float = 1


@dataclass(frozen=True)
class Dot:
    """A circle; a hollow one has its colour on the rim only."""

    x: float
    y: float
    radius: float
    fill: Role
    hollow: bool = False
    opacity: float = 1
    note: str = ""


@dataclass(frozen=True)
class Text:
    """One line of text; y is its middle. `angle` turns it around its anchor, in degrees."""

    x: float
    y: float
    text: str
    size: float = 13
    fill: Role = "ink"
    anchor: Anchor = "start"
    bold: bool = False
    angle: float = 0


Shape: TypeAlias = Rect | Line | Area | Dot | Text


@dataclass(frozen=True)
class Picture:
    """Shapes on a ground.

    Arguments:
        name: of its file, without ending.
        title: what it shows, in a sentence, for readers who cannot see it.
    """

    name: str
    title: str
    width: float
    height: float
    shapes: tuple[Shape, ...] = field(default=())

    def moved(self, x: float, y: float) -> tuple[Shape, ...]:
        """Its shapes, elsewhere."""
        return tuple(_moved(shape, x, y) for shape in self.shapes)


def _moved(shape: Shape, x: float, y: float) -> Shape:
    if isinstance(shape, Line | Area):
        return replace(shape, points=tuple((a + x, b + y) for a, b in shape.points))
    return replace(shape, x=shape.x + x, y=shape.y + y)


def svg(picture: Picture) -> str:
    """The picture as an SVG element; its colours are classes (`f-ink`: fill, `s-ink`: stroke)."""
    body = "".join(_element(shape) for shape in picture.shapes)
    width, height = _number(picture.width), _number(picture.height)
    return (
        f'<svg class="picture" role="img" aria-label="{escape(plain(picture.title))}" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">{body}</svg>'
    )


def _element(shape: Shape) -> str:
    if isinstance(shape, Rect):
        corner = f' rx="{_number(shape.radius)}"' if shape.radius else ""
        box = f'x="{_number(shape.x)}" y="{_number(shape.y)}" '
        size = f'width="{_number(shape.width)}" height="{_number(shape.height)}"'
        paint = _paint(shape.fill, shape.stroke, shape.opacity)
        return _noted("rect", f"{box}{size}{corner}{paint}", shape.note)
    if isinstance(shape, Line):
        extra = f' stroke-width="{_number(shape.width)}"'
        extra += ' stroke-dasharray="4 4"' if shape.dashed else ""
        paint = _paint("none", shape.stroke, shape.opacity)
        return f'<polyline points="{_points(shape.points)}"{extra}{paint}/>'
    if isinstance(shape, Area):
        paint = _paint(shape.fill, "none", shape.opacity)
        return f'<polygon points="{_points(shape.points)}"{paint}/>'
    if isinstance(shape, Dot):
        fill, rim = ("ground", shape.fill) if shape.hollow else (shape.fill, "none")
        place = f'cx="{_number(shape.x)}" cy="{_number(shape.y)}" r="{_number(shape.radius)}"'
        return _noted("circle", place + _paint(fill, rim, shape.opacity), shape.note)  # type: ignore[arg-type]
    return _text(shape)


def _text(shape: Text) -> str:
    x, y = _number(shape.x), _number(shape.y)
    turn = f' transform="rotate({_number(shape.angle)} {x} {y})"' if shape.angle else ""
    anchor = f' text-anchor="{shape.anchor}"' if shape.anchor != "start" else ""
    weight = ' font-weight="600"' if shape.bold else ""
    # The middle of the letters, not of the line: `dominant-baseline` differs among browsers.
    return (
        f'<text x="{x}" y="{y}" dy=".35em" font-size="{_number(shape.size)}"{anchor}{weight}'
        f'{turn} class="f-{shape.fill}">{escape(plain(shape.text))}</text>'
    )


def _noted(tag: str, attributes: str, note: str) -> str:
    if not note:
        return f"<{tag} {attributes}/>"
    return f"<{tag} {attributes}><title>{escape(plain(note))}</title></{tag}>"


def _paint(fill: Role, stroke: Role, opacity: float) -> str:
    thin = f' opacity="{_number(opacity)}"' if opacity < 1 else ""
    return f' class="f-{fill} s-{stroke}"{thin}'


def _points(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{_number(x)},{_number(y)}" for x, y in points)


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
