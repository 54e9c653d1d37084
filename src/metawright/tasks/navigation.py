"""A point that must find a goal it cannot see: the standard small source of control tasks.

A task is plain data, like any other: noise with which a policy may explore, and the goal that the
rewards depend on. What moves and what is rewarded are the functions here; a policy is rolled out
by `models.rollout` and judged by `learners.policy_gradient`.
"""

import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec

__all__ = ["Navigation", "move", "reward"]

_FASTEST = 0.1


class Navigation:
    """Tasks of going to a goal in the unit square around the origin, where every episode starts.

    `x` holds standard normal noise, (episodes, horizon, 2): what the policy adds to its mean in
    each step, drawn beforehand so that the same task is the same experience. `y` holds the
    goal of every episode, (episodes, 2), the same for all of a task: no policy sees it, it is
    known by its rewards alone. Goals are drawn from a continuum, so the splits differ by their
    draws.

    Arguments:
        shots: episodes to adapt with (20 in the paper).
        queries: episodes to be judged on.
        horizon: steps of an episode (100 in the paper).

    References:
        Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, Finn, Abbeel and Levine
        2017, https://arxiv.org/abs/1703.03400 (section 5.3, 2D navigation). There an episode also
        ends within 0.01 of the goal, where the reward is nearly zero anyway; and the authors' code
        rewards with the distance, not with its square.
    """

    name = "navigation"

    def __init__(self, *, shots: int = 20, queries: int = 20, horizon: int = 100) -> None:
        if shots < 1 or queries < 0 or horizon < 1:
            raise InputError(
                "`shots >= 1`, `queries >= 0` and `horizon >= 1` must hold, but got "
                f"(shots={shots}, queries={queries}, horizon={horizon})."
            )
        self.shots, self.queries, self.horizon = shots, queries, horizon

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One goal, with the noise of all episodes."""
        goal = torch.rand(2, generator=rng) - 0.5
        episodes = self.shots + self.queries
        noise = torch.randn(episodes, self.horizon, 2, generator=rng)
        goals = goal.repeat(episodes, 1)
        spec = TaskSpec(Kind.CONTROL, (self.horizon, 2), 2, source=self.name)
        cut = self.shots
        return Task(Batch(noise[:cut], goals[:cut]), Batch(noise[cut:], goals[cut:]), spec)


def move(positions: Tensor, actions: Tensor) -> Tensor:
    """Where the point is a step later, (..., 2). An action is a velocity in tenths, and none goes
    beyond 1 either way: the velocity stays in [-0.1, 0.1]. So a policy's actions are of size one,
    as the authors' code scales them too."""
    return positions + _FASTEST * actions.clamp(-1, 1)


def reward(positions: Tensor, goals: Tensor) -> Tensor:
    """Minus the squared distance of the positions (..., horizon, 2) to the goals (..., 2)."""
    return -(positions - goals.unsqueeze(-2)).square().sum(-1)
