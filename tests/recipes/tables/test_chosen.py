"""Which pipelines make the model, on held-out predictions that were made up."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

from metawright.evaluate.tables import table_scores
from metawright.models.tables.mixture import calibrated
from metawright.recipes.tables.chosen import _towards_equal, choose
from metawright.spaces import Design
from metawright.store.blobs import Blobs
from metawright.store.records import Trial
from metawright.tasks.tables import pose_table, read_table

RNG = np.random.default_rng(0)
Y = np.where(np.arange(300) % 10 < 6, 0, np.arange(300) % 3)  # three classes, the first often
NUMBERS = RNG.normal(size=300) + 5


def task(y: Any, kind: str) -> Any:
    x = RNG.normal(size=len(y))
    return pose_table(read_table(pd.DataFrame({"x": x, "y": y})), "y", kind=kind)


def probabilities(sure: float, noise: float, seed: int) -> Any:
    """Logits around the right class, with noise of their own."""
    rng = np.random.default_rng(seed)
    logits = sure * np.eye(3)[Y] + noise * rng.normal(size=(len(Y), 3))
    odds = np.exp(logits)
    return odds / odds.sum(1, keepdims=True)


def trials_of(held: list[Any], posed: Any, blobs: Blobs) -> list[Trial]:
    found = []
    for number, answers in enumerate(held):
        known = ~np.isnan(answers).any(1)
        scores = table_scores(answers[known], posed.y[known], posed.kind)
        weights = blobs.put({"held_out": torch.from_numpy(answers)})
        found.append(Trial(str(number), "t", Design({"n": number}), scores, weights=weights))
    return found


def test_partners_are_averaged_calibrated_and_scored(tmp_path: Path) -> None:
    posed, blobs = task(Y, "classification"), Blobs(tmp_path)
    held = [probabilities(1, 3, 9), probabilities(3, 2, 1), probabilities(3, 2, 2)]
    trials = trials_of(held, posed, blobs)
    chosen = choose(posed, trials, blobs, seed=0)
    assert {trial.id for trial in chosen.trials} == {"1", "2"}, "the poor one is left out"
    assert sum(chosen.weights) == pytest.approx(1)
    assert list(chosen.weights) == sorted(chosen.weights, reverse=True)
    shares = zip(chosen.trials, chosen.weights, strict=True)
    mean = sum(weight * held[int(trial.id)] for trial, weight in shares)
    answers = calibrated(mean, chosen.temperature)
    assert chosen.temperature != 1
    assert chosen.scores == pytest.approx(table_scores(answers, posed.y, posed.kind))
    assert chosen.scores["log_loss"] < min(trial.scores["log_loss"] for trial in trials)
    for name, (low, high) in chosen.intervals.items():
        assert low < chosen.scores[name] < high
    assert sum(map(sum, chosen.confusion)) == 300
    assert [sum(row) for row in chosen.confusion] == np.bincount(Y).tolist(), "rows are the truth"
    shares_of = np.bincount(Y) / 300
    assert chosen.baseline["log_loss"] == pytest.approx(-(shares_of * np.log(shares_of)).sum())
    assert chosen.baseline["accuracy"] == pytest.approx(shares_of.max())


def test_the_intervals_are_those_of_rows_drawn_anew(tmp_path: Path) -> None:
    """Accuracy is a mean of 300 rows: its deviation is known."""
    posed, blobs = task(Y, "classification"), Blobs(tmp_path)
    chosen = choose(posed, trials_of([probabilities(2, 2, 1)], posed, blobs), blobs, seed=0)
    low, high = chosen.intervals["accuracy"]
    right = chosen.scores["accuracy"]
    deviation = np.sqrt(right * (1 - right) / 300)
    assert_allclose((high - low) / 2, 1.96 * deviation, rtol=0.15)


def test_rows_that_were_never_judged_count_for_nothing(tmp_path: Path) -> None:
    posed, blobs = task(NUMBERS, "regression"), Blobs(tmp_path)
    answers = (NUMBERS + 0.5 * np.random.default_rng(3).normal(size=300) - 0.2)[:, None]
    answers[:100] = np.nan
    chosen = choose(posed, trials_of([answers], posed, blobs), blobs, seed=0)
    errors = NUMBERS[100:] - answers[100:, 0]
    assert chosen.scores["rmse"] == pytest.approx(np.sqrt((errors**2).mean()))
    assert_allclose(chosen.spread, np.quantile(errors, [0.05, 0.95]))
    assert chosen.spread[0] < 0 < chosen.spread[1] and chosen.confusion == ()
    assert chosen.baseline["r2"] == pytest.approx(0)
    assert (chosen.temperature, chosen.weights) == (1.0, (1.0,))


def test_members_are_few_and_each_has_a_share(tmp_path: Path) -> None:
    posed, blobs = task(Y, "classification"), Blobs(tmp_path)
    held = [probabilities(3, 2.5, seed) for seed in range(12)]
    chosen = choose(posed, trials_of(held, posed, blobs), blobs, seed=0)
    assert list(chosen.weights) == sorted(chosen.weights, reverse=True)
    assert 2 <= len(chosen.trials) <= 8 and min(chosen.weights) > 0.02
    assert sum(chosen.weights) == pytest.approx(1)


def test_shares_are_drawn_towards_equal_ones_where_rows_are_few() -> None:
    greedy = (1.0, *(0.0,) * 39)
    few, many = _towards_equal(greedy, 100, 40), _towards_equal(greedy, 100_000, 40)
    assert_allclose(few[:6], [0.375, *(0.125,) * 5])
    assert few.sum() == pytest.approx(1) and not few[6:].any()
    assert many[0] > 0.99
    assert_allclose(_towards_equal((0.5, 0.5), 100, 2), [0.875, 0.125])
