"""The space of pipelines for tables: which models there are, and its first guesses."""

import pytest

from metawright.spaces import Either, active, decisions, write
from metawright.spaces.tables import BOOSTED, NETWORKS, first_designs, table_pipelines


def models(kind: str, boosted: tuple[str, ...] = ()) -> list[str]:
    found = table_pipelines(kind, boosted=boosted).fields["model"]
    assert isinstance(found, Either)
    return list(found.cases)


def test_models_hang_on_the_kind_and_on_what_is_installed() -> None:
    shared = ["elastic_net", "neighbours", "svm"]
    trees = ["random_forest", "extra_trees", "boosting", "mlp", *NETWORKS]
    assert models("classification") == ["logistic", *shared, "naive_bayes", "lda", *trees]
    assert models("regression") == ["ridge", *shared, *trees]
    assert models("regression", BOOSTED)[-2:] == ["lightgbm", "catboost"]


def test_a_design_takes_the_preparation_and_its_models_decisions() -> None:
    space = table_pipelines("classification", boosted=())
    linear = write(space, first_designs("classification")[0])
    count = sum(active(decision, linear) for decision in decisions(space))
    assert count == 5 + 1 + 1, "preparation, which model, strength"
    assert len(decisions(space)) == 5 + 1 + (1 + 2 + 2 + 2 + 1 + 1 + 3 + 3 + 6 + 5 + 12 + 12 + 10)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_the_first_guesses_are_of_different_kinds(kind: str) -> None:
    kinds = [design["model"]["kind"] for design in first_designs(kind)]
    assert kinds[0] in ("logistic", "ridge") and len(set(kinds)) == 7
