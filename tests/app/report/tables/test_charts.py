"""Pictures of a table's model: every number is where it belongs, and nothing is drawn outside."""

from typing import Any

import pytest

from metawright.app.report.drawing import Area, Dot, Line, Picture, Rect, Text, svg
from metawright.app.report.pictures import NARROW
from metawright.app.report.tables.charts import reliability_chart, residual_chart, worth_chart
from metawright.app.report.tables.dependence import dependence_chart
from metawright.app.report.tables.facts import score_shown, size_shown

WORTHS = [
    {"column": "size", "rise": 0.4, "low": 0.3, "high": 0.5},
    {"column": "<b>city</b>", "rise": 0.1, "low": -0.05, "high": 0.25},
    {"column": "a very long name of a column that cannot be shown", "rise": -0.02, "low": -0.1,
     "high": 0.06},
]  # fmt: skip
RESIDUALS = {
    "prediction": (0.0, 10.0),
    "error": (-2.0, 2.0),
    "counts": [[0, 1], [9, 0], [0, 4]],
}


def inside(picture: Picture) -> bool:
    """Whether all shapes but texts lie on the picture."""
    points: list[tuple[float, float]] = []
    for shape in picture.shapes:
        if isinstance(shape, Line | Area):
            points += shape.points
        elif isinstance(shape, Rect):
            points += [(shape.x, shape.y), (shape.x + shape.width, shape.y + shape.height)]
        elif isinstance(shape, Dot):
            points.append((shape.x, shape.y))
    return all(-1 <= x <= picture.width + 1 and -1 <= y <= picture.height + 1 for x, y in points)


def texts(picture: Picture) -> list[str]:
    return [shape.text for shape in picture.shapes if isinstance(shape, Text)]


@pytest.mark.parametrize("width", [680.0, NARROW])
def test_worths_are_bars_from_nought(width: float) -> None:
    picture = worth_chart(WORTHS, "loss of R²", width=width)
    assert picture is not None and inside(picture)
    bars = [shape for shape in picture.shapes if isinstance(shape, Rect)]
    assert [bar.fill for bar in bars] == ["accent", "muted", "muted"], (
        "pale where it may be chance"
    )
    assert bars[0].width == pytest.approx(4 * bars[1].width)
    assert bars[2].x + bars[2].width == pytest.approx(bars[0].x), "a loss goes to the left"
    assert "<b>" not in svg(picture) and worth_chart([], "x") is None
    unknown = [{"column": "a", "rise": 0.0, "low": 0.0, "high": 0.0}]
    assert worth_chart(unknown, "x") is not None


def shape(column: str, at: list[Any], outputs: int, kind: str = "number") -> dict[str, Any]:
    rows = [[0.1 + 0.05 * i + 0.01 * k for k in range(outputs)] for i in range(len(at))]
    return {"column": column, "kind": kind, "at": at, "answers": rows, "low": rows, "high": rows}


@pytest.mark.parametrize("width", [920.0, NARROW])
@pytest.mark.parametrize("classes", [[], ["no", "yes"], [f"class {i}" for i in range(7)]])
def test_every_column_has_its_panel(width: float, classes: list[str]) -> None:
    outputs = max(len(classes), 1)
    columns = [
        shape("size", [1.0, 2.0, 4.0], outputs),
        shape("city", ["Bonn", "Köln", "Ulm"], outputs, "category"),
        shape("day", [1.7e9, 1.71e9, 1.72e9], outputs, "date"),
        shape("long", [f"a long level {i}" for i in range(9)], outputs, "category"),
    ]
    picture = dependence_chart(columns, classes, "price", width=width)
    assert picture is not None and inside(picture)
    told = texts(picture)
    assert {"size", "city", "day", "long", "2023-11-14", "2024-07-03"} <= set(told)
    lines = [s for s in picture.shapes if isinstance(s, Line) and s.width == 2.2]
    shown = 1 if len(classes) < 3 else 4
    assert len(lines) == 2 * shown, "a line a class for numbers and dates, dots for names"
    assert any(isinstance(s, Area) for s in picture.shapes) is (shown == 1)
    assert sum(name in told for name in classes) == (4 if shown == 4 else 0)
    assert dependence_chart([], classes, "price") is None


def test_reliability_lies_by_its_numbers() -> None:
    steps = [
        {"said": 0.25, "true": 0.5, "low": 0.4, "high": 0.6, "rows": 80},
        {"said": 0.75, "true": 0.5, "low": 0.4, "high": 0.6, "rows": 80},
    ]
    picture = reliability_chart(steps, "probability of yes")
    assert picture is not None and inside(picture)
    first, last = (s for s in picture.shapes if isinstance(s, Dot) and s.note)
    assert first.y == last.y and first.x < last.x and "of 80 rows" in first.note
    assert reliability_chart([], "x") is None


@pytest.mark.parametrize("width", [920.0, NARROW])
def test_residuals_are_darker_where_more_rows_are(width: float) -> None:
    picture = residual_chart(RESIDUALS, (-1.0, 1.5), width=width)
    assert picture is not None and inside(picture)
    cells = {s.note: s for s in picture.shapes if isinstance(s, Rect)}
    assert set(cells) == {"1 row", "9 rows", "4 rows"}
    assert cells["9 rows"].opacity > cells["4 rows"].opacity > cells["1 row"].opacity
    assert cells["4 rows"].y < cells["9 rows"].y < cells["1 row"].y, "large errors are above"
    dashed = [s for s in picture.shapes if isinstance(s, Line) and s.dashed]
    assert len(dashed) == 2
    assert residual_chart({**RESIDUALS, "counts": [[0]]}, (0, 0)) is None


def test_numbers_have_their_units() -> None:
    assert score_shown("accuracy", 0.5) == "50.0 %" and score_shown("r2", -1e-16) == "0"
    assert size_shown(12) == "12 B" and size_shown(2.5e6) == "2.50 MB"
