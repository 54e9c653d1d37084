"""Shared and task parameters: against MAML, a slow version, differences, and what may move."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.learners import MAML, TaskParameters
from metawright.learners.adapted import Adapted
from metawright.learners.task_parameters import Which, build_cavia, build_film, task_names
from metawright.models.backbones import MLP, ConvNet
from metawright.models.modulation import ContextFiLM, ContextInput, FiLM
from metawright.params import Params, count, params_of
from metawright.rng import stream
from metawright.tasks.sinusoid import Sinusoid
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec
from metawright.training import fit
from metawright.training.checkpoint import buffers_of

MakeTask = Callable[..., Task]
DOUBLE = torch.float64


def _context() -> ContextInput:
    net = ContextInput(MLP(1 + 3, 1, rng=stream(0), hidden=(8,)), 3)
    return net.to(DOUBLE)


def _convolutions() -> ConvNet:
    return ConvNet(1, (8, 8), 3, rng=stream(0), filters=4, blocks=2, head="mean")


def _slow_cavia(net: ContextInput, tasks: list[Task], lr: float, steps: int) -> Params:
    """CAVIA written out for the network of `_context`."""
    shared = {n: v.detach().clone().requires_grad_() for n, v in params_of(net.net).items()}
    total = torch.zeros((), dtype=DOUBLE)

    def outputs(x: torch.Tensor, context: torch.Tensor) -> torch.Tensor:
        x = torch.cat([x, context.repeat(len(x), 1)], 1)
        hidden = functional.relu(x @ shared["weight0"].T + shared["bias0"])
        return hidden @ shared["weight1"].T + shared["bias1"]

    for task in tasks:
        context = torch.zeros(3, dtype=DOUBLE, requires_grad=True)
        for _ in range(steps):
            loss = (outputs(task.support.x, context) - task.support.labels).square().mean()
            context = context - lr * torch.autograd.grad(loss, context, create_graph=True)[0]
        total = total + (outputs(task.query.x, context) - task.query.labels).square().mean()
    grads = torch.autograd.grad(total / len(tasks), list(shared.values()))
    return {f"net.{name}": grad for name, grad in zip(shared, grads, strict=True)}


@pytest.mark.parametrize("batching", ["loop", "stack"])
@pytest.mark.parametrize("steps", [1, 2])
def test_meta_gradient_is_that_of_cavia_written_out(
    batching: str, steps: int, make_wave: MakeTask
) -> None:
    tasks = [make_wave(seed, dtype=DOUBLE) for seed in range(3)]
    net = _context()
    learner = TaskParameters(net, inner_lr=0.3, inner_steps=steps, batching=batching)
    grads = learner.gradients(tasks, stream(0)).grads
    assert_close(grads, _slow_cavia(net, tasks, 0.3, steps), rtol=1e-9, atol=1e-12)


def test_first_order_differs_and_is_the_gradient_at_the_adapted_context(
    make_wave: MakeTask,
) -> None:
    task, net = make_wave(dtype=DOUBLE), _context()
    learner = TaskParameters(net, inner_lr=0.3, second_order=False)
    with torch.no_grad():
        context = learner.adapt(task.support, stream(0)).params["context"]
    params = params_of(net) | {"context": context}
    value = functional.mse_loss(
        torch.func.functional_call(net, params, (task.query.x,)), task.query.labels
    )
    expected = torch.autograd.grad(value, [p for n, p in params.items() if n != "context"])
    step = learner.gradients([task], stream(0))
    assert_close(list(step.grads.values()), list(expected), rtol=1e-10, atol=1e-12)
    second = TaskParameters(net, inner_lr=0.3).gradients([task], stream(0))
    assert float((second.grads["net.weight0"] - step.grads["net.weight0"]).abs().max()) > 1e-3


@pytest.mark.parametrize("second_order", [True, False])
def test_with_every_parameter_a_tasks_own_it_is_maml(
    second_order: bool, make_task: MakeTask
) -> None:
    tasks = [make_task(seed, dtype=DOUBLE) for seed in range(2)]
    net = _convolutions().to(DOUBLE)
    settings: dict[str, Any] = {"inner_lr": 0.4, "inner_steps": 2, "second_order": second_order}
    ours = TaskParameters(net, task="*", **settings).gradients(tasks, stream(0))
    assert_close(ours, MAML(net, **settings).gradients(tasks, stream(0)), rtol=0, atol=0)


def test_second_order_gradient_is_the_slope_of_the_adapted_loss(make_task: MakeTask) -> None:
    task = make_task(dtype=DOUBLE, size=4)

    def learner(share: float = 0.0) -> TaskParameters:
        rng = stream(0, "smooth")
        net = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.Tanh(), nn.Linear(5, 3)).to(DOUBLE)
        for value in net.parameters():
            value.data = 0.5 * torch.randn(value.shape, generator=rng, dtype=DOUBLE) + share
        return TaskParameters(net, task=["1.weight", "head"], inner_lr=0.2, inner_steps=2)

    losses = [learner(s).train_on_task(task, stream(0)).metrics["loss"] for s in (1e-5, -1e-5)]
    grads = learner().train_on_task(task, stream(0)).grads
    expected = math.fsum(float(grad.sum()) for grad in grads.values())
    assert (losses[0] - losses[1]) / 2e-5 == pytest.approx(expected, rel=1e-6)


def test_training_on_tasks_is_the_mean_of_training_on_each(make_wave: MakeTask) -> None:
    tasks = [make_wave(seed, dtype=DOUBLE) for seed in range(3)]
    learner = TaskParameters(_context(), inner_lr=0.3)
    each = [learner.train_on_task(task, stream(0)) for task in tasks]
    together = learner.gradients(tasks, stream(0))
    for name, grad in together.grads.items():
        assert_close(grad, torch.stack([s.grads[name] for s in each]).mean(0))
    assert together.metrics["loss"] == pytest.approx(
        math.fsum(step.metrics["loss"] for step in each) / 3
    )


LEARNERS: dict[str, tuple[Callable[[], nn.Module], Which, int]] = {
    "context": (lambda: ContextFiLM(_convolutions(), 7, rng=stream(1)), "context", 7),
    "modulation": (lambda: FiLM(_convolutions()), "modulation", 2 * 2 * 4),
    "head": (_convolutions, "head", 4 * 3 + 3),
    "own norms": (_convolutions, "modulation", 2 * 2 * 4),
    "pattern": (_convolutions, ["bias", "conv1"], 3 + 4 * 4 * 9),
    "function": (_convolutions, lambda name: name == "bias", 3),
}


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("start", ["learned", "fixed"])
def test_only_the_tasks_parameters_move_and_only_they_are_kept(
    name: str, start: Any, make_task: MakeTask
) -> None:
    make, which, numbers = LEARNERS[name]
    model, task = make(), make_task(shots=2)
    learner = TaskParameters(model, task=which, start=start, inner_lr=0.5, inner_steps=3)
    before = {n: v.detach().clone() for n, v in model.named_parameters()}
    with torch.no_grad():
        adapted = learner.adapt(task.support, stream(0))
    assert set(adapted.params) == set(learner.task_names)
    assert count(adapted.params) == numbers
    assert_close(dict(model.named_parameters()), before, rtol=0, atol=0)
    assert any(not torch.equal(v, before[n]) for n, v in adapted.params.items())
    # What it predicts is the model with these parameters replaced, and no other.
    x = torch.cat([task.support.x, task.query.x])
    with torch.no_grad():
        expected = torch.func.functional_call(model, before | adapted.params, (x,))
    assert_close(adapted(task.query.x), expected[len(task.support.x) :])
    later = learner.adapt_more(adapted, make_task(3).support, stream(0))
    assert set(later.params) == set(learner.task_names)


def test_meta_training_moves_the_shared_and_leaves_a_fixed_start(make_wave: MakeTask) -> None:
    learner = TaskParameters(_context(), inner_lr=0.1)
    before = {n: v.detach().clone() for n, v in params_of(learner.model).items()}
    fit(learner, lambda rng: [make_wave(dtype=DOUBLE)], steps=2, rng=stream(0))
    moved = {n for n, v in params_of(learner.model).items() if not torch.equal(v, before[n])}
    assert moved == {"net.weight0", "net.bias0", "net.weight1", "net.bias1"}
    assert set(buffers_of(learner)) == {"context"}
    learned = TaskParameters(_context(), inner_lr=0.1, start="learned")
    assert "context" in dict(learned.named_parameters())
    assert not buffers_of(learned)


def test_adapting_more_goes_on_from_where_it_was(make_wave: MakeTask) -> None:
    """One step twice on the same examples is two steps; new examples add to the seen ones."""
    task, more = make_wave(dtype=DOUBLE), make_wave(1, dtype=DOUBLE).support
    nothing = Batch(task.support.x[:0], task.support.labels[:0])
    learner = TaskParameters(_context(), inner_lr=0.05)
    twice = TaskParameters(_context(), inner_lr=0.05, evaluation_steps=2)
    with torch.no_grad():
        once = learner.adapt(task.support, stream(0))
        again = learner.adapt_more(once, nothing, stream(0))
        assert_close(again.params, twice.adapt(task.support, stream(0)).params)
        later = learner.adapt_more(once, more, stream(0))
        assert len(once.seen.x) == 5
        assert len(later.seen.x) == 10
        net = params_of(learner.model)

    context = once.params["context"].clone().requires_grad_()
    outputs = torch.func.functional_call(
        learner.model, net | {"context": context}, (later.seen.x,)
    )
    loss = functional.mse_loss(outputs, later.seen.labels)
    slope = torch.autograd.grad(loss, context)[0]
    assert_close(later.params["context"], context.detach() - 0.05 * slope)


def test_what_was_kept_of_a_task_brings_it_back(make_task: MakeTask) -> None:
    task = make_task(shots=2)
    learner = TaskParameters(
        FiLM(_convolutions()), task="modulation", inner_lr=0.5, normalisation="support"
    )
    with torch.no_grad():
        adapted = learner.adapt(task.support, stream(0))
        kept = {name: value.clone() for name, value in adapted.params.items()}
        again = learner.resume(kept, task.support)
        assert_close(again(task.query.x), adapted(task.query.x))
        more = make_task(3).support
        both = [learner.adapt_more(one, more, stream(0)) for one in (adapted, again)]
        assert_close(both[0](task.query.x), both[1](task.query.x))
    with pytest.raises(ValueError, match=r"`params` must hold .* but got"):
        learner.resume({"context": torch.zeros(2)}, task.support)


def test_an_adapted_task_keeps_its_shared_parameters(make_wave: MakeTask) -> None:
    task = make_wave(dtype=DOUBLE)
    learner = TaskParameters(_context(), inner_lr=0.1)
    with torch.no_grad():
        adapted = learner.adapt(task.support, stream(0))
        before = learner.adapt_more(adapted, task.support, stream(0))(task.query.x)
    fit(learner, lambda rng: [task], steps=2, rng=stream(0), lr=0.1)
    with torch.no_grad():
        after = learner.adapt_more(adapted, task.support, stream(0))(task.query.x)
        fresh = learner.adapt(task.support, stream(0))(task.query.x)
    assert_close(after, before, rtol=0, atol=0)
    assert float((fresh - before).abs().max()) > 1e-3


def test_a_users_network_with_a_frozen_body(make_task: MakeTask) -> None:
    """Batch normalisation of torch, most of it frozen: its scales and shifts are the task's."""
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    ).double()
    for value in net[0].parameters():
        value.requires_grad_(False)
    learner = TaskParameters(net, task=("modulation", "head"), inner_lr=0.1)
    assert learner.task_names == ("1.weight", "1.bias", "4.weight", "4.bias")
    task = make_task(dtype=DOUBLE)
    step = learner.train_on_task(task, stream(0))
    assert set(step.grads) == set(learner.task_names)
    assert set(learner.adapt(task.support, stream(0)).params) == set(learner.task_names)


def test_settings_may_change_between_uses(make_wave: MakeTask) -> None:
    task = make_wave(dtype=DOUBLE)
    learner = TaskParameters(_context(), inner_lr=0.1)
    with torch.no_grad():
        learner.evaluation_steps = 0
        assert not bool(learner.adapt(task.support, stream(0)).params["context"].any())
        learner.evaluation_steps, learner.inner_lr = 3, 0.02
        expected = TaskParameters(_context(), inner_lr=0.02, evaluation_steps=3)
        assert_close(
            learner.adapt(task.support, stream(0)).params,
            expected.adapt(task.support, stream(0)).params,
        )


@pytest.mark.parametrize("build", [build_cavia, build_film])
def test_learns_waves(build: Callable[..., TaskParameters]) -> None:
    source = Sinusoid()
    learner = build(TaskSpec(Kind.REGRESSION, (1,), 1), stream(0), inner_lr=0.3)
    before = _error(learner, source)
    fit(
        learner,
        lambda rng: [source.draw(Split.TRAIN, rng) for _ in range(10)],
        steps=150,
        rng=stream(1),
        lr=1e-2,
    )
    adapted = _error(learner, source)
    learner.evaluation_steps = 0
    assert adapted < 0.6 * before
    assert adapted < 0.7 * _error(learner, source)


def _error(learner: TaskParameters, source: Sinusoid) -> float:
    """Mean squared error on the query of 50 waves."""
    errors = []
    with torch.no_grad():
        for seed in range(50):
            task = source.draw(Split.TEST, stream(seed))
            outputs = learner.adapt(task.support, stream(0))(task.query.x)
            errors.append(float(functional.mse_loss(outputs, task.query.labels)))
    return math.fsum(errors) / len(errors)


def test_names_that_name_nothing_are_refused() -> None:
    net = _convolutions()
    with pytest.raises(ValueError, match=r"`task` must name parameters .* but context names none"):
        task_names(net, "context")
    with pytest.raises(ValueError, match=r"but conv9 names none of \['conv0'"):
        task_names(net, ["head", "conv9"])
    with pytest.raises(ValueError, match="but the function given names none"):
        task_names(net, lambda name: False)
    with pytest.raises(ValueError, match="something must be shared"):
        TaskParameters(net, task="*", start="fixed")
    with pytest.raises(ValueError, match="`start` must be 'learned', 'fixed' or None, but got"):
        TaskParameters(net, task="head", start="zero")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="`adapted` must come from"):
        other = Adapted(lambda params, x: x, {}, Batch(torch.zeros(1), torch.zeros(1)))
        TaskParameters(net, task="head").adapt_more(other, other.seen, stream(0))
