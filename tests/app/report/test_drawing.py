"""A picture is drawn twice from the same shapes: as valid SVG and as PNG."""

from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from metawright.app.report.drawing import Area, Dot, Line, Picture, Rect, Text, svg
from metawright.app.report.png import png

PICTURE = Picture(
    "all",
    'every shape, "quoted" & <marked>',
    120,
    80,
    (
        Rect(10, 10, 40, 20, "accent", "line", 4, 0.5, note="a <b> & 'c'"),
        Rect(60, 10, 20, 20, "bad"),
        Line(((0, 40), (120, 40)), "ink", 2, dashed=True),
        Area(((90, 10), (110, 10), (100, 30)), "third"),
        Dot(20, 60, 5, "second"),
        Dot(40, 60, 5, "second", hollow=True),
        Text(
            60, 60, "<script>alert(1)</script>$x^2$", 10, "muted", "middle", bold=True, angle=-45
        ),
    ),
)


def test_svg_is_valid_and_escaped() -> None:
    root = ElementTree.fromstring(svg(PICTURE))
    assert root.attrib["viewBox"] == "0 0 120 80"
    assert root.attrib["aria-label"] == PICTURE.title
    assert [child.tag for child in root] == [
        "rect", "rect", "polyline", "polygon", "circle", "circle", "text",
    ]  # fmt: skip
    assert root[0][0].text == "a <b> & 'c'"
    assert root[-1].text == "<script>alert(1)</script>$x^2$" and len(root[-1]) == 0
    assert root[-1].attrib["transform"] == "rotate(-45 60 60)"
    assert root[0].attrib["class"] == "f-accent s-line" and root[0].attrib["opacity"] == "0.5"


@pytest.mark.parametrize(
    ("place", "colour"),
    [((70, 20), "#c23a2b"), ((100, 15), "#0d8265"), ((20, 60), "#c8660a"), ((40, 60), "#ffffff")],
)
def test_png_has_the_colours_where_they_belong(place: tuple[int, int], colour: str) -> None:
    image = Image.open(BytesIO(png(PICTURE, scale=2))).convert("RGB")
    assert image.size == (240, 160)
    found = image.getpixel((2 * place[0], 2 * place[1]))
    assert isinstance(found, tuple)
    assert "#" + bytes(found).hex() == colour


def test_png_of_a_script_that_the_font_lacks() -> None:
    picture = Picture("x", "x", 50, 20, (Text(0, 10, "漢字 \u1200"),))
    assert Image.open(BytesIO(png(picture))).size == (100, 40)


def test_moved() -> None:
    moved = Picture("m", "m", 130, 85, PICTURE.moved(10, 5))
    still = np.asarray(Image.open(BytesIO(png(PICTURE, scale=1))).convert("L"))[5:30, 5:60]
    found = np.asarray(Image.open(BytesIO(png(moved, scale=1))).convert("L"))[10:35, 15:70]
    np.testing.assert_array_equal(found, still)
