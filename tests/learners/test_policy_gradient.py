"""Policy gradients against closed forms and finite differences of the expected return.

The worlds are so small that expectations are sums: the noise runs over all of a few numbers with
the moments of a normal, so that nothing is left to chance. "mean" alone is off by the 1 / 299 of
its unbiased baseline, for these episodes are no sample.
"""

import math
from typing import get_args

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from metawright.learners import MAML, TaskParameters
from metawright.learners.policy_gradient import (
    Baseline,
    Curvature,
    PolicyGradient,
    advantages,
    returns,
)
from metawright.models.backbones import MLP
from metawright.models.rollout import Episodes, Rollout, policy_network, unpack
from metawright.params import params_of
from metawright.rng import stream
from metawright.tasks.navigation import Navigation, move, reward
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec

DOUBLE = torch.float64
MEAN, STD, GOAL = 0.3, 0.8, 1.5


def _bandit(mean: float = MEAN, std: float = STD) -> Rollout:
    """One number is chosen, normal around `mean`: a linear policy at state zero."""
    policy = MLP(1, 1, rng=stream(0), hidden=())
    policy.get_parameter("bias0").data.fill_(mean)
    world = Rollout(policy, move=lambda state, action: action, start=(0.0,), actions=1, std=std)
    return world.to(DOUBLE)


def _walk(shift: float = 0.0) -> Rollout:
    """Two steps of a walk whose policy is linear in where it stands."""
    policy = MLP(1, 1, rng=stream(0), hidden=())
    policy.get_parameter("weight0").data.fill_(-0.4 + shift)
    policy.get_parameter("bias0").data.fill_(0.3 + shift)
    walk = Rollout(policy, move=lambda s, action: s + action, start=(0.2,), actions=1, std=0.6)
    return walk.to(DOUBLE)


def _noise() -> Tensor:
    """300 numbers, zeros, a and b of both signs, with the moments 1 and 3 of a standard normal;
    the sixth is 15.3 instead of 15."""
    zeros, inner, outer = 160, 67, 3
    half = zeros / 2 + inner + outer
    # inner A + outer B = half and inner A^2 + outer B^2 = 3 half, with A and B the squares.
    first, second = inner + inner**2 / outer, half * inner / outer
    third = half**2 / outer - 3 * half
    a = (second - math.sqrt(second**2 - first * third)) / first
    b = (half - inner * a) / outer
    ends = torch.tensor([math.sqrt(a)] * inner + [math.sqrt(b)] * outer, dtype=DOUBLE)
    return torch.cat([torch.zeros(zeros, dtype=DOUBLE), ends, -ends])


def _everything(steps: int) -> Task:
    """A task whose episodes are all combinations of the noise in its steps."""
    grid = torch.cartesian_prod(*[_noise()] * steps).reshape(-1, steps, 1)
    batch = Batch(grid, torch.full((len(grid), 1), GOAL, dtype=DOUBLE))
    return Task(batch, batch, TaskSpec(Kind.CONTROL, (steps, 1), 1))


def _gradient(loss: PolicyGradient, model: Rollout, batch: Batch) -> dict[str, Tensor]:
    value = loss(model(batch.x), batch.labels)
    names, values = zip(*model.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(value, values), strict=True))


@pytest.mark.parametrize("curvature", get_args(Curvature))
@pytest.mark.parametrize("baseline", get_args(Baseline))
def test_gradient_of_a_bandit_is_the_analytic_one(
    curvature: Curvature, baseline: Baseline
) -> None:
    loss = PolicyGradient(reward, discount=1.0, baseline=baseline, curvature=curvature)
    batch = _everything(1).support
    grads = _gradient(loss, _bandit(), batch)
    # Expected return -(mean - goal)^2 - std^2; the loss is minus that.
    assert float(grads["policy.bias0"]) == pytest.approx(2 * (MEAN - GOAL), rel=4e-3)
    assert float(grads["log_std"]) == pytest.approx(2 * STD**2, rel=4e-3)
    value = loss(_bandit()(batch.x), batch.labels)
    assert float(value.detach()) == pytest.approx((MEAN - GOAL) ** 2 + STD**2, rel=1e-6)


def test_second_derivative_of_a_bandit() -> None:
    """Two for the mean; the score alone says nothing of the sort."""
    batch, found = _everything(1).support, {}
    for curvature in get_args(Curvature):
        model = _bandit()
        loss = PolicyGradient(reward, discount=1.0, baseline="mean", curvature=curvature)
        mean = params_of(model)["policy.bias0"]
        (first,) = torch.autograd.grad(loss(model(batch.x), batch.labels), mean, create_graph=True)
        found[curvature] = float(torch.autograd.grad(first, mean)[0])
    assert found["lvc"] == pytest.approx(2, rel=4e-3)
    assert found["dice"] == pytest.approx(2, rel=4e-3)
    assert found["score"] == pytest.approx(0, abs=1e-6)


def _meta(model: Rollout, task: Task, curvature: Curvature) -> tuple[dict[str, Tensor], float]:
    loss = PolicyGradient(reward, discount=1.0, baseline="mean", curvature=curvature)
    step = MAML(model, inner_lr=0.1, inner_steps=1, loss=loss).gradients([task], stream(0))
    return step.grads, step.metrics["loss"]


def test_meta_gradient_of_a_bandit_is_the_analytic_one() -> None:
    """Adapting takes the mean a step of 0.1 towards the goal; the slope there is known."""
    task, inner = _everything(1), 0.1
    adapted = MEAN - inner * 2 * (MEAN - GOAL)
    expected = 2 * (adapted - GOAL) * (1 - 2 * inner)
    for curvature, right in (("lvc", True), ("dice", True), ("score", False)):
        grads, _ = _meta(_bandit(), task, curvature)  # type: ignore[arg-type]
        slope = float(grads["policy.bias0"])
        assert (slope == pytest.approx(expected, rel=6e-3)) is right


@pytest.mark.parametrize("curvature", ["dice", "score"])
def test_meta_gradient_is_the_slope_of_the_expected_return_after_adapting(
    curvature: Curvature,
) -> None:
    """With the noise held, moving the start moves every episode before and after adapting: the
    difference of the returns is the whole derivative, which the estimate must equal."""
    task, step = _everything(2), 1e-4
    grads, _ = _meta(_walk(), task, curvature)
    (_, up), (_, down) = (_meta(_walk(sign * step), task, curvature) for sign in (1, -1))
    slope = (up - down) / (2 * step)
    found = float(grads["policy.bias0"] + grads["policy.weight0"])
    assert (found == pytest.approx(slope, rel=1e-3)) is (curvature == "dice")


def test_dice_and_lvc_differ_where_steps_work_together() -> None:
    task = _everything(2)
    first, second = (_meta(_walk(), task, kind)[0] for kind in ("dice", "lvc"))
    assert float((first["policy.weight0"] - second["policy.weight0"]).abs()) > 0.01


def _random_episodes(count: int) -> tuple[Episodes, Tensor]:
    rng = stream(0)
    states = torch.randn(count, 4, 2, generator=rng, dtype=DOUBLE)
    rewards = torch.randn(count, 4, generator=rng, dtype=DOUBLE)
    return Episodes(states, states, rewards), rewards


def test_returns_to_come_are_discounted_sums() -> None:
    episodes, rewards = _random_episodes(3)
    found = advantages(episodes, rewards, 0.5, "none")
    for episode in range(3):
        for step in range(4):
            later = [0.5 ** (k - step) * float(rewards[episode, k]) for k in range(step, 4)]
            assert float(found[episode, step]) == pytest.approx(math.fsum(later))


def test_the_mean_baseline_is_that_of_the_other_episodes() -> None:
    episodes, rewards = _random_episodes(5)
    sums = advantages(episodes, rewards, 0.9, "none")
    others = torch.stack([sums[[k for k in range(5) if k != one]].mean(0) for one in range(5)])
    assert_close(advantages(episodes, rewards, 0.9, "mean"), sums - others)


def test_the_linear_baseline_removes_what_is_linear() -> None:
    rng = stream(0)
    states = torch.randn(6, 8, 2, generator=rng, dtype=DOUBLE)
    time = torch.linspace(0, 1, 8, dtype=DOUBLE)
    rewards = 2 * states[..., 0] - states[..., 1].square() + 3 * time**2 - 1
    episodes = Episodes(states, states, rewards)
    left = advantages(episodes, rewards, 0.0, "linear")  # nothing to come: the reward itself
    assert float(left.abs().max()) < 1e-4
    assert float(advantages(episodes, rewards, 0.0, "mean").abs().max()) > 1


def test_a_single_episode_keeps_its_returns() -> None:
    episodes, rewards = _random_episodes(1)
    expected = advantages(episodes, rewards, 0.9, "none")
    for baseline in get_args(Baseline):
        assert_close(advantages(episodes, rewards, 0.9, baseline), expected)


def _navigation(tasks: int) -> list[Task]:
    source = Navigation(shots=4, queries=3, horizon=6)
    drawn = [source.draw(Split.TRAIN, stream(seed)) for seed in range(tasks)]
    return [Task(_double(t.support), _double(t.query), t.spec) for t in drawn]


def _double(batch: Batch) -> Batch:
    return Batch(batch.x.double(), batch.labels.double())


def _rollout() -> Rollout:
    policy = policy_network(2, 2, rng=stream(0), hidden=(8,))
    return Rollout(policy, move=move, start=(0.0, 0.0), actions=2).to(DOUBLE)


@pytest.mark.parametrize("baseline", get_args(Baseline))
@pytest.mark.parametrize("normalise", [True, False])
def test_a_stack_of_tasks_gives_the_gradients_of_a_loop(
    baseline: Baseline, normalise: bool
) -> None:
    tasks = _navigation(3)
    loss = PolicyGradient(reward, baseline=baseline, normalise=normalise)
    steps = [
        TaskParameters(
            _rollout(), task="*", inner_lr=0.05, inner_steps=2, loss=loss, batching=batching
        ).gradients(tasks, stream(0))
        for batching in ("stack", "loop")
    ]
    assert_close(steps[0].grads, steps[1].grads, rtol=1e-8, atol=1e-10)
    assert steps[0].metrics == pytest.approx(steps[1].metrics)


def test_normalised_advantages_are_a_mean_of_unit_deviation() -> None:
    """The scale of the rewards and the length of the episodes drop out."""
    task, model = _navigation(1)[0], _rollout()
    plain = _gradient(PolicyGradient(reward, normalise=True), model, task.support)
    large = _gradient(
        PolicyGradient(lambda states, goals: 100 * reward(states, goals), normalise=True),
        model,
        task.support,
    )
    assert_close(plain, large, rtol=1e-4, atol=1e-7)


def test_one_step_raises_the_return_on_what_it_saw() -> None:
    task = Navigation(shots=200, horizon=20).draw(Split.TEST, stream(1))
    model = Rollout(policy_network(2, 2, rng=stream(0)), move=move, start=(0.0, 0.0), actions=2)
    loss = PolicyGradient(reward, normalise=True)
    with torch.no_grad():
        found = [
            float(
                returns(
                    MAML(model, inner_lr=0.2, evaluation_steps=steps, loss=loss).adapt(
                        task.support, stream(0)
                    )(task.query.x),
                    task.query.labels,
                    reward,
                ).mean()
            )
            for steps in (0, 3)
        ]
    assert found[1] > found[0]


def test_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="`0 <= discount <= 1` must hold, but got 2"):
        PolicyGradient(reward, discount=2)
    with pytest.raises(ValueError, match=r"`baseline` must be one of .* but got 'median'"):
        PolicyGradient(reward, baseline="median")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"`curvature` must be one of .* but got 'flat'"):
        PolicyGradient(reward, curvature="flat")  # type: ignore[arg-type]


def test_returns_are_sums_of_rewards() -> None:
    task, model = _navigation(1)[0], _rollout()
    outputs = model(task.query.x)
    expected = reward(unpack(outputs).after, task.query.labels).sum(-1)
    assert_close(returns(outputs, task.query.labels, reward), expected)
