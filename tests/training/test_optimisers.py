"""Inner optimisers step by step against torch.optim, and their second derivative at zero."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from metawright.params import Params
from metawright.rng import stream
from metawright.training.optimisers import (
    INNER_OPTIMISERS,
    SGD,
    Adam,
    InnerOptimiser,
    Momentum,
    RMSprop,
)

DOUBLE = torch.float64
Build = Callable[[list[Tensor]], torch.optim.Optimizer]

PAIRS: list[tuple[InnerOptimiser, Build]] = [
    (SGD(), lambda p: torch.optim.SGD(p, lr=0.1)),
    (Momentum(0.8), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8)),
    (
        Momentum(0.8, nesterov=True),
        lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True),
    ),
    (Adam(betas=(0.7, 0.9)), lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.7, 0.9))),
    (Adam(betas=(0.0, 0.999)), lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.0, 0.999))),
    (RMSprop(0.9), lambda p: torch.optim.RMSprop(p, lr=0.1, alpha=0.9)),
]


def _params() -> Params:
    rng = stream(0, "optimisers")
    return {
        "weight": torch.randn(3, 2, generator=rng, dtype=DOUBLE),
        "bias": torch.randn(2, generator=rng, dtype=DOUBLE),
    }


def _grads(step: int) -> Params:
    """Gradients with a zero that stays one, and one that comes and goes."""
    rng = stream(step, "gradients")
    grads = {
        name: torch.randn(v.shape, generator=rng, dtype=DOUBLE) for name, v in _params().items()
    }
    grads["weight"][0, 0] = 0.0
    grads["bias"][0] *= step % 2
    return grads


@pytest.mark.parametrize(("rule", "build"), PAIRS, ids=[repr(rule) for rule, _ in PAIRS])
def test_steps_are_those_of_torch(rule: InnerOptimiser, build: Build) -> None:
    params = _params()
    state = rule.init(params)
    theirs = {name: value.clone().requires_grad_() for name, value in params.items()}
    torchs = build(list(theirs.values()))
    for step in range(5):
        grads = _grads(step)
        params, state = rule.update(params, grads, state, 0.1)
        for name, value in theirs.items():
            value.grad = grads[name]
        torchs.step()
        expected = {name: value.detach() for name, value in theirs.items()}
        assert_close(params, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", sorted(INNER_OPTIMISERS))
def test_second_derivative_is_that_of_differences(name: str) -> None:
    rule = INNER_OPTIMISERS[name]()

    def end(start: Tensor) -> Tensor:
        params: Params = {"w": start}
        state = rule.init(params)
        for _ in range(3):
            loss = (params["w"] ** 4).sum() + params["w"].prod()
            (grad,) = torch.autograd.grad(loss, params["w"], create_graph=True)
            params, state = rule.update(params, {"w": grad}, state, 0.01)
        return params["w"]

    start = torch.tensor([0.7, -1.3, 0.4], dtype=DOUBLE, requires_grad=True)
    assert torch.autograd.gradcheck(end, start)


@pytest.mark.parametrize("name", sorted(INNER_OPTIMISERS))
def test_no_nan_where_a_gradient_is_zero(name: str) -> None:
    """A weight that the loss does not see: plain roots give 0 * infinity there."""
    rule = INNER_OPTIMISERS[name]()
    start = torch.tensor([1.0, 2.0], dtype=DOUBLE, requires_grad=True)
    params: Params = {"w": start}
    state = rule.init(params)
    for _ in range(2):
        loss = (params["w"] * torch.tensor([1.0, 0.0], dtype=DOUBLE)).square().sum()
        (grad,) = torch.autograd.grad(loss, params["w"], create_graph=True)
        params, state = rule.update(params, {"w": grad}, state, 0.1)
    (once,) = torch.autograd.grad(params["w"].square().sum(), start, create_graph=True)
    (twice,) = torch.autograd.grad(once.sum(), start)
    assert bool(once.isfinite().all()) and bool(twice.isfinite().all())
    assert once[1].item() == 4.0  # the weight stays: its derivative is that of its square


@pytest.mark.parametrize("name", sorted(INNER_OPTIMISERS))
def test_rates_by_name_and_by_entry(name: str) -> None:
    rule, params, grads = INNER_OPTIMISERS[name](), _params(), _grads(1)
    still = {"weight": torch.zeros(3, 2, dtype=DOUBLE), "bias": torch.tensor(0.1, dtype=DOUBLE)}
    still["weight"][2] = 0.1
    found, _ = rule.update(params, grads, rule.init(params), still)
    whole, _ = rule.update(params, grads, rule.init(params), 0.1)
    assert_close(found["bias"], whole["bias"])
    assert_close(found["weight"][:2], params["weight"][:2])
    assert_close(found["weight"][2], whole["weight"][2])


def test_arguments_are_left_as_they_were() -> None:
    for build in INNER_OPTIMISERS.values():
        rule, params, grads = build(), _params(), _grads(1)
        state = rule.init(params)
        _, state = rule.update(params, grads, state, 0.1)
        before = {n: {k: v.clone() for k, v in m.items()} for n, m in state.moments.items()}
        rule.update(params, grads, state, 0.1)
        assert_close(params, _params(), rtol=0, atol=0)
        assert_close(dict(state.moments), before, rtol=0, atol=0)


def test_refuses_senseless_settings() -> None:
    with pytest.raises(ValueError, match=r"`0 <= momentum < 1` must hold, but got 1.5"):
        Momentum(1.5)
    with pytest.raises(ValueError, match=r"`0 <= betas < 1` must hold, but got 1.0"):
        Adam(betas=(0.9, 1.0))
    with pytest.raises(ValueError, match=r"`0 <= decay < 1` must hold, but got -0.1"):
        RMSprop(-0.1)
