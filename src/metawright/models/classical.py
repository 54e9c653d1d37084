"""Classical models of the spaces `pipelines` and `tables`, as scikit-learn's estimators.

scikit-learn is loaded when the first pipeline is made: it loads longer than many of them take.
"""

from collections.abc import Mapping
from typing import Any

from metawright.errors import MissingExtraError
from metawright.lazy import load
from metawright.spaces.design import Design

__all__ = ["estimator", "numbers_held", "pipeline"]

_SCALERS = {
    "standard": "sklearn.preprocessing:StandardScaler",
    "range": "sklearn.preprocessing:MinMaxScaler",
    "normal": "sklearn.preprocessing:QuantileTransformer",
}

_MODELS = {
    "logistic": ("sklearn.linear_model:LogisticRegression", None),
    "ridge": ("sklearn.linear_model:RidgeClassifier", "sklearn.linear_model:Ridge"),
    "elastic_net": (
        "sklearn.linear_model:LogisticRegression",
        "sklearn.linear_model:ElasticNet",
    ),
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
    "lightgbm": ("lightgbm:LGBMClassifier", "lightgbm:LGBMRegressor"),
    "catboost": ("catboost:CatBoostClassifier", "catboost:CatBoostRegressor"),
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
    parts.append(
        estimator(
            design["model"], regression=regression, examples=examples, features=features, seed=seed
        )
    )
    return load("sklearn.pipeline:make_pipeline")(*parts)


def estimator(
    model: Mapping[str, Any], *, regression: bool, examples: int, features: int, seed: int
) -> Any:
    """The estimator of a model's part of a design, not yet fitted; it works on one thread.

    Arguments:
        examples, features: what it will be fitted on; a few settings hang on them.

    Raises:
        MissingExtraError: the model comes with an extra that is not installed.
    """
    kind = model["kind"]
    target = _MODELS[kind][regression]
    assert target is not None  # the spaces for regression leave these out
    if kind == "elastic_net":
        made = load(target)(**_elastic(model, regression, examples, seed))
    elif kind in _BOOSTED:
        made = _boosted(kind, target)(**_settings(model, seed, examples, features))
    else:
        made = load(target)(**_settings(model, seed, examples, features))
    if regression and kind in ("svm", "mlp", "elastic_net"):
        # Their settings are meant for targets on a common scale.
        scaler = load(_SCALERS["standard"])()
        return load("sklearn.compose:TransformedTargetRegressor")(made, transformer=scaler)
    return made


_BOOSTED = ("lightgbm", "catboost")


def _boosted(package: str, target: str) -> Any:
    try:
        return load(target)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        raise MissingExtraError(package, "boost") from error


def _elastic(
    model: Mapping[str, Any], regression: bool, examples: int, seed: int
) -> dict[str, Any]:
    own = {"l1_ratio": model["sparsity"], "random_state": seed, "tol": 1e-3}
    if regression:
        return own | {"alpha": model["penalty"], "max_iter": 2000}
    # The same penalty beside the mean loss; scikit-learn's is beside the sum.
    return own | {"C": 1 / (model["penalty"] * examples), "solver": "saga", "max_iter": 200}


_NAMES: Mapping[str, Mapping[str, str]] = {
    "logistic": {"C": "strength"},
    "ridge": {"alpha": "penalty"},
    "neighbours": {"weights": "weights"},
    "svm": {"C": "strength"},
    "naive_bayes": {"var_smoothing": "smoothing"},
    "lda": {"shrinkage": "shrinkage"},
    "random_forest": {
        "n_estimators": "trees", "max_features": "features", "min_samples_leaf": "leaf"
    },
    "extra_trees": {
        "n_estimators": "trees", "max_features": "features", "min_samples_leaf": "leaf"
    },
    "boosting": {
        "learning_rate": "lr", "max_iter": "rounds", "max_leaf_nodes": "leaves",
        "l2_regularization": "penalty", "min_samples_leaf": "leaf", "max_features": "features",
    },
    "lightgbm": {
        "learning_rate": "lr", "n_estimators": "rounds", "num_leaves": "leaves",
        "min_child_samples": "leaf", "colsample_bytree": "features", "reg_lambda": "penalty",
    },
    "catboost": {
        "learning_rate": "lr", "iterations": "rounds", "depth": "depth", "l2_leaf_reg": "penalty"
    },
    "mlp": {"learning_rate_init": "lr", "alpha": "penalty", "max_iter": "epochs"},
}  # fmt: skip
"""What the libraries call the decisions."""

_ABSENT: Mapping[str, Mapping[str, Any]] = {
    "boosting": {"leaf": 20, "features": 1.0},
    "mlp": {"epochs": 60},
}
"""Decisions that only one of the two spaces has."""

_ALWAYS: Mapping[str, Mapping[str, Any]] = {
    "logistic": {"max_iter": 300},
    "lda": {"solver": "lsqr"},
    "boosting": {"early_stopping": False},
    "lightgbm": {"n_jobs": 1, "deterministic": True, "verbose": -1},
    "catboost": {"thread_count": 1, "allow_writing_files": False, "verbose": False},
}

_SEEDS = dict.fromkeys(
    ("random_forest", "extra_trees", "boosting", "lightgbm", "mlp"), "random_state"
) | {"catboost": "random_seed"}


def _settings(model: Mapping[str, Any], seed: int, examples: int, features: int) -> dict[str, Any]:
    """The arguments of the library's estimator."""
    kind = model["kind"]
    decided = {**_ABSENT.get(kind, {}), **model}
    settings = {theirs: decided[own] for theirs, own in _NAMES[kind].items()}
    settings |= _ALWAYS.get(kind, {})
    if kind in _SEEDS:
        settings[_SEEDS[kind]] = seed
    if kind == "neighbours":
        settings["n_neighbors"] = min(model["count"], examples)
    if kind == "svm":
        # Relative to the usual width, which is one over the number of features.
        settings["gamma"] = model["gamma"] / features
    if kind == "mlp":
        settings["hidden_layer_sizes"] = (model["width"],) * model["depth"]
    return settings


def numbers_held(fitted: Any) -> int:
    """How many numbers a fitted estimator needs to predict: arrays that it learned or keeps.

    A node of a tree counts five: feature, threshold, two children and a value.
    """
    if hasattr(fitted, "steps"):
        return sum(numbers_held(part) for _, part in fitted.steps)
    if hasattr(fitted, "regressor_"):
        return numbers_held(fitted.regressor_)
    if hasattr(fitted, "calibrated_classifiers_"):
        return sum(numbers_held(part.estimator) for part in fitted.calibrated_classifiers_)
    if hasattr(fitted, "booster_"):
        return 10 * int(fitted.n_estimators_ * fitted.num_leaves)
    if hasattr(fitted, "tree_count_"):
        return 3 * int(fitted.tree_count_) << int(fitted.get_param("depth"))
    if hasattr(fitted, "estimators_"):
        return sum(numbers_held(one) for one in fitted.estimators_)
    if hasattr(fitted, "tree_"):
        return 5 * int(fitted.tree_.node_count)
    if hasattr(fitted, "_predictors"):
        return sum(5 * len(tree.nodes) for trees in fitted._predictors for tree in trees)
    if hasattr(fitted, "numbers_held"):
        return int(fitted.numbers_held)
    names = (
        "coef_", "intercept_", "theta_", "var_", "class_prior_", "support_vectors_", "dual_coef_",
        "_fit_X", "components_", "mean_", "scale_", "min_", "quantiles_", "coefs_", "intercepts_",
    )  # fmt: skip
    return sum(_size(vars(fitted).get(name)) for name in names)


def _size(value: Any) -> int:
    if isinstance(value, list):
        return sum(map(_size, value))
    return int(getattr(value, "size", 0))
