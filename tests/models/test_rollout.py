"""Rollouts against a world that is stepped by hand, and torch's own normal distribution."""

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal
from torch.testing import assert_close

from metawright.models.rollout import Rollout, policy_network, unpack
from metawright.params import params_of
from metawright.rng import stream
from metawright.tasks.navigation import move

DOUBLE = torch.float64


def _model(std: float = 0.7) -> Rollout:
    policy = policy_network(2, 2, rng=stream(0), hidden=(6, 5))
    model = Rollout(policy, move=move, start=(0.1, -0.2), actions=2, std=std).to(DOUBLE)
    for name, value in model.policy.named_parameters():
        value.data += 0.5 * torch.randn(value.shape, generator=stream(1, name), dtype=DOUBLE)
    return model


def _noise(*shape: int) -> Tensor:
    return torch.randn(*shape, 2, generator=stream(2), dtype=DOUBLE)


def test_episodes_are_those_of_a_world_stepped_by_hand() -> None:
    model, noise = _model(), _noise(3, 5)
    episodes = unpack(model(noise))
    for number in range(3):
        state = torch.tensor([0.1, -0.2], dtype=DOUBLE)
        for step in range(5):
            mean = model.policy(state[None])[0]
            std = model.log_std.exp()
            action = (mean + std * noise[number, step]).detach()
            assert_close(episodes.before[number, step], state)
            expected: Tensor = Normal(mean, std).log_prob(action)  # type: ignore[no-untyped-call]
            assert_close(episodes.log_probs[number, step], expected.sum())
            state = state + 0.1 * action.clamp(-1, 1)
            assert_close(episodes.after[number, step], state)


def test_what_happened_has_no_derivative_and_its_probability_has_the_scores() -> None:
    model, noise = _model(), _noise(4, 3)
    episodes = unpack(model(noise))
    names, values = zip(*model.named_parameters(), strict=True)
    none = torch.autograd.grad(episodes.after.sum(), values, retain_graph=True, allow_unused=True)
    assert all(grad is None or not bool(grad.any()) for grad in none)
    grads = dict(zip(names, torch.autograd.grad(episodes.log_probs.sum(), values), strict=True))
    # The score of a normal: noise / std for the mean, noise squared less one for log_std.
    assert_close(grads["policy.bias2"], (noise / 0.7).sum((0, 1)))
    assert_close(grads["log_std"], (noise.square() - 1).sum((0, 1)))


def test_many_tasks_at_once_are_the_same_as_one_by_one() -> None:
    model, noise = _model(), _noise(3, 4, 6)
    params = {
        n: v.detach() + 0.1 * torch.randn(3, *v.shape, generator=stream(3, n), dtype=DOUBLE)
        for n, v in model.named_parameters()
    }
    one_by_one = [
        torch.func.functional_call(model, {n: v[task] for n, v in params.items()}, (noise[task],))
        for task in range(3)
    ]
    assert_close(
        model.forward_tasks(params, noise), torch.stack(one_by_one), rtol=1e-11, atol=1e-12
    )


def test_a_new_policy_hardly_acts() -> None:
    model = Rollout(policy_network(2, 2, rng=stream(0)), move=move, start=(0.0, 0.0), actions=2)
    states = unpack(model(torch.zeros(1, 100, 2))).after.detach()
    assert float(states.norm(dim=-1).max()) < 0.1
    assert params_of(model)["policy.weight1"].shape == (100, 100)


def test_refuses_what_cannot_be() -> None:
    policy = policy_network(2, 2, rng=stream(0))
    with pytest.raises(ValueError, match="`std > 0` must hold, but got 0"):
        Rollout(policy, move=move, start=(0.0, 0.0), actions=2, std=0)
    with pytest.raises(TypeError, match=r"stack of tasks .* but got Linear"):
        Rollout(nn.Linear(2, 2), move=move, start=(0.0, 0.0), actions=2)
