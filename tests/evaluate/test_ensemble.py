"""Ensembles against brute force, and against what choosing costs on few rows."""

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from metawright.errors import InputError
from metawright.evaluate.ensemble import Ensemble, select
from metawright.models.tables.mixture import mixed
from metawright.rng import stream
from metawright.tasks.kind import Kind

Matrix = NDArray[np.float64]
CLASSES, NUMBERS = Kind.CLASSIFICATION, Kind.REGRESSION


def answers(models: int, rows: int, seed: int) -> tuple[list[Matrix], NDArray[Any]]:
    """Probabilities of two classes by models that each see the truth through own noise."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, rows)
    found = []
    for _ in range(models):
        logit = (2 * y - 1) + rng.normal(size=rows)
        p = 1 / (1 + np.exp(-logit))
        found.append(np.stack([1 - p, p], 1))
    return found, y


def log_loss(p: Matrix, y: NDArray[Any]) -> float:
    return float(-np.log(p[np.arange(len(y)), y]).mean())


def plain(found: list[Matrix], y: NDArray[Any], steps: int, kind: Kind = CLASSES) -> Ensemble:
    return select(found, y, kind, stream(0), steps=steps, bags=0, folds=0)


@pytest.mark.parametrize("seed", range(5))
def test_each_step_is_the_best_of_all(seed: int) -> None:
    """Slowly, by trying each: what the greedy choice with replacement gives."""
    found, y = answers(4, 30, seed)
    taken: list[int] = []
    seen: dict[float, list[int]] = {}
    for _ in range(6):
        tried = [(log_loss(np.mean([found[i] for i in [*taken, j]], 0), y), j) for j in range(4)]
        loss, chosen = min(tried)
        taken = [*taken, chosen]
        seen[loss] = taken
    best = seen[min(seen)]
    chosen_weights = plain(found, y, 6)
    assert chosen_weights.weights == pytest.approx([best.count(j) / len(best) for j in range(4)])
    assert chosen_weights.loss == pytest.approx(min(seen))


def test_a_tiny_case_is_the_best_of_all_ensembles() -> None:
    y = np.array([0, 0, 1, 1])
    left = np.array([[0.9, 0.1], [0.9, 0.1], [0.5, 0.5], [0.5, 0.5]])
    right = 1 - left[::-1]
    poor = np.full((4, 2), 0.5)
    found = [poor, left, right]
    every = [
        log_loss(np.mean([found[i] for i in chosen], 0), y)
        for size in (1, 2)
        for chosen in combinations_with_replacement(range(3), size)
    ]
    chosen = plain(found, y, 2)
    assert chosen.loss == pytest.approx(min(every)) and chosen.weights == (0, 0.5, 0.5)


@pytest.mark.parametrize("kind", [CLASSES, NUMBERS])
@pytest.mark.parametrize("rows", [12, 40, 300])
def test_never_worse_than_the_best_single_on_the_rows(kind: Kind, rows: int) -> None:
    for seed in range(5):
        found, y = answers(6, rows, seed)
        if kind is NUMBERS:
            found, y = [p[:, :1] for p in found], np.asarray(y, dtype=float)
        chosen = select(found, y, kind, stream(seed), bags=4)
        assert chosen.loss <= chosen.single
        assert sum(chosen.weights) == pytest.approx(1)
        assert chosen.honest is not None and chosen.honest_single is not None
        strict = select(found, y, kind, stream(seed), bags=4, tolerance=0)
        assert strict.honest is not None and strict.honest_single is not None
        assert strict.honest <= strict.honest_single


def test_numbers_meet_the_least_squares() -> None:
    """Opposite errors of sizes 1 and 3 cancel at shares 3/4 and 1/4."""
    y = np.random.default_rng(0).normal(size=50)
    sign = np.where(np.arange(50) % 2, 1.0, -1.0)
    found = [(y + sign)[:, None], (y - 3 * sign)[:, None]]
    chosen = plain(found, y, 4, NUMBERS)
    assert chosen.weights == (0.75, 0.25) and chosen.loss == pytest.approx(0)
    assert mixed(found, chosen.weights)[:, 0] == pytest.approx(y)


def test_good_partners_are_taken_and_the_gain_is_real() -> None:
    found, y = answers(8, 400, 0)
    chosen = select(found, y, CLASSES, stream(0))
    assert sum(w > 0 for w in chosen.weights) >= 6
    new, labels = answers(8, 4000, 1)
    alone = min(range(8), key=lambda i: log_loss(found[i], y))
    assert log_loss(mixed(new, chosen.weights), labels) < log_loss(new[alone], labels) - 0.02
    assert chosen.honest is not None
    assert chosen.honest == pytest.approx(log_loss(mixed(new, chosen.weights), labels), abs=0.03)


def test_what_is_said_of_a_choice_comes_from_rows_that_took_no_part_in_it() -> None:
    """Models that know nothing look good only where they were chosen."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=60)
    noise = [0.5 * rng.normal(size=(60, 1)) for _ in range(40)]
    chosen = select(noise, y, NUMBERS, stream(0), tolerance=1e9)
    assert chosen.honest is not None and chosen.honest_single is not None
    assert chosen.honest > 1.1 * chosen.loss and chosen.honest_single > 1.05 * chosen.single


def test_drawn_rows_keep_their_targets() -> None:
    rng = np.random.default_rng(0)
    y = 10 * rng.normal(size=50)
    good, poor = (y + spread * rng.normal(size=50) for spread in (0.1, 3.0))
    chosen = select([poor[:, None], good[:, None]], y, NUMBERS, stream(0), folds=0)
    assert chosen.weights[1] > 0.9 and chosen.loss < 0.02


def test_one_strong_model_among_noise_stays_alone() -> None:
    """Three rows of luck are no reason for company."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 30)
    strong = np.where(np.eye(2)[y] == 1, 0.98, 0.02)
    noise = [rng.dirichlet([1, 1], 30) for _ in range(20)]
    chosen = select([*noise, strong], y, CLASSES, stream(0))
    assert chosen.weights[-1] == 1 and chosen.loss == chosen.single


def test_rows_that_a_model_has_not_predicted_are_left_out() -> None:
    found, y = answers(3, 60, 0)
    gaps = [np.where(np.arange(60)[:, None] < 10, np.nan, p) for p in found]
    kept = select([p[10:] for p in found], y[10:], CLASSES, stream(0))
    assert select(gaps, y, CLASSES, stream(0)) == kept


def test_nothing_to_choose_from_is_told() -> None:
    with pytest.raises(InputError, match="at least 1 model, but got none"):
        select([], np.zeros(3), NUMBERS, stream(0))
    with pytest.raises(InputError, match="rows that all models have predicted"):
        select([np.full((3, 1), np.nan)], np.zeros(3), NUMBERS, stream(0))
