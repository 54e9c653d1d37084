"""Classical pipelines: every model, on classes and numbers, with the share that it sees."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import RidgeClassifier

from metawright.errors import MetawrightError
from metawright.evaluate.classical import as_table, judge_pipeline
from metawright.rng import stream
from metawright.spaces import Design, Either
from metawright.spaces.draw import sample
from metawright.spaces.pipelines import pipelines
from metawright.tasks.task import Batch, Kind, Task, TaskSpec

MODELS = pipelines().fields["model"]
assert isinstance(MODELS, Either)
CLASSIFIERS = tuple(MODELS.cases)
FORMS = pipelines(regression=True).fields["model"]
assert isinstance(FORMS, Either)
REGRESSORS = tuple(FORMS.cases)


def clouds(support: int = 60) -> Task:
    """Three clouds in five dimensions, far apart and far from a common scale."""
    rng = stream(0, "clouds")
    labels = torch.arange(support + 60) % 3
    x = torch.randn(len(labels), 5, generator=rng) + 5 * torch.eye(3, 5)[labels]
    x = x * torch.tensor([1.0, 100.0, 0.01, 1.0, 1.0])
    spec = TaskSpec(Kind.CLASSIFICATION, (5,), 3)
    return Task(Batch(x[:support], labels[:support]), Batch(x[support:], labels[support:]), spec)


def plane() -> Task:
    x = torch.randn(140, 4, generator=stream(0, "plane"))
    y = 100 + 10 * (x @ torch.tensor([1.0, 2.0, -1.0, 0.5]))
    return Task(
        Batch(x[:100], y[:100]), Batch(x[100:], y[100:]), TaskSpec(Kind.REGRESSION, (4,), 1)
    )


def design(model: str, *, scaler: str = "standard", regression: bool = False) -> Design:
    """A design with that model, its hyperparameters in the middle of their ranges."""
    space = pipelines(regression=regression).fields["model"]
    assert isinstance(space, Either)
    settings = sample(space.cases[model], stream(7, model))
    known: dict[str, dict[str, object]] = {
        "logistic": {"strength": 1.0}, "ridge": {"penalty": 1.0},
        "svm": {"strength": 10.0, "gamma": 1.0},
        "boosting": {"lr": 0.1, "rounds": 50, "leaves": 8, "penalty": 0.1},
        "mlp": {"width": 64, "depth": 1, "lr": 0.01, "penalty": 1e-3},
        "lda": {"shrinkage": 0.1}, "neighbours": {"count": 5, "weights": "distance"},
    }  # fmt: skip
    chosen: dict[str, object] = {"kind": model, **(known.get(model) or dict(settings))}
    return Design({"scaler": scaler, "reduction": {"kind": "none"}, "model": chosen})


@pytest.mark.parametrize("model", CLASSIFIERS)
def test_every_model_tells_clouds_apart(model: str) -> None:
    found = judge_pipeline(clouds(), design(model), fidelity=1.0, seed=0)
    assert found.scores["accuracy"] > 0.9
    assert 0 < found.scores["log_loss"] < 1.0
    assert found.cost["parameters"] > 0 and found.params is None
    assert found.evidence["examples"] == 60


@pytest.mark.parametrize("model", REGRESSORS)
def test_every_model_for_numbers_finds_a_plane(model: str) -> None:
    chosen = design(model, regression=True)
    found = judge_pipeline(plane(), chosen, fidelity=1.0, seed=0)
    assert found.scores["r2"] > 0.6


@pytest.mark.parametrize("scaler", ["none", "standard", "range", "normal"])
def test_every_scaler(scaler: str) -> None:
    found = judge_pipeline(clouds(), design("extra_trees", scaler=scaler), fidelity=1.0, seed=0)
    assert found.scores["accuracy"] > 0.8


def test_random_designs_of_both_kinds() -> None:
    for seed in range(10):
        for task, regression in ((clouds(), False), (plane(), True)):
            chosen = sample(pipelines(regression=regression), stream(seed))
            found = judge_pipeline(task, chosen, fidelity=1.0, seed=seed)
            assert found.cost["parameters"] > 0


def test_ridge_is_that_of_scikit_learn_on_scaled_features() -> None:
    task = clouds()
    found = judge_pipeline(task, design("ridge"), fidelity=1.0, seed=0)
    x = task.support.x.double().numpy()
    mean, deviation = x.mean(0), x.std(0)
    model = RidgeClassifier(alpha=1.0).fit((x - mean) / deviation, task.support.labels.numpy())
    right = model.predict((task.query.x.double().numpy() - mean) / deviation)
    assert found.scores["accuracy"] == np.mean(right == task.query.labels.numpy())
    assert found.cost["parameters"] == (3 * 5 + 3) + (5 + 5 + 5), "weights, and the scaler's"


def test_fidelity_is_a_share_of_the_examples_with_all_classes() -> None:
    found = judge_pipeline(clouds(), design("neighbours"), fidelity=0.2, seed=0)
    assert found.evidence["examples"] == 12
    least = judge_pipeline(clouds(), design("neighbours"), fidelity=0.01, seed=0)
    assert least.evidence["examples"] == 3


def test_two_classes_have_one_margin() -> None:
    task = clouds()
    two = Task(
        Batch(task.support.x, (task.support.labels > 0).long()),
        Batch(task.query.x, (task.query.labels > 0).long()),
        TaskSpec(Kind.CLASSIFICATION, (5,), 2),
    )
    found = judge_pipeline(two, design("ridge"), fidelity=1.0, seed=0)
    assert found.scores["accuracy"] > 0.8


def test_what_scikit_learn_warns_of_is_evidence() -> None:
    chosen = design("mlp")
    slow = Design({**chosen, "model": {**chosen["model"], "lr": 3e-4, "width": 16}})
    found = judge_pipeline(clouds(), slow, fidelity=1.0, seed=0)
    assert any("Maximum iterations (60)" in text for text in found.evidence["warnings"])


def test_what_it_refuses_is_an_error() -> None:
    task = clouds()
    support = Batch(task.support.x[:2], torch.tensor([1, 1]))
    with pytest.raises(MetawrightError, match=r"The pipeline cannot be fitted: .*class"):
        judge_pipeline(task._replace(support=support), design("logistic"), fidelity=1.0, seed=0)


def test_a_text_is_the_count_of_its_tokens() -> None:
    spec = TaskSpec(Kind.CLASSIFICATION, (4,), 2, vocabulary=5)
    table = as_table(torch.tensor([[1, 1, 4, 0], [2, 0, 0, 0]]), spec)
    assert table.tolist() == [[2, 0, 0, 1], [0, 1, 0, 0]]
