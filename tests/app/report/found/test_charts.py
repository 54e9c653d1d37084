"""Charts of a search: every number lies where it belongs."""

import math
from itertools import pairwise
from typing import Any

import pytest

from metawright.app.report.drawing import Area, Dot, Line, Picture, Rect, Text
from metawright.app.report.found.charts import Bar, Spot, bars, chance_chart, scatter
from metawright.app.report.found.scale import Scale, scale

SPOTS = [
    Spot(1000.0, 0.80, "search", "a", front=True),
    Spot(10_000.0, 0.90, "search", "b", front=True, chosen=True),
    Spot(100_000.0, 0.95, "mutant", "c", front=True),
    Spot(50_000.0, 0.85, "control", "d"),
    Spot(40_000.0, 0.84, "control", "e"),
    Spot(30_000.0, 0.02, "search", "hopeless"),
]
ACCURACY = ("accuracy", True)


def drawn(picture: Picture | None, kind: type, **fields: Any) -> list[Any]:
    assert picture is not None
    return [
        shape
        for shape in picture.shapes
        if isinstance(shape, kind) and all(getattr(shape, n) == v for n, v in fields.items())
    ]


def dots(picture: Picture | None) -> dict[str, Dot]:
    return {dot.note: dot for dot in drawn(picture, Dot) if dot.note}


def test_trials_lie_where_their_measures_say() -> None:
    picture = scatter(SPOTS, "parameters", ACCURACY)
    found = dots(picture)
    a, b, c = (found[name] for name in "abc")
    assert b.x - a.x == pytest.approx(c.x - b.x), "ten times as many are as far apart"
    assert (a.y - b.y) == pytest.approx(2 * (b.y - c.y))
    assert found["d"].fill == "second" and c.fill == "third" and a.fill == "accent"
    assert found["hopeless"].hollow and not b.hollow and found["hopeless"].y > a.y
    (ring,) = [dot for dot in drawn(picture, Dot, hollow=True) if not dot.note]
    assert (ring.x, ring.y) == (b.x, b.y)


def test_the_front_is_the_border_of_what_it_covers() -> None:
    found = dots(picture := scatter(SPOTS, "parameters", ACCURACY))
    (line,) = drawn(picture, Line, stroke="ink", width=1.5)
    corners = [(found[name].x, found[name].y) for name in "abc"]
    assert [line.points[place] for place in (0, 2, 4)] == [pytest.approx(c) for c in corners]
    assert all(one[0] == two[0] or one[1] == two[1] for one, two in pairwise(line.points))
    loose = scatter(SPOTS, "parameters", ACCURACY, joined=False)
    assert not drawn(loose, Line, stroke="ink", width=1.5)


def test_less_may_be_better() -> None:
    losses = [spot._replace(y=1 - spot.y) for spot in SPOTS]
    found = dots(scatter(losses, "parameters", ("log_loss", False)))
    assert found["c"].y > found["b"].y > found["a"].y
    assert found["hopeless"].hollow and found["hopeless"].y < found["a"].y


def test_constraints_are_lines() -> None:
    limits = {"parameters": 20_000.0, "accuracy": 0.9}
    picture = scatter(SPOTS, "parameters", ACCURACY, limits=limits)
    upright, flat = drawn(picture, Line, stroke="bad")
    found = dots(picture)
    assert found["b"].x < upright.points[0][0] == upright.points[1][0] < found["hopeless"].x
    assert flat.points[0][1] == pytest.approx(found["b"].y)
    assert "at most 20.0 k" in {text.text for text in drawn(picture, Text)}


@pytest.mark.parametrize("spots", [SPOTS[:1], SPOTS[:1] * 3, []])
def test_few_trials(spots: list[Spot]) -> None:
    picture = scatter(spots, "seconds", ACCURACY)
    assert (picture is None) == (not spots)


RANDOM = {"expected": [0.7, 0.8, 0.85], "low": [0.4, 0.6, 0.7], "high": [0.9, 0.9, 0.9]}


def test_the_course_against_chance() -> None:
    picture = chance_chart([0.75, 0.75, 0.9], RANDOM, ACCURACY)
    own = drawn(picture, Line, stroke="accent")[0]  # the other is in the legend
    (expected,) = drawn(picture, Line, stroke="second", dashed=True)
    assert [x for x, _ in expected.points] == [own.points[place][0] for place in (0, 1, 3)]
    assert own.points[-1][1] < expected.points[-1][1], "the search is above"
    assert len(drawn(picture, Area, fill="second")) == 1


def test_the_course_alone_or_not_at_all() -> None:
    assert not drawn(chance_chart([0.5, 0.6], None, ACCURACY), Area)
    assert chance_chart([0.5], None, ACCURACY) is None
    assert chance_chart([], {"expected": [math.nan]}, ACCURACY) is None


def test_bars_with_their_spread() -> None:
    rows = [Bar("first", 0.4, 0.1), Bar("second", 0.2), Bar("third", 0.0)]
    picture = bars(rows, name="x", title="x", percents=True, first="third")
    one, two, three = drawn(picture, Rect)
    assert one.width == pytest.approx(2 * two.width) and three.width < 2
    assert one.fill == "third" and two.fill == "accent"
    span = drawn(picture, Line)[0].points
    middle = (span[0][0] + span[1][0]) / 2
    assert middle == pytest.approx(one.x + one.width)
    assert span[1][0] - middle == pytest.approx(one.width / 4)
    assert {"first", "40.0 %", "0.0 %"} <= {text.text for text in drawn(picture, Text)}
    assert bars([], name="x", title="x", percents=True) is None


def test_scales() -> None:
    assert Scale("latency").at(0.002) == 2 and Scale("latency").title == "latency an example (ms)"
    assert Scale("accuracy").percents and not Scale("log_loss").percents
    wide = scale("parameters", [1e3, 1e6], maximise=False, log=True)
    assert wide.log and wide.at(1e4) == 4
    assert wide.marks(3, 6, 4) == {3: "1 k", 4: "10 k", 5: "100 k", 6: "1 M"}
    narrow = scale("parameters", [1e3, 2e3], maximise=False, log=True)
    assert not narrow.log and narrow.marks(1000, 2000, 3) == {
        1000: "1 k",
        1500: "1.5 k",
        2000: "2 k",
    }
    assert not scale("parameters", [0.0, 1e6], maximise=False, log=True).log
    seconds = Scale("latency", log=True)
    assert seconds.marks(math.log10(0.001), math.log10(0.1), 3) == {-3: "1", -2: "10", -1: "100"}
