"""Models of tables in scikit-learn's manner: its own checks, and what they do not ask."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from metawright import InputError, TableClassifier, TableRegressor
from metawright.recipes.tables.estimators import _limits

REFUSED = {
    "check_pipeline_consistency": "rounds X to whole numbers where categories are allowed: the "
    "only column that is left is the target itself, which the data check refuses",
}
"""Checks of scikit-learn that fail, and why that is right."""


def refused(estimator: Any) -> dict[str, str]:
    return REFUSED if isinstance(estimator, TableClassifier) else {}


@parametrize_with_checks(  # type: ignore[untyped-decorator]
    [TableClassifier(trials=1), TableRegressor(trials=1)],
    expected_failed_checks=refused,
    xfail_strict=True,
)
def test_scikit_learns_own_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def flats(rows: int = 60) -> tuple[pd.DataFrame, "pd.Series[Any]"]:
    """Numbers with a hole, words and dates; what a flat costs."""
    rng = np.random.default_rng(0)
    city = rng.choice(["Bonn", "Köln", "Ulm"], rows)
    size = rng.uniform(20, 200, rows)
    price = 3 * size + np.where(city == "Bonn", 200, 0) + rng.normal(0, 5, rows)
    x = pd.DataFrame({"size": size, "city": city, "built": pd.date_range("2000", periods=rows)})
    x.loc[3, "size"] = np.nan
    return x, pd.Series(price, name="price")


def test_a_frame_of_any_columns_is_learned_from() -> None:
    x, price = flats()
    model = TableRegressor(trials=1).fit(x[:50], price[:50])
    assert list(model.feature_names_in_) == ["size", "city", "built"] and model.n_features_in_ == 3
    assert model.score(x[50:], price[50:]) > 0.9
    low, high = model.predict_interval(x[50:]).T
    assert (low < model.predict(x[50:])).all() and (model.predict(x[50:]) < high).all()
    assert model.record_["scores"]["r2"] > 0.9 and model.record_["check"]["rows"] == 50
    with pytest.raises(ValueError, match="feature names"):
        model.predict(x[["city", "size", "built"]])


def test_a_column_may_bear_the_targets_name() -> None:
    x, price = flats()
    model = TableRegressor(trials=1).fit(x.rename(columns={"size": "target"}), price)
    assert model.model_.target == "target_"


@pytest.mark.parametrize("names", [("no", "yes"), (False, True), (3.0, 10.0), ("?", "nan")])
def test_labels_may_be_anything(names: tuple[Any, Any]) -> None:
    x, price = flats()
    labels = np.array(names, dtype=object if isinstance(names[0], str) else None)
    y = labels[(price > 350).astype(int)]
    model = TableClassifier(trials=1).fit(x, y)
    assert model.classes_.tolist() == list(names)
    assert (model.predict(x) == y).mean() > 0.9
    first = model.predict_proba(x)[:, 0]
    assert first[y == labels[0]].mean() > 0.8 > 0.2 > first[y == labels[1]].mean()


def test_it_works_in_pipelines_and_searches() -> None:
    x, price = flats()
    numbers = x[["size"]].fillna(100).to_numpy()
    steps = make_pipeline(StandardScaler(), TableRegressor(trials=1))
    assert cross_val_score(steps, numbers, price, cv=2).mean() > 0.5
    found = GridSearchCV(TableRegressor(trials=1), {"seed": [0, 1]}, cv=2).fit(numbers, price)
    assert found.best_params_["seed"] in (0, 1)


def test_it_is_cloned_by_its_arguments() -> None:
    model = TableClassifier(budget="5s", workers=2, drop=["x"], seed=3)
    assert clone(model).get_params() == model.get_params()
    assert model.set_params(budget=7.0).budget == 7.0


def test_what_may_be_taken_is_handed_on() -> None:
    asked = _limits(TableRegressor(budget="2m", workers=3, trial_seconds=4, memory=10**9))
    assert (asked.seconds, asked.trials, asked.workers) == (120, None, 3)
    assert (asked.trial_seconds, asked.memory) == (4, 10**9)
    assert _limits(TableRegressor(budget=2.5)).seconds == 2.5
    counted = _limits(TableRegressor(trials=4))
    assert (counted.seconds, counted.trials) == (None, 4)


def test_groups_times_and_columns_to_drop_are_respected() -> None:
    x, price = flats()
    x = x.assign(house=np.arange(60) // 3)
    model = TableRegressor(trials=1, group="house", drop=["city"]).fit(x, price)
    used = {c["name"]: c["used"] for c in model.record_["check"]["columns"]}
    assert used == {"size": True, "city": False, "built": True, "house": False}
    assert len(model.predict(x)) == 60
    late = TableRegressor(trials=1, time="built").fit(x, price)
    assert late.record_["scores"].keys() == {"r2", "rmse", "mae"}


@pytest.mark.parametrize(
    ("model", "y", "sentence"),
    [
        (TableClassifier(trials=1), ["a"] * 60, "at least two classes, but has one class: 'a'"),
        (TableRegressor(trials=1), ["a", "b"] * 30, "must hold numbers for a regression"),
        (TableRegressor(trials=1), [1.0] * 60, "there is nothing to predict"),
        (TableRegressor(trials=0), list(range(60)), "trials must be at least 1"),
        (TableRegressor(budget="soon"), list(range(60)), "`budget`"),
        (TableRegressor(trials=1, group="hose"), list(range(60)), "no column 'hose'"),
    ],
)
def test_what_cannot_be_learned_is_refused(model: Any, y: list[Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        model.fit(flats()[0], np.array(y))
