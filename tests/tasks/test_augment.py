"""Augmented examples: as strong as asked for, drawn from the generator, of the same form."""

import pytest
import torch

from metawright.rng import stream
from metawright.tasks.augment import augmented
from metawright.tasks.task import Kind, TaskSpec

SHAPES = {"vectors": (7,), "signals": (5, 40), "squares": (2, 12, 12), "images": (1, 8, 20)}


@pytest.mark.parametrize("name", SHAPES)
def test_stronger_is_further_away(name: str) -> None:
    shape = SHAPES[name]
    spec = TaskSpec(Kind.CLASSIFICATION, shape, 2)
    # Smooth, so that what moves further changes more.
    x = torch.linspace(0, 3, shape[-1]).sin().expand(64, *shape).clone()
    x *= torch.linspace(0.5, 1, 64).view(64, *(1,) * len(shape))
    assert augmented(x, spec, 0.0, stream(0)) is x
    away = []
    for strength in (0.2, 1.0):
        changed = augmented(x, spec, strength, stream(0))
        assert changed.shape == x.shape and changed.dtype == x.dtype
        assert torch.equal(changed, augmented(x, spec, strength, stream(0)))
        away.append(float((changed - x).square().mean()))
    assert 0 < away[0] < away[1]


def test_texts_lose_tokens_and_gain_none() -> None:
    spec = TaskSpec(Kind.CLASSIFICATION, (50,), 2, vocabulary=9)
    x = torch.randint(1, 9, (40, 50), generator=stream(0))
    changed = augmented(x, spec, 1.0, stream(1))
    lost = changed != x
    assert (changed[lost] == 0).all()
    assert 0.15 < float(lost.double().mean()) < 0.25


def test_a_moved_signal_is_the_same_one() -> None:
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 6, 20), 2)
    x = torch.rand(10, 1, 6, 20, generator=stream(0))
    changed = augmented(x, spec, 1.0, stream(1))
    for before, after in zip(x, changed, strict=True):
        assert any(torch.equal(before.roll(move, -1), after) for move in range(-2, 3))
