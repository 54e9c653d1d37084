"""Pictures of hypotheses put every line and every colour where it belongs."""

import math
import xml.etree.ElementTree as ElementTree

import pytest
import torch
from torch import Tensor

from metawright.app.report.drawing import Area, Dot, Line, Picture, Rect, Text, svg
from metawright.app.report.hypotheses import curve_hypotheses, image_hypotheses
from metawright.app.report.png import png
from metawright.learners.particles import Hypotheses
from metawright.params import Params
from metawright.rng import stream
from metawright.tasks.ambiguous import AmbiguousShapes
from metawright.tasks.task import Batch, Split

SUPPORT = Batch(torch.tensor([[-1.0], [1.0]]), torch.tensor([[0.0], [0.0]]))


def _flat(levels: list[float], noise: float = 0.5) -> Hypotheses:
    """Each particle holds a constant."""

    def forward(params: Params, x: Tensor) -> Tensor:
        return params["level"][:, :, None, None] + 0 * x[:, None]

    levels_ = torch.tensor(levels)
    return Hypotheses(forward, {"level": levels_}, SUPPORT, torch.full((len(levels),), noise))


def _lines(picture: Picture, stroke: str) -> list[Line]:
    found = [s for s in picture.shapes if isinstance(s, Line) and s.stroke == stroke]
    return [line for line in found if len(line.points) > 2]


def test_curves_band_and_single_answer() -> None:
    query = Batch(torch.tensor([[0.0], [9.0]]), torch.tensor([[1.0], [1.0]]))
    picture = curve_hypotheses(
        SUPPORT,
        _flat([-2.0, 2.0]),
        names=("PLATIPUS", "MAML"),
        single=lambda x: 0 * x,
        query=query,
    )
    low, high = (line.points[0][1] for line in _lines(picture, "accent"))
    (answer,) = _lines(picture, "second")
    assert answer.dashed and high < answer.points[0][1] < low  # y grows downwards
    (band,) = [s for s in picture.shapes if isinstance(s, Area)]
    pixel = (low - high) / 4
    reach = 1.2815515 * 0.5  # with two far peaks a tenth of one of them is beyond the interval
    ends = [y for _, y in band.points]
    assert min(ends) == pytest.approx(high - reach * pixel, abs=0.2)
    assert max(ends) == pytest.approx(low + reach * pixel, abs=0.2)
    dots = [s for s in picture.shapes if isinstance(s, Dot)]
    assert sum(d.hollow for d in dots) == 1, "a query outside of the span is left out"
    names = " ".join(s.text for s in picture.shapes if isinstance(s, Text))
    assert "PLATIPUS: 2 hypotheses, 90 % interval" in names and "MAML" in names


def test_images_show_who_holds_what() -> None:
    task = AmbiguousShapes().draw_open(Split.TEST, stream(0))

    def forward(params: Params, x: Tensor) -> Tensor:
        right = params["sign"][:, :, None] * torch.ones_like(x[:, None, :, 0, 0, 0])
        return torch.stack([right, -right], -1)

    several = Hypotheses(forward, {"sign": torch.tensor([9.0, -9.0, 0.0])}, task.support)
    picture = image_hypotheses(
        task.support,
        task.queries,
        several,
        names=("PLATIPUS", "MAML"),
        classes=task.spec.classes,
        single=lambda x: torch.tensor([[5.0, 0.0]]).expand(len(x), 2),
    )
    cells = [s for s in picture.shapes if isinstance(s, Rect) and s.note]
    rows = [[c for c in cells if c.y == y] for y in sorted({c.y for c in cells})]
    assert [len(row) for row in rows] == [6, 6, 6, 6]
    assert {c.fill for c in rows[0]} == {"accent"} and {c.fill for c in rows[1]} == {"second"}
    assert rows[0][0].opacity > 0.9 > rows[2][0].opacity == pytest.approx(0.15)
    assert rows[2][0].note == "50 %"
    texts = [s.text for s in picture.shapes if isinstance(s, Text)]
    assert all(name in texts for name in task.queries)
    assert all(
        0 <= s.x and s.x + s.width <= picture.width and s.y + s.height <= picture.height
        for s in picture.shapes
        if isinstance(s, Rect)
    )


def test_both_are_svg_and_png() -> None:
    picture = curve_hypotheses(SUPPORT, _flat([0.0, 1.0]), names=("one", "other"))
    assert ElementTree.fromstring(svg(picture)).tag == "svg"
    assert png(picture).startswith(b"\x89PNG")
    assert not math.isnan(picture.height)


def test_refuses_what_is_no_curve() -> None:
    several = _flat([0.0, 1.0])
    wide = Batch(torch.zeros(2, 2), torch.zeros(2, 1))
    with pytest.raises(ValueError, match=r"one number each .* got examples \(2,\)"):
        curve_hypotheses(wide, several, names=("one", "other"))
