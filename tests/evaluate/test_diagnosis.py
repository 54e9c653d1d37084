"""How honest probabilities are and where numbers err, against answers made to be so."""

import numpy as np

from metawright.evaluate.diagnosis import reliability_steps, residual_cells


def test_honest_probabilities_lie_on_the_diagonal() -> None:
    draw = np.random.default_rng(0)
    p = draw.random(20_000)
    labels = (draw.random(20_000) < p).astype(np.int64)
    steps = reliability_steps(np.stack([1 - p, p], 1), labels)
    assert len(steps) == 10 and {step.rows for step in steps} == {2000}
    assert all(abs(step.said - step.true) < 0.04 for step in steps)
    assert sum(step.low <= step.said <= step.high for step in steps) >= 8
    sure = reliability_steps(np.stack([p < 0.5, p >= 0.5], 1).astype(float), labels)
    assert sure[0].said == 0 and sure[0].low > 0.1, "too sure: not on the diagonal"


def test_of_many_classes_it_is_the_predicted_one() -> None:
    p = np.tile([[0.2, 0.5, 0.3]], (40, 1))
    (step, *_) = steps = reliability_steps(p, np.array([1, 1, 1, 0] * 10))
    assert len(steps) == 4 and step.said == 0.5
    assert np.mean([one.true for one in steps]) == 0.75


def test_cells_count_every_row_once() -> None:
    draw = np.random.default_rng(0)
    predictions = draw.uniform(10, 20, 500)
    y = predictions + draw.normal(0, 2, 500)
    y[0] += 1000
    found = residual_cells(predictions, y)
    counts = np.array(found.counts)
    assert counts.sum() == 500 and counts.shape == (19, 26)
    assert found.prediction == (predictions.min(), predictions.max())
    assert -10 < found.error[0] < -4 and found.error[1] == -found.error[0]
    assert counts[-1].sum() >= 1, "what lies beyond is counted at the edge"
    assert counts[9].sum() > counts[0].sum()


def test_an_error_is_the_truth_less_the_prediction() -> None:
    predictions = np.arange(20.0)
    counts = np.array(residual_cells(predictions, predictions + 5).counts)
    assert counts[:10].sum() == 0 and counts[10:].sum() == 20


def test_one_number_for_all_is_no_harm() -> None:
    found = residual_cells(np.full(5, 3.0), np.full(5, 3.0))
    assert np.array(found.counts).sum() == 5 and found.prediction == (2.5, 3.5)
