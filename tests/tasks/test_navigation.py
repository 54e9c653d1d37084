"""The point and its goals: ranges, rewards by hand, and a goal that is the task's alone."""

import pytest
import torch
from torch.testing import assert_close

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.navigation import Navigation, move, reward
from metawright.tasks.task import Kind, Split


def test_goals_fill_the_unit_square_around_the_origin() -> None:
    source = Navigation(shots=1, queries=1, horizon=2)
    goals = torch.stack(
        [source.draw(Split.TRAIN, stream(seed)).support.labels[0] for seed in range(400)]
    )
    assert -0.5 <= float(goals.min()) < -0.48
    assert 0.48 < float(goals.max()) <= 0.5
    assert_close(goals.mean(0), torch.zeros(2), rtol=0, atol=0.06)


def test_a_task_has_one_goal_and_its_own_noise() -> None:
    task = Navigation(shots=30, queries=20).draw(Split.TEST, stream(0))
    assert task.support.x.shape == (30, 100, 2)
    assert task.query.x.shape == (20, 100, 2)
    goals = torch.cat([task.support.labels, task.query.labels])
    assert bool((goals == goals[0]).all())
    noise = torch.cat([task.support.x, task.query.x])
    assert float(noise.mean().abs()) < 0.05
    assert 0.97 < float(noise.std()) < 1.03
    assert task.spec.kind is Kind.CONTROL
    assert (task.spec.features, task.spec.outputs) == ((100, 2), 2)


def test_velocity_is_clipped() -> None:
    positions = torch.tensor([[0.2, 0.0], [0.0, 0.0]])
    actions = torch.tensor([[0.5, -9.0], [-0.25, 1.0]])
    expected = torch.tensor([[0.25, -0.1], [-0.025, 0.1]])
    assert_close(move(positions, actions), expected)


def test_reward_is_minus_the_squared_distance() -> None:
    positions = torch.tensor([[[0.0, 0.0], [0.3, 0.0]]])
    assert_close(reward(positions, torch.tensor([[0.3, 0.4]])), torch.tensor([[-0.25, -0.16]]))


@pytest.mark.parametrize("arguments", [{"shots": 0}, {"queries": -1}, {"horizon": 0}])
def test_arguments_are_checked(arguments: dict[str, int]) -> None:
    with pytest.raises(InputError, match=next(iter(arguments))):
        Navigation(**arguments)
