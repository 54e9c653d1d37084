"""The confusion matrix, and the list of the worst pairs where there are too many classes."""

from metawright.app.report.confusion import Pair, confusion, worst_pairs
from metawright.app.report.drawing import Rect, Text

COUNTS = [[5, 2, 0], [0, 4, 1], [2, 0, 6]]
CLASSES = ("a", "b", "c")


def test_worst_pairs() -> None:
    assert worst_pairs(COUNTS, CLASSES) == [
        Pair("a", "b", 2, 7),
        Pair("c", "a", 2, 8),
        Pair("b", "c", 1, 5),
    ]
    assert worst_pairs(COUNTS, CLASSES, 1) == [Pair("a", "b", 2, 7)]
    assert worst_pairs([[3, 0], [0, 3]], CLASSES) == []


def test_rows_are_true_and_columns_predicted() -> None:
    picture = confusion(COUNTS, CLASSES)
    cells = {
        box.note: box for box in picture.shapes if isinstance(box, Rect) and box.fill != "panel"
    }
    assert len(cells) == 6, "empty cells have no colour"
    hit, miss = cells["a predicted as a: 5 of 7"], cells["a predicted as b: 2 of 7"]
    assert hit.fill == "accent" and miss.fill == "bad"
    assert hit.y == miss.y and hit.x < miss.x
    assert cells["c predicted as a: 2 of 8"].y > hit.y
    assert cells["c predicted as c: 6 of 8"].opacity > hit.opacity


def test_a_class_without_examples() -> None:
    picture = confusion([[0, 0], [1, 1]], ("a", "b"))
    assert any("0 of 1" in box.note for box in picture.shapes if isinstance(box, Rect))


def test_many_classes_become_a_list() -> None:
    names = [f"class {index}" for index in range(40)]
    counts = [[0] * 40 for _ in range(40)]
    counts[3][7], counts[5][6] = 2, 9
    texts = [s.text for s in confusion(counts, names).shapes if isinstance(s, Text)]
    assert texts[0] == "class 5 → class 6" and "class 3 → class 7" in texts
    right = [[int(row == column) for column in range(40)] for row in range(40)]
    assert [s.text for s in confusion(right, names).shapes if isinstance(s, Text)] == [
        "no mistakes"
    ]
