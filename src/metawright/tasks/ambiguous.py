"""Tasks whose support leaves the answer open: a few points of a wave or a line, and shapes that
could have been named for any two of three attributes.

A learner with one answer must guess; one with several hypotheses can hold all that fit.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.classes import split_classes
from metawright.tasks.episode import Episode
from metawright.tasks.imbalance import Imbalance, Shots
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec

__all__ = [
    "ATTRIBUTES",
    "AmbiguousShapes",
    "OpenTask",
    "SinusoidOrLine",
    "draw_shapes",
]


class SinusoidOrLine:
    r"""Tasks of fitting a few noisy points that lie on a sine wave or on a line.

    Half of the tasks are waves $y = a \sin(x - p)$ with $a$ uniform in [0.1, 5] and $p$ in
    [0, pi], half are lines with slope and intercept uniform in [-3, 3]; $x$ is uniform in [-5, 5].
    The functions are drawn from a continuum, so the splits differ by their draws.

    Arguments:
        shots: support points of a task.
        queries: query points of a task.
        noise: standard deviation of the noise on all answers, the queries' too.

    References:
        Probabilistic Model-Agnostic Meta-Learning, Finn, Xu and Levine, 2018,
        https://arxiv.org/abs/1806.02817 (section 5)
    """

    name = "sinusoid-or-line"

    def __init__(self, *, shots: int = 5, queries: int = 10, noise: float = 0.3) -> None:
        if shots < 1 or queries < 0 or noise < 0:
            raise InputError(
                "`shots >= 1`, `queries >= 0` and `noise >= 0` must hold, but got "
                f"(shots={shots}, queries={queries}, noise={noise})."
            )
        self.shots, self.queries, self.noise = shots, queries, noise

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One wave or line: x (points, 1) and y (points, 1) float32."""
        kind, first, second = torch.rand(3, generator=rng).tolist()
        points = self.shots + self.queries
        x = 10 * torch.rand(points, 1, generator=rng) - 5
        if kind < 0.5:
            y = (0.1 + 4.9 * first) * torch.sin(x - math.pi * second)
        else:
            y = (6 * first - 3) * x + 6 * second - 3
        y = y + self.noise * torch.randn(points, 1, generator=rng)
        cut = self.shots
        spec = TaskSpec(Kind.REGRESSION, (1,), 1, source=self.name)
        return Task(Batch(x[:cut], y[:cut]), Batch(x[cut:], y[cut:]), spec)


ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "shape": ("circle", "square", "diamond", "triangle"),
    "size": ("tiny", "small", "medium", "large"),
    "column": ("far left", "left", "right", "far right"),
    "row": ("top", "upper", "lower", "bottom"),
    "stroke": ("thin", "fine", "bold", "thick"),
    "tone": ("faint", "pale", "strong", "full"),
}
"""What can be seen in a shape, and the values of each attribute."""

_NAMES = tuple(ATTRIBUTES)
_VALUES = 4
_RADII = torch.tensor([0.12, 0.17, 0.22, 0.28])
_PLACES = torch.tensor([0.32, 0.44, 0.56, 0.68])
_STROKES = torch.tensor([0.055, 0.08, 0.105, 0.13])
_TONES = torch.tensor([0.3, 0.5, 0.75, 1.0])
_TRIPLES = tuple(combinations(range(len(_NAMES)), 3))


class OpenTask(NamedTuple):
    """A support and what it may have meant.

    `queries`: what each hypothesis ("shape and tone") makes of new examples. Under a hypothesis
    the third attribute speaks for another class, so that hypotheses contradict each other.
    """

    support: Batch
    queries: Mapping[str, Batch]
    spec: TaskSpec


class AmbiguousShapes:
    """Drawn outlines that differ in three attributes at once, where only two of them count.

    All support examples of a class agree in three attributes (say circle, tiny, pale) and differ
    at random in the other three. The queries of a task are named by two of these, drawn at random;
    the third has the value of another class. This is the ambiguous CelebA task of the paper with
    drawings in place of faces: there two classes have and lack three attributes. Triples of
    attributes are split, as the paper splits combinations of attributes.

    Arguments:
        ways, shots, queries, balanced: see `Episode`; at most 4 ways.
        size: side of the images in pixels.

    References:
        Probabilistic Model-Agnostic Meta-Learning, Finn, Xu and Levine, 2018,
        https://arxiv.org/abs/1806.02817 (section 5)
    """

    name = "ambiguous-shapes"

    def __init__(
        self,
        *,
        ways: int | tuple[int, int] = 2,
        shots: Shots = 5,
        queries: int = 10,
        balanced: bool = True,
        size: int = 28,
    ) -> None:
        self.episode = Episode(ways, shots, queries, balanced)
        if size < 8:
            raise InputError(f"`size >= 8` must hold, but got {size}.")
        self.size = size
        draws = stream(0, self.name, "split")
        self.triples = split_classes(len(_TRIPLES), draws, validation=0.15, test=0.25)

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task, whose queries are named by one pair of attributes that the support allows."""
        found = self._draw(split, rng, [int(torch.randint(3, (), generator=rng))])
        return Task(found.support, next(iter(found.queries.values())), found.spec)

    def draw_open(self, split: Split, rng: torch.Generator) -> OpenTask:
        """One support with the queries of all three hypotheses."""
        return self._draw(split, rng, [0, 1, 2])

    def _draw(self, split: Split, rng: torch.Generator, left_out: Sequence[int]) -> OpenTask:
        triples = self.triples[split]
        triple = _TRIPLES[int(triples[int(torch.randint(len(triples), (), generator=rng))])]
        ways = _between(self._ways(split), rng)
        # Classes of a task differ in every attribute of the triple: values[attribute, class].
        values = torch.stack([torch.randperm(_VALUES, generator=rng) for _ in triple])
        counts, queries_each = self._counts(ways, rng)
        labels = torch.arange(ways).repeat_interleave(torch.tensor(counts))
        support = Batch(self._images(labels, triple, values, None, rng), labels)
        asked = torch.arange(ways).repeat_interleave(queries_each)
        queries = {}
        for third in left_out:
            pair = [_NAMES[member] for place, member in enumerate(triple) if place != third]
            images = self._images(asked, triple, values, third, rng)
            queries[" and ".join(pair)] = Batch(images, asked.clone())
        names = tuple(
            ", ".join(
                ATTRIBUTES[_NAMES[member]][int(values[place, way])]
                for place, member in enumerate(triple)
            )
            for way in range(ways)
        )
        features = (1, self.size, self.size)
        spec = TaskSpec(Kind.CLASSIFICATION, features, ways, names, source=self.name)
        return OpenTask(support, queries, spec)

    def _ways(self, split: Split) -> tuple[int, int]:
        low, high = _ends(self.episode.ways)
        if low > _VALUES:
            raise InputError(
                f"A task of {low} classes was asked for, but the {split} part of '{self.name}' "
                f"has {_VALUES}: ask for at most {_VALUES} ways."
            )
        return low, min(high, _VALUES)

    def _counts(self, ways: int, rng: torch.Generator) -> tuple[list[int], int]:
        """Shots of each class, and queries of every class."""
        shots, queries = self.episode.shots, self.episode.queries
        if isinstance(shots, Imbalance):
            # Drawings never run out: all classes count as equally large.
            return shots.draw([shots.per_class + queries] * ways, queries, rng)
        counts = [_between(_ends(shots), rng) for _ in range(ways)]
        return (counts[:1] * ways if self.episode.balanced else counts), queries

    def _images(
        self,
        labels: Tensor,
        triple: Sequence[int],
        values: Tensor,
        third: int | None,
        rng: torch.Generator,
    ) -> Tensor:
        """Images of these classes; the attribute `third` of the triple is that of another."""
        chosen = torch.randint(_VALUES, (len(labels), len(_NAMES)), generator=rng)
        ways = max(int(labels.max()) + 1, 2) if len(labels) else 2
        for place, member in enumerate(triple):
            classes = labels
            if place == third:
                step = torch.randint(1, ways, (len(labels),), generator=rng)
                classes = (labels + step) % ways
            chosen[:, member] = values[place, classes]
        return draw_shapes(chosen, self.size, rng)


def draw_shapes(values: Tensor, size: int, rng: torch.Generator) -> Tensor:
    """Outlines with these attributes, a little moved and resized, (examples, 1, size, size) in
    0..1.

    Arguments:
        values: (examples, 6) places in the rows of `ATTRIBUTES`.
    """
    jitter = 2 * torch.rand(len(values), 4, generator=rng) - 1
    shape, radius, column, row, stroke, tone = values.T
    radii = _RADII[radius] * (1 + 0.05 * jitter[:, 0])
    centres = torch.stack([_PLACES[column], _PLACES[row]], 1) + 0.02 * jitter[:, 1:3]
    ticks = (torch.arange(size) + 0.5) / size
    x = ticks[None, None, :] - centres[:, 0, None, None]
    y = ticks[None, :, None] - centres[:, 1, None, None]
    distance = _distance(shape, x, y, radii[:, None, None])
    # Half a pixel on each side of the edge is grey.
    half = _STROKES[stroke][:, None, None] / 2
    ink = ((half - distance.abs()) * size + 0.5).clamp(0, 1)
    shade = (_TONES[tone] * (1 - 0.05 * (jitter[:, 3] + 1)))[:, None, None]
    return (ink * shade)[:, None]


def _distance(shape: Tensor, x: Tensor, y: Tensor, radius: Tensor) -> Tensor:
    """How far each pixel is outside of the outline; negative inside."""
    circle = torch.hypot(x, y) - radius
    square = torch.maximum(x.abs(), y.abs()) - 0.85 * radius
    diamond = (x.abs() + y.abs()) / math.sqrt(2) - 0.85 * radius
    slope = math.sqrt(3) / 2 * x.abs() - 0.5 * y
    triangle = torch.maximum(slope, y) - 0.6 * radius
    every = torch.stack([circle, square, diamond, triangle])
    return every[shape, torch.arange(len(shape))]


def _ends(value: int | tuple[int, int]) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _between(ends: tuple[int, int], rng: torch.Generator) -> int:
    return int(torch.randint(ends[0], ends[1] + 1, (), generator=rng))
