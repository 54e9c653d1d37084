"""iMAML against the closed form of a quadratic inner problem."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.errors import MetawrightError
from metawright.learners.curvature import conjugate_gradients
from metawright.learners.implicit import ImplicitMAML
from metawright.params import Params, params_of
from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, Task, TaskSpec

DOUBLE = torch.float64
STRENGTH = 2.0


def _line() -> nn.Linear:
    net = nn.Linear(3, 1, bias=False).to(DOUBLE)
    net.weight.data = torch.randn(1, 3, generator=stream(0), dtype=DOUBLE)
    return net


def _problem(seed: int) -> Task:
    rng = stream(seed, "quadratic")

    def batch() -> Batch:
        x = torch.randn(6, 3, generator=rng, dtype=DOUBLE)
        return Batch(x, torch.randn(6, 1, generator=rng, dtype=DOUBLE))

    return Task(batch(), batch(), TaskSpec(Kind.REGRESSION, (3,), 1))


def _closed_form(weight: Tensor, task: Task) -> tuple[Tensor, Tensor]:
    """The solution, and the gradient of the query loss by where adaptation starts."""
    x, y = task.support.x, task.support.labels
    hessian = 2 * x.T @ x / len(x)
    pulled = torch.linalg.inv(hessian + STRENGTH * torch.eye(3, dtype=DOUBLE))
    end = pulled @ (STRENGTH * weight.T + 2 * x.T @ y / len(x))
    query = task.query
    slope = 2 * query.x.T @ (query.x @ end - query.labels) / len(query.x)
    return end.T, (STRENGTH * pulled @ slope).T


def _learner(net: nn.Module) -> ImplicitMAML:
    return ImplicitMAML(net, inner_lr=0.1, inner_steps=400, strength=STRENGTH, conjugate_steps=3)


def test_meta_gradient_is_that_of_the_closed_form() -> None:
    tasks, net = [_problem(seed) for seed in range(3)], _line()
    found = _learner(net).gradients(tasks, stream(0)).grads["weight"]
    expected = [_closed_form(net.weight.detach(), task)[1] for task in tasks]
    assert_close(found, torch.stack(expected).mean(0), rtol=1e-10, atol=1e-12)


def test_adapting_ends_at_the_solution_and_can_be_differentiated() -> None:
    task, net = _problem(0), _line()
    end, slope = _closed_form(net.weight.detach(), task)
    adapted = _learner(net).adapt(task.support, stream(0))
    assert_close(adapted.params["weight"].detach(), end, rtol=1e-10, atol=1e-12)
    loss = functional.mse_loss(adapted(task.query.x), task.query.labels)
    assert_close(torch.autograd.grad(loss, net.weight)[0], slope, rtol=1e-10, atol=1e-12)


def test_adapting_more_solves_for_all_that_was_seen() -> None:
    task, net = _problem(0), _line()
    first, second = (Batch(task.support.x[part], task.support.labels[part]) for part in _HALVES)
    learner = _learner(net)
    with torch.no_grad():
        before = learner.adapt(first, stream(0))
        kept = before.params["weight"].clone()
        after = learner.adapt_more(before, second, stream(0))
    end, _ = _closed_form(net.weight.detach(), task)
    assert_close(after.params["weight"], end, rtol=1e-10, atol=1e-12)
    assert torch.equal(before.params["weight"], kept)


_HALVES = (slice(0, 2), slice(2, 6))


def test_without_conjugate_steps_the_direction_is_first_order() -> None:
    task, net = _problem(0), _line()
    learner = ImplicitMAML(net, inner_lr=0.1, inner_steps=400, conjugate_steps=0)
    end, _ = _closed_form(net.weight.detach(), task)
    x, y = task.query.x, task.query.labels
    expected = (2 * x.T @ (x @ end.T - y) / len(x)).T
    assert_close(learner.gradients([task], stream(0)).grads["weight"], expected)


def test_conjugate_gradients_solve_and_stop_at_negative_curvature() -> None:
    rng = stream(0)
    root = torch.randn(5, 5, generator=rng, dtype=DOUBLE)
    matrix = root @ root.T + torch.eye(5, dtype=DOUBLE)
    target: Params = {
        "a": torch.randn(2, generator=rng, dtype=DOUBLE),
        "b": torch.ones(3).double(),
    }

    def times(sign: float) -> Callable[[Params], Params]:
        def product(vector: Params) -> Params:
            flat = sign * matrix @ torch.cat([vector["a"], vector["b"]])
            return {"a": flat[:2], "b": flat[2:]}

        return product

    found = conjugate_gradients(times(1), target, steps=5)
    expected = torch.linalg.solve(matrix, torch.cat([target["a"], target["b"]]))
    assert_close(torch.cat([found["a"], found["b"]]), expected, rtol=1e-8, atol=1e-10)
    assert_close(conjugate_gradients(times(-1), target, steps=5), target, rtol=0, atol=0)


def test_frozen_parameters_stay() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 1)).to(DOUBLE)
    net[0].weight.requires_grad_(False)
    grads = ImplicitMAML(net, inner_lr=0.05).gradients([_problem(0)], stream(0)).grads
    assert set(grads) == set(params_of(net)) - {"0.weight"}


def test_refuses_what_cannot_be_and_names_what_broke() -> None:
    with pytest.raises(ValueError, match="`strength > 0` must hold, but got 0"):
        ImplicitMAML(_line(), strength=0)
    with pytest.raises(ValueError, match="must be 'transductive' or 'support'"):
        ImplicitMAML(_line(), normalisation="running")
    wild = ImplicitMAML(_line(), inner_lr=1e200, inner_steps=3)
    with pytest.raises(MetawrightError, match=r"Task 1 of the 2 .* at inner step 2 of 3"):
        wild.gradients([_problem(0), _problem(1)], stream(0))
