"""Pipelines for tables: how columns become numbers, and a model with its hyperparameters.

Ranges are meant for 100 to 50,000 rows. The order of the parts is that of the decisions.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from metawright.spaces.design import Design
from metawright.spaces.space import Choice, Either, Integer, Real, Record

__all__ = ["BOOSTED", "NETWORKS", "first_designs", "table_pipelines"]

BOOSTED = ("lightgbm", "catboost")
"""Models that the extra `boost` brings."""

NETWORKS = ("mlp_ensemble", "resnet", "ft_transformer")
"""Models of our own, in torch. They take 15 to 80 times the seconds of `mlp`."""

_CLASSES_ONLY = ("logistic", "naive_bayes", "lda")
_NUMBERS_ONLY = ("ridge",)


def table_pipelines(
    kind: str, *, boosted: tuple[str, ...] | None = None, networks: bool = True
) -> Record:
    """Preparation and model.

    Arguments:
        kind: "classification" or "regression".
        boosted: which of `BOOSTED` there are; None: those that are installed. A store that is
            shared between machines is better off with a fixed choice.
        networks: whether `NETWORKS` are among the models.

    Example:
        >>> from metawright.spaces import contains
        >>> from metawright.spaces.tables import first_designs, table_pipelines
        >>> space = table_pipelines("regression", boosted=())
        >>> list(space.fields["model"].cases)[:3]
        ['ridge', 'elastic_net', 'neighbours']
        >>> all(contains(space, design) for design in first_designs("regression"))
        True
    """
    there = tuple(name for name in BOOSTED if find_spec(name)) if boosted is None else boosted
    left_out = _CLASSES_ONLY if kind == "regression" else _NUMBERS_ONLY
    unavailable = (*left_out, *(name for name in BOOSTED if name not in there))
    unavailable += () if networks else NETWORKS
    models = {name: model for name, model in _models().items() if name not in unavailable}
    return Record({"preparation": _preparation(), "model": Either(models)})


def _preparation() -> Record:
    return Record(
        {
            "scaling": Choice(("standard", "robust", "quantile", "none")),
            "clip": Choice((None, 3.0, 10.0)),
            "categories": Choice(("onehot", "ordinal", "target", "hash")),
            "rare": Integer(1, 30, log=True),
            "topics": Integer(4, 32, log=True),
        }
    )


def _models() -> dict[str, Record]:
    strength = Real(1e-3, 1e3, log=True)
    return {
        "logistic": Record({"strength": strength}),
        "ridge": Record({"penalty": Real(1e-3, 1e4, log=True)}),
        "elastic_net": Record({"penalty": Real(1e-5, 1.0, log=True), "sparsity": Real(0.05, 1.0)}),
        "neighbours": Record(
            {"count": Integer(1, 60, log=True), "weights": Choice(("uniform", "distance"))}
        ),
        "svm": Record(
            {"strength": Real(1e-2, 1e3, log=True), "gamma": Real(0.02, 20.0, log=True)}
        ),
        "naive_bayes": Record({"smoothing": Real(1e-10, 1.0, log=True)}),
        "lda": Record({"shrinkage": Real(0.0, 1.0)}),
        "random_forest": _forest(),
        "extra_trees": _forest(),
        "boosting": _boosting(),
        "mlp": Record(
            {
                "width": Integer(16, 256, log=True),
                "depth": Integer(1, 3),
                "lr": Real(3e-4, 0.03, log=True),
                "penalty": Real(1e-5, 10.0, log=True),
                "epochs": Integer(10, 200, log=True),
            }
        ),
        "mlp_ensemble": _network(Integer(16, 256, log=True), Integer(1, 4), Choice((1, 4, 8, 16))),
        "resnet": _network(Integer(16, 128, log=True), Integer(1, 4), Choice((1, 4, 8))),
        "ft_transformer": _network(
            Choice((16, 32, 64)), Integer(1, 3), Choice((1, 2, 4)), sized=False
        ),
        "lightgbm": _boosting(),
        "catboost": Record(
            {
                "lr": Real(0.01, 0.3, log=True),
                "rounds": Integer(50, 1000, log=True),
                "depth": Integer(3, 9),
                "penalty": Real(0.1, 30.0, log=True),
            }
        ),
    }


def _network(
    width: Integer | Choice, depth: Integer, members: Choice, *, sized: bool = True
) -> Record:
    """What networks have in common; `members` learn side by side and are averaged.

    Arguments:
        sized: whether the size of a number's token is a decision (it may be the width).
    """
    size = {"size": Choice((4, 8))} if sized else {}
    embedding = Either(
        {
            "none": Record({}),
            "piecewise": Record({"bins": Integer(4, 48, log=True), **size}),
            "periodic": Record({"deviation": Real(0.05, 3.0, log=True), **size}),
        }
    )
    return Record(
        {
            "embedding": embedding,
            "width": width,
            "depth": depth,
            "dropout": Real(0.0, 0.5),
            "lr": Real(3e-4, 0.03, log=True),
            "penalty": Real(1e-3, 100.0, log=True),
            "epochs": Integer(16, 256, log=True),
            "members": members,
        }
    )


def _forest() -> Record:
    return Record(
        {
            "trees": Integer(50, 400, log=True),
            "features": Real(0.05, 1.0, log=True),
            "leaf": Integer(1, 20, log=True),
        }
    )


def _boosting() -> Record:
    return Record(
        {
            "lr": Real(0.01, 0.3, log=True),
            "rounds": Integer(20, 500, log=True),
            "leaves": Integer(3, 64, log=True),
            "leaf": Integer(2, 60, log=True),
            "features": Real(0.2, 1.0),
            "penalty": Real(1e-3, 30.0, log=True),
        }
    )


def first_designs(kind: str) -> tuple[Design, ...]:
    """Good first guesses on any table, to be tried in this order: the scaled linear model first.

    Eight of them, of different kinds on purpose: an ensemble gains by their different mistakes.
    Trees grown to the end and near neighbours are too sure where classes overlap, but the ensemble
    is better with them than with smoother ones. They need no extra.
    """
    smooth: dict[str, Any] = {"scaling": "standard", "clip": 10.0, "categories": "onehot"}
    smooth |= {"rare": 5, "topics": 16}
    split = smooth | {"scaling": "none", "clip": None, "categories": "ordinal", "rare": 2}
    bent = smooth | {"scaling": "quantile"}
    forest = {"trees": 100, "features": 0.3, "leaf": 2}
    boosting = {"lr": 0.05, "leaf": 10, "features": 0.5, "penalty": 1.0}
    small = {"kind": "boosting", **boosting, "rounds": 100, "leaves": 8}
    large = {"kind": "boosting", **boosting, "lr": 0.1, "rounds": 150, "leaves": 16}
    mlp = {"width": 64, "depth": 1, "lr": 3e-3, "penalty": 1.0, "epochs": 40}
    linear: Mapping[str, Any] = {"kind": "logistic", "strength": 1.0}
    svm = {"kind": "svm", "strength": 3.0, "gamma": 1.0}
    if kind == "regression":
        linear = {"kind": "ridge", "penalty": 3.0}
        svm |= {"strength": 1.0, "gamma": 0.3}
    guesses: list[tuple[Mapping[str, Any], Mapping[str, Any]]] = [
        (smooth, linear),
        (split, small),
        (split, {"kind": "extra_trees", **forest, "features": 0.6, "leaf": 1}),
        (smooth, svm),
        (split, {"kind": "random_forest", **forest}),
        (bent, {"kind": "mlp", **mlp}),
        (split, large),
        (bent, {"kind": "neighbours", "count": 15, "weights": "distance"}),
    ]
    return tuple(Design({"preparation": p, "model": m}) for p, m in guesses)
