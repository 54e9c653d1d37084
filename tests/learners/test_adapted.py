"""What adaptation gives: it goes on with more data, and normalises as its policy says."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.learners import MAML
from metawright.models.backbones import ConvNet
from metawright.models.normalisation import Policy
from metawright.params import Params, params_of
from metawright.rng import stream
from metawright.tasks.task import Batch, Task
from metawright.training.checkpoint import buffers_of

MakeTask = Callable[..., Task]
DOUBLE = torch.float64


def _net(ways: int = 3) -> ConvNet:
    return ConvNet(1, (8, 8), ways, rng=stream(0), filters=4, blocks=2, head="mean").to(DOUBLE)


def _tasks(make_task: MakeTask, count: int = 3) -> list[Task]:
    return [make_task(seed, dtype=DOUBLE) for seed in range(count)]


def _with(net: nn.Module, params: Params, x: Tensor) -> Tensor:
    outputs: Tensor = torch.func.functional_call(net, params, (x,))
    return outputs


# --- adapting, and adapting on -------------------------------------------------------------------


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_adapting_on_goes_on_from_where_it_was(optimiser: str, make_task: MakeTask) -> None:
    """The same support once more: twice the steps on the same mean loss."""
    task = make_task(dtype=DOUBLE)
    options: dict[str, Any] = {"inner_lr": 0.05, "inner_steps": 3, "optimiser": optimiser}
    learner = MAML(_net(), **options)
    with torch.no_grad():
        before = learner.adapt(task.support, stream(0))
        kept = {name: value.clone() for name, value in before.params.items()}
        after = learner.adapt_more(before, task.support, stream(0))
        expected = MAML(_net(), **options, evaluation_steps=6).adapt(task.support, stream(0))
    assert_close(after.params, expected.params, rtol=1e-9, atol=1e-11)
    assert_close(before.params, kept, rtol=0, atol=0)
    assert (len(before.seen.x), len(after.seen.x), after.steps) == (6, 12, 6)
    assert not after(task.query.x).requires_grad


def test_adapting_on_can_be_differentiated(make_task: MakeTask) -> None:
    task, learner = make_task(dtype=DOUBLE), MAML(_net(), inner_lr=0.1)
    with torch.no_grad():
        free = learner.adapt(task.support, stream(0))
    tied = learner.adapt_more(learner.adapt(task.support, stream(0)), task.support, stream(0))
    assert_close(tied.params, learner.adapt_more(free, task.support, stream(0)).params)
    grads = torch.autograd.grad(
        tied(task.query.x).square().sum(), list(learner.model.parameters())
    )
    assert all(bool(grad.abs().sum() > 0) for grad in grads)


# --- normalisation -------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["transductive", "support", "per-step", "running"])
def test_a_query_depends_on_others_where_the_policy_says_so(
    policy: Policy, make_task: MakeTask
) -> None:
    tasks = _tasks(make_task)
    learner = MAML(_net(), inner_steps=2, normalisation=policy)
    for _ in range(3):
        learner.gradients(tasks, stream(0))
    with torch.no_grad():
        predict = learner.adapt(tasks[0].support, stream(0))
        x = tasks[0].query.x
        together, alone = predict(x), torch.cat([predict(one) for one in torch.split(x, 1)])
    difference = float((together - alone).abs().max())
    assert difference > 1e-3 if policy == "transductive" else difference < 1e-12


def test_support_statistics_are_those_of_the_support_under_the_adapted_weights(
    make_task: MakeTask,
) -> None:
    task, net = make_task(dtype=DOUBLE), _net()
    with torch.no_grad():
        found = MAML(net, normalisation="support").adapt(task.support, stream(0))
        assert_close(found(task.support.x), _with(net, found.params, task.support.x))


def test_each_number_of_steps_has_its_own_running_statistics(make_task: MakeTask) -> None:
    """The averages after one batch: a tenth of what each pass saw, nine of where they began."""
    task, net = make_task(dtype=DOUBLE), _net()
    learner = MAML(net, inner_steps=2, normalisation="per-step", batching="loop")
    learner.gradients([task], stream(0))
    found = buffers_of(learner)["running_mean.0"]
    assert found.shape == (3, 4)
    weights: Params = params_of(net)
    for slot in range(3):
        x = task.query.x if slot == 2 else task.support.x
        seen = functional.conv2d(x, weights["conv0"], stride=2, padding=1).mean((0, 2, 3))
        assert_close(found[slot], 0.1 * seen.detach())
        once = MAML(net).inner.adapted
        weights = once(_unadapted(learner, weights, task.support), 1).params


def _unadapted(learner: MAML, params: Params, support: Batch) -> Any:
    found = MAML(learner.model).adapt(support, stream(0))
    return type(found)(found.forward, params, support)
