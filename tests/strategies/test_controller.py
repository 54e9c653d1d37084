"""The controller: a proper distribution, the gradient by finite differences, and learning."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from metawright.errors import InputError
from metawright.params import Params, map_params
from metawright.rng import stream
from metawright.spaces import Choice, Design, Either, Integer, Real, Record, Repeat, grid
from metawright.store.records import Trial
from metawright.strategies.controller import Reinforce, _Baseline, reinforce_loss
from metawright.strategies.policy import Policy
from metawright.strategies.ppo import PPO, ppo_loss
from metawright.strategies.random import RandomSearch
from metawright.strategies.strategy import Strategy

TINY = Record(
    {
        "kind": Either({"a": Record({}), "b": Record({"depth": Integer(1, 3)})}),
        "bits": Repeat(Choice((0, 1)), 1, 2),
    }
)
BITS = Record({"bits": Repeat(Choice((0, 1)), 12, 12), "lr": Real(1e-4, 1.0, log=True)})


def in_double(policy: Policy, seed: int = 0) -> Params:
    return map_params(lambda value: 5 * value.double(), policy.parameters(stream(seed)))


def worth(design: Design) -> float:
    return float(sum(design["bits"]) / 12 - abs(math.log10(design["lr"]) + 2) / 4)


@pytest.fixture(autouse=True)
def double() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_the_chances_of_all_designs_sum_to_one() -> None:
    policy = Policy(TINY, width=6)
    designs = list(grid(TINY))
    log_probabilities, _ = policy.judge(in_double(policy), policy.numbers(designs))
    assert len(designs) == 4 * 6
    assert_close(log_probabilities.exp().sum(), torch.tensor(1.0))


def test_designs_are_drawn_as_often_as_their_chance_says() -> None:
    policy = Policy(TINY, width=6)
    params, designs, rng = in_double(policy), list(grid(TINY)), stream(1)
    expected = policy.judge(params, policy.numbers(designs))[0].exp()
    drawn = [policy.sample(params, rng) for _ in range(600)]
    often = torch.tensor([drawn.count(design) / 600 for design in designs])
    assert float((often - expected).abs().max()) < 0.06


def expected_score(policy: Policy, params: Params, scores: Tensor, numbers: Tensor) -> Tensor:
    return (policy.judge(params, numbers)[0].exp() * scores).sum()


def test_the_policy_gradient_is_that_of_finite_differences() -> None:
    """Over all designs, each weighed by its chance, REINFORCE is exact for any baseline."""
    policy = Policy(TINY, width=3)
    designs, params = list(grid(TINY)), in_double(policy)
    numbers = policy.numbers(designs)
    scores = torch.rand(len(designs), generator=stream(2))
    chances = policy.judge(params, numbers)[0].exp()
    wanted = {name: value.requires_grad_() for name, value in params.items()}
    weighed = chances.detach() * (scores - 0.7) * len(designs)
    loss = reinforce_loss(policy, wanted, numbers, weighed)
    grads = dict(zip(wanted, torch.autograd.grad(loss, list(wanted.values())), strict=True))
    for name, value in params.items():
        for place in (0, value.numel() // 2, value.numel() - 1):
            moved = []
            for step in (1e-5, -1e-5):
                other = value.detach().clone()
                other.view(-1)[place] += step
                moved.append(expected_score(policy, params | {name: other}, scores, numbers))
            slope = (moved[0] - moved[1]) / 2e-5
            assert_close(-grads[name].flatten()[place], slope, atol=1e-8, rtol=1e-5)


def test_the_entropy_is_that_of_the_decisions_on_the_way() -> None:
    """The mean of the entropies over all designs is the entropy of their distribution."""
    policy = Policy(TINY, width=6)
    log_probabilities, entropies = policy.judge(
        in_double(policy), policy.numbers(list(grid(TINY)))
    )
    chances = log_probabilities.exp()
    assert_close((chances * entropies).sum(), -(chances * log_probabilities).sum())


def test_numbers_fall_into_the_part_that_they_were_drawn_from() -> None:
    space = Record({"lr": Real(1e-4, 1.0, log=True), "n": Integer(1, 1000, log=True)})
    policy = Policy(space, bins=4)
    designs = [Design({"lr": lr, "n": 1}) for lr in (1e-4, 2e-3, 2e-2, 0.2, 1.0)]
    assert policy.numbers(designs)[:, 0].tolist() == [0, 1, 2, 3, 3]
    drawn = [policy.sample(policy.parameters(stream(0)), stream(seed)) for seed in range(60)]
    assert set(policy.numbers(drawn)[:, 0].tolist()) == {0, 1, 2, 3}


def test_the_clipped_objective_by_hand() -> None:
    before, now = torch.zeros(4), torch.tensor([1.5, 1.5, 0.5, 0.5]).log()
    advantages = torch.tensor([1.0, -1.0, 1.0, -1.0])
    expected = -(1.2 - 1.5 + 0.5 - 0.8) / 4
    assert_close(ppo_loss(now, before, advantages, 0.2), torch.tensor(expected))


def test_the_advantage_is_in_units_of_the_spread() -> None:
    for scale in (1.0, 1000.0):
        baseline = _Baseline()
        found = [baseline.advantage(scale * score) for score in (1.0, 2.0, 1.0, 2.0, 1.6)]
        assert found[0] == 0 and found[1] == 3 and found[4] == pytest.approx(0.18, abs=0.1)
    flat = _Baseline()
    assert [flat.advantage(0.3) for _ in range(3)] == pytest.approx([0, 0, 0], abs=1e-3)


@pytest.mark.parametrize("make", [Reinforce, PPO])
def test_it_learns(make: Callable[..., Strategy]) -> None:
    means = []
    for strategy in (make(BITS, rng=stream(0)), RandomSearch(BITS, rng=stream(0))):
        scores = []
        for number in range(120):
            (design,) = strategy.ask(1)
            scores.append(worth(design))
            strategy.tell([Trial(str(number), "task", design, {"score": scores[-1]})])
        means.append(sum(scores[-30:]) / 30)
    assert means[0] > means[1] + 0.2


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (Reinforce, {"batch": 0}, r"`batch >= 1` must hold, but got \(batch=0\)"),
        (Reinforce, {"lr": 0.0}, r"`lr > 0` must hold, but got \(lr=0.0\)"),
        (Reinforce, {"entropy": -1.0}, r"`entropy >= 0` must hold"),
        (PPO, {"bins": 1}, r"`bins >= 2` and `width >= 1` must hold"),
        (PPO, {"clip": 0.0}, r"`steps >= 1` and `clip > 0` must hold"),
    ],
)
def test_impossible_arguments_are_refused(
    make: Callable[..., Strategy], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(BITS, rng=stream(0), **arguments)
