"""Classical pipelines of the space `pipelines`, as scikit-learn's estimators.

scikit-learn is loaded when the first pipeline is made: it loads longer than many of them take.
"""

from collections.abc import Mapping
from typing import Any

from metawright.lazy import load
from metawright.spaces.design import Design

__all__ = ["numbers_held", "pipeline"]

_SCALERS = {
    "standard": "sklearn.preprocessing:StandardScaler",
    "range": "sklearn.preprocessing:MinMaxScaler",
    "normal": "sklearn.preprocessing:QuantileTransformer",
}

_MODELS = {
    "logistic": ("sklearn.linear_model:LogisticRegression", None),
    "ridge": ("sklearn.linear_model:RidgeClassifier", "sklearn.linear_model:Ridge"),
    "neighbours": (
        "sklearn.neighbors:KNeighborsClassifier",
        "sklearn.neighbors:KNeighborsRegressor",
    ),
    "svm": ("sklearn.svm:SVC", "sklearn.svm:SVR"),
    "naive_bayes": ("sklearn.naive_bayes:GaussianNB", None),
    "lda": ("sklearn.discriminant_analysis:LinearDiscriminantAnalysis", None),
    "random_forest": (
        "sklearn.ensemble:RandomForestClassifier",
        "sklearn.ensemble:RandomForestRegressor",
    ),
    "extra_trees": (
        "sklearn.ensemble:ExtraTreesClassifier",
        "sklearn.ensemble:ExtraTreesRegressor",
    ),
    "boosting": (
        "sklearn.ensemble:HistGradientBoostingClassifier",
        "sklearn.ensemble:HistGradientBoostingRegressor",
    ),
    "mlp": ("sklearn.neural_network:MLPClassifier", "sklearn.neural_network:MLPRegressor"),
}
"""For classes and for numbers."""


def pipeline(design: Design, *, regression: bool, examples: int, features: int, seed: int) -> Any:
    """The estimator of a design, not yet fitted.

    Arguments:
        examples, features: what it will be fitted on; a few settings hang on them.
    """
    parts: list[Any] = []
    if design["scaler"] != "none":
        quantiles = {"n_quantiles": min(1000, examples), "output_distribution": "normal"}
        own = quantiles | {"random_state": seed} if design["scaler"] == "normal" else {}
        parts.append(load(_SCALERS[design["scaler"]])(**own))
    if design["reduction"]["kind"] == "pca":
        share = design["reduction"]["share"]
        parts.append(load("sklearn.decomposition:PCA")(share, svd_solver="full"))
    model = design["model"]
    kind = model["kind"]
    target = _MODELS[kind][regression]
    assert target is not None  # the space for regression leaves these out
    parts.append(load(target)(**_settings(model, seed, examples, features)))
    if regression and kind in ("svm", "mlp"):
        # Their settings are meant for targets on a common scale.
        scaler = load(_SCALERS["standard"])()
        parts[-1] = load("sklearn.compose:TransformedTargetRegressor")(
            parts[-1], transformer=scaler
        )
    return load("sklearn.pipeline:make_pipeline")(*parts)


def _settings(model: Mapping[str, Any], seed: int, examples: int, features: int) -> dict[str, Any]:
    match model["kind"]:
        case "logistic":
            return {"C": model["strength"], "max_iter": 300}
        case "ridge":
            return {"alpha": model["penalty"]}
        case "neighbours":
            return {"n_neighbors": min(model["count"], examples), "weights": model["weights"]}
        case "svm":
            # Relative to the usual width, which is one over the number of features.
            return {"C": model["strength"], "gamma": model["gamma"] / features}
        case "naive_bayes":
            return {"var_smoothing": model["smoothing"]}
        case "lda":
            return {"solver": "lsqr", "shrinkage": model["shrinkage"]}
        case "random_forest" | "extra_trees":
            return {
                "n_estimators": model["trees"],
                "max_features": model["features"],
                "min_samples_leaf": model["leaf"],
                "random_state": seed,
            }
        case "boosting":
            return {
                "learning_rate": model["lr"],
                "max_iter": model["rounds"],
                "max_leaf_nodes": model["leaves"],
                "l2_regularization": model["penalty"],
                "early_stopping": False,
                "random_state": seed,
            }
    return {
        "hidden_layer_sizes": (model["width"],) * model["depth"],
        "learning_rate_init": model["lr"],
        "alpha": model["penalty"],
        "max_iter": 60,
        "random_state": seed,
    }


def numbers_held(estimator: Any) -> int:
    """How many numbers a fitted estimator needs to predict: arrays that it learned or keeps.

    A node of a tree counts five: feature, threshold, two children and a value.
    """
    if hasattr(estimator, "steps"):
        return sum(numbers_held(part) for _, part in estimator.steps)
    if hasattr(estimator, "regressor_"):
        return numbers_held(estimator.regressor_)
    if hasattr(estimator, "estimators_"):
        return sum(5 * tree.tree_.node_count for tree in estimator.estimators_)
    if hasattr(estimator, "_predictors"):
        return sum(5 * len(tree.nodes) for trees in estimator._predictors for tree in trees)
    names = (
        "coef_", "intercept_", "theta_", "var_", "class_prior_", "support_vectors_", "dual_coef_",
        "_fit_X", "components_", "mean_", "scale_", "min_", "quantiles_", "coefs_", "intercepts_",
    )  # fmt: skip
    return sum(_size(vars(estimator).get(name)) for name in names)


def _size(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_size, value))
    return int(getattr(value, "size", 0))
