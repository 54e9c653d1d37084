"""Pictures of a search: the front, the course against chance, bars with their spread."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from metawright.app.measures import shown
from metawright.app.report.drawing import Anchor, Area, Dot, Line, Picture, Rect, Role, Shape, Text
from metawright.app.report.found.scale import Scale, scale
from metawright.app.report.plot import BOTTOM, RIGHT, TOP, Frame, axes, legend
from metawright.app.report.words import number, percent

__all__ = ["Bar", "Spot", "bars", "chance_chart", "scatter"]

_MOST = 1500  # dots of a picture


class Spot(NamedTuple):
    """A trial on a picture: its two measures, in which role it was tried, and its words."""

    x: float
    y: float
    role: str
    note: str
    front: bool = False
    chosen: bool = False


class Bar(NamedTuple):
    """A number with its spread."""

    name: str
    value: float
    spread: float | None = None


_ROLES: Mapping[str, tuple[str, Role]] = {
    "search": ("strategy", "accent"),
    "control": ("random", "second"),
    "full": ("in full", "ink"),
    "mutant": ("neighbours", "third"),
}


def scatter(
    spots: Sequence[Spot],
    x_name: str,
    goal: tuple[str, bool],
    *,
    name: str = "front",
    limits: Mapping[str, float] | None = None,
    joined: bool = True,
    roles: Mapping[str, tuple[str, Role]] | None = None,
    width: float = 680,
    height: float = 360,
) -> Picture | None:
    """All trials by two measures, the front as a line, the chosen one marked; None without any.

    Arguments:
        goal: the measure upwards, and whether more of it is better.
        limits: the most that measures may be, drawn as lines.
        joined: whether the front is a line.
        roles: what roles are called, and their colours; None: those of a search.
    """
    if not spots:
        return None
    limits, roles = limits or {}, roles or _ROLES
    known = [limits[key] for key in (x_name,) if key in limits]
    across = scale(x_name, [*(s.x for s in spots), *known], maximise=False, log=True)
    up = Scale(*goal)
    frame = _frame(spots, across, up, known, (width, height))
    shapes = _ground(frame, across, up)
    shapes += _limits(frame, across, up, limits)
    if joined:
        points = sorted((across.at(s.x), up.at(s.y)) for s in spots if s.front)
        shapes.append(Line(_stairs(frame, points), "ink", 1.5, opacity=0.7))
    for spot in sorted(spots[-_MOST:], key=lambda each: each.front):
        shapes += _spot(frame, across, up, spot, roles)
    told = dict.fromkeys(spot.role for spot in spots)
    entries = [(*roles.get(role, (role, "muted")), False) for role in told]
    entries += [("front", "ink", True)] * joined
    shapes += legend(_fitting(entries, width))
    title = f"{len(spots)} designs by {up.title} and {across.title}"
    return Picture(name, title, width, height, tuple(shapes))


def _frame(
    spots: Sequence[Spot],
    across: Scale,
    up: Scale,
    known: Sequence[float],
    size: tuple[float, float],
) -> Frame:
    """From the least to the largest; hopeless designs are drawn on the edge, lest they press the
    rest."""
    xs = [across.at(value) for value in (*(s.x for s in spots), *known)]
    kept = _usual([up.at(s.y) for s in spots], up.maximise)
    kept += [up.at(s.y) for s in spots if s.chosen]
    pad_x = 0.05 * (max(xs) - min(xs)) or 0.05 * abs(xs[0]) or 0.5
    pad_y = 0.08 * (max(kept) - min(kept)) or 0.05 * abs(kept[0]) or 0.05
    low, high = min(kept) - pad_y, max(kept) + pad_y
    if up.percents:
        low, high = max(low, 0.0), min(high, 1.0)
    left = min(xs) - pad_x
    if not across.log and min(xs) >= 0:
        left = max(left, 0.0)
    return Frame(*size, (left, max(xs) + pad_x), (low, high))


def _usual(values: Sequence[float], maximise: bool) -> list[float]:
    """The values without those that are far worse than most (Tukey's outer fence)."""
    ordered = sorted(values)
    quarter, last = len(ordered) // 4, len(ordered) - 1
    low, high = ordered[quarter], ordered[last - quarter]
    fence = 3 * (high - low)
    return [v for v in ordered if (v >= low - fence if maximise else v <= high + fence)]


def _ground(frame: Frame, across: Scale, up: Scale) -> list[Shape]:
    marks = across.marks(*frame.x, 8 if frame.width > 500 else 5)
    side = "" if up.maximise else ", less is better"
    return axes(frame, across.title, up.title + side, percents=up.percents, marks=marks)


def _limits(frame: Frame, across: Scale, up: Scale, limits: Mapping[str, float]) -> list[Shape]:
    """Constraints as dashed lines, with what they allow."""
    shapes: list[Shape] = []
    top, bottom = TOP, frame.height - BOTTOM
    if across.name in limits:
        x, _ = frame.at(across.at(limits[across.name]), frame.y[0])
        shapes.append(Line(((x, top - 8), (x, bottom)), "bad", 1.5, dashed=True))
        words = f"at most {shown(across.name, limits[across.name])}"
        right = x > frame.width / 2
        anchor: Anchor = "end" if right else "start"
        shapes.append(Text(x + 3 if right else x - 3, top - 16, words, 11.5, "bad", anchor))
    if up.name in limits and frame.y[0] < up.at(limits[up.name]) < frame.y[1]:
        _, y = frame.at(frame.x[0], up.at(limits[up.name]))
        left, _ = frame.at(frame.x[0], frame.y[0])
        shapes.append(Line(((left, y), (frame.width - RIGHT, y)), "bad", 1.5, dashed=True))
    return shapes


def _stairs(
    frame: Frame, points: Sequence[tuple[float, float]]
) -> tuple[tuple[float, float], ...]:
    """The border of what the front covers: for this much, the best is that."""
    corners: list[tuple[float, float]] = []
    for x, y in points:
        if corners:
            corners.append((x, corners[-1][1]))
        corners.append((x, y))
    return tuple(frame.at(x, min(max(y, frame.y[0]), frame.y[1])) for x, y in corners)


def _spot(
    frame: Frame, across: Scale, up: Scale, spot: Spot, roles: Mapping[str, tuple[str, Role]]
) -> list[Shape]:
    value = up.at(spot.y)
    held = min(max(value, frame.y[0]), frame.y[1])
    x, y = frame.at(across.at(spot.x), held)
    _, colour = roles.get(spot.role, (spot.role, "muted"))
    strong = spot.front or spot.chosen
    shapes: list[Shape] = []
    if spot.chosen:
        shapes.append(Dot(x, y, 9.5, "ink", hollow=True))
    dot = Dot(x, y, 5 if strong else 3.5, colour, held != value, 1 if strong else 0.6, spot.note)
    shapes.append(dot)
    if spot.chosen:
        end = x > frame.width - 90
        place = (x - 14, y - 13, "chosen") if end else (x + 13, y - 13, "chosen")
        shapes.append(Text(*place, 12, "ink", "end" if end else "start", bold=True))
    return shapes


def chance_chart(
    search: Sequence[float],
    random: Mapping[str, Sequence[float]] | None,
    goal: tuple[str, bool],
    *,
    width: float = 680,
    height: float = 320,
) -> Picture | None:
    """The best so far by number of designs against the best that so many random draws would have
    given on average, with its 95 % band; None without two numbers."""
    up = Scale(*goal)
    own = [(float(n), up.at(v)) for n, v in enumerate(search, 1) if _finite(v)]
    expected = _points(random, "expected", up)
    low, high = _points(random, "low", up), _points(random, "high", up)
    if max(len(own), len(expected)) < 2:
        return None
    values = [y for line in (own, expected, low, high) for _, y in line]
    usual = sorted([y for _, y in (*own, *expected)])
    # The band of the first few draws is wide and says little.
    least = usual[len(usual) // 20] if up.maximise else min(values)
    most = max(values) if up.maximise else usual[-1 - len(usual) // 20]
    pad = (most - least) * 0.1 or 0.05 * abs(most) or 0.05
    span = (least - pad, most + pad)
    if up.percents:
        span = (max(span[0], 0.0), min(span[1], 1.0))
    end = max(x for line in (own, expected) for x, _ in line)
    frame = Frame(width, height, (1.0, max(end, 2.0)), span)
    side = "" if up.maximise else ", less is better"
    shapes = axes(frame, "designs tried", f"best {up.title}{side}", percents=up.percents)
    if low and len(low) == len(high):
        edge = (*_clipped(frame, high), *reversed(_clipped(frame, low)))
        shapes.append(Area(edge, "second", 0.16))
    entries: list[tuple[str, Role, bool]] = []
    if expected:
        shapes.append(Line(_clipped(frame, expected), "second", 2, dashed=True))
        entries.append(("random draws, expected", "second", True))
    if own:
        shapes.append(Line(_clipped(frame, _steps(own)), "accent", 2.5))
        entries.insert(0, ("this search", "accent", True))
    shapes += legend(entries)
    title = f"Best {up.title} by number of designs, this search and random draws"
    return Picture("chance", title, width, height, tuple(shapes))


def _points(
    random: Mapping[str, Sequence[float]] | None, key: str, up: Scale
) -> list[tuple[float, float]]:
    line = (random or {}).get(key) or []
    return [(float(n), up.at(v)) for n, v in enumerate(line, 1) if _finite(v)]


def _steps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    steps = [points[0]]
    for x, y in points[1:]:
        steps += [(x, steps[-1][1]), (x, y)]
    return steps


def _clipped(
    frame: Frame, points: Sequence[tuple[float, float]]
) -> tuple[tuple[float, float], ...]:
    return tuple(frame.at(x, min(max(y, frame.y[0]), frame.y[1])) for x, y in points)


def bars(
    rows: Sequence[Bar],
    *,
    name: str,
    title: str,
    percents: bool,
    first: Role = "accent",
    width: float = 680,
) -> Picture | None:
    """Numbers >= 0 as bars, each with its spread as a line; None without any.

    Arguments:
        first: colour of the first bar; the others have "accent".
    """
    if not rows:
        return None
    step = 28.0
    label = min(max(len(row.name) for row in rows) * 7.0 + 16, width * 0.48)
    most = max(row.value + (row.spread or 0.0) for row in rows) or 1.0
    room = width - label - 66
    shapes: list[Shape] = []
    for index, row in enumerate(rows):
        y = 14 + step * index
        length = room * max(row.value, 0.0) / most
        colour = "accent" if index else first
        told = percent(row.value) if percents else number(row.value)
        spread = f" ± {percent(row.spread)}" if row.spread and percents else ""
        shapes.append(
            Text(label - 10, y, _ending(row.name, int((label - 12) / 7.1)), 12.5, "ink", "end")
        )
        box = Rect(label, y - 8, max(length, 1.5), 16, colour, radius=2, opacity=0.85,
                   note=f"{row.name}: {told}{spread}")  # fmt: skip
        shapes.append(box)
        if row.spread:
            ends = [
                label + room * max(row.value + d, 0.0) / most for d in (-row.spread, row.spread)
            ]
            shapes.append(Line(((ends[0], y), (ends[1], y)), "ink", 1.5))
            shapes += [Line(((end, y - 4), (end, y + 4)), "ink", 1.5) for end in ends]
            length = max(length, ends[1] - label)
        shapes.append(Text(label + length + 8, y, told, 12, "muted"))
    return Picture(name, title, width, step * len(rows), tuple(shapes))


def _ending(name: str, letters: int) -> str:
    """At most so many letters of a name: its end, which says what is decided."""
    return name if len(name) <= letters else "…" + name[len(name) - letters + 1 :].lstrip()


def _fitting(
    entries: Sequence[tuple[str, Role, bool]], width: float
) -> list[tuple[str, Role, bool]]:
    """As many entries of a legend as have room."""
    kept, used = [], 0.0
    for entry in entries:
        used += 42 + 6.6 * len(entry[0])
        if used <= width + 14:
            kept.append(entry)
    return kept


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
