"""Regression figures against arithmetic on learners whose answers are known."""

import math
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from metawright.evaluate.regression import evaluate_regression, measured, with_steps
from metawright.learners import LEARNERS, Hypotheses, Predictor
from metawright.params import Params
from metawright.rng import stream
from metawright.tasks.sinusoid import Sinusoid
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec
from metawright.training import Step


class Line:
    """Tasks whose answers are the examples plus noise of standard deviation 2."""

    def __init__(self, kind: Kind = Kind.REGRESSION) -> None:
        self.kind = kind
        self.drawn: list[Task] = []

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        x = torch.randn(400, 1, generator=rng)
        batch = Batch(x, x + 2 * torch.randn(400, 1, generator=rng))
        self.drawn.append(Task(batch, batch, TaskSpec(self.kind, (1,), 1)))
        return self.drawn[-1]


class Identity:
    """Is off by 3 before adaptation, by 1 after one step, and right after two or more."""

    def __init__(self, sure: float | None = None, appetite: int = 0) -> None:
        self.evaluation_steps = 7
        self.sure = sure
        self.appetite = appetite

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        yield from ()

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        raise NotImplementedError

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        torch.randn(self.appetite, generator=rng)
        shift = (3.0, 1.0, 0.0)[min(self.evaluation_steps, 2)]
        if self.sure is None:
            return lambda x: x + shift

        def forward(params: Params, x: Tensor) -> Tensor:
            return torch.stack([x, x], 1) + params["shift"][:, :, None, None]

        params = {"shift": torch.full((2,), shift)}
        return Hypotheses(forward, params, support, torch.full((2,), self.sure))


def test_errors_by_steps() -> None:
    learner = Identity()
    found = evaluate_regression(
        learner, Line(), Split.TEST, tasks=50, rng=stream(0), steps=(0, 1, 2)
    )
    for steps, expected in ((0, 13.0), (1, 5.0), (2, 4.0)):
        error = found.error[steps]
        assert error.tasks == 50
        assert abs(error.mean - expected) < 2 * error.ci95 < 0.5
    assert found.calibration == {}
    assert learner.evaluation_steps == 7


def test_a_calibrated_learner_covers_what_it_promises() -> None:
    found = evaluate_regression(
        Identity(sure=2.0), Line(), Split.TEST, tasks=40, rng=stream(0), steps=(1, 2), level=0.8
    ).calibration
    assert abs(found[2].coverage.mean - 0.8) < 0.01
    assert found[1].coverage.mean < 0.78
    assert found[2].width.mean == pytest.approx(2 * 1.2815516 * 2, rel=1e-4)
    entropy = 0.5 * math.log(2 * math.pi * math.e * 4)
    assert found[2].log_loss.mean == pytest.approx(entropy, abs=0.03)
    assert found[1].log_loss.mean > found[2].log_loss.mean
    assert found[2].level == 0.8


def test_every_learner_sees_the_same_tasks() -> None:
    sources = Line(), Line()
    for source, appetite in zip(sources, (0, 17), strict=True):
        evaluate_regression(
            Identity(appetite=appetite), source, Split.TEST, tasks=3, rng=stream(0), steps=(0, 1)
        )
    assert len(sources[0].drawn) == 3
    for one, other in zip(sources[0].drawn, sources[1].drawn, strict=True):
        assert_close(one.query.x, other.query.x, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["maml", "reptile", "bayesian-maml", "platipus"])
def test_real_learners_take_steps(name: str) -> None:
    spec = TaskSpec(Kind.REGRESSION, (1,), 1)
    learner = LEARNERS[name](spec, stream(0))
    before = {n: p.detach().clone() for n, p in learner.named_parameters()}
    found = evaluate_regression(
        learner, Sinusoid(shots=5), Split.TEST, tasks=2, rng=stream(0), steps=(0, 1, 3)
    )
    assert len({round(error.mean, 6) for error in found.error.values()}) == 3
    assert bool(found.calibration) == (name in ("bayesian-maml", "platipus"))
    assert_close({n: p.detach() for n, p in learner.named_parameters()}, before, rtol=0, atol=0)


def test_median_stands_where_the_mean_does_not() -> None:
    found = measured([0.1, 0.2, 0.3, 0.4, 1e6])
    assert found.median == pytest.approx(0.3)
    assert found.mean > 1e5
    assert measured([1.0]).ci95 == math.inf


def test_arguments_are_checked() -> None:
    with pytest.raises(ValueError, match=r"`tasks >= 1` must hold, but got 0"):
        evaluate_regression(Identity(), Line(), Split.TEST, tasks=0, rng=stream(0))
    with pytest.raises(ValueError, match="needs regression tasks, but got classification"):
        evaluate_regression(
            Identity(), Line(Kind.CLASSIFICATION), Split.TEST, tasks=1, rng=stream(0)
        )
    with pytest.raises(ValueError, match=r"`steps >= 0` must hold, but got -1"):
        with_steps(Identity(), -1)
    images = TaskSpec(Kind.CLASSIFICATION, (1, 8, 8), 2)
    with pytest.raises(
        ValueError, match=r"only where a learner has `evaluation_steps`, but Proto"
    ):
        with_steps(LEARNERS["prototypical-network"](images, stream(0)), 1)
