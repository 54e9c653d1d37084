"""A pipeline that learned from a table: it predicts new rows, and can be kept without pickle."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metawright.errors import MetawrightError
from metawright.lazy import load
from metawright.models.classical import estimator, numbers_held
from metawright.models.tables.estimators import estimator_bytes, read_estimator
from metawright.models.tables.preparation import Preparation, fit_preparation
from metawright.models.tables.state import State, joined, part
from metawright.spaces.design import Design
from metawright.spaces.tables import NETWORKS
from metawright.tasks.kind import Kind

if TYPE_CHECKING:
    from metawright.tasks.tables import Column

__all__ = ["FittedPipeline", "fit_pipeline"]

Matrix = NDArray[np.float64]

_NETWORK = "metawright.models.tables.network_estimator:NetworkEstimator"
_VOTERS = ("neighbours", "random_forest", "extra_trees")
_SMALLEST = 1e-6  # probability of a class, so that no answer is infinitely wrong
_CODES = 250  # places of categories that histogram boosting can tell apart
_FOLDS = 3  # in which margins are made probabilities


@dataclass(frozen=True)
class FittedPipeline:
    """A preparation and a model that were fitted together.

    `prior` (outputs,) is how frequent each class was; votes of neighbours and trees are mixed with
    it as if one more voter had been asked (`rows` were), so that no class is ever impossible.
    `told` holds what scikit-learn warned of.
    """

    design: Design
    kind: Kind
    preparation: Preparation
    estimator: Any
    prior: Matrix
    rows: int
    told: tuple[str, ...] = ()

    @property
    def numbers(self) -> int:
        """How many numbers it holds to predict with."""
        own = sum(array.size for array in self.preparation.to_state().arrays.values())
        return own + numbers_held(self.estimator)

    def predict(self, x: pd.DataFrame) -> Matrix:
        """Probabilities of the classes (rows, classes), or predicted numbers (rows, 1).

        Raises:
            InputError: a column is missing or holds what it cannot.
        """
        features = self.preparation.transform(x)
        with warnings.catch_warnings():
            # LightGBM's estimator gives its features names of its own.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            if self.kind is Kind.REGRESSION:
                answers = np.asarray(self.estimator.predict(features), dtype=np.float64)
                return answers.reshape(len(x), -1)
            found = _probabilities(self.estimator, features)
        full = np.zeros((len(x), len(self.prior)))
        full[:, np.asarray(self.estimator.classes_, dtype=np.int64)] = found
        if self.design["model"]["kind"] in _VOTERS:
            full = (self.rows * full + self.prior) / (self.rows + 1)
        full = np.maximum(full, _SMALLEST)
        return np.asarray(full / full.sum(1, keepdims=True))

    def to_state(self) -> State:
        """As plain data and arrays; `from_state` reads it back.

        Neighbours keep all training rows and support vector machines some of them: there is no
        predicting without.
        """
        if self.design["model"]["kind"] in NETWORKS:
            own: State = self.estimator.to_state()
        else:
            own = State({}, {"estimator": estimator_bytes(self.estimator)})
        own = State(own.data, own.arrays | {"prior": self.prior})
        parts = {"preparation": self.preparation.to_state(), "model": own}
        return joined(parts, design=self.design.to_json(), kind=self.kind.value, rows=self.rows)

    @staticmethod
    def from_state(state: State) -> "FittedPipeline":
        """What `to_state` wrote.

        Raises:
            InputError: the state names types that no pipeline of ours consists of.
        """
        own, kind = part(state, "model"), Kind(state.data["kind"])
        design = Design.from_json(state.data["design"])
        if design["model"]["kind"] in NETWORKS:
            made = load(_NETWORK).from_state(
                own, design["model"], regression=kind is Kind.REGRESSION
            )
        else:
            made = read_estimator(np.asarray(own.arrays["estimator"], dtype=np.uint8))
        return FittedPipeline(
            design,
            kind,
            Preparation.from_state(part(state, "preparation")),
            made,
            np.asarray(own.arrays["prior"], dtype=np.float64),
            int(state.data["rows"]),
        )


def fit_pipeline(
    x: pd.DataFrame,
    y: NDArray[Any],
    columns: Sequence["Column"],
    design: Design,
    *,
    kind: Kind,
    outputs: int,
    seed: int,
) -> FittedPipeline:
    """Fits preparation and model of a design.

    Arguments:
        x: rows to learn from; y: their labels 0 .. outputs - 1, or numbers.
        columns: what each column is.
        outputs: number of classes; 1 for regression.

    Raises:
        MetawrightError: scikit-learn refuses the numbers, such as rows of one class only.
    """
    regression = kind is Kind.REGRESSION
    targets = _targets(y, regression, outputs)
    fitted, features = fit_preparation(x, targets, columns, design["preparation"], seed=seed)
    rows, width = features.shape
    model = design["model"]["kind"]
    if model in NETWORKS:
        made = load(_NETWORK)(design["model"], regression=regression, seed=seed)
        made.categorical = fitted.categorical
    else:
        made = estimator(
            design["model"], regression=regression, examples=rows, features=width, seed=seed
        )
    if model == "boosting" and fitted.categorical.any():
        few = features.max(0) < _CODES
        made.set_params(categorical_features=fitted.categorical & few)
    if model == "svm" and not regression:
        made = _calibrated(made, y)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            made.fit(features, y)
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            raise MetawrightError(f"The pipeline cannot be fitted: {error}") from error
    prior = np.bincount(y, minlength=outputs) / rows if not regression else np.zeros(0)
    sentences = tuple(sorted({str(warning.message).split("\n")[0] for warning in told}))
    return FittedPipeline(design, kind, fitted, made, prior, rows, sentences)


def _targets(y: NDArray[Any], regression: bool, outputs: int) -> Matrix:
    """What categories may be encoded by (rows, numbers)."""
    if regression:
        return np.asarray(y, dtype=np.float64)[:, None]
    hot = np.asarray(y[:, None] == np.arange(outputs), dtype=np.float64)
    return hot[:, 1:] if outputs == 2 else hot


def _calibrated(margins: Any, y: NDArray[Any]) -> Any:
    """With probabilities from margins of rows left out, where every class has rows enough: by
    Platt's sigmoid for two classes; else by the softmax of one margin a class at a temperature.

    scikit-learn's own margins of many classes count votes of pairs; they make poor probabilities.
    """
    counts = np.bincount(y)
    present = counts[counts > 0]
    if present.min() < _FOLDS:
        return margins
    calibration = load("sklearn.calibration:CalibratedClassifierCV")
    if len(present) == 2:
        return calibration(margins, cv=_FOLDS, ensemble=False)
    each = load("sklearn.multiclass:OneVsRestClassifier")(margins)
    return calibration(each, cv=_FOLDS, ensemble=False, method="temperature")


def _probabilities(fitted: Any, features: Matrix) -> Matrix:
    if hasattr(fitted, "predict_proba"):
        return np.asarray(fitted.predict_proba(features), dtype=np.float64)
    margins = np.asarray(fitted.decision_function(features), dtype=np.float64)
    # Two classes have one margin: that of the second.
    logits = np.stack([-margins, margins], 1) / 2 if margins.ndim == 1 else margins
    return np.asarray(load("scipy.special:softmax")(logits, axis=1))
