"""Which classes are taken for which: a heat map, or for many classes the worst pairs."""

from collections.abc import Sequence
from typing import NamedTuple

from metawright.app.report.drawing import Picture, Rect, Shape, Text
from metawright.app.report.words import percent, short

__all__ = ["MOST_CLASSES", "Pair", "confusion", "worst_pairs"]

MOST_CLASSES = 25
"""Beyond so many a matrix cannot be read any more."""

Counts = Sequence[Sequence[float]]


class Pair(NamedTuple):
    """`examples` of class `truth`, out of `total`, were taken for class `taken`."""

    truth: str
    taken: str
    examples: float
    total: float


def worst_pairs(counts: Counts, classes: Sequence[str], most: int = 12) -> list[Pair]:
    """The most frequent mistakes, the worst first."""
    pairs = [
        Pair(classes[row], classes[column], count, sum(line))
        for row, line in enumerate(counts)
        for column, count in enumerate(line)
        if row != column and count > 0
    ]
    return sorted(pairs, key=lambda pair: (-pair.examples, pair.truth, pair.taken))[:most]


def confusion(counts: Counts, classes: Sequence[str], *, name: str = "confusion") -> Picture:
    """Rows are true classes, columns predicted ones."""
    if len(classes) > MOST_CLASSES:
        return _bars(counts, classes, name)
    return _matrix(counts, classes, name)


def _matrix(counts: Counts, classes: Sequence[str], name: str) -> Picture:
    labels = [short(label, 16) for label in classes]
    longest = max(len(label) for label in labels)
    cell = 34.0 if len(classes) <= 12 else 26.0
    left = longest * 7.0 + 34
    slanted = longest > 3
    top = (longest * 5.2 if slanted else 14) + 32
    side = cell * len(classes)
    shapes: list[Shape] = [
        Text(left + side / 2, 9, "predicted", 12, "muted", "middle"),
        Text(9, top + side / 2, "true", 12, "muted", "middle", angle=-90),
    ]
    for index, label in enumerate(labels):
        middle = (index + 0.5) * cell
        shapes.append(Text(left - 8, top + middle, label, 12, "ink", "end"))
        x, y = left + middle, top - 10
        anchor = "start" if slanted else "middle"
        shapes.append(Text(x, y, label, 12, "ink", anchor, angle=-45 if slanted else 0))  # type: ignore[arg-type]
    for row, line in enumerate(counts):
        total = sum(line) or 1
        for column, count in enumerate(line):
            note = f"{classes[row]} predicted as {classes[column]}: {count:g} of {total:g}"
            shapes += _cell(left + column * cell, top + row * cell, cell, count / total, count,
                            right=row == column, note=note)  # fmt: skip
    overhang = longest * 5.8 if slanted else 0
    title = f"Confusion matrix of {len(classes)} classes"
    return Picture(
        name, title, left + side + max(overhang - cell / 2, 4), top + side + 4, tuple(shapes)
    )


def _cell(
    x: float, y: float, size: float, share: float, count: float, *, right: bool, note: str
) -> list[Shape]:
    shapes: list[Shape] = [Rect(x + 1, y + 1, size - 2, size - 2, "panel", radius=3, note=note)]
    if count:
        # Few mistakes must show beside many hits: their colour is another, and stronger.
        depth = 0.12 + 0.88 * share if right else 0.2 + 0.8 * share**0.5
        colour = "accent" if right else "bad"
        box = (x + 1, y + 1, size - 2, size - 2)
        shapes.append(Rect(*box, colour, radius=3, opacity=depth, note=note))  # type: ignore[arg-type]
        ink = "ground" if depth > 0.7 else "ink"
        text = f"{count:g}"
        letters = 12.5 if len(text) < 4 else 10
        middle = (x + size / 2, y + size / 2)
        shapes.append(Text(*middle, text, letters, ink, "middle", right))  # type: ignore[arg-type]
    return shapes


def _bars(counts: Counts, classes: Sequence[str], name: str) -> Picture:
    pairs = worst_pairs(counts, classes, 20)
    width, step, label = 640.0, 26.0, 300.0
    most = max((pair.examples for pair in pairs), default=1)
    shapes: list[Shape] = []
    for index, pair in enumerate(pairs):
        y = 16 + step * index
        words = f"{short(pair.truth, 18)} → {short(pair.taken, 18)}"
        length = (width - label - 110) * pair.examples / most
        shapes.append(Text(label - 12, y, words, 12.5, "ink", "end"))
        shapes.append(Rect(label, y - 8, max(length, 2), 16, "bad", radius=3, opacity=0.75))
        told = f"{pair.examples:g} of {pair.total:g} ({percent(pair.examples / pair.total, 0)})"
        shapes.append(Text(label + length + 8, y, told, 11.5, "muted"))
    if not pairs:
        shapes.append(Text(width / 2, 16, "no mistakes", 13, "muted", "middle"))
    title = f"The most frequent mistakes among {len(classes)} classes"
    return Picture(name, title, width, 8 + step * max(len(pairs), 1), tuple(shapes))
