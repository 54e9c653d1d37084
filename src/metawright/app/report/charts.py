"""Pictures of a run's course: progress over time, learning curves, scores with their intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metawright.app.report.drawing import Dot, Line, Picture, Role, Shape, Text
from metawright.app.report.words import number, percent, short

__all__ = ["Interval", "curves", "intervals", "progress", "ticks"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 14.0, 52.0, 44.0
_COLOURS: tuple[Role, ...] = ("accent", "second", "third", "bad", "muted", "ink")


@dataclass(frozen=True)
class Interval:
    """An accuracy with its 95 % interval; `own` is the generated model's."""

    name: str
    accuracy: float
    low: float | None = None
    high: float | None = None
    own: bool = False


@dataclass(frozen=True)
class _Frame:
    """Where numbers lie on a picture."""

    width: float
    height: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        share_x = (x - self.x[0]) / (self.x[1] - self.x[0])
        share_y = (y - self.y[0]) / (self.y[1] - self.y[0])
        return (
            _LEFT + share_x * (self.width - _LEFT - _RIGHT),
            self.height - _BOTTOM - share_y * (self.height - _TOP - _BOTTOM),
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


def progress(
    history: Sequence[Mapping[str, Any]],
    origins: Mapping[str, str],
    *,
    width: float = 680,
    height: float = 320,
) -> Picture | None:
    """Every trial's estimate and the best so far against seconds; None without any.

    Arguments:
        history: as in `run.json`.
        origins: where each trial came from, by its id.
    """
    rows = [row for row in history if _finite(row.get("estimate")) and _finite(row.get("best"))]
    if not rows:
        return None
    end = max(row["seconds"] for row in rows) or 1.0
    # A hopeless design must not press all others together: it is drawn on the lower edge.
    estimates = sorted(row["estimate"] for row in rows)
    fifth = min(max(len(rows) // 5, 1), len(rows) - 1)
    low = min(estimates[fifth], rows[0]["best"])
    high = max(row["best"] for row in rows)
    pad = max((high - low) * 0.1, 0.01)
    frame = _Frame(width, height, (0.0, end * 1.02), (max(low - pad, 0.0), min(high + pad, 1.0)))
    kinds = dict.fromkeys(origins.get(row["trial"], "trial") for row in rows)
    colours = dict(zip(kinds, _without("third"), strict=False))
    shapes = _axes(frame, "seconds", "estimated accuracy", percents=True)
    stride = math.ceil(len(rows) / 1500)
    for row in rows[::stride]:
        kind = origins.get(row["trial"], "trial")
        clipped = row["estimate"] < frame.y[0]
        x, y = frame.at(row["seconds"], max(row["estimate"], frame.y[0]))
        note = f"{row['trial']} ({kind}): {percent(row['estimate'])} at {row['seconds']:.1f} s"
        shapes.append(Dot(x, y, 3.5, colours.get(kind, "muted"), clipped, 0.75, note))
    shapes.append(Line(_stairs(frame, rows, end), "third", 2.5))
    legend: list[tuple[str, Role, bool]] = [("best so far", "third", True)]
    legend += [(kind, colour, False) for kind, colour in colours.items()]
    shapes += _legend(legend)
    title = f"Estimated accuracy of {len(rows)} trials over {end:.0f} seconds"
    return Picture("progress", title, width, height, tuple(shapes))


def _stairs(
    frame: _Frame, rows: Sequence[Mapping[str, Any]], end: float
) -> tuple[tuple[float, float], ...]:
    points = []
    last = None
    for row in rows:
        if row["best"] != last:
            if last is not None:
                points.append(frame.at(row["seconds"], last))
            points.append(frame.at(row["seconds"], row["best"]))
            last = row["best"]
    return (*points, frame.at(end, rows[-1]["best"]))


def curves(
    losses: Mapping[str, Sequence[float]], *, width: float = 680, height: float = 300
) -> Picture | None:
    """Loss after each step of adaptation, a line for each design; None without any."""
    lines = {name: [v for v in line if _finite(v)] for name, line in losses.items()}
    lines = {name: line for name, line in lines.items() if len(line) > 1}
    lines = dict(list(lines.items())[: len(_COLOURS)])
    if not lines:
        return None
    values = [value for line in lines.values() for value in line]
    steps = max(len(line) for line in lines.values()) - 1
    pad = max(values) * 0.06 or 1.0
    frame = _Frame(width, height, (0.0, float(steps)), (0.0, max(values) + pad))
    shapes = _axes(frame, "steps of adaptation", "loss")
    for (_, line), colour in zip(lines.items(), _COLOURS, strict=False):
        points = tuple(frame.at(float(step), value) for step, value in enumerate(line))
        shapes.append(Line(points, colour, 2))
        shapes += [Dot(x, y, 2.5, colour) for x, y in points]
    shapes += _legend(
        [(name, colour, True) for name, colour in zip(lines, _COLOURS, strict=False)]
    )
    title = f"Loss during adaptation of {len(lines)} designs"
    return Picture("curves", title, width, height, tuple(shapes))


def intervals(rows: Sequence[Interval], *, name: str = "test", width: float = 680) -> Picture:
    """Accuracies with their 95 % intervals, one under the other."""
    label = min(max(len(row.name) for row in rows) * 7.2 + 16, width * 0.42)
    height = 36.0 * len(rows) + 40
    lows = [row.low if row.low is not None else row.accuracy for row in rows]
    highs = [row.high if row.high is not None else row.accuracy for row in rows]
    low = max(math.floor((min(lows) - 0.02) * 20) / 20, 0.0)
    high = min(math.ceil((max(highs) + 0.02) * 20) / 20, 1.0)

    def place(value: float) -> float:
        return label + (value - low) / (high - low) * (width - label - 78)

    bottom = height - 30
    shapes: list[Shape] = []
    for tick in ticks(low, high, 6 if width > 500 else 3):
        shapes.append(Line(((place(tick), 4), (place(tick), bottom)), "grid", 1))
        shapes.append(Text(place(tick), bottom + 14, percent(tick, 0), 11.5, "muted", "middle"))
    for index, row in enumerate(rows):
        y = 20 + 36.0 * index
        colour: Role = "accent" if row.own else "muted"
        shapes.append(
            Text(label - 12, y, short(row.name, int(label / 7.4)), 13, "ink", "end", row.own)
        )
        if row.low is not None and row.high is not None:
            shapes.append(Line(((place(row.low), y), (place(row.high), y)), colour, 2))
            for end in (row.low, row.high):
                shapes.append(Line(((place(end), y - 5), (place(end), y + 5)), colour, 2))
        shapes.append(Dot(place(row.accuracy), y, 5, colour))
        shapes.append(Text(width - 4, y, percent(row.accuracy), 13, "ink", "end", row.own))
    title = "; ".join(f"{row.name} {percent(row.accuracy)}" for row in rows)
    return Picture(name, title, width, height, tuple(shapes))


def _axes(frame: _Frame, x_name: str, y_name: str, *, percents: bool = False) -> list[Shape]:
    shapes: list[Shape] = []
    for tick in ticks(*frame.y, 6):
        (left, y), (right, _) = frame.at(frame.x[0], tick), frame.at(frame.x[1], tick)
        shapes.append(Line(((left, y), (right, y)), "grid", 1))
        digits = 0 if frame.y[1] - frame.y[0] > 0.04 else 1
        text = percent(tick, digits) if percents else number(tick)
        shapes.append(Text(left - 8, y, text, 11.5, "muted", "end"))
    bottom = frame.height - _BOTTOM
    whole = x_name.startswith("steps")
    for tick in ticks(*frame.x, 8 if frame.width > 500 else 5):
        if not whole or tick == round(tick):
            x, _ = frame.at(tick, frame.y[0])
            shapes.append(Line(((x, bottom), (x, bottom + 4)), "line", 1))
            shapes.append(Text(x, bottom + 15, number(tick), 11.5, "muted", "middle"))
    shapes.append(Line(((_LEFT, bottom), (frame.width - _RIGHT, bottom)), "line", 1))
    shapes.append(Text(frame.width - _RIGHT, bottom + 33, x_name, 11.5, "muted", "end"))
    shapes.append(Text(0, _TOP - 16, y_name, 11.5, "muted"))
    return shapes


def _legend(entries: Sequence[tuple[str, Role, bool]]) -> list[Shape]:
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


def _without(colour: Role) -> list[Role]:
    return [role for role in _COLOURS if role != colour]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
