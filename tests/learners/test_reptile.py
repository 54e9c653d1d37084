"""Reptile against the paper's algorithm written out, and its one-step case in closed form."""

from collections.abc import Callable
from typing import Literal

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.learners import Reptile
from metawright.models.backbones import ConvNet
from metawright.models.normalisation import Policy
from metawright.rng import stream
from metawright.tasks.task import Task

MakeTask = Callable[..., Task]
DOUBLE = torch.float64
BATCHINGS: tuple[Literal["stack", "loop"], ...] = ("stack", "loop")


def _net() -> ConvNet:
    return ConvNet(1, (8, 8), 3, rng=stream(0), filters=6, blocks=2).to(DOUBLE)


def _torch_steps(net: nn.Module, adam: torch.optim.Adam, task: Task, steps: int) -> None:
    """Steps on the whole task, so that the order of examples does not matter."""
    x = torch.cat([task.support.x, task.query.x])
    y = torch.cat([task.support.labels, task.query.labels])
    for _ in range(steps):
        grads = torch.autograd.grad(functional.cross_entropy(net(x), y), list(net.parameters()))
        for value, grad in zip(net.parameters(), grads, strict=True):
            value.grad = grad
        adam.step()


def test_the_outer_direction_is_where_torchs_adam_ends(make_task: MakeTask) -> None:
    task = make_task(dtype=DOUBLE)
    net = _net()
    size = len(task.support.x) + len(task.query.x)
    found = Reptile(net, inner_steps=4, inner_batch=size).gradients([task], stream(0)).grads

    other = _net()
    adam = torch.optim.Adam(other.parameters(), lr=1e-3, betas=(0.0, 0.999))
    _torch_steps(other, adam, task, 4)
    ends = dict(other.named_parameters())
    expected = {n: p.detach() - ends[n].detach() for n, p in net.named_parameters()}
    assert_close(found, expected, rtol=1e-6, atol=1e-10)


def test_batched_equals_loop(make_task: MakeTask) -> None:
    tasks = [make_task(seed, dtype=DOUBLE) for seed in range(3)]
    steps = [
        Reptile(_net(), inner_batch=4, batching=batching).gradients(tasks, stream(0))
        for batching in BATCHINGS
    ]
    assert_close(steps[0].grads, steps[1].grads, rtol=1e-7, atol=1e-12)
    assert steps[0].metrics == pytest.approx(steps[1].metrics)


def test_second_moments_go_on_from_task_to_task_as_torchs_adam(make_task: MakeTask) -> None:
    tasks = [make_task(seed, dtype=DOUBLE) for seed in range(2)]
    net = _net()
    size = len(tasks[0].support.x) + len(tasks[0].query.x)
    learner = Reptile(net, inner_steps=3, inner_batch=size)
    start = {n: p.detach().clone() for n, p in net.named_parameters()}
    learner.gradients([tasks[0]], stream(0))
    found = learner.gradients([tasks[1]], stream(0)).grads

    other = _net()
    adam = torch.optim.Adam(other.parameters(), lr=1e-3, betas=(0.0, 0.999))
    for task in tasks:
        other.load_state_dict(start)
        _torch_steps(other, adam, task, 3)
    expected = {n: start[n] - p.detach() for n, p in other.named_parameters()}
    assert_close(found, expected, rtol=1e-6, atol=1e-10)


def test_adapting_starts_from_the_moments_and_keeps_them(make_task: MakeTask) -> None:
    task = make_task(dtype=DOUBLE)
    fresh, trained = Reptile(_net()), Reptile(_net())
    trained.gradients([make_task(7, dtype=DOUBLE)], stream(0))
    before = {name: value.clone() for name, value in trained.named_buffers()}
    with torch.no_grad():
        outputs = [one.adapt(task.support, stream(0))(task.query.x) for one in (fresh, trained)]
    assert not torch.allclose(outputs[0], outputs[1])
    assert_close(dict(trained.named_buffers()), before, rtol=0, atol=0)
    assert int(before["moment_steps"]) == 5


def test_each_example_is_seen_once_before_any_again(make_task: MakeTask) -> None:
    task = make_task(shots=3, queries=1)  # 12 examples
    seen: list[torch.Tensor] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return functional.linear(x.flatten(1), self.linear.weight, self.linear.bias)

    Reptile(Spy(), inner_steps=4, inner_batch=3).gradients([task], stream(0))
    every = torch.cat(seen).flatten(1)
    assert every.shape == (12, 64)
    assert len({tuple(row) for row in every.tolist()}) == 12


def test_adapting_on_goes_on_from_where_it_was(make_task: MakeTask) -> None:
    """Whole batches of the same support once more: twice the steps in one go."""
    task = make_task(dtype=DOUBLE)
    size = 2 * len(task.support.x)
    learners = [
        Reptile(_net(), inner_lr=0.01, evaluation_steps=steps, evaluation_batch=size)
        for steps in (3, 6)
    ]
    for learner in learners:
        learner.gradients([make_task(7, dtype=DOUBLE)], stream(0))
    with torch.no_grad():
        before = learners[0].adapt(task.support, stream(0))
        kept = {name: value.clone() for name, value in before.params.items()}
        after = learners[0].adapt_more(before, task.support, stream(0))
        expected = learners[1].adapt(task.support, stream(0))
    assert_close(after.params, expected.params, rtol=1e-9, atol=1e-11)
    assert_close(before.params, kept, rtol=0, atol=0)
    assert (len(after.seen.x), after.steps) == (size, 6)
    tied = learners[0].adapt_more(
        learners[0].adapt(task.support, stream(0)), task.support, stream(0)
    )
    assert_close(tied.params, after.params)
    grads = torch.autograd.grad(
        tied.params["conv0"].sum(), learners[0].model.get_parameter("conv0")
    )
    assert_close(grads[0], torch.ones_like(grads[0]))


@pytest.mark.parametrize("policy", ["transductive", "support", "running"])
def test_with_and_without_transduction(policy: Policy, make_task: MakeTask) -> None:
    tasks = [make_task(seed, dtype=DOUBLE) for seed in range(3)]
    found = []
    for batching in BATCHINGS:
        learner = Reptile(_net(), inner_batch=4, batching=batching, normalisation=policy)
        learner.gradients(tasks, stream(0))
        with torch.no_grad():
            predict = learner.adapt(tasks[0].support, stream(0))
            x = tasks[0].query.x
            together, alone = predict(x), torch.cat([predict(one) for one in torch.split(x, 1)])
        assert torch.allclose(together, alone) == (policy != "transductive")
        found.append((together, dict(learner.named_buffers())))
    assert_close(found[0], found[1], rtol=1e-6, atol=1e-9)


def test_refuses_senseless_settings() -> None:
    with pytest.raises(ValueError, match="of Reptile cannot be 'per-step'"):
        Reptile(nn.Linear(1, 1), normalisation="per-step")
    with pytest.raises(ValueError, match="needs a model with `forward_tasks`"):
        Reptile(nn.Linear(1, 1), batching="stack")
    with pytest.raises(ValueError, match="`inner_lr > 0` must hold, but got 0"):
        Reptile(nn.Linear(1, 1), inner_lr=0)
    with pytest.raises(ValueError, match="`evaluation_batch > 0` must hold, but got 0"):
        Reptile(nn.Linear(1, 1), evaluation_batch=0)
