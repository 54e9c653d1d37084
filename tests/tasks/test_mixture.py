"""Shares of a mixture, with sources that only say who they are, and images of one form."""

from collections import Counter
from pathlib import Path

import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.imbalance import META_DATASET
from metawright.tasks.mixture import Mixture
from metawright.tasks.mnist import MNIST
from metawright.tasks.photos import CIFAR10, TrafficSigns
from metawright.tasks.resize import resized
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec


class _Named:
    """A source whose tasks carry its name and the split they were asked for."""

    def __init__(self, name: str) -> None:
        self.name = name

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        batch = Batch(torch.rand(1, 2, generator=rng), torch.tensor([0]))
        return Task(
            batch, batch, TaskSpec(Kind.CLASSIFICATION, (2,), 1, source=f"{self.name} {split}")
        )


def _shares(mixture: Mixture, draws: int = 600) -> Counter[str]:
    rng = stream(0)
    return Counter(mixture.draw(Split.TEST, rng).spec.source for _ in range(draws))


def test_shares_are_the_weights() -> None:
    sources = [_Named("a"), _Named("b"), _Named("c")]
    counts = _shares(Mixture(sources, weights=[6, 2, 0]))
    assert set(counts) == {"a test", "b test"}
    assert abs(counts["a test"] / 600 - 0.75) < 0.06  # more than three standard deviations


def test_equal_without_weights() -> None:
    counts = _shares(Mixture([_Named("a"), _Named("b")]))
    assert abs(counts["a test"] / 600 - 0.5) < 0.07


def test_sources_of_other_sizes_and_channels_give_images_of_one_form(
    mnist_root: Path, gtsrb_root: Path
) -> None:
    signs = TrafficSigns(gtsrb_root, ways=3, queries=2)
    mixed = Mixture([MNIST(mnist_root, queries=2), signs], size=28, channels=1)
    found = {}
    for seed in range(8):
        task = mixed.draw(Split.TRAIN, stream(seed))
        assert task.spec.features == task.support.x.shape[1:] == task.query.x.shape[1:]
        assert task.spec.features == (1, 28, 28)
        found[task.spec.source] = task.spec.native_size
    assert found == {"mnist": 28, "gtsrb": 32}
    only = Mixture([signs], size=28, channels=1).draw(Split.TRAIN, stream(3))
    rng = stream(3)
    torch.multinomial(torch.ones(1), 1, generator=rng)
    plain = signs.draw(Split.TRAIN, rng)
    assert torch.equal(only.query.x, resized(plain.query.x, channels=1, size=28))
    assert torch.equal(only.query.labels, plain.query.labels)


def test_unseen_sources_give_test_tasks_only(
    mnist_root: Path, cifar10_root: Path, gtsrb_root: Path
) -> None:
    mixed = Mixture(
        [
            TrafficSigns(gtsrb_root, **META_DATASET),
            MNIST(mnist_root, splits="test", **META_DATASET),
            CIFAR10(cifar10_root, splits="test", **META_DATASET),
        ],
        size=32,
        channels=3,
    )
    drawn = {
        split: Counter(mixed.draw(split, stream(seed, split)).spec.source for seed in range(30))
        for split in (Split.TRAIN, Split.TEST)
    }
    assert set(drawn[Split.TRAIN]) == {"gtsrb"}
    assert set(drawn[Split.TEST]) == {"gtsrb", "mnist", "cifar10"}
    with pytest.raises(InputError, match="None of the mixed sources has classes in its train"):
        Mixture([MNIST(mnist_root, splits="test")]).draw(Split.TRAIN, stream(0))


def test_what_is_refused() -> None:
    a = _Named("a")
    with pytest.raises(InputError, match="at least one source, but got none"):
        Mixture([])
    for weights in ([1], [1, -1], [0, 0], [1, float("nan")], [1, float("inf")]):
        with pytest.raises(InputError, match="`weights` must hold one number >= 0 a source"):
            Mixture([a, a], weights=weights)
    for size, channels in ((0, 1), (8, 2)):
        with pytest.raises(InputError, match=r"`size >= 1` and `channels` of 1 .* must hold"):
            Mixture([a], size=size, channels=channels)
