"""Baselines on pixels: against slow versions and the figures that they are known to reach."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.svm import SVC

from metawright.evaluate.baselines import BASELINES, baselines
from metawright.rng import stream
from metawright.tasks import Digits, Sinusoid
from metawright.tasks.classes import ImageClasses
from metawright.tasks.episode import Episode, draw_episode
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec


def _mean(tasks: list[Task]) -> dict[str, float]:
    """Mean accuracy of each baseline in percent."""
    scores = [baselines(task) for task in tasks]
    return {name: 100 * float(np.mean([one[name] for one in scores])) for name in BASELINES}


# From 100 draws with 50 query drawings a class: logistic regression, 1-NN, SVM. Over five draws
# the standard error is 0.9 to 2.0 points, and two and a half of them are allowed.
@pytest.mark.parametrize(
    ("shots", "known", "tolerance"),
    [(1, (66.3, 66.0, 66.0), 5), (5, (85.9, 85.9, 87.8), 3), (20, (92.7, 95.0, 95.8), 2)],
)
def test_known_figures_on_digits(
    shots: int, known: tuple[float, float, float], tolerance: float
) -> None:
    source = Digits(shots=shots, queries=50)
    found = _mean([source.draw(Split.TEST, stream(seed, "known")) for seed in range(5)])
    assert list(found) == ["logistic regression", "1-nearest neighbour", "SVM"]
    assert list(found.values()) == pytest.approx(known, abs=tolerance)


def test_known_figures_on_mnist(data: Callable[[str], Path]) -> None:
    with np.load(data("mnist") / "mnist_28x28_15k_4k.npz") as file:
        images, labels = file["test_images"], file["test_labels"]
    order = np.argsort(labels, kind="stable")
    table = ImageClasses(
        torch.from_numpy(images[order])[:, None],
        tuple(np.bincount(labels).tolist()),
        tuple("0123456789"),
        dict.fromkeys(Split, torch.arange(10)),
    )
    tasks = [
        draw_episode(table, Episode(10, 5, 50), Split.TEST, stream(seed)) for seed in range(4)
    ]
    assert list(_mean(tasks).values()) == pytest.approx((68.1, 64.6, 69.9), abs=4)


def test_nearest_neighbour_is_that_of_a_slow_version() -> None:
    task = Digits(shots=3, queries=10).draw(Split.TEST, stream(0))
    distances = torch.cdist(task.query.x.flatten(1).double(), task.support.x.flatten(1).double())
    nearest = task.support.labels[distances.argmin(1)]
    expected = float((nearest == task.query.labels).double().mean())
    assert baselines(task)["1-nearest neighbour"] == pytest.approx(expected)


def test_svm_has_the_width_of_its_pixels() -> None:
    task = Digits(shots=5, queries=20).draw(Split.TEST, stream(0))
    support, query = (b.x.flatten(1).double().numpy() for b in (task.support, task.query))
    model = SVC(C=10, gamma=1 / (64 * support.var())).fit(support, task.support.labels.numpy())
    expected = model.score(query, task.query.labels.numpy())
    assert baselines(task)["SVM"] == pytest.approx(expected)


def test_the_task_stays_and_nothing_is_random() -> None:
    task = Digits(shots=2, queries=5).draw(Split.TEST, stream(0))
    before = task.support.x.clone()
    assert baselines(task) == baselines(task)
    assert torch.equal(task.support.x, before)


def _task(support: Batch, query: Batch, kind: Kind = Kind.CLASSIFICATION) -> Task:
    return Task(support, query, TaskSpec(kind, tuple(support.x.shape[1:]), 2))


def test_one_class_and_blank_images() -> None:
    x = torch.rand(4, 1, 3, 3, generator=stream(0))
    one = Batch(x, torch.zeros(4, dtype=torch.int64))
    assert set(baselines(_task(one, one)).values()) == {1.0}
    other = Batch(x, torch.tensor([0, 0, 0, 1]))
    assert set(baselines(_task(one, other)).values()) == {0.75}
    blank = Batch(torch.zeros(2, 1, 3, 3), torch.tensor([0, 1]))
    assert set(baselines(_task(blank, blank)).values()) == {0.5}


def test_slow_convergence_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    hasty = {"logistic regression": lambda: LogisticRegression(max_iter=1)}
    monkeypatch.setattr("metawright.evaluate.baselines.BASELINES", hasty)
    task = Digits(shots=2, queries=5).draw(Split.TEST, stream(0))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert 0.1 < baselines(task)["logistic regression"] <= 1
    assert not told


def test_what_is_refused() -> None:
    task = Digits(shots=1, queries=1).draw(Split.TEST, stream(0))
    with pytest.raises(ValueError, match="need a classification task, but got regression"):
        baselines(Sinusoid().draw(Split.TEST, stream(0)))
    with pytest.raises(ValueError, match="The query of the task is empty"):
        baselines(task._replace(query=Batch(task.query.x[:0], task.query.labels[:0])))
    with pytest.raises(ValueError, match="The batch has no answers"):
        baselines(task._replace(query=Batch(task.query.x, None)))
