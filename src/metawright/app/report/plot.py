"""The ground of every chart: where numbers lie, axes with round numbers, a legend."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from metawright.app.report.drawing import Dot, Line, Role, Shape, Text
from metawright.app.report.words import number, percent

__all__ = ["COLOURS", "Frame", "axes", "legend", "ticks"]

LEFT, RIGHT, TOP, BOTTOM = 52.0, 14.0, 52.0, 44.0
COLOURS: tuple[Role, ...] = ("accent", "second", "third", "bad", "muted", "ink")


@dataclass(frozen=True)
class Frame:
    """Where numbers lie on a picture."""

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixels of a pair of numbers."""
        share_x = (x - self.x[0]) / (self.x[1] - self.x[0])
        share_y = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            LEFT + share_x * (self.width - LEFT - RIGHT),
            self.height - BOTTOM - share_y * (self.height - TOP - BOTTOM),
        )


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers in `[low, high]`, at most `most`.

    Example:
        >>> ticks(0, 25)
        [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]
    """
    span = high - low
    if not span > 0 or not math.isfinite(span):
        return [low]
    exponent = math.floor(math.log10(span / most))
    steps = [factor * 10.0**power for power in (exponent, exponent + 1) for factor in (1, 2, 5)]
    step = next(s for s in steps if math.floor(high / s + 1e-9) - math.ceil(low / s - 1e-9) < most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(index * step, 12) + 0.0 for index in range(first, last + 1)]


def axes(
    frame: Frame,
    x_name: str,
    y_name: str,
    *,
    percents: bool = False,
    marks: Mapping[float, str] | None = None,
) -> list[Shape]:
    """Grid, numbers and names of both axes.

    Arguments:
        percents: whether y holds shares of one.
        marks: what stands at which x, in place of round numbers.
    """
    shapes: list[Shape] = []
    for tick in ticks(*frame.y, 6):
        (left, y), (right, _) = frame.at(frame.x[0], tick), frame.at(frame.x[1], tick)
        shapes.append(Line(((left, y), (right, y)), "grid", 1))
        digits = 0 if frame.y[1] - frame.y[0] > 0.04 else 1
        text = percent(tick, digits) if percents else number(tick)
        shapes.append(Text(left - 8, y, text, 11.5, "muted", "end"))
    bottom = frame.height - BOTTOM
    whole = x_name.startswith(("steps", "epochs", "designs"))
    if marks is None:
        places = ticks(*frame.x, 8 if frame.width > 500 else 5)
        marks = {x: number(x) for x in places if not whole or x == round(x)}
    for place, name in marks.items():
        x, _ = frame.at(place, frame.y[0])
        shapes.append(Line(((x, bottom), (x, bottom + 4)), "line", 1))
        shapes.append(Text(x, bottom + 15, name, 11.5, "muted", "middle"))
    shapes.append(Line(((LEFT, bottom), (frame.width - RIGHT, bottom)), "line", 1))
    shapes.append(Text(frame.width - RIGHT, bottom + 33, x_name, 11.5, "muted", "end"))
    shapes.append(Text(0, TOP - 16, y_name, 11.5, "muted"))
    return shapes


def legend(entries: Sequence[tuple[str, Role, bool]]) -> list[Shape]:
    """Names of what is drawn, in a row: (name, colour, whether it is a line)."""
    shapes: list[Shape] = []
    x = 0.0
    for name, colour, is_line in entries:
        if is_line:
            shapes.append(Line(((x, 10), (x + 16, 10)), colour, 2.5))
        else:
            shapes.append(Dot(x + 8, 10, 4, colour))
        shapes.append(Text(x + 22, 10, name, 12, "ink"))
        x += 22 + 6.6 * len(name) + 14
    return shapes
