"""Shared weights as a learner, against slow plain autograd and finite differences in float64."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional
from torch.testing import assert_close

from metawright.learners.weight_sharing import WeightSharing, headed
from metawright.models.heads import prototype_layer
from metawright.models.layers import ConvFeatures
from metawright.models.shared import shared_params, sub_params
from metawright.params import Params, detached
from metawright.rng import stream
from metawright.tasks.task import Task

MakeTask = Callable[..., Task]
DOUBLE = torch.float64
LR = 0.1

# The smallest network, without kinks of max pooling, and one that uses every block.
SMALL: dict[str, Any] = {
    "depth": 2,
    "width": 32,
    "kernel": 3,
    "normalisation": "group",
    "pool": "average",
    "skip": False,
}
DEEP = SMALL | {"depth": 3, "kernel": 5, "normalisation": "instance", "skip": True}


def _learner(network: Mapping[str, Any] = SMALL, **arguments: Any) -> WeightSharing:
    learner = WeightSharing(
        shared_params(1, stream(0)),
        lambda rng: [network],
        prepare=nn.Identity(),
        inner_lr=LR,
        **{"inner_steps": (1, 1)} | arguments,
    )
    for value in learner.parameters.values():
        value.data = value.data.to(DOUBLE)
    return learner


def _task(make_task: MakeTask, seed: int = 0, **arguments: Any) -> Task:
    # Below 16 pixels the third block would normalise single pixels, which has no derivative.
    task: Task = make_task(seed, dtype=DOUBLE, size=16, **arguments)
    return task


def _features(shared: Params, network: Mapping[str, Any], x: Tensor) -> Tensor:
    """Through the module itself, its own weights cut out of the shared ones."""
    own = sub_params(shared, network)
    return _network_features(own, network, x)


def _network_features(own: Params, network: Mapping[str, Any], x: Tensor) -> Tensor:
    made: Tensor = functional_call(ConvFeatures(1, **network), own, (x,))
    return made


def _distance_logits(
    support: Tensor, labels: Tensor, query: Tensor, scale: Tensor, ways: int
) -> Tensor:
    means = torch.stack([support[labels == k].mean(0) for k in range(ways)])
    return -scale * (query[:, None] - means[None]).square().sum(2)


def _slow_maml(
    leaves: Params, network: Mapping[str, Any], task: Task, *, steps: int, second_order: bool
) -> Tensor:
    """Query loss after `steps` steps, written once more without any of the learner's parts.

    The starting head is a function of the weights; inner gradients are taken with respect to the
    network's weights and the head as two separate things.
    """
    x, y = task.support.x, task.support.labels
    own = sub_params(leaves, network)
    scale = leaves["log_scale"].exp()
    z = _network_features(own, network, x)
    means = torch.stack([z[y == k].mean(0) for k in range(task.spec.outputs)])
    weights = {**own, "w": 2 * scale * means, "b": -scale * means.square().sum(1)}
    for _ in range(steps):
        # Cut off from their history, so that the head does not count as part of the network.
        loose = {name: value.detach().requires_grad_() for name, value in weights.items()}
        held = weights if second_order else loose
        if second_order:
            # value + 0 * loose is the value with its history, and loose marks it for the gradient.
            marks = {name: torch.zeros_like(v, requires_grad=True) for name, v in weights.items()}
            held = {name: value + marks[name] for name, value in weights.items()}
        features = _network_features(
            {name: value for name, value in held.items() if name not in "wb"}, network, x
        )
        loss = functional.cross_entropy(features @ held["w"].T + held["b"], y)
        targets = list((marks if second_order else loose).values())
        grads = torch.autograd.grad(loss, targets, create_graph=second_order)
        weights = {
            name: value - LR * one
            for (name, value), one in zip(weights.items(), grads, strict=True)
        }
    features = _network_features(
        {name: value for name, value in weights.items() if name not in "wb"},
        network,
        task.query.x,
    )
    return functional.cross_entropy(features @ weights["w"].T + weights["b"], task.query.labels)


def _leaves(learner: WeightSharing) -> Params:
    return detached(learner.parameters, requires_grad=True)


def _grads(loss: Tensor, leaves: Params) -> Params:
    values = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
    return dict(zip(leaves, values, strict=True))


# --- MAML ---


@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("network", [SMALL, DEEP], ids=["small", "deep"])
def test_meta_gradient_is_that_of_a_slow_version(
    second_order: bool, steps: int, network: dict[str, Any], make_task: MakeTask
) -> None:
    learner = _learner(network, inner_steps=(steps, steps), second_order=second_order)
    task = _task(make_task, shots=(1, 2, 3))
    leaves = _leaves(learner)
    loss = _slow_maml(leaves, network, task, steps=steps, second_order=second_order)
    step = learner.gradients([task], stream(0))
    assert_close(step.grads, _grads(loss, leaves), rtol=1e-7, atol=1e-10)
    assert step.metrics["loss"] == pytest.approx(float(loss.detach()), rel=1e-9)


def test_second_order_meta_gradient_is_the_slope_of_the_query_loss(make_task: MakeTask) -> None:
    learner = _learner(second_order=True)
    task = _task(make_task)
    grads = learner.gradients([task], stream(0)).grads
    start = detached(learner.parameters)
    rng = stream(5)  # steps of 1e-7: longer ones cross kinks of the rectifiers
    for name in ("log_scale", "blocks.0.conv.weight", "blocks.1.norm.group.weight"):
        direction = torch.randn(start[name].shape, generator=rng, dtype=DOUBLE)
        ends = []
        for sign in (1, -1):
            learner.parameters[name].data = start[name] + sign * 1e-7 * direction
            with torch.no_grad():
                outputs = learner.adapt(task.support, stream(0))(task.query.x)
            ends.append(float(functional.cross_entropy(outputs, task.query.labels)))
        learner.parameters[name].data = start[name]
        slope = (ends[0] - ends[1]) / 2e-7
        assert float((grads[name] * direction).sum()) == pytest.approx(slope, rel=1e-4, abs=1e-7)


def test_orders_differ_and_first_order_does_not_go_through_inner_gradients(
    make_task: MakeTask,
) -> None:
    task = _task(make_task)
    first, second = (
        _learner(second_order=order).gradients([task], stream(0)).grads["blocks.1.conv.weight"]
        for order in (False, True)
    )
    assert float((first - second).norm() / second.norm()) > 0.01


def test_inner_steps_move_the_head_as_a_thing_of_its_own(make_task: MakeTask) -> None:
    # If inner gradients went through the head back to the network, this step would differ.
    learner, task = _learner(), _task(make_task)
    x, y = task.support.x, task.support.labels
    own = detached(sub_params(learner.parameters, SMALL))
    scale = learner.parameters["log_scale"].detach().exp()
    head = prototype_layer(_network_features(own, SMALL, x), y, 3, scale)
    start = own | {"head.weight": head["weight"], "head.bias": head["bias"]}
    start = detached(start, requires_grad=True)
    loss = functional.cross_entropy(headed(SMALL)(start, x), y)
    grads = torch.autograd.grad(loss, list(start.values()))
    moved = {
        name: (value - LR * one).detach()
        for (name, value), one in zip(start.items(), grads, strict=True)
    }
    with torch.no_grad():
        found = learner.adapt(task.support, stream(0))(task.query.x)
    assert_close(found, headed(SMALL)(moved, task.query.x), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("shots", [2, (1, 4, 2)])
def test_without_inner_steps_it_is_a_prototypical_network(
    shots: int | tuple[int, ...], make_task: MakeTask
) -> None:
    learner = _learner(inner_steps=(0, 0))
    task = _task(make_task, shots=shots)
    leaves = _leaves(learner)
    logits = _distance_logits(
        _features(leaves, SMALL, task.support.x),
        task.support.labels,
        _features(leaves, SMALL, task.query.x),
        leaves["log_scale"].exp(),
        3,
    )
    loss = functional.cross_entropy(logits, task.query.labels)
    step = learner.gradients([task], stream(0))
    assert_close(step.grads, _grads(loss, leaves), rtol=1e-8, atol=1e-11)
    assert step.metrics["loss"] == pytest.approx(float(loss.detach()))
    assert step.metrics["accuracy"] == pytest.approx(
        float((logits.argmax(1) == task.query.labels).double().mean())
    )
    with torch.no_grad():
        outputs = learner.adapt(task.support, stream(0))(task.query.x)
    assert_close(outputs.softmax(1), logits.detach().softmax(1))


def test_gradients_are_the_mean_over_tasks_and_networks(make_task: MakeTask) -> None:
    tasks = [_task(make_task, seed) for seed in range(2)]
    both = _learner()
    both.networks = lambda rng: [SMALL, DEEP]
    found = both.gradients(tasks, stream(0)).grads
    parts = [
        _learner(network).gradients([task], stream(0)).grads
        for task in tasks
        for network in (SMALL, DEEP)
    ]
    mean = {name: sum((part[name] for part in parts), torch.zeros(())) / 4 for name in found}
    assert_close(found, mean, rtol=1e-9, atol=1e-12)


def test_only_what_the_network_uses_gets_a_gradient(make_task: MakeTask) -> None:
    grads = _learner().gradients([_task(make_task)], stream(0)).grads
    weight = grads["blocks.1.conv.weight"]
    assert bool(weight[:32, :16, 1:-1, 1:-1].abs().sum() > 0)
    assert float(weight[32:].abs().sum() + weight[:, 16:].abs().sum()) == 0
    assert float(grads["blocks.1.norm.instance.weight"].abs().sum()) == 0
    assert float(grads["blocks.2.conv.weight"].abs().sum()) == 0
    assert float(grads["log_scale"].abs()) > 0


def test_steps_are_drawn_from_the_whole_range(make_task: MakeTask) -> None:
    learner, task = _learner(inner_steps=(0, 2)), _task(make_task)
    fixed = [
        _learner(inner_steps=(k, k)).gradients([task], stream(0)).metrics["loss"] for k in range(3)
    ]
    drawn = {
        round(learner.gradients([task], stream(seed)).metrics["loss"], 9) for seed in range(12)
    }
    assert drawn == {round(value, 9) for value in fixed}


# --- Reptile ---


def test_reptile_points_from_the_adapted_weights_to_the_start(make_task: MakeTask) -> None:
    learner = _learner(DEEP, method="reptile", inner_steps=(3, 3))
    task = _task(make_task)
    x = torch.cat([task.support.x, task.query.x])
    y = torch.cat([task.support.labels, task.query.labels])
    own = detached(sub_params(learner.parameters, DEEP))
    scale = learner.parameters["log_scale"].detach().exp()
    z = _network_features(own, DEEP, task.support.x)
    head = prototype_layer(z, task.support.labels, 3, scale)
    weights = own | {"head.weight": head["weight"], "head.bias": head["bias"]}
    for _ in range(3):
        weights = detached(weights, requires_grad=True)
        loss = functional.cross_entropy(headed(DEEP)(weights, x), y)
        grads = torch.autograd.grad(loss, list(weights.values()))
        weights = {
            name: value - LR * one
            for (name, value), one in zip(weights.items(), grads, strict=True)
        }
    found = learner.gradients([task], stream(0)).grads
    expected = {name: (own[name] - weights[name].detach()) / (3 * LR) for name in own}
    assert_close(sub_params(found, DEEP), expected, rtol=1e-8, atol=1e-11)
    total = sum(float(value.abs().sum()) for value in found.values())
    assert total == pytest.approx(sum(float(v.abs().sum()) for v in expected.values()))


def test_one_step_of_reptile_is_the_gradient_of_all_examples(make_task: MakeTask) -> None:
    learner = _learner(method="reptile")
    task = _task(make_task)
    found = learner.gradients([task], stream(0)).grads
    before = {name: value.detach().clone() for name, value in learner.parameters.items()}
    for name, value in learner.parameters.items():
        value.data = value.data - 0.5 * found[name]
    after = learner.gradients([task], stream(0)).metrics["loss"]
    for name, value in learner.parameters.items():
        value.data = before[name]
    assert after < learner.gradients([task], stream(0)).metrics["loss"]


# --- the learner as a value ---


@pytest.mark.parametrize("method", ["maml", "reptile"])
def test_adapting_and_gradients_leave_the_learner_unchanged(
    method: str, make_task: MakeTask
) -> None:
    learner = _learner(method=method)
    task = _task(make_task)
    before, others = detached(learner.parameters), torch.get_rng_state()
    predict = learner.adapt(task.support, stream(0))
    first = predict(task.query.x).detach()
    learner.gradients([task], stream(0))
    assert_close({n: p.detach() for n, p in learner.named_parameters()}, before, rtol=0, atol=0)
    assert all(p.grad is None for _, p in learner.named_parameters())
    assert_close(predict(task.query.x).detach(), first, rtol=0, atol=0)
    assert_close(torch.get_rng_state(), others, rtol=0, atol=0)


def test_the_given_weights_stay_the_callers_own() -> None:
    shared = shared_params(1, stream(0))
    learner = WeightSharing(shared, lambda rng: [SMALL], prepare=nn.Identity())
    learner.parameters["blocks.0.conv.weight"].data.zero_()
    assert float(shared["blocks.0.conv.weight"].abs().sum()) > 0


def test_predictor_holds_a_graph_only_where_gradients_are_enabled(make_task: MakeTask) -> None:
    learner, task = _learner(), _task(make_task)
    with torch.no_grad():
        free = learner.adapt(task.support, stream(0))
    assert not free(task.query.x).requires_grad
    tied = learner.adapt(task.support, stream(0))(task.query.x)
    loss = functional.cross_entropy(tied, task.query.labels)
    found = _grads(loss, dict(learner.named_parameters()))
    expected = learner.gradients([task], stream(0)).grads
    assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_images_are_prepared_everywhere(make_task: MakeTask) -> None:
    class Half(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return functional.avg_pool2d(x, 2)

    task = _task(make_task)
    small = task._replace(
        support=task.support._replace(x=Half()(task.support.x)),
        query=task.query._replace(x=Half()(task.query.x)),
    )
    inside = _learner()
    inside.prepare = Half()
    found, expected = inside.gradients([task], stream(0)), _learner().gradients([small], stream(0))
    assert_close(found.grads, expected.grads)
    outputs = inside.adapt(task.support, stream(0))(task.query.x)
    assert_close(outputs, _learner().adapt(small.support, stream(0))(small.query.x))


@pytest.mark.parametrize(("ways", "shots"), [(1, 1), (3, 1), (3, (1, 4, 2))])
def test_small_and_uneven_tasks(
    ways: int, shots: int | tuple[int, ...], make_task: MakeTask
) -> None:
    task = _task(make_task, ways=ways, shots=shots)
    for arguments in ({"inner_steps": (0, 1)}, {"method": "reptile"}):
        learner = _learner(**arguments)
        step = learner.gradients([task], stream(0))
        assert all(bool(grad.isfinite().all()) for grad in step.grads.values())
        assert learner.adapt(task.support, stream(0))(task.query.x[:1]).shape == (1, ways)


def test_same_generator_same_result(make_task: MakeTask) -> None:
    learner, task = _learner(inner_steps=(0, 2)), _task(make_task)
    steps = [learner.gradients([task] * 3, stream(3)) for _ in range(2)]
    assert_close(steps[0].grads, steps[1].grads, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "sgd"}, "`method` must be 'maml' or 'reptile', but got 'sgd'"),
        ({"inner_steps": (2, 1)}, r"`0 <= inner_steps` .* but got \(2, 1\)"),
        ({"inner_steps": (-1, 1)}, "`0 <= inner_steps`"),
        ({"inner_steps": (0, 1), "method": "reptile"}, "at least 1 for reptile"),
        ({"scale": 0.0}, "`scale > 0` and `inner_lr > 0` must hold"),
        ({"inner_lr": -0.1}, r"must hold, but got \(scale=10.0, inner_lr=-0.1\)"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WeightSharing({}, lambda rng: [SMALL], prepare=nn.Identity(), **arguments)
