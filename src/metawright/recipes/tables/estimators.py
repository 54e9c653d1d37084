"""Models of tables in the manner of scikit-learn: `fit` generates them."""

import tempfile
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import Tags
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    assert_all_finite,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from metawright.engine.budget import parse_duration
from metawright.errors import InputError
from metawright.recipes.search.asked import Limits, usual_workers
from metawright.recipes.tables.model import TablePredictions
from metawright.recipes.tables.run import generate_table
from metawright.tasks.tables import pose_table, read_table

__all__ = ["TableClassifier", "TableRegressor"]


class TableClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Classifies rows of a table; `fit` tries pipelines and averages the best.

    A table is a frame of pandas or polars with columns of any kind (numbers, categories, dates,
    texts), or an array. Values may be missing; infinite numbers count as missing.

    Arguments:
        budget: how long `fit` may take: seconds, or a text such as "5m".
        trials: how many pipelines to try, instead of a time; makes `fit` repeatable.
        workers: pipelines tried at once, each in a process with one thread; None: one a core.
        trial_seconds, memory: seconds and bytes that one pipeline may take.
        group, time: columns by which rows are split, not only at random.
        drop: columns not to be used.
        seed: of folds and proposals.

    After `fit`: `classes_`, `n_features_in_`, `feature_names_in_` (of frames), `model_` (the
    members and their shares) and `record_` (the data check, scores with intervals, why).

    Example:
        >>> from metawright import TableClassifier
        >>> from sklearn.datasets import load_iris
        >>> x, y = load_iris(return_X_y=True, as_frame=True)
        >>> model = TableClassifier(trials=1).fit(x, y)
        >>> bool(model.score(x, y) > 0.9), model.record_["scores"]["accuracy"] > 0.9
        (True, True)
    """

    def __init__(
        self,
        *,
        budget: str | float = "60s",
        trials: int | None = None,
        workers: int | None = None,
        trial_seconds: float | None = None,
        memory: int | None = None,
        group: str | None = None,
        time: str | None = None,
        drop: Collection[str] = (),
        seed: int = 0,
    ) -> None:
        self.budget, self.trials, self.workers = budget, trials, workers
        self.trial_seconds, self.memory = trial_seconds, memory
        self.group, self.time, self.drop, self.seed = group, time, drop, seed

    def fit(self, X: Any, y: Any) -> "TableClassifier":
        """Makes a model for rows `X` with labels `y` (rows,).

        Raises:
            InputError: fewer than two classes or rows, or nothing to predict from.
        """
        began = time.monotonic()
        frame, labels = _checked(self, X, y)
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"`y` must hold at least two classes, but has one class: '{self.classes_[0]}'."
            )
        _generate(self, frame, codes, "classification", began)
        return self

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row: (rows,)."""
        best = self.predict_proba(X).argmax(1)
        return np.asarray(self.classes_[best])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Calibrated probabilities (rows, classes), columns as in `classes_`."""
        return _predicted(self, X).answers

    def __sklearn_tags__(self) -> Tags:
        return _tagged(super().__sklearn_tags__())


class TableRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts a number from rows of a table; `fit` tries pipelines and averages the best.

    Arguments are those of `TableClassifier`.

    After `fit`: `n_features_in_`, `feature_names_in_` (of frames), `model_` (the members and their
    shares) and `record_` (the data check, scores with intervals, why).

    Example:
        >>> from metawright import TableRegressor
        >>> from sklearn.datasets import load_diabetes
        >>> x, y = load_diabetes(return_X_y=True, as_frame=True)
        >>> model = TableRegressor(trials=1).fit(x[:300], y[:300])
        >>> bool(model.score(x[300:], y[300:]) > 0.4)
        True
        >>> low, high = model.predict_interval(x[300:]).T
        >>> bool(0.8 < ((low < y[300:]) & (y[300:] < high)).mean() < 1)
        True
    """

    def __init__(
        self,
        *,
        budget: str | float = "60s",
        trials: int | None = None,
        workers: int | None = None,
        trial_seconds: float | None = None,
        memory: int | None = None,
        group: str | None = None,
        time: str | None = None,
        drop: Collection[str] = (),
        seed: int = 0,
    ) -> None:
        self.budget, self.trials, self.workers = budget, trials, workers
        self.trial_seconds, self.memory = trial_seconds, memory
        self.group, self.time, self.drop, self.seed = group, time, drop, seed

    def fit(self, X: Any, y: Any) -> "TableRegressor":
        """Makes a model for rows `X` with numbers `y` (rows,).

        Raises:
            InputError: fewer than two rows, numbers that do not differ, or nothing to predict
                from.
        """
        began = time.monotonic()
        frame, numbers = _checked(self, X, y)
        _generate(self, frame, _as_numbers(numbers), "regression", began)
        return self

    def predict(self, X: Any) -> NDArray[np.float64]:
        """A number for each row: (rows,)."""
        return _predicted(self, X).answers[:, 0]

    def predict_interval(self, X: Any) -> NDArray[np.float64]:
        """Low and high end of the 90 % interval of each row: (rows, 2)."""
        found = _predicted(self, X)
        return np.stack([np.asarray(found.low), np.asarray(found.high)], 1)

    def __sklearn_tags__(self) -> Tags:
        return _tagged(super().__sklearn_tags__())


_Estimator = TableClassifier | TableRegressor


def _tagged(tags: Tags) -> Tags:
    """What tables may hold beside numbers."""
    tags.input_tags.allow_nan = True
    tags.input_tags.categorical = True
    tags.input_tags.string = True
    return tags


def _checked(model: _Estimator, X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
    """A frame and its targets, after scikit-learn's own checks."""
    if _is_frame(X):
        validate_data(model, X, y, skip_check_array=True)
        frame = X
    else:
        array, y = validate_data(
            model, X, y, dtype=None, ensure_all_finite=False, ensure_min_samples=2
        )
        frame = _named(array)
    targets = column_or_1d(y, warn=True)
    check_consistent_length(frame, targets)
    assert_all_finite(targets, input_name="y")
    return frame, targets


def _generate(model: _Estimator, frame: Any, y: NDArray[Any], kind: str, began: float) -> None:
    """Fits `model` to the frame."""
    limits = _limits(model)
    rows = read_table(frame)
    target = "target"
    while target in rows.data:
        target += "_"
    rows.data[target] = y
    task = pose_table(
        rows, target, kind=kind, group=model.group, time=model.time, drop=model.drop, force=True
    )
    with tempfile.TemporaryDirectory(prefix="metawright-") as folder:
        model.model_, record = generate_table(
            task, limits, Path(folder) / "run", name=rows.name, seed=model.seed,
            spent=time.monotonic() - began, explained=False,
        )  # fmt: skip
    model.record_ = dict(record)


def _limits(model: _Estimator) -> Limits:
    budget, seconds = model.budget, None
    if model.trials is None:
        text = isinstance(budget, str)
        seconds = parse_duration(str(budget), name="`budget`") if text else float(budget)
    workers = usual_workers() if model.workers is None else model.workers
    return Limits(seconds, model.trials, workers, model.trial_seconds, model.memory)


def _predicted(model: _Estimator, X: Any) -> TablePredictions:
    check_is_fitted(model)
    if _is_frame(X):
        validate_data(model, X, reset=False, skip_check_array=True)
        frame = X
    else:
        frame = _named(validate_data(model, X, reset=False, dtype=None, ensure_all_finite=False))
    found: TablePredictions = model.model_.predict(read_table(frame))
    return found


def _is_frame(X: Any) -> bool:
    return hasattr(X, "columns") and hasattr(X, "shape")


def _named(array: NDArray[Any]) -> pd.DataFrame:
    """Columns of an array are called after their places, from 0."""
    return pd.DataFrame(array, columns=[f"x{place}" for place in range(array.shape[1])])


def _as_numbers(y: NDArray[Any]) -> NDArray[np.float64]:
    try:
        return y.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"`y` must hold numbers for a regression: {error}.") from error
