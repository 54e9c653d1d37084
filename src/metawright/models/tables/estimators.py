"""Fitted estimators of scikit-learn as bytes and back, through skops: data, never code.

skops writes arrays and plain values with the names of their types, and refuses to read a type
that is not on its list or on ours. It is loaded when something is kept: that takes a second.
"""

import zipfile
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metawright.errors import InputError
from metawright.lazy import load

__all__ = ["TRUSTED", "estimator_bytes", "read_estimator"]

TRUSTED = (
    "catboost.core.CatBoostClassifier",
    "catboost.core.CatBoostRegressor",
    "collections.OrderedDict",
    "functools.partial",  # of `check_array` alone: functions must be on the list as well
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
)
"""Types, beside those that skops knows, of which our estimators consist."""


def estimator_bytes(fitted: Any) -> NDArray[np.uint8]:
    """All that a fitted estimator needs to predict, as bytes."""
    lean = _lean(fitted)
    written = load("skops.io:dumps")(lean, compression=zipfile.ZIP_DEFLATED)
    return np.frombuffer(written, dtype=np.uint8)


def read_estimator(kept: NDArray[np.uint8]) -> Any:
    """The estimator that `estimator_bytes` wrote.

    Raises:
        InputError: the bytes name types that our estimators do not consist of.
    """
    data = kept.tobytes()
    unknown = set(load("skops.io:get_untrusted_types")(data=data)) - set(TRUSTED)
    if unknown:
        raise InputError(
            f"The saved model holds types that no model of ours consists of "
            f"({', '.join(sorted(unknown))}): it is not read."
        )
    return load("skops.io:loads")(data, trusted=list(TRUSTED))


def _lean(fitted: Any) -> Any:
    """Without the state of the optimiser, which is twice as large as the network."""
    inner = getattr(fitted, "regressor_", None)
    if inner is not None:
        lean = copy(fitted)
        lean.regressor_ = _lean(inner)
        lean.regressor = None
        return lean
    if hasattr(fitted, "_optimizer"):
        lean = copy(fitted)
        lean._optimizer = None
        return lean
    return fitted
