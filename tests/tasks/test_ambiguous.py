"""Waves, lines and shapes against what they are said to be, and how ambiguous they are."""

import math

import pytest
import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.ambiguous import ATTRIBUTES, AmbiguousShapes, SinusoidOrLine, draw_shapes
from metawright.tasks.task import Split


def _fitted(x: Tensor, y: Tensor, *columns: Tensor) -> tuple[list[float], float]:
    """Weights and largest residual of the best fit by these columns."""
    basis = torch.cat(columns, 1).double()
    weights = torch.linalg.lstsq(basis, y.double()).solution
    return weights[:, 0].tolist(), float((basis @ weights - y).abs().max())


def test_waves_and_lines_of_the_papers_ranges() -> None:
    source = SinusoidOrLine(shots=5, queries=20, noise=0)
    waves, lines = [], []
    for seed in range(300):
        task = source.draw(Split.TRAIN, stream(seed))
        x = torch.cat([task.support.x, task.query.x])
        y = torch.cat([task.support.labels, task.query.labels])
        assert -5 <= float(x.min()) <= float(x.max()) <= 5
        (sine, cosine), wavy = _fitted(x, y, torch.sin(x), -torch.cos(x))
        line, straight = _fitted(x, y, x, torch.ones_like(x))
        assert min(wavy, straight) < 1e-4
        if wavy < straight:
            waves.append((math.hypot(sine, cosine), math.atan2(cosine, sine)))
        else:
            lines.append(line)
    assert 110 < len(waves) < 190
    for values, low, high in (
        ([a for a, _ in waves], 0.1, 5.0),
        ([p for _, p in waves], 0.0, math.pi),
        ([s for s, _ in lines], -3.0, 3.0),
        ([b for _, b in lines], -3.0, 3.0),
    ):
        reach = 0.1 * (high - low)
        assert low - 1e-3 <= min(values) < low + reach
        assert high - reach < max(values) <= high + 1e-3


def test_noise_is_on_all_answers() -> None:
    clean = SinusoidOrLine(shots=500, queries=500, noise=0).draw(Split.TRAIN, stream(0))
    noisy = SinusoidOrLine(shots=500, queries=500).draw(Split.TRAIN, stream(0))
    for one, other in ((clean.support, noisy.support), (clean.query, noisy.query)):
        assert torch.equal(one.x, other.x)
        assert 0.27 < float((other.labels - one.labels).std()) < 0.33


def _rendered(side: int = 28, **values: int) -> Tensor:
    """One shape with these values, all others the second."""
    row = torch.tensor([[values.get(name, 1) for name in ATTRIBUTES]])
    return draw_shapes(row, side, stream(0))[0, 0]


def test_every_attribute_is_seen() -> None:
    ticks = (torch.arange(28) + 0.5) / 28
    ink = [_rendered(tone=v, stroke=3) for v in range(4)]
    assert [round(float(i.max()), 1) for i in ink] == sorted(
        {round(float(i.max()), 1) for i in ink}
    )
    across = [
        float((_rendered(column=v).sum(0) * ticks).sum() / _rendered(column=v).sum())
        for v in range(4)
    ]
    down = [
        float((_rendered(row=v).sum(1) * ticks).sum() / _rendered(row=v).sum()) for v in range(4)
    ]
    wide = [int((_rendered(size=v).amax(0) > 0).sum()) for v in range(4)]
    amount = [float(_rendered(stroke=v).sum()) for v in range(4)]
    for values in (across, down, wide, amount):
        assert values == sorted(values) and len(set(values)) == 4
    shapes = [_rendered(shape=v) for v in range(4)]
    for first in range(4):
        for second in range(first):
            alike = torch.cosine_similarity(shapes[first].flatten(), shapes[second].flatten(), 0)
            assert float(alike) < 0.95
    square = _rendered(56, shape=1, size=2)
    box = (square > 0).nonzero()
    assert (box.amax(0) - box.amin(0)).float().std() < 1


def _recovered(images: Tensor) -> Tensor:
    """The tone of each image, by its brightest pixel: places in the attribute's row."""
    levels = torch.tensor([0.3, 0.5, 0.75, 1.0]) * 0.95
    return (images.amax((1, 2, 3))[:, None] - levels).abs().argmin(1)


@pytest.mark.parametrize("ways", [2, 3])
def test_support_agrees_in_three_attributes_and_hypotheses_contradict(ways: int) -> None:
    source = AmbiguousShapes(ways=ways, shots=6, queries=8, size=56)
    seen = 0
    for seed in range(40):
        task = source.draw_open(Split.TRAIN, stream(seed))
        names = {word for pair in task.queries for word in pair.split(" and ")}
        assert len(task.queries) == 3 and len(names) == 3
        if "tone" not in names:
            continue
        seen += 1
        mine = [
            next(v for v in words.split(", ") if v in ATTRIBUTES["tone"])
            for words in task.spec.classes
        ]
        wanted = torch.tensor([ATTRIBUTES["tone"].index(v) for v in mine])
        assert torch.equal(_recovered(task.support.x), wanted[task.support.labels])
        for pair, batch in task.queries.items():
            right = _recovered(batch.x) == wanted[batch.labels]
            assert bool(right.all()) if "tone" in pair else not bool(right.any())
            others = torch.isin(_recovered(batch.x), wanted)
            assert bool(others.all()), "the third attribute speaks for another class of the task"
    assert seen > 5


def test_splits_share_no_triple_of_attributes() -> None:
    found = {
        split: {
            frozenset(w for pair in task.queries for w in pair.split(" and "))
            for task in (AmbiguousShapes().draw_open(split, stream(s)) for s in range(60))
        }
        for split in Split
    }
    assert sum(len(triples) for triples in found.values()) == len(set().union(*found.values()))
    assert len(found[Split.TEST]) >= 4


def test_a_task_is_one_of_the_hypotheses() -> None:
    source = AmbiguousShapes(queries=3)
    task = source.draw(Split.TEST, stream(0))
    assert task.query.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert task.spec.outputs == 2 and task.spec.features == (1, 28, 28)


def test_arguments_are_checked() -> None:
    with pytest.raises(InputError, match="`shots >= 1`"):
        SinusoidOrLine(shots=0)
    with pytest.raises(InputError, match=r"`size >= 8` must hold, but got 4"):
        AmbiguousShapes(size=4)
    with pytest.raises(InputError, match=r"A task of 5 classes .* has 4: ask for at most 4 ways"):
        AmbiguousShapes(ways=5).draw(Split.TEST, stream(0))
