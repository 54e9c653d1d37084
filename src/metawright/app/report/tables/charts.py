"""Pictures of a model of a table: what columns are worth, whether it is as sure as it is right,
and where its numbers err."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metawright.app.report.drawing import Dot, Line, Picture, Rect, Shape, Text
from metawright.app.report.plot import Frame, axes, legend, ticks
from metawright.app.report.words import number, percent, short

__all__ = ["reliability_chart", "residual_chart", "worth_chart"]

_STEP = 27.0


def worth_chart(
    columns: Sequence[Mapping[str, Any]], measure: str, *, width: float = 680
) -> Picture | None:
    """By how much the loss rises without a column, with 95 % intervals; None without any.

    Arguments:
        columns: each with "column", "rise", "low" and "high".
        measure: what rises, for the axis.
    """
    if not columns:
        return None
    label = min(max(len(row["column"]) for row in columns) * 7.4 + 16, width * 0.4)
    low: float = min(0.0, *(max(row["low"], -abs(row["rise"]) * 3) for row in columns))
    high: float = max(*(row["high"] for row in columns), *(row["rise"] for row in columns), 0.0)
    if not (math.isfinite(high) and high > low):
        low, high = min(low, -1e-9), max(columns[0]["rise"], 1e-9)
    room = width - label - 66
    bottom = 8 + _STEP * len(columns)

    def place(value: float) -> float:
        return label + (min(max(value, low), high) - low) / (high - low) * room

    shapes: list[Shape] = []
    for tick in ticks(low, high, 6 if width > 500 else 3):
        shapes.append(Line(((place(tick), 2), (place(tick), bottom)), "grid", 1))
        shapes.append(Text(place(tick), bottom + 13, number(tick), 11.5, "muted", "middle"))
    for index, row in enumerate(columns):
        shapes += _worth(row, 8 + _STEP * (index + 0.5), label, place)
        shapes.append(
            Text(width - 4, 8 + _STEP * (index + 0.5), number(row["rise"], 2), 12, "muted", "end")
        )
    shapes.append(Line(((place(0), 2), (place(0), bottom)), "line", 1.5))
    shapes.append(Text(label + room, bottom + 31, measure, 11.5, "muted", "end"))
    title = "What columns are worth: " + ", ".join(row["column"] for row in columns[:5])
    return Picture("columns", title, width, bottom + 42, tuple(shapes))


def _worth(row: Mapping[str, Any], y: float, label: float, place: Any) -> list[Shape]:
    sure = row["low"] > 0
    ends = sorted((place(0), place(row["rise"])))
    note = f"{row['column']}: {number(row['rise'])} ({number(row['low'])} to "
    box = Rect(
        ends[0], y - 8, max(ends[1] - ends[0], 1.5), 16, "accent" if sure else "muted",
        radius=2, opacity=0.8 if sure else 0.4, note=f"{note}{number(row['high'])})",
    )  # fmt: skip
    shapes: list[Shape] = [
        Text(label - 10, y, short(row["column"], int((label - 10) / 7.2)), 12.5, "ink", "end"),
        box,
    ]
    if math.isfinite(row["low"]):
        low, high = place(row["low"]), place(row["high"])
        shapes.append(Line(((low, y), (high, y)), "ink", 1.5))
        shapes += [Line(((end, y - 4), (end, y + 4)), "ink", 1.5) for end in (low, high)]
    return shapes


def reliability_chart(
    steps: Sequence[Mapping[str, float]], said: str, *, width: float = 480
) -> Picture | None:
    """How often what was said with a probability came true, beside the diagonal of honesty.

    Arguments:
        steps: each with "said", "true", "low", "high" and "rows".
        said: whose probability it is.
    """
    if not steps:
        return None
    frame = Frame(width, min(width, 400) + 20, (0.0, 1.02), (0.0, 1.0))
    marks = {tick / 5: percent(tick / 5, 0) for tick in range(6)}
    shapes = axes(frame, said, "how often it was so", percents=True, marks=marks)
    shapes.append(Line((frame.at(0, 0), frame.at(1, 1)), "muted", 1.5, dashed=True))
    points = [frame.at(step["said"], step["true"]) for step in steps]
    shapes.append(Line(tuple(points), "accent", 2, opacity=0.6))
    for step, (x, y) in zip(steps, points, strict=True):
        ends = [frame.at(step["said"], step[end])[1] for end in ("low", "high")]
        shapes.append(Line(((x, ends[0]), (x, ends[1])), "accent", 1.5, opacity=0.7))
        note = f"said {percent(step['said'])}, was {percent(step['true'])} of {step['rows']} rows"
        shapes.append(Dot(x, y, 4.5, "accent", note=note))
    shapes += legend([("this model", "accent", True), ("as sure as right", "muted", True)])
    title = "How often predictions of a probability came true"
    return Picture("reliability", title, width, frame.height, tuple(shapes))


def residual_chart(
    cells: Mapping[str, Any], spread: Sequence[float], *, width: float = 680
) -> Picture | None:
    """Errors (truth less prediction) by prediction: darker where there are more rows.

    Arguments:
        cells: "prediction" and "error", each (low, high), and "counts" (errors, predictions).
        spread: ends of the 90 % interval around a prediction.
    """
    counts = cells["counts"]
    most = max(map(max, counts))
    if not most:
        return None
    frame = Frame(width, 340 if width > 500 else 300, tuple(cells["prediction"]),
                  tuple(cells["error"]))  # fmt: skip
    shapes = axes(frame, "prediction", "truth less prediction")
    up, across = len(counts), len(counts[0])
    for row, line in enumerate(counts):
        for column, count in enumerate(line):
            if count:
                shapes.append(_cell(frame, row / up, column / across, (up, across), count, most))
    left, right = frame.x
    shapes.append(Line((frame.at(left, 0), frame.at(right, 0)), "ink", 1.5))
    inside = [end for end in spread if frame.y[0] < end < frame.y[1]]
    for end in inside:
        shapes.append(Line((frame.at(left, end), frame.at(right, end)), "second", 1.5, True))
    shapes += legend([("rows", "accent", False), ("nine of ten rows lie between", "second", True)])
    title = "Errors by prediction, on rows that were not learned from"
    return Picture("residuals", title, width, frame.height, tuple(shapes))


def _cell(
    frame: Frame, up: float, across: float, parts: tuple[int, int], count: int, most: int
) -> Shape:
    (low_x, high_x), (low_y, high_y) = frame.x, frame.y
    x, y = frame.at(low_x + across * (high_x - low_x), low_y + up * (high_y - low_y))
    x_end, y_end = frame.at(
        low_x + (across + 1 / parts[1]) * (high_x - low_x),
        low_y + (up + 1 / parts[0]) * (high_y - low_y),
    )
    depth = 0.15 + 0.85 * math.sqrt(count / most)
    note = f"{count} row" + ("s" if count > 1 else "")
    return Rect(x + 0.5, y_end + 0.5, x_end - x - 1, y - y_end - 1, "accent",
                radius=2, opacity=depth, note=note)  # fmt: skip
