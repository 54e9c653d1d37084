"""Training a design and judging it: what holds in every space, and what is honest about it."""

import math
import multiprocessing
import pickle
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from metawright.errors import InputError, MetawrightError
from metawright.evaluate.epochs import Batches
from metawright.evaluate.evaluator import Evaluation, Evaluator
from metawright.evaluate.supervised import Supervised, fits, usual_epochs
from metawright.models.variants import own_design, space_of
from metawright.rng import stream
from metawright.spaces import SPACES, TRAINABLE, Choice, Design, Integer, Real, Record
from metawright.spaces.draw import sample
from metawright.spaces.training import training_space
from metawright.tasks.task import Batch, Kind, Task, TaskSpec

OWN = Record(
    {
        "width": Integer(4, 64),
        "dropout": Choice((0.0, 0.5)),
        "training": Record({"lr": Real(1e-4, 1e9, log=True), "batch_size": Choice((8, 16, 40))}),
    }
)


def build(design: Design, spec: TaskSpec) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(spec.features), design["width"]),
        nn.ReLU(),
        nn.Dropout(design["dropout"]),
        nn.Linear(design["width"], spec.outputs),
    )


def own(lr: float = 0.01, *, batch_size: int = 16, dropout: float = 0.0) -> Design:
    training = {"lr": lr, "batch_size": batch_size}
    return Design({"width": 16, "dropout": dropout, "training": training})


def stripes(support: int = 40, query: int = 30) -> Task:
    """Images of 8 x 8 with an upright or a lying stripe, in noise."""
    rng = stream(0, "stripes")
    total = support + query
    x = 0.3 * torch.rand(total, 1, 8, 8, generator=rng)
    labels = torch.arange(total) % 2
    places = torch.randint(1, 7, (total,), generator=rng)
    for index in range(total):
        place, image = int(places[index]), x[index, 0]
        (image if labels[index] else image.T)[place] += 0.7
    spec = TaskSpec(Kind.CLASSIFICATION, (1, 8, 8), 2)
    return Task(Batch(x[:support], labels[:support]), Batch(x[support:], labels[support:]), spec)


def line(slope: float = 300.0) -> Task:
    """Numbers far from a common scale: y = slope * (first + 2 * second) + 5,000."""
    rng = stream(0, "line")
    x = 10 + 4 * torch.randn(120, 3, generator=rng)
    y = slope * (x[:, :1] + 2 * x[:, 1:2]) + 5000
    spec = TaskSpec(Kind.REGRESSION, (3,), 1)
    return Task(Batch(x[:80], y[:80]), Batch(x[80:], y[80:]), spec)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("space", TRAINABLE)
def test_every_space_is_tried_the_same_way_twice(space: str) -> None:
    judge: Evaluator = Supervised(stripes(), space, epochs=1)
    assert judge.space == SPACES[space]()
    design = sample(judge.space, stream(3, space))
    first, again = judge(design, seed=1), judge(design, seed=1)
    assert first.scores == again.scores
    assert set(first.scores) == {"accuracy", "log_loss"}
    assert first.cost["parameters"] > 0 and first.cost["seconds"] > 0
    assert first.evidence["fidelity"] == 1
    if space != "pipelines":
        assert first.params is not None and again.params is not None
        assert all(torch.equal(first.params[name], again.params[name]) for name in first.params)
        assert first.evidence["epochs"] == 1 and len(first.evidence["curve"]) == 1
        other = judge(design, seed=2).params
        assert other is not None
        assert any(not torch.equal(first.params[name], other[name]) for name in other)


def test_a_good_design_learns_and_its_weights_say_the_same() -> None:
    task = stripes()
    architecture = {
        "stages": [{"depth": 1, "width": 16, "kernel": 3, "expansion": 1, "skip": False}] * 2,
        "pooling": "max", "normalisation": "group", "activation": "relu",
    }  # fmt: skip
    training = {
        "optimiser": {"kind": "adam", "lr": 0.01, "weight_decay": 0.001}, "batch_size": 32,
        "schedule": "cosine", "label_smoothing": 0.0, "augmentation": 0.0,
    }  # fmt: skip
    judge = Supervised(task, "macro", epochs=15)
    design = Design({"architecture": architecture, "training": training})
    found = judge(design)
    assert found.scores["accuracy"] > 0.95
    assert found.evidence["curve"][-1] < 0.2 < found.evidence["curve"][0]
    module = judge.module(design)
    assert found.params is not None
    module.load_state_dict(found.params)
    right = (module.eval()(task.query.x).argmax(1) == task.query.labels).double().mean()
    assert float(right) == found.scores["accuracy"]


def test_numbers_are_learned_in_their_own_unit() -> None:
    judge = Supervised(line(), "dense", epochs=60)
    layer = {"width": 32, "activation": "relu", "dropout": 0.0, "normalisation": "none"}
    training = {
        "optimiser": {"kind": "adam", "lr": 0.01, "weight_decay": 0.001}, "batch_size": 32,
        "schedule": "cosine", "label_smoothing": 0.0, "augmentation": 0.0,
    }  # fmt: skip
    found = judge(Design({"architecture": {"layers": [layer]}, "training": training}))
    assert found.scores["r2"] > 0.97
    spread = float(line().query.labels.std())
    assert found.scores["rmse"] < 0.2 * spread


def test_a_space_of_ones_own() -> None:
    task = stripes()
    found = Supervised(task, OWN, build=build, epochs=20)(own())
    assert found.scores["accuracy"] > 0.8
    assert found.cost["parameters"] == 64 * 16 + 16 + 16 * 2 + 2
    assert found.cost["flops"] == 2 * (64 * 16 + 16 * 2)


def test_dropout_hangs_on_the_seed_alone() -> None:
    judge = Supervised(stripes(), OWN, build=build, epochs=2)
    first = judge(own(dropout=0.5))
    torch.rand(3)  # what others draw from the global generator changes nothing
    again = judge(own(dropout=0.5))
    assert first.params is not None and again.params is not None
    assert all(torch.equal(first.params[name], again.params[name]) for name in first.params)


def test_an_existing_network_as_a_space() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(4),
        nn.Flatten(), nn.Linear(32, 2),
    )  # fmt: skip
    space, variants = space_of(network)
    judge = Supervised(stripes(), space, build=variants, epochs=3)
    found = judge(own_design(network, sample(training_space(), stream(1))))
    assert found.cost["parameters"] == sum(p.numel() for p in network.parameters())
    assert found.params is not None and "1.running_mean" in found.params


def test_fidelity_is_a_share_of_the_epochs() -> None:
    judge = Supervised(stripes(), OWN, build=build, epochs=8)
    found = judge(own(), fidelity=0.25)
    assert found.evidence["epochs"] == 2 and found.evidence["fidelity"] == 0.25
    assert len(found.evidence["curve"]) == 2
    small = judge(own(batch_size=40), fidelity=0.01)
    assert small.evidence["epochs"] == 1, "one step at least"
    for share in (0.0, 1.5):
        with pytest.raises(InputError, match=rf"`0 < fidelity <= 1` .* got \(fidelity={share}\)"):
            judge(own(), fidelity=share)


def slow(design: Design, spec: TaskSpec) -> nn.Module:
    return nn.Sequential(Sleeper(), build(design, spec))


class Sleeper(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.01)
        return x


def test_the_end_of_the_time_is_told() -> None:
    judge = Supervised(stripes(), OWN, build=slow, epochs=100, max_seconds=0.1)
    found = judge(own())
    assert found.evidence["stopped"].startswith("After 0.1 s: ")
    assert found.evidence["stopped"].endswith(" of 300 steps.")
    assert 0 < found.evidence["epochs"] < 10
    assert found.cost["seconds"] < 5


def test_divergence_is_an_error_not_a_score() -> None:
    with pytest.raises(MetawrightError, match=r"Training broke at step|are not finite"):
        Supervised(stripes(), OWN, build=build, epochs=30, clip=None)(own(lr=1e9))


def broken(design: Design, spec: TaskSpec) -> nn.Module:
    return nn.Sequential(Nothing(), build(design, spec))


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * math.nan


def test_a_loss_that_is_no_number_is_an_error() -> None:
    with pytest.raises(MetawrightError, match=r"Training broke at step 1: .*nan"):
        Supervised(stripes(), OWN, build=broken, epochs=1)(own())


def test_an_evaluator_is_sent_to_another_process() -> None:
    judge = Supervised(stripes(), "dense", epochs=1)
    design = sample(judge.space, stream(0))
    text = pickle.dumps(judge)
    again: Evaluation = pickle.loads(text)(design)
    assert again.scores == judge(design).scores
    assert pickle.loads(pickle.dumps(Supervised(stripes(), OWN, build=build))).space == OWN
    assert "spawn" in multiprocessing.get_all_start_methods()


def test_what_fits_is_known_before() -> None:
    vectors, texts = TaskSpec(Kind.REGRESSION, (9,), 1), TaskSpec(Kind.CLASSIFICATION, (9,), 2)
    assert fits("dense", vectors) is None and fits("pipelines", texts) is None
    assert "needs images or signals, but the examples are feature vectors" in str(
        fits("cells", vectors)
    )
    assert "'generator' cannot: choose one of these" in str(fits("generator", vectors))
    with pytest.raises(InputError, match="The space 'cells' needs images"):
        Supervised(line(), "cells")


def test_contradictions_are_refused() -> None:
    task = stripes()
    with pytest.raises(InputError, match="needs `build`"):
        Supervised(task, OWN)
    with pytest.raises(InputError, match="leave `build` out"):
        Supervised(task, "dense", build=build)
    with pytest.raises(InputError, match=r"`epochs >= 1` must hold, but got \(epochs=0\)"):
        Supervised(task, "dense", epochs=0)
    with pytest.raises(InputError, match="`max_seconds > 0` must hold"):
        Supervised(task, "dense", max_seconds=0.0)
    empty = Task(task.support, Batch(task.query.x[:0], task.query.labels[:0]), task.spec)
    with pytest.raises(InputError, match="The task's query must have examples"):
        Supervised(empty, "dense")
    with pytest.raises(InputError, match="width must be an integer from 4 to 64"):
        Supervised(task, OWN, build=build)(Design({**own(), "width": 3}))


def test_epochs_by_default() -> None:
    assert [usual_epochs(count) for count in (20, 1300, 15_000, 10**6)] == [60, 17, 3, 2]


def test_latency_is_measured_when_asked_for() -> None:
    judge = Supervised(stripes(), OWN, build=build, epochs=1, measure_latency=True)
    assert 0 < judge(own()).cost["latency"] < 0.1
    assert "latency" not in Supervised(stripes(), OWN, build=build, epochs=1)(own()).cost


def test_batch_sizes_are_no_larger_than_the_support() -> None:
    judge = Supervised(stripes(support=6), OWN, build=build, epochs=3)
    assert judge(own(batch_size=40)).evidence["epochs"] == 3


def normalised(design: Design, spec: TaskSpec) -> nn.Module:
    width = design["width"]
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, width), nn.BatchNorm1d(width), nn.Linear(width, 2)
    )


@pytest.mark.parametrize("support", [17, 33, 41])
def test_one_example_left_over_is_joined_to_the_batch_before(support: int) -> None:
    """A batch of one has no statistics, and an epoch stays every example once."""
    judge = Supervised(stripes(support=support), OWN, build=normalised, epochs=3)
    found = judge(own(batch_size=40 if support == 41 else 16))
    assert found.evidence["epochs"] == 3 and len(found.evidence["curve"]) == 3
    batches = Batches(judge.task.support, 16)
    rng = stream(0, "epoch")
    for _ in range(2):
        seen = torch.cat([batches(rng).x for _ in range(batches.count)])
        assert_close(seen.flatten(1).sum(1).sort()[0],
                     judge.task.support.x.flatten(1).sum(1).sort()[0])  # fmt: skip


def test_regression_without_scales_is_learned_too() -> None:
    task = line(slope=0.01)
    centred = task._replace(
        support=Batch((task.support.x - 10) / 4, task.support.labels - 5000.3),
        query=Batch((task.query.x - 10) / 4, task.query.labels - 5000.3),
    )
    found = Supervised(centred, OWN, build=build, epochs=40)(own())
    assert found.scores["r2"] > 0.8
    assert_close(torch.tensor(found.scores["rmse"]), torch.tensor(0.0), atol=0.05, rtol=0)
