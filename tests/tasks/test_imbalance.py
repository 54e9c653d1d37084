"""Support sizes against Meta-Dataset's formula, written out anew."""

import math

import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.imbalance import Imbalance


def _plain(
    sizes: list[int], queries: int, share: float, bent: list[float]
) -> tuple[list[int], int]:
    """The formula of the paper, number by number; `share` is its beta, `bent` its alphas."""
    each = min([queries, *(size // 2 for size in sizes)])
    total = 0
    for size in sizes:
        total += math.ceil(share * min(100, size - each))
    total = min(500, total)
    whole = sum(math.exp(alpha) * size for alpha, size in zip(bent, sizes, strict=True))
    shots = []
    for alpha, size in zip(bent, sizes, strict=True):
        portion = math.exp(alpha) * size / whole
        shots.append(min(math.floor(portion * (total - len(sizes))) + 1, size - each))
    return shots, each


@pytest.mark.parametrize(
    "sizes", [[20] * 5, [2, 3, 900], [600] * 50, [10, 12, 100, 44], [2] * 7, [1600]]
)
def test_draws_are_the_papers_formula(sizes: list[int]) -> None:
    for seed in range(50):
        rng = stream(seed)
        share = 1 - float(torch.rand((), generator=rng, dtype=torch.float64))
        uniform = torch.rand(len(sizes), generator=rng, dtype=torch.float64)
        bent = (math.log(0.5) + uniform * (math.log(2) - math.log(0.5))).tolist()
        assert Imbalance().draw(sizes, 10, stream(seed)) == _plain(sizes, 10, share, bent)


def test_limits_hold_and_are_reached() -> None:
    large = [Imbalance().draw([600] * 50, 10, stream(seed))[0] for seed in range(30)]
    assert max(sum(shots) for shots in large) <= 500
    assert max(sum(shots) for shots in large) > 450
    small = [Imbalance().draw([20] * 5, 10, stream(seed)) for seed in range(200)]
    shots = [shot for found, _ in small for shot in found]
    assert (min(shots), max(shots)) == (1, 10)
    assert {queries for _, queries in small} == {10}


def test_larger_classes_get_more_and_spread_makes_it_uneven() -> None:
    draws = [Imbalance().draw([30, 300], 5, stream(seed))[0] for seed in range(100)]
    assert sum(large for _, large in draws) > 4 * sum(small for small, _ in draws)
    even = Imbalance(spread=1).draw([50] * 4, 5, stream(0))[0]
    assert len(set(even)) == 1


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match=r"`support` must allow one .* got 3 for 4 ways"):
        Imbalance(support=3).draw([5] * 4, 2, stream(0))
    for arguments in ({"support": 0}, {"per_class": 0}, {"spread": 0}):
        with pytest.raises(InputError, match=f"`{next(iter(arguments))} >= 1`"):
            Imbalance(**arguments)
