"""MAML against two independent truths in float64: slow plain autograd, and differences."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.learners import MAML, task_loss
from metawright.learners.batching import Batching
from metawright.models.backbones import MLP, ConvNet
from metawright.params import Params, params_of
from metawright.rng import stream
from metawright.tasks.task import Task
from metawright.training import fit

MakeTask = Callable[..., Task]
DOUBLE = torch.float64
WAYS: tuple[Batching, ...] = ("stack", "loop", "vmap")


def _smooth_net() -> nn.Module:
    """A small network without kinks, so that finite differences hold."""
    rng = stream(0, "smooth")
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, 3)).to(DOUBLE)
    for value in net.parameters():
        value.data = 0.5 * torch.randn(value.shape, generator=rng, dtype=DOUBLE)
    return net


def _convolutions(ways: int = 3) -> ConvNet:
    return ConvNet(1, (8, 8), ways, rng=stream(0), filters=6, blocks=2, head="mean").to(DOUBLE)


def _slow_output(weights: Params, x: Tensor) -> Tensor:
    """The network of `_convolutions` written again, its normalisation in primitives."""
    for block in range(2):
        x = functional.conv2d(x, weights[f"conv{block}"], stride=2, padding=1)
        mean = x.mean((0, 2, 3), keepdim=True)
        variance = (x - mean).square().mean((0, 2, 3), keepdim=True)
        x = (x - mean) / (variance + 1e-5).sqrt()
        scale, shift = weights[f"scale{block}"], weights[f"shift{block}"]
        x = functional.relu(x * scale.view(1, -1, 1, 1) + shift.view(1, -1, 1, 1))
    return x.mean((2, 3)) @ weights["weight"].T + weights["bias"]


def _slow_gradients(
    net: nn.Module, tasks: list[Task], lr: float, steps: int, second_order: bool
) -> Params:
    start = {
        name: value.detach().clone().requires_grad_() for name, value in net.named_parameters()
    }
    total = torch.zeros((), dtype=DOUBLE)
    for task in tasks:
        weights = dict(start)
        for _ in range(steps):
            loss = functional.cross_entropy(
                _slow_output(weights, task.support.x), task.support.labels
            )
            grads = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            for (name, value), grad in zip(list(weights.items()), grads, strict=True):
                weights[name] = value - lr * (grad if second_order else grad.detach())
        total = total + functional.cross_entropy(
            _slow_output(weights, task.query.x), task.query.labels
        )
    grads = torch.autograd.grad(total / len(tasks), list(start.values()))
    return dict(zip(start, grads, strict=True))


@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("batching", ["auto", "loop", "stack", "vmap"])
def test_meta_gradient_is_that_of_a_slow_version(
    second_order: bool, steps: int, batching: Batching, make_task: MakeTask
) -> None:
    tasks = [make_task(seed, dtype=DOUBLE) for seed in range(3)]
    net = _convolutions()
    learner = MAML(net, inner_steps=steps, second_order=second_order, batching=batching)
    grads = learner.gradients(tasks, stream(0)).grads
    assert_close(
        grads, _slow_gradients(net, tasks, 0.4, steps, second_order), rtol=1e-9, atol=1e-12
    )


def test_orders_differ(make_task: MakeTask) -> None:
    tasks = [make_task(dtype=DOUBLE)]
    first, second = (
        MAML(_convolutions(), second_order=order).gradients(tasks, stream(0)).grads["conv0"]
        for order in (False, True)
    )
    assert float((first - second).norm() / second.norm()) > 0.01


@pytest.mark.parametrize("steps", [1, 2])
def test_second_order_gradient_is_the_slope_of_the_adapted_loss(
    steps: int, make_task: MakeTask
) -> None:
    task = make_task(dtype=DOUBLE, size=4)
    net = _smooth_net()
    learner = MAML(net, inner_lr=0.1, inner_steps=steps)
    step = learner.gradients([task], stream(0))
    direction = {n: torch.ones_like(p) for n, p in params_of(net).items()}

    def moved(share: float) -> float:
        other = _smooth_net()
        with torch.no_grad():
            for name, value in other.named_parameters():
                value.add_(direction[name], alpha=share)
        moved_learner = MAML(other, inner_lr=0.1, inner_steps=steps)
        return moved_learner.gradients([task], stream(0)).metrics["loss"]

    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    expected = math.fsum(float((step.grads[n] * direction[n]).sum()) for n in direction)
    assert slope == pytest.approx(expected, rel=1e-6)


def test_batched_equals_loop_for_regression(make_wave: MakeTask) -> None:
    tasks = [make_wave(seed, dtype=DOUBLE) for seed in range(4)]
    net = MLP(1, 1, rng=stream(0)).to(DOUBLE)
    steps = [
        MAML(net, inner_lr=0.01, inner_steps=2, batching=batching).gradients(tasks, stream(0))
        for batching in WAYS
    ]
    assert_close(steps[0].grads, steps[1].grads, rtol=1e-10, atol=1e-12)
    assert steps[0].metrics == pytest.approx(steps[1].metrics)


def test_metrics_of_batched_and_loop_agree(make_task: MakeTask) -> None:
    tasks = [make_task(seed, dtype=DOUBLE) for seed in range(4)]
    metrics = [
        MAML(_convolutions(), batching=batching).gradients(tasks, stream(0)).metrics
        for batching in WAYS
    ]
    assert metrics[0] == pytest.approx(metrics[1])
    assert 0 <= metrics[0]["accuracy"] <= 1


def test_any_loss(make_wave: MakeTask) -> None:
    tasks = [make_wave(seed, dtype=DOUBLE) for seed in range(2)]
    net = MLP(1, 1, rng=stream(0)).to(DOUBLE)
    absolute = MAML(net, inner_lr=0.01, loss=functional.l1_loss).gradients(tasks, stream(0))
    square = MAML(net, inner_lr=0.01, loss=task_loss).gradients(tasks, stream(0))
    assert absolute.metrics["loss"] != pytest.approx(square.metrics["loss"])


def test_learns_waves(make_wave: MakeTask) -> None:
    learner = MAML(MLP(1, 1, rng=stream(0)), inner_lr=0.01)

    def error() -> float:
        tasks = [make_wave(seed) for seed in range(1000, 1050)]
        with torch.no_grad():
            return sum(
                float(task_loss(learner.adapt(t.support, stream(0))(t.query.x), t.query.labels))
                for t in tasks
            ) / len(tasks)

    before = error()
    draws = iter(range(100_000))
    fit(
        learner,
        lambda rng: [make_wave(next(draws)) for _ in range(10)],
        steps=150,
        rng=stream(1),
        lr=5e-3,
    )
    assert error() < 0.5 * before


def test_refuses_running_statistics() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.InstanceNorm2d(2, track_running_stats=True))
    with pytest.raises(ValueError, match="'1' keeps running statistics"):
        MAML(net)


def test_refuses_senseless_settings() -> None:
    with pytest.raises(ValueError, match="`inner_lr > 0` must hold, but got 0"):
        MAML(nn.Linear(1, 1), inner_lr=0)
    with pytest.raises(ValueError, match="`inner_steps > 0` must hold, but got 0"):
        MAML(nn.Linear(1, 1), inner_steps=0)
