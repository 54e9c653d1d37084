"""Pictures of what a learner holds possible where the support leaves the answer open.

For numbers: the support, the functions that the particles became, the interval they give together,
and one answer of another learner. For images: what each particle calls the queries that tell the
hypotheses apart.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from metawright.app.report.drawing import Area, Dot, Line, Picture, Rect, Role, Shape, Text
from metawright.app.report.plot import Frame, axes, legend
from metawright.app.report.words import percent, short
from metawright.evaluate.calibration import interval
from metawright.learners.learner import Predictor
from metawright.learners.particles import Hypotheses
from metawright.tasks.task import Batch

__all__ = ["curve_hypotheses", "image_hypotheses"]

_POINTS = 121
_TILE = 34.0
_GAP = 34.0  # between the columns of two hypotheses, so that their names fit
_CLASSES: tuple[Role, ...] = ("accent", "second", "third", "bad")


def curve_hypotheses(
    support: Batch,
    several: Hypotheses,
    *,
    names: tuple[str, str],
    single: Predictor | None = None,
    query: Batch | None = None,
    span: tuple[float, float] = (-5.0, 5.0),
    level: float = 0.9,
    width: float = 680,
    height: float = 340,
) -> Picture:
    """Functions of one number that fit a support, with their interval.

    Arguments:
        support: the points that were shown, x (examples, 1) and y (examples, 1).
        several: what a learner made of them.
        names: of that learner, and of the one whose answer is `single`.
        single: one answer, drawn beside the several.
        query: points that were not shown, if they are to be drawn.
        span: ends of the x axis.
        level: of the interval, which includes the noise on an answer.

    Raises:
        ValueError: examples or answers are more than one number, or there is no noise.
    """
    if support.x[0].numel() != 1 or support.labels[0].numel() != 1 or several.noise is None:
        raise ValueError(
            "A curve needs examples and answers of one number each and a learner that knows the "
            f"noise, but got examples {tuple(support.x.shape[1:])} and answers "
            f"{tuple(support.labels.shape[1:])}."
        )
    x = torch.linspace(*span, _POINTS).to(support.x)[:, None]
    with torch.no_grad():
        lines = several.samples(x)
        low, high = interval(lines, several.noise, level=level)
        answer = None if single is None else single(x)
    shown = [low, high, support.labels, *([] if answer is None else [answer])]
    bottom, top = min(float(v.min()) for v in shown), max(float(v.max()) for v in shown)
    pad = 0.04 * (top - bottom) or 1.0
    frame = Frame(width, height, span, (bottom - pad, top + pad))

    def line(values: Tensor) -> list[tuple[float, float]]:
        return [frame.at(a, b) for a, b in zip(_numbers(x), _numbers(values), strict=True)]

    shapes = axes(frame, "x", "y")
    shapes.append(Area((*line(low), *reversed(line(high))), "accent", 0.13))
    shapes += [Line(tuple(line(values)), "accent", 1.4, opacity=0.6) for values in lines]
    if answer is not None:
        shapes.append(Line(tuple(line(answer)), "second", 2.4, dashed=True))
    if query is not None:
        shapes += _dots(frame, query, 2.6, hollow=True)
    shapes += _dots(frame, support, 4.6)
    entries: list[tuple[str, Role, bool]] = [
        (f"{names[0]}: {len(lines)} hypotheses, {percent(level, 0)} interval", "accent", True)
    ]
    entries += [(names[1], "second", True)] if answer is not None else []
    shapes += legend([*entries, ("support", "ink", False)])
    title = f"{len(lines)} hypotheses of {names[0]} for {len(support.x)} points"
    return Picture("hypotheses", title, width, height, tuple(shapes))


def image_hypotheses(
    support: Batch,
    queries: Mapping[str, Batch],
    several: Hypotheses,
    *,
    names: tuple[str, str],
    classes: Sequence[str],
    single: Predictor | None = None,
    most: int = 10,
) -> Picture:
    """A table of what each particle calls the images that tell hypotheses apart.

    Above, the support, a row a class. Below, a column for one query of each class and hypothesis,
    and a row a particle: the colour is the class it names, its strength the probability.

    Arguments:
        queries: images with the answers of each hypothesis, by its name.
        several: what a learner made of the support; `single`: one answer of another learner.
        names: of the two learners.
        classes: names in label order.
        most: largest number of particles that are drawn.
    """
    ways = len(classes)
    shapes: list[Shape] = []
    label = 150.0
    y = 8.0
    for way in range(ways):
        colour = _CLASSES[way % len(_CLASSES)]
        shapes.append(Rect(0, y + 9, 14, 14, colour, radius=3))
        shapes.append(Text(22, y + 16, short(classes[way], 38), 12, "ink"))
        own = support.x[support.labels == way][:6]
        for place, image in enumerate(own):
            shapes += _image(image, label + 90 + place * (_TILE + 4), y)
        y += _TILE + 6
    images = torch.cat([_one_a_class(batch, ways) for batch in queries.values()])
    with torch.no_grad():
        rows = several.samples(images).softmax(-1)[:most]
        alone = None if single is None else single(images).softmax(-1)
    y += 34
    for place, name in enumerate(queries):
        x = label + place * (ways * (_TILE + 4) + _GAP)
        shapes.append(Text(x, y - 14, short(name, 6 * ways + 6), 11.5, "muted"))
    left = [
        label + (column // ways) * (ways * (_TILE + 4) + _GAP) + (column % ways) * (_TILE + 4)
        for column in range(len(images))
    ]
    for column, image in enumerate(images):
        shapes += _image(image, left[column], y)
        colour = _CLASSES[column % ways % len(_CLASSES)]
        shapes.append(Rect(left[column], y + _TILE + 3, _TILE, 3, colour))
    y += _TILE + 14
    for row, probabilities in enumerate(rows):
        shapes.append(Text(0, y + 9, f"{short(names[0], 14)} {row + 1}", 12, "ink"))
        shapes += _answers(probabilities, left, y)
        y += 21
    if alone is not None:
        shapes.append(Text(0, y + 15, short(names[1], 16), 12, "ink", bold=True))
        shapes += _answers(alone, left, y + 6)
        y += 27
    width = max(left[-1] + _TILE + _GAP, label + 90 + 6 * (_TILE + 4)) + 4
    title = f"What {len(rows)} particles of {names[0]} call images of {len(queries)} hypotheses"
    return Picture("image-hypotheses", title, width, y + 8, tuple(shapes))


def _answers(probabilities: Tensor, left: Sequence[float], y: float) -> list[Shape]:
    """A cell an image: the class as a colour, the probability (from a guess to 1) its strength."""
    ways = probabilities.shape[1]
    cells: list[Shape] = []
    for x, row in zip(left, probabilities.tolist(), strict=True):
        best = max(range(ways), key=row.__getitem__)
        sure = (row[best] - 1 / ways) / (1 - 1 / ways) if ways > 1 else 1.0
        colour = _CLASSES[best % len(_CLASSES)]
        note = percent(row[best], 0)
        cells.append(Rect(x, y, _TILE, 18, colour, radius=3, opacity=0.15 + 0.8 * sure, note=note))
    return cells


def _one_a_class(batch: Batch, ways: int) -> Tensor:
    return torch.stack([batch.x[batch.labels == way][0] for way in range(ways)])


def _image(image: Tensor, x: float, y: float) -> list[Shape]:
    """An image (channels, height, width) in 0..1 as rectangles, ink dark."""
    sides = (min(image.shape[1], 17), min(image.shape[2], 17))
    grey = functional.adaptive_avg_pool2d(image.mean(0, keepdim=True), sides)[0]
    levels = (grey.clamp(0, 1) * 8).round().long().tolist()
    pixel = _TILE / max(sides)
    shapes: list[Shape] = [Rect(x, y, _TILE, _TILE, "panel")]
    for row, line in enumerate(levels):
        start = 0
        while start < len(line):
            end = start
            while end < len(line) and line[end] == line[start]:
                end += 1
            if line[start]:
                box = (x + start * pixel, y + row * pixel, (end - start) * pixel, pixel)
                shapes.append(Rect(*box, "ink", opacity=line[start] / 8))
            start = end
    return shapes


def _dots(frame: Frame, batch: Batch, radius: float, *, hollow: bool = False) -> list[Shape]:
    """Points of a batch that lie in the frame."""
    pairs = zip(_numbers(batch.x), _numbers(batch.labels), strict=True)
    inside = [
        (a, b) for a, b in pairs if frame.x[0] <= a <= frame.x[1] and frame.y[0] <= b <= frame.y[1]
    ]
    role: Role = "muted" if hollow else "ink"
    return [Dot(*frame.at(a, b), radius, role, hollow) for a, b in inside]


def _numbers(values: Tensor) -> list[float]:
    return [float(v) for v in values.flatten()]
