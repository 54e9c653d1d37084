"""Calibration by a temperature: overconfidence that was made up is taken back."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from metawright.evaluate.temperature import calibrate
from metawright.models.tables.mixture import calibrated
from metawright.rng import stream


def drawn(
    rows: int, sharpness: float, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Probabilities that are `sharpness` times too sure (in logits), and labels."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(rows, 3))
    right = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = (rng.random(rows)[:, None] > right.cumsum(1)).sum(1)
    told = np.exp(sharpness * logits)
    return told / told.sum(1, keepdims=True), labels


@pytest.mark.parametrize("sharpness", [0.4, 3.0])
def test_the_temperature_is_how_much_too_sure_it_was(sharpness: float) -> None:
    told, labels = drawn(20_000, sharpness)
    found = calibrate(told, labels, stream(0))
    assert found.temperature == pytest.approx(sharpness, rel=0.05)
    right, _ = drawn(20_000, 1.0)
    assert_allclose(calibrated(told, sharpness), right, atol=1e-9)
    assert found.loss < found.before and found.honest is not None
    assert found.honest == pytest.approx(found.loss, abs=1e-3)


@pytest.mark.parametrize("rows", [3, 12, 100])
def test_never_worse_on_the_rows_it_was_chosen_by(rows: int) -> None:
    for seed in range(20):
        told, labels = drawn(rows, 1.0, seed)
        found = calibrate(told, labels, stream(seed))
        assert found.loss <= found.before
        assert found.honest is None or found.honest <= found.before


def test_what_is_calibrated_is_seldom_touched() -> None:
    found = [calibrate(*drawn(40, 1.0, seed), stream(seed)).temperature for seed in range(20)]
    assert sum(t == 1 for t in found) >= 10


def test_crossed_over_it_helps_on_other_rows() -> None:
    told, labels = drawn(200, 2.5)
    new, truth = drawn(5000, 2.5, seed=1)
    temperature = calibrate(told, labels, stream(0)).temperature
    rows = np.arange(5000)
    before, after = (-np.log(calibrated(new, t)[rows, truth]).mean() for t in (1.0, temperature))
    assert after < before - 0.2


def test_rows_without_an_answer_are_left_out() -> None:
    told, labels = drawn(100, 3.0)
    holes = told.copy()
    holes[:20] = np.nan
    assert calibrate(holes, labels, stream(0)) == calibrate(told[20:], labels[20:], stream(0))


def test_order_is_kept_and_sums_are_one() -> None:
    told, _ = drawn(50, 2.0)
    found = calibrated(told, 3.0)
    assert_allclose(found.sum(1), 1)
    assert (found.argmax(1) == told.argmax(1)).all()
    assert calibrated(told, 1.0) is told


def test_a_few_rows_that_are_all_right_do_not_ask_for_certainty() -> None:
    told = np.full((30, 3), 0.05) + 0.85 * np.eye(3)[np.arange(30) % 3]
    found = calibrate(told, np.arange(30) % 3, stream(0))
    assert 0.3 < found.temperature < 1
    assert calibrated(told, found.temperature).max() < 0.9999
