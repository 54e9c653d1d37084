"""Classical pipelines of scikit-learn: scaler, reduction of dimensions, and a model."""

from metawright.spaces.space import Choice, Either, Integer, Real, Record

__all__ = ["CLASSIFIERS_ONLY", "pipelines"]

CLASSIFIERS_ONLY = ("logistic", "naive_bayes", "lda")
"""Models that have no counterpart for regression."""


def pipelines(*, regression: bool = False) -> Record:
    """Every model with the hyperparameters that matter most.

    - `scaler`: per feature, to mean 0 and deviation 1, to 0..1, or to a normal distribution;
    - `reduction`: principal components that hold a share of the variance, or none;
    - `model`: one of ten; for `regression` those of seven that can.
    """
    strength = Real(1e-3, 1e3, log=True)
    models = {
        "logistic": Record({"strength": strength}),
        "ridge": Record({"penalty": strength}),
        "neighbours": Record(
            {"count": Integer(1, 30, log=True), "weights": Choice(("uniform", "distance"))}
        ),
        "svm": Record({"strength": strength, "gamma": Real(0.01, 100.0, log=True)}),
        "naive_bayes": Record({"smoothing": Real(1e-10, 1.0, log=True)}),
        "lda": Record({"shrinkage": Real(0.0, 1.0)}),
        "random_forest": _forest(),
        "extra_trees": _forest(),
        "boosting": Record(
            {
                "lr": Real(0.02, 0.5, log=True),
                "rounds": Integer(20, 200, log=True),
                "leaves": Integer(4, 64, log=True),
                "penalty": Real(1e-3, 10.0, log=True),
            }
        ),
        "mlp": Record(
            {
                "width": Integer(16, 256, log=True),
                "depth": Integer(1, 2),
                "lr": Real(3e-4, 0.03, log=True),
                "penalty": Real(1e-6, 1.0, log=True),
            }
        ),
    }
    left = {name: m for name, m in models.items() if not (regression and name in CLASSIFIERS_ONLY)}
    return Record(
        {
            "scaler": Choice(("none", "standard", "range", "normal")),
            "reduction": Either({"none": Record({}), "pca": Record({"share": Real(0.5, 0.99)})}),
            "model": Either(left),
        }
    )


def _forest() -> Record:
    return Record(
        {
            "trees": Integer(20, 200, log=True),
            "features": Real(0.05, 1.0, log=True),
            "leaf": Integer(1, 10, log=True),
        }
    )
