"""Pictures as PNG files, drawn by matplotlib in the light colours."""

import warnings
from io import BytesIO
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, Polygon, Rectangle

from metawright.app.plain import plain
from metawright.app.report.drawing import Area, Dot, Line, Picture, Rect, Shape, Text
from metawright.app.report.style import LIGHT

__all__ = ["png"]

_DPI = 96  # at which a point is 3/4 of a pixel


def png(picture: Picture, *, scale: float = 2) -> bytes:
    """The picture as the content of a PNG file, `scale` times as many pixels a side."""
    figure = Figure((picture.width / _DPI, picture.height / _DPI), facecolor=LIGHT["ground"])
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, picture.width)
    axes.set_ylim(picture.height, 0)
    for order, shape in enumerate(picture.shapes):
        _draw(axes, shape, order)
    file = BytesIO()
    with warnings.catch_warnings():
        # Names of classes may be in a script that the font lacks: the page shows them.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(file, dpi=_DPI * scale, metadata={"Title": plain(picture.title)})
    return file.getvalue()


def _draw(axes: Any, shape: Shape, order: int) -> None:
    if isinstance(shape, Text):
        axes.text(
            shape.x,
            shape.y,
            plain(shape.text),
            fontsize=shape.size * 0.7,  # a little less than 3/4: the letters are wider
            color=LIGHT[shape.fill],
            ha={"start": "left", "middle": "center", "end": "right"}[shape.anchor],
            va="center",
            fontweight="bold" if shape.bold else "normal",
            rotation=-shape.angle,
            rotation_mode="anchor",
            parse_math=False,
            zorder=order,
        )
    elif isinstance(shape, Line):
        axes.plot(
            *zip(*shape.points, strict=True),
            color=LIGHT[shape.stroke],
            linewidth=shape.width * 0.75,
            linestyle=(0, (4, 4)) if shape.dashed else "-",
            alpha=shape.opacity,
            zorder=order,
        )
    else:
        axes.add_patch(_patch(shape, order))


def _patch(shape: Rect | Area | Dot, order: int) -> Any:
    if isinstance(shape, Dot):
        face, edge = ("ground", shape.fill) if shape.hollow else (shape.fill, "none")
        paint = _paint(face, edge, shape.opacity, order)
        return Circle((shape.x, shape.y), shape.radius, **paint)
    if isinstance(shape, Area):
        return Polygon(
            shape.points, closed=True, **_paint(shape.fill, "none", shape.opacity, order)
        )
    paint = _paint(shape.fill, shape.stroke, shape.opacity, order)
    corner = (shape.x, shape.y)
    if not shape.radius:
        return Rectangle(corner, shape.width, shape.height, **paint)
    style = f"round,pad=0,rounding_size={shape.radius}"
    return FancyBboxPatch(corner, shape.width, shape.height, boxstyle=style, **paint)


def _paint(face: str, edge: str, opacity: float, order: int) -> dict[str, Any]:
    colours = {"facecolor": LIGHT[face], "edgecolor": LIGHT[edge]}
    return colours | {"alpha": opacity, "linewidth": 1.1, "zorder": order}
