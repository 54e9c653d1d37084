"""Pictures of a run's course: progress over time, learning curves, scores with their intervals."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metawright.app.report.drawing import Dot, Line, Picture, Role, Shape, Text
from metawright.app.report.plot import COLOURS, Frame, axes, legend, ticks
from metawright.app.report.words import number, percent, short

__all__ = ["Interval", "curves", "intervals", "progress", "ticks"]


@dataclass(frozen=True)
class Interval:
    """An accuracy with its 95 % interval; `own` is the generated model's."""

    name: str
    accuracy: float
    low: float | None = None
    high: float | None = None
    own: bool = False


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
    frame = Frame(width, height, (0.0, end * 1.02), (max(low - pad, 0.0), min(high + pad, 1.0)))
    kinds = dict.fromkeys(origins.get(row["trial"], "trial") for row in rows)
    colours = dict(zip(kinds, _without("third"), strict=False))
    shapes = axes(frame, "seconds", "estimated accuracy", percents=True)
    stride = math.ceil(len(rows) / 1500)
    for row in rows[::stride]:
        kind = origins.get(row["trial"], "trial")
        clipped = row["estimate"] < frame.y[0]
        x, y = frame.at(row["seconds"], max(row["estimate"], frame.y[0]))
        note = f"{row['trial']} ({kind}): {percent(row['estimate'])} at {row['seconds']:.1f} s"
        shapes.append(Dot(x, y, 3.5, colours.get(kind, "muted"), clipped, 0.75, note))
    shapes.append(Line(_stairs(frame, rows, end), "third", 2.5))
    entries: list[tuple[str, Role, bool]] = [("best so far", "third", True)]
    entries += [(kind, colour, False) for kind, colour in colours.items()]
    shapes += legend(entries)
    title = f"Estimated accuracy of {len(rows)} trials over {end:.0f} seconds"
    return Picture("progress", title, width, height, tuple(shapes))


def _stairs(
    frame: Frame, rows: Sequence[Mapping[str, Any]], end: float
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
    lines = dict(list(lines.items())[: len(COLOURS)])
    if not lines:
        return None
    values = [value for line in lines.values() for value in line]
    steps = max(len(line) for line in lines.values()) - 1
    pad = max(values) * 0.06 or 1.0
    frame = Frame(width, height, (0.0, float(steps)), (0.0, max(values) + pad))
    shapes = axes(frame, "steps of adaptation", "loss")
    for (_, line), colour in zip(lines.items(), COLOURS, strict=False):
        points = tuple(frame.at(float(step), value) for step, value in enumerate(line))
        shapes.append(Line(points, colour, 2))
        shapes += [Dot(x, y, 2.5, colour) for x, y in points]
    shapes += legend([(name, colour, True) for name, colour in zip(lines, COLOURS, strict=False)])
    title = f"Loss during adaptation of {len(lines)} designs"
    return Picture("curves", title, width, height, tuple(shapes))


def intervals(
    rows: Sequence[Interval], *, name: str = "test", width: float = 680, percents: bool = True
) -> Picture:
    """Accuracies (without `percents` other numbers) with their 95 % intervals, one under the
    other."""
    label = min(max(len(row.name) for row in rows) * 7.8 + 16, width * 0.45)
    height = 36.0 * len(rows) + 40
    lows = [row.low if row.low is not None else row.accuracy for row in rows]
    highs = [row.high if row.high is not None else row.accuracy for row in rows]
    low = max(math.floor((min(lows) - 0.02) * 20) / 20, 0.0) if percents else min(0.0, *lows)
    high = min(math.ceil((max(highs) + 0.02) * 20) / 20, 1.0) if percents else max(highs) or 1.0

    def place(value: float) -> float:
        return label + (value - low) / (high - low) * (width - label - 78)

    def show(value: float) -> str:
        return percent(value) if percents else number(value)

    bottom = height - 30
    shapes: list[Shape] = []
    for tick in ticks(low, high, 6 if width > 500 else 3):
        shapes.append(Line(((place(tick), 4), (place(tick), bottom)), "grid", 1))
        mark = percent(tick, 0) if percents else number(tick)
        shapes.append(Text(place(tick), bottom + 14, mark, 11.5, "muted", "middle"))
    for index, row in enumerate(rows):
        y = 20 + 36.0 * index
        colour: Role = "accent" if row.own else "muted"
        shapes.append(
            Text(
                label - 12,
                y,
                short(row.name, int((label - 12) / (8.2 if row.own else 7.6))),
                13,
                "ink",
                "end",
                row.own,
            )
        )
        if row.low is not None and row.high is not None:
            shapes.append(Line(((place(row.low), y), (place(row.high), y)), colour, 2))
            for end in (row.low, row.high):
                shapes.append(Line(((place(end), y - 5), (place(end), y + 5)), colour, 2))
        shapes.append(Dot(place(row.accuracy), y, 5, colour))
        shapes.append(Text(width - 4, y, show(row.accuracy), 13, "ink", "end", row.own))
    title = "; ".join(f"{row.name} {show(row.accuracy)}" for row in rows)
    return Picture(name, title, width, height, tuple(shapes))


def _without(colour: Role) -> list[Role]:
    return [role for role in COLOURS if role != colour]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
