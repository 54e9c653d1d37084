"""How the answers of a model hang on its columns: a small picture each, all on the same scale."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from metawright.app.report.drawing import Area, Dot, Line, Picture, Role, Shape, Text
from metawright.app.report.plot import BOTTOM, COLOURS, Frame, axes, legend
from metawright.app.report.words import number, short

__all__ = ["dependence_chart"]

_GAP, _HEIGHT, _NAMES = 18.0, 208.0, 22.0
_ABOVE = 20.0  # that nothing is drawn in: a chart has its legend there
_CLASSES = 4


def dependence_chart(
    columns: Sequence[Mapping[str, Any]],
    classes: Sequence[str],
    target: str,
    *,
    width: float = 920,
) -> Picture | None:
    """Partial dependence of each column; None without any.

    Arguments:
        columns: each with "column", "at", "answers" (values, outputs), "low" and "high".
        classes: names; empty for numbers. Of two the second is shown, of more the first four.
        target: what is answered.
    """
    if not columns:
        return None
    shown = [0] if not classes else [1] if len(classes) == 2 else list(range(len(classes)))
    shown = sorted(shown, key=lambda index: -_reach(columns, index))[:_CLASSES]
    across = 3 if width > 600 else 1
    side = (width - _GAP * (across - 1)) / across
    top = 30.0 if len(shown) > 1 else 0.0
    span = _span(columns, shown, banded=len(shown) == 1, shares=bool(classes))
    shapes: list[Shape] = []
    if len(shown) > 1:
        shapes += legend([(short(classes[index], 14), colour, True)
                          for index, colour in zip(shown, COLOURS, strict=False)])  # fmt: skip
    for place, column in enumerate(columns):
        part = _panel(column, shown, span, side, shares=bool(classes))
        at = ((place % across) * (side + _GAP), top + place // across * _HEIGHT - _ABOVE)
        shapes += part.moved(*at)
    rows = -(-len(columns) // across)
    what = f"the probability of {classes[1]}" if len(classes) == 2 else target
    title = f"How {what} hangs on {', '.join(c['column'] for c in columns)}"
    return Picture("dependence", title, width, top + rows * _HEIGHT - _ABOVE, tuple(shapes))


def _reach(columns: Sequence[Mapping[str, Any]], index: int) -> float:
    """How far an output moves in all."""
    lines = [[row[index] for row in column["answers"]] for column in columns]
    return float(sum(max(line) - min(line) for line in lines))


def _span(
    columns: Sequence[Mapping[str, Any]], shown: Sequence[int], *, banded: bool, shares: bool
) -> tuple[float, float]:
    keys = ("answers", "low", "high") if banded else ("answers",)
    values = [row[i] for column in columns for key in keys for row in column[key] for i in shown]
    low, high = min(values), max(values)
    pad = 0.08 * (high - low) or 0.05 * abs(high) or 0.05
    low, high = low - pad, high + pad
    return (max(low, 0.0), min(high, 1.0)) if shares else (low, high)


def _panel(
    column: Mapping[str, Any],
    shown: Sequence[int],
    span: tuple[float, float],
    width: float,
    *,
    shares: bool,
) -> Picture:
    at = column["at"]
    named = isinstance(at[0], str)
    xs = [float(index) for index in range(len(at))] if named else [float(value) for value in at]
    pad = 0.5 if named else 0.03 * (xs[-1] - xs[0])
    frame = Frame(width, _HEIGHT - (_NAMES if named else 0), (xs[0] - pad, xs[-1] + pad), span)
    marks: Mapping[float, str] | None = {} if named else None
    if not named and column.get("kind") == "date":
        marks = {x: _day(x) for x in (xs[0], xs[-1])}
    shapes = [
        Text(0, 34, short(column["column"], int(width / 8)), 13, "ink", bold=True),
        *axes(frame, "", "", percents=shares, marks=marks),
    ]
    if named:
        shapes += _words(frame, xs, at)
    for index, colour in zip(shown, COLOURS, strict=False):
        shapes += _line(frame, column, xs, index, colour, banded=len(shown) == 1, named=named)
    return Picture("panel", column["column"], width, _HEIGHT, tuple(shapes))


def _line(
    frame: Frame,
    column: Mapping[str, Any],
    xs: Sequence[float],
    index: int,
    colour: Role,
    *,
    banded: bool,
    named: bool,
) -> list[Shape]:
    lines = {key: [frame.at(x, row[index]) for x, row in zip(xs, column[key], strict=True)]
             for key in ("answers", "low", "high")}  # fmt: skip
    shapes: list[Shape] = []
    if banded and not named:
        shapes.append(Area((*lines["high"], *reversed(lines["low"])), colour, 0.15))
    if banded and named:
        pairs = zip(lines["low"], lines["high"], strict=True)
        shapes += [Line(pair, colour, 6, opacity=0.25) for pair in pairs]
    if not named:
        shapes.append(Line(tuple(lines["answers"]), colour, 2.2))
    for (x, y), value, row in zip(lines["answers"], column["at"], column["answers"], strict=True):
        told = value if named else number(value, 4)
        shapes.append(Dot(x, y, 4.2 if named else 2.4, colour, note=f"{told}: {row[index]:.4g}"))
    return shapes


def _words(frame: Frame, xs: Sequence[float], names: Sequence[str]) -> list[Shape]:
    """Names of categories under the axis, slanted where they are many or long."""
    room = (frame.width - 66) / len(xs)
    slanted = max(map(len, names)) * 6.6 > room
    shapes: list[Shape] = []
    for x, name in zip(xs, names, strict=True):
        place, _ = frame.at(x, frame.y[0])
        y = frame.height - BOTTOM + 14
        if slanted:
            shapes.append(Text(place + 4, y, short(name, 9), 11, "muted", "end", angle=-40))
        else:
            shapes.append(Text(place, y, name, 11.5, "muted", "middle"))
    return shapes


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()
