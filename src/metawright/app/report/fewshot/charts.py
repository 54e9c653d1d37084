"""Pictures of a few-shot run: its course, its adaptation step by step, its calibration."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metawright.app.report.drawing import Area, Dot, Line, Picture, Rect, Shape
from metawright.app.report.plot import COLOURS, Frame, axes, legend
from metawright.app.report.words import number, percent

__all__ = ["Series", "adaptation_chart", "course_chart", "curve_task", "reliability_chart"]


@dataclass(frozen=True)
class Series:
    """A line with a band.

    Arguments:
        name: for the legend.
        points: (x, y, half the width of the 95 % interval or 0).
    """

    name: str
    points: tuple[tuple[float, float, float], ...]


def course_chart(
    series: Sequence[Series],
    *,
    name: str,
    x_name: str,
    y_name: str,
    percents: bool,
    width: float = 680,
    height: float = 300,
) -> Picture | None:
    """Numbers over steps or seconds, each with its interval; None without two points."""
    lines = [_finite(line) for line in series]
    lines = [line for line in lines if len(line.points) > 1]
    if not lines:
        return None
    end = max(point[0] for line in lines for point in line.points)
    frame = Frame(width, height, (0.0, end or 1.0), _range(lines, percents))
    shapes = axes(frame, x_name, y_name, percents=percents)
    return _picture(frame, shapes, lines, name, f"{y_name} over {x_name}")


def adaptation_chart(
    series: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    percents: bool,
    width: float = 680,
    height: float = 300,
) -> Picture | None:
    """Scores after 0, 1, 2, ... steps of adaptation, at even distances; None without any.

    Arguments:
        series: rows of `run.json` ("steps", "mean", "ci95") by the learner's name.
    """
    ladder = sorted({int(row["steps"]) for rows in series.values() for row in rows})
    places = {steps: float(place) for place, steps in enumerate(ladder)}
    lines = [
        _finite(Series(name, tuple((places[r["steps"]], r["mean"], r["ci95"]) for r in rows)))
        for name, rows in series.items()
    ]
    lines = [line for line in lines if len(line.points) > 1]
    if not lines:
        return None
    frame = Frame(width, height, (-0.3, len(ladder) - 0.7), _range(lines, percents))
    measure = "accuracy" if percents else "mean squared error"
    marks = {place: str(steps) for steps, place in places.items()}
    shapes = axes(frame, "steps of adaptation", measure, percents=percents, marks=marks)
    return _picture(frame, shapes, lines, "adaptation", f"{measure} after steps of adaptation")


def reliability_chart(
    calibration: Mapping[str, Any], *, width: float = 420, height: float = 380
) -> Picture:
    """Accuracy against confidence, a bar a bin; on the diagonal a learner knows what it knows."""
    bins = calibration["bins"]
    frame = Frame(width, height, (0.0, 1.03), (0.0, 1.0))
    marks = {tick / 5: f"{20 * tick} %" for tick in range(6)}
    shapes = axes(frame, "confidence", "accuracy", percents=True, marks=marks)
    most = max((row["count"] for row in bins), default=0) or 1
    for index, row in enumerate(bins):
        if not row["count"]:
            continue
        left, top = frame.at(index / len(bins), row["accuracy"])
        right, bottom = frame.at((index + 1) / len(bins), 0.0)
        note = (
            f"{row['count']} predictions with confidence {percent(row['confidence'])}: "
            f"{percent(row['accuracy'])} right"
        )
        opacity = 0.25 + 0.75 * row["count"] / most
        box = Rect(left + 1.5, top, right - left - 3, max(bottom - top, 1.5), "accent",
                   opacity=opacity, note=note)  # fmt: skip
        shapes.append(box)
        shapes.append(Dot(*frame.at(row["confidence"], row["accuracy"]), 3, "ink"))
    shapes.append(Line((frame.at(0, 0), frame.at(1, 1)), "muted", 1.5, dashed=True))
    shapes += legend([("perfectly calibrated", "muted", True), ("mean of a bin", "ink", False)])
    title = f"Reliability of {calibration['queries']} predictions"
    return Picture("reliability", title, width, height, tuple(shapes))


def curve_task(task: Mapping[str, Any], *, width: float = 290, height: float = 230) -> Picture:
    """A regression task of one number: support, truth at the queries, and predicted lines."""
    known = [*task["support"], *task["truth"]]
    spread = [*known, *(point for line in task["lines"][-1:] for point in line["points"])]
    xs = [point[0] for point in known]
    low, high = min(p[1] for p in spread), max(p[1] for p in spread)
    pad = (high - low) * 0.1 or 1.0
    frame = Frame(width, height, (min(xs), max(xs)), (low - pad, high + pad))
    shapes = axes(frame, "", "")
    colours = dict(zip((line["name"] for line in task["lines"]), COLOURS[2::-1], strict=False))
    for line in task["lines"]:
        points = [p for p in line["points"] if frame.y[0] <= p[1] <= frame.y[1]]
        shapes.append(Line(tuple(frame.at(*p) for p in points), colours[line["name"]], 2))
    shapes += [Dot(*frame.at(*p), 3, "muted", note="query") for p in task["truth"]]
    shapes += [Dot(*frame.at(*p), 4.5, "ink", note="support") for p in task["support"]]
    return Picture("task", "A task of regression", width, height, tuple(shapes))


def _picture(
    frame: Frame, shapes: list[Shape], lines: Sequence[Series], name: str, title: str
) -> Picture:
    for line, colour in zip(lines, COLOURS, strict=False):
        upper = [frame.at(x, min(y + band, frame.y[1])) for x, y, band in line.points]
        lower = [frame.at(x, max(y - band, frame.y[0])) for x, y, band in line.points]
        if any(band for _, _, band in line.points):
            shapes.append(Area((*upper, *reversed(lower)), colour, 0.15))
        shapes.append(
            Line(tuple(frame.at(x, _held(y, frame)) for x, y, _ in line.points), colour, 2)
        )
        if len(line.points) <= 30:
            for x, y, band in line.points:
                note = f"{line.name}: {number(y)}" + (f" ± {number(band, 2)}" if band else "")
                shapes.append(Dot(*frame.at(x, _held(y, frame)), 3, colour, note=note))
    shapes += legend([(line.name, c, True) for line, c in zip(lines, COLOURS, strict=False)])
    return Picture(name, title, frame.width, frame.height, tuple(shapes))


def _held(y: float, frame: Frame) -> float:
    return min(max(y, frame.y[0]), frame.y[1])


def _range(lines: Sequence[Series], percents: bool) -> tuple[float, float]:
    """From the least to the largest number; an outlier is cut off, lest it press the rest."""
    values = sorted(y for line in lines for _, y, _ in line.points)
    low = min(y - band for line in lines for _, y, band in line.points)
    high = max(y + band for line in lines for _, y, band in line.points)
    usual = values[int(0.9 * (len(values) - 1))]
    if not percents and high > 4 * usual > 0:
        high = 1.5 * usual
    pad = (high - low) * 0.08 or 0.05 * abs(high) or 0.05
    return max(low - pad, 0.0), min(high + pad, 1.0) if percents else high + pad


def _finite(line: Series) -> Series:
    kept = []
    for x, y, band in line.points:
        if y is not None and math.isfinite(y):
            kept.append((x, y, band if band is not None and math.isfinite(band) else 0.0))
    return Series(line.name, tuple(kept))
