"""Fitted pipelines: classes in their places, votes, and models that see categories."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from metawright.models.tables import FittedPipeline, fit_pipeline
from metawright.spaces import Design
from metawright.spaces.tables import first_designs
from metawright.tasks.kind import Kind


class Column(NamedTuple):
    name: str
    kind: str
    used: bool = True


def fitted(model: str, x: pd.DataFrame, y: Any, outputs: int, **changed: Any) -> FittedPipeline:
    """The first guess with that model, on a table of numbers and categories."""
    designs = first_designs("classification")
    found = [d for d in designs if d["model"]["kind"] == model]
    chosen = found[0] if found else designs[0]
    settings = dict(chosen["model"]) if found else {"kind": model}
    preparation = {**chosen["preparation"], **changed.pop("preparation", {})}
    design = Design({"preparation": preparation, "model": {**settings, **changed}})
    columns: Any = [Column(n, "number" if x[n].dtype == float else "category") for n in x]
    return fit_pipeline(x, y, columns, design, kind=Kind.CLASSIFICATION, outputs=outputs, seed=0)


def separable(rows: int = 60) -> tuple[pd.DataFrame, Any]:
    y = np.arange(rows) % 2
    noise = np.random.default_rng(0).normal(size=rows)
    return pd.DataFrame({"a": 4.0 * y + noise, "b": noise[::-1]}), y


@pytest.mark.parametrize("model", ["logistic", "svm", "boosting", "neighbours", "mlp"])
def test_a_class_that_no_row_has_keeps_its_place(model: str) -> None:
    x, y = separable()
    answers = fitted(model, x, 2 * y, 3).predict(x)
    assert answers.shape == (60, 3) and answers[:, 1].max() < 0.01
    assert (answers.argmax(1) == 2 * y).mean() > 0.9


def test_a_vote_is_mixed_with_how_frequent_classes_are() -> None:
    x, y = separable(40)
    y[:10] = 0
    model = fitted("neighbours", x, y, 2, count=1, weights="uniform")
    prior = np.bincount(y) / 40
    assert_allclose(model.prior, prior)
    assert_allclose(model.predict(x), (40 * np.eye(2)[y] + prior) / 41)


def test_no_answer_is_infinitely_wrong() -> None:
    x, y = separable()
    far = fitted("naive_bayes", x, y, 2, smoothing=1e-9).predict(1e6 * x)
    assert far.min() == pytest.approx(1e-6, rel=1e-3) and np.isfinite(far).all()
    assert_allclose(far.sum(1), 1)


def test_margins_become_probabilities_by_the_number_of_classes() -> None:
    x, y = separable()
    two = fitted("svm", x, y, 2).estimator
    assert (two.method, type(two.estimator).__name__) == ("sigmoid", "SVC")
    many = fitted("svm", x, np.arange(60) % 3, 3).estimator
    assert (many.method, type(many.estimator).__name__) == ("temperature", "OneVsRestClassifier")
    few = y.copy()
    few[:2] = 2
    assert type(fitted("svm", x, few, 3).estimator).__name__ == "SVC", "too few rows to leave out"


def test_two_classes_tell_one_number_of_a_category() -> None:
    x, y = separable()
    words = x.assign(town=np.where(y == 1, "Ulm", "Bonn"))
    target: dict[str, Any] = {"preparation": {"categories": "target"}}
    names = fitted("logistic", words, y, 2, **target).preparation.feature_names
    assert sum("tells" in name for name in names) == 1
    names = fitted("logistic", words, np.arange(60) % 3, 3, **target).preparation.feature_names
    assert sum("tells" in name for name in names) == 3


def test_places_of_categories_are_names_to_boosting_and_networks() -> None:
    rng = np.random.default_rng(0)
    levels = rng.permutation(np.repeat(np.arange(300), 3))
    x = pd.DataFrame(
        {"many": [f"l{n}" for n in levels], "few": levels % 2 == 0, "a": rng.normal(size=900)}
    )
    x["few"] = np.where(x["few"], "even", "odd")
    y = rng.integers(0, 2, 900)
    places: dict[str, Any] = {"preparation": {"rare": 1}}
    boosting = fitted("boosting", x, y, 2, **places)
    assert boosting.estimator.is_categorical_.sum() == 1, "250 levels are all that it can"
    network: dict[str, Any] = {
        "embedding": {"kind": "none"}, "width": 16, "depth": 1, "dropout": 0.0, "lr": 0.01,
        "penalty": 1.0, "epochs": 2, "members": 1,
    }  # fmt: skip
    split = {"scaling": "none", "categories": "ordinal", "rare": 1}
    made = fitted("mlp_ensemble", x, y, 2, preparation=split, **network)
    assert len(made.estimator.fields.levels) == 2
