"""Charts put every number where it belongs."""

import math
from itertools import pairwise
from typing import Any

import pytest

from metawright.app.report.charts import Interval, curves, intervals, progress, ticks
from metawright.app.report.drawing import Dot, Line, Picture, Text


def of(picture: Picture, kind: type, fill: str) -> list[Any]:
    attribute = "stroke" if kind is Line else "fill"
    found = [shape for shape in picture.shapes if isinstance(shape, kind)]
    return [shape for shape in found if getattr(shape, attribute) == fill]


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.8, 0.95), (0.912, 0.9134), (0, 3e6), (-5, 7), (1e-9, 2e-9)]
)
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    span = (high - low) * 1e-6
    assert 2 <= len(found) <= 6 and low - span <= found[0] and found[-1] <= high + span
    steps = {round((b - a) / (high - low), 6) for a, b in pairwise(found)}
    assert len(steps) == 1


def test_ticks_of_nothing() -> None:
    assert ticks(3, 3) == [3] and ticks(0, math.inf) == [0]


HISTORY = [
    {"seconds": 1.0, "trial": "a", "estimate": 0.8, "best": 0.8},
    {"seconds": 2.0, "trial": "b", "estimate": 0.9, "best": 0.9},
    {"seconds": 3.0, "trial": "c", "estimate": 0.85, "best": 0.9},
    {"seconds": 4.0, "trial": "d", "estimate": 0.1, "best": 0.9},
]


def test_progress() -> None:
    picture = progress(HISTORY, {"a": "proposal"})
    assert picture is not None
    first = [dot for dot in of(picture, Dot, "accent") if dot.note]
    rest = [dot for dot in of(picture, Dot, "second") if dot.note]
    assert [dot.note.split()[0] for dot in first + rest] == ["a", "b", "c", "d"]
    a, b, c, d = first + rest
    assert b.x - a.x == pytest.approx(c.x - b.x) and a.y > c.y > b.y
    assert d.hollow and not a.hollow, "a hopeless design lies on the lower edge"
    best = max(of(picture, Line, "third"), key=lambda line: len(line.points)).points
    assert best[0] == (a.x, a.y) and (b.x, b.y) in best and best[-1] == (d.x, b.y)
    assert all(
        0 <= shape.x <= picture.width for shape in picture.shapes if isinstance(shape, Text)
    )


def test_progress_of_one_or_no_trial() -> None:
    assert progress([], {}) is None
    assert progress([HISTORY[0] | {"estimate": None}], {}) is None
    assert progress([HISTORY[0] | {"seconds": 0.0}], {}) is not None


def test_progress_of_very_many_trials_stays_small() -> None:
    rows = [{"seconds": float(i), "trial": "t", "estimate": 0.5, "best": 0.5} for i in range(9000)]
    picture = progress(rows, {})
    assert picture is not None and len(picture.shapes) < 1600


def test_curves() -> None:
    picture = curves({"one": [2.0, 1.0, 0.5], "none": [], "nan": [math.nan, 1.0], "two": [2, 2]})
    assert picture is not None and "2 designs" in picture.title
    one = max(of(picture, Line, "accent"), key=lambda line: len(line.points)).points
    assert len(one) == 3 and one[0][1] < one[1][1] < one[2][1]
    assert one[1][1] - one[0][1] == pytest.approx(2 * (one[2][1] - one[1][1]))
    assert curves({"none": []}) is None


def test_intervals() -> None:
    rows = [Interval("own", 0.9, 0.85, 0.95, own=True), Interval("other", 0.8)]
    picture = intervals(rows)
    (own,), (other,) = of(picture, Dot, "accent"), of(picture, Dot, "muted")
    assert own.x > other.x and own.y < other.y
    low, high = max(of(picture, Line, "accent"), key=lambda line: line.points[1][0]).points
    assert low[0] <= own.x <= high[0]
    assert {"own", "other", "90.0 %", "80.0 %"} <= {
        t.text for t in picture.shapes if isinstance(t, Text)
    }
