"""Scores of many draws at once against the same scores of each draw alone."""

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from metawright.evaluate import resampled
from metawright.evaluate.resampled import resampled_scores
from metawright.evaluate.tables import table_scores
from metawright.tasks.kind import Kind


def one_by_one(answers: Any, y: Any, kind: Kind, drawn: Any) -> dict[str, Any]:
    each = [table_scores(answers[rows], y[rows], kind) for rows in drawn]
    return {name: [scores.get(name, np.nan) for scores in each] for name in each[0]}


def draws_of(drawn: Any, rows: int) -> Any:
    return np.array([np.bincount(some, minlength=rows) for some in drawn])


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("entries", [30, 250_000])
def test_classes(classes: int, entries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ties, certain answers, and draws that lack a class or hold one alone."""
    monkeypatch.setattr(resampled, "_ENTRIES", entries)
    rng = np.random.default_rng(0)
    y = np.append(rng.integers(0, min(classes, 4), 39), 0)
    answers = rng.dirichlet(np.ones(classes), 40).round(1) + 0.0
    answers[0] = np.eye(classes)[1]
    drawn = [*rng.integers(40, size=(20, 40)), *rng.integers(40, size=(20, 4))]
    drawn.append(np.flatnonzero(y == 1)[:3])
    found = resampled_scores(answers, y, Kind.CLASSIFICATION, draws_of(drawn, 40))
    expected = one_by_one(answers, y, Kind.CLASSIFICATION, drawn)
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert_allclose(found[name], values, err_msg=name)
    assert np.isnan(found["auc"][-1]) and found["balanced_accuracy"][-1] >= 0


def test_numbers() -> None:
    """Far from zero, where the squares of numbers would lose their digits."""
    rng = np.random.default_rng(0)
    y = 1e6 + rng.normal(size=30)
    answers = (y + 0.5 * rng.normal(size=30))[:, None]
    drawn = [*rng.integers(30, size=(20, 30)), np.array([3, 3, 3])]
    found = resampled_scores(answers, y, Kind.REGRESSION, draws_of(drawn, 30))
    for name, values in one_by_one(answers, y, Kind.REGRESSION, drawn[:-1]).items():
        assert_allclose(found[name][:-1], values, rtol=1e-6, err_msg=name)
    assert np.isnan(found["r2"][-1]), "no number differs"
