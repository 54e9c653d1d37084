"""The three ways to run a batch of tasks give the same gradients, in float64."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.learners import MAML, head_of
from metawright.learners.batching import Batching, parts
from metawright.models.backbones import ConvNet
from metawright.models.normalisation import Policy
from metawright.params import Params
from metawright.rng import stream
from metawright.tasks.task import Task
from metawright.training.checkpoint import buffers_of

MakeTask = Callable[..., Task]
DOUBLE = torch.float64
OTHERS: tuple[Batching, ...] = ("stack", "vmap")


def _net(ways: int = 3) -> ConvNet:
    return ConvNet(1, (8, 8), ways, rng=stream(0), filters=4, blocks=2, head="mean").to(DOUBLE)


def _tasks(make_task: MakeTask, count: int = 3) -> list[Task]:
    return [make_task(seed, dtype=DOUBLE) for seed in range(count)]


def _grads(tasks: Sequence[Task], model: nn.Module | None = None, **options: Any) -> Params:
    learner = MAML(model or _net(), **options)
    return learner.gradients(tasks, stream(0)).grads


SETTINGS: list[dict[str, Any]] = [
    {"rates": "per-entry"},
    {"rates": "per-step", "fading": 10},
    {"optimiser": "adam", "inner_lr": 0.01},
    {"optimiser": "nesterov"},
    {"optimiser": "rmsprop", "inner_lr": 0.01},
    {"normalisation": "support"},
    {"loss": lambda outputs, answers: functional.cross_entropy(2 * outputs, answers).square()},
    {"first_order_steps": 5},
]


def _named(settings: dict[str, Any]) -> str:
    """The same in every process, which the address of a function is not."""
    return " ".join(f"{k} {'own' if callable(v) else v}" for k, v in settings.items()) or "plain"


@pytest.mark.parametrize("settings", SETTINGS, ids=_named)
@pytest.mark.parametrize(("steps", "second_order"), list(product((1, 3), (True, False))))
def test_all_ways_give_the_same_gradients(
    settings: dict[str, Any], steps: int, second_order: bool, make_task: MakeTask
) -> None:
    tasks = _tasks(make_task)
    options = {"inner_lr": 0.1, "inner_steps": steps, "second_order": second_order} | settings
    expected = _grads(tasks, batching="loop", **options)
    for batching in OTHERS:
        found = _grads(tasks, batching=batching, **options)
        assert_close(found, expected, rtol=1e-7, atol=1e-11)


@pytest.mark.parametrize("batching", ["loop", "stack", "vmap"])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("second_order", [True, False])
def test_only_the_head_adapts_in_all_ways(
    batching: Batching, steps: int, second_order: bool, make_task: MakeTask
) -> None:
    tasks, net = _tasks(make_task), _net()
    options: dict[str, Any] = {"inner_steps": steps, "second_order": second_order}
    found = _grads(tasks, net, adapts=head_of(net), batching=batching, **options)
    total = torch.zeros((), dtype=DOUBLE)
    for task in tasks:  # features once, then a linear model by hand
        head: Params = {name: net.get_parameter(name) for name in ("weight", "bias")}
        for _ in range(steps):
            loss = functional.cross_entropy(_with(net, head, task.support.x), task.support.labels)
            grads = torch.autograd.grad(loss, list(head.values()), create_graph=second_order)
            head = {n: w - 0.4 * g for (n, w), g in zip(head.items(), grads, strict=True)}
        total = total + functional.cross_entropy(_with(net, head, task.query.x), task.query.labels)
    expected = torch.autograd.grad(total / len(tasks), list(net.parameters()))
    assert_close(list(found.values()), list(expected), rtol=1e-9, atol=1e-12)


def _with(net: nn.Module, params: Params, x: Tensor) -> Tensor:
    outputs: Tensor = torch.func.functional_call(net, params, (x,))
    return outputs


@pytest.mark.parametrize("policy", ["per-step", "running"])
def test_running_statistics_are_the_same_for_loop_and_stack(
    policy: Policy, make_task: MakeTask
) -> None:
    found = []
    for batching in ("loop", "stack"):
        learner = MAML(_net(), inner_steps=2, batching=batching, normalisation=policy, fading=9)
        grads = learner.gradients(_tasks(make_task), stream(0)).grads
        found.append((grads, buffers_of(learner)))
    assert_close(found[0], found[1], rtol=1e-8, atol=1e-11)
    with pytest.raises(ValueError, match="'vmap' can neither checkpoint steps nor keep running"):
        MAML(_net(), batching="vmap", normalisation=policy)


def test_tasks_of_several_shapes_and_large_batches_are_run_in_parts(make_task: MakeTask) -> None:
    tasks = [make_task(seed, shots=1 + seed % 2, dtype=DOUBLE) for seed in range(5)]
    net = _net()
    found = parts("auto", net, tasks)
    assert [(part.way, part.places) for part in found] == [
        ("stack", (0, 2, 4)),
        ("stack", (1, 3)),
    ]
    assert_close(_grads(tasks, net), _grads(tasks, net, batching="loop"), rtol=1e-8, atol=1e-11)
    many = parts("stack", net, [make_task()] * 20_000)
    assert len(many) > 1
    assert sorted(place for part in many for place in part.places) == list(range(20_000))


def test_auto_stacks_what_pays(make_task: MakeTask) -> None:
    pooled = ConvNet(1, (28, 28), 5, rng=stream(0), reduction="pool", blocks=4)
    small = ConvNet(1, (28, 28), 5, rng=stream(0), blocks=4)
    large = [make_task(ways=5, shots=1, queries=15, size=28)] * 2
    little = [make_task(ways=5, shots=1, queries=1, size=28)] * 2
    assert {part.way for part in parts("auto", pooled, large)} == {"loop"}
    assert {part.way for part in parts("auto", small, little)} == {"stack"}
    assert {part.way for part in parts("auto", small, little[:1])} == {"loop"}
    assert {part.way for part in parts("auto", nn.Linear(1, 1), little)} == {"loop"}
