"""Shares of a mixture, with sources that only say who they are."""

from collections import Counter

import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.mixture import Mixture
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


def test_what_is_refused() -> None:
    a = _Named("a")
    with pytest.raises(InputError, match="at least one source, but got none"):
        Mixture([])
    for weights in ([1], [1, -1], [0, 0], [1, float("nan")], [1, float("inf")]):
        with pytest.raises(InputError, match="`weights` must hold one number >= 0 a source"):
            Mixture([a, a], weights=weights)
