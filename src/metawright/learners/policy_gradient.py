"""Reinforcement as a loss: what an inner step descends when its examples are episodes.

With it a control task is a task like any other, and every learner that takes a `loss` adapts
policies: MAML, first-order MAML, a context, a head. The derivative through the actions' own
probabilities is the delicate part. The score function alone has the right gradient and a wrong
second derivative, so that a meta-gradient through it forgets how adapting changes what is seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metawright.models.rollout import Episodes, unpack

__all__ = ["Baseline", "Curvature", "PolicyGradient", "Reward", "advantages", "returns"]

Reward = Callable[[Tensor, Tensor], Tensor]
"""From the states after each action (..., horizon, state) and what a task asks for (..., goal) to
rewards (..., horizon)."""

Baseline = Literal["none", "mean", "linear"]
Curvature = Literal["lvc", "dice", "score"]
_RIDGE = 1e-5


@dataclass(frozen=True)
class PolicyGradient:
    r"""A loss of episodes: its value is minus their mean return, its derivatives are estimates
    of those of minus the expected return.

    With the advantages $A_t$ (discounted returns from step $t$ on less a baseline, constants) and
    the ratio of each action's probability to itself as a constant,
    $\rho_t = \pi(a_t | s_t) / \bot \pi(a_t | s_t) = 1$, the part with a derivative is

    - "lvc": $\sum_t \rho_t A_t$. First derivative unbiased, second of low variance; it leaves out
      the terms of two different steps, so that it is exact where an episode has one step.
    - "dice": $\sum_t (\rho_1 \cdots \rho_t - \rho_1 \cdots \rho_{t-1}) A_t$. Unbiased to
      any order; its variance grows with the horizon.
    - "score": $\sum_t \log \pi(a_t | s_t) A_t$, as in the MAML paper. First derivative unbiased,
      second wrong: for comparison.

    Arguments:
        reward: of states and goals, such as `tasks.navigation.reward`.
        discount: weight of a reward one step later.
        baseline: what the returns are compared with, see `advantages`.
        curvature: which of the three; the first derivative is the same.
        normalise: divide the advantages of a batch by their standard deviation, and their sum by
            the horizon, as the MAML authors' code does: an inner rate then fits tasks of any scale
            of reward and length. The derivatives are scaled by as much, the value is not.

    References:
        ProMP: Proximal Meta-Policy Search, Rothfuss et al., 2018,
        https://arxiv.org/abs/1810.06784 (low variance curvature).
        DiCE: The Infinitely Differentiable Monte-Carlo Estimator, Foerster et al., 2018,
        https://arxiv.org/abs/1802.05098; Loaded DiCE, Farquhar et al., 2019,
        https://arxiv.org/abs/1909.10549 (the form with advantages).
    """

    reward: Reward
    discount: float = 0.99
    baseline: Baseline = "linear"
    curvature: Curvature = "lvc"
    normalise: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.discount <= 1:
            raise ValueError(f"`0 <= discount <= 1` must hold, but got {self.discount}.")
        for name, value, known in (
            ("baseline", self.baseline, ("none", "mean", "linear")),
            ("curvature", self.curvature, ("lvc", "dice", "score")),
        ):
            if value not in known:
                raise ValueError(f"`{name}` must be one of {known}, but got {value!r}.")

    def __call__(self, outputs: Tensor, goals: Tensor) -> Tensor:
        """A scalar, the mean over the episodes.

        Arguments:
            outputs: of a `Rollout`: (episodes, horizon, 2 state + 1).
            goals: (episodes, *goal).
        """
        episodes = unpack(outputs)
        with torch.no_grad():
            rewards = self.reward(episodes.after, goals)
            weights = advantages(episodes, rewards, self.discount, self.baseline)
            if self.normalise:
                spread = weights.std() if weights.numel() > 1 else weights.abs().max()
                weights = weights / ((spread + 1e-8) * weights.shape[-1])
        surrogate = (_factors(episodes.log_probs, self.curvature) * weights).sum(-1).mean()
        # The value of the surrogate says nothing; that of the return does.
        return -rewards.sum(-1).mean() - (surrogate - surrogate.detach())


def returns(outputs: Tensor, goals: Tensor, reward: Reward) -> Tensor:
    """Sum of the rewards of each episode, not discounted, (..., episodes)."""
    return reward(unpack(outputs).after, goals).sum(-1)


def advantages(episodes: Episodes, rewards: Tensor, discount: float, baseline: Baseline) -> Tensor:
    r"""Returns from each step on less what was to be expected there, (episodes, horizon).

    The return of step $t$ is $\sum_{k \ge t} \gamma^{k - t} r_k$. It is compared with

    - "none": nothing.
    - "mean": the mean over the other episodes at the same step. They are independent of the
      episode's own actions, so that the gradient stays unbiased.
    - "linear": ridge regression on the state, its squares, and the first three powers of time,
      fitted to the same episodes, as the papers do. Its bias falls with their number.

    A single episode has nothing to be compared with: only its returns are left.

    Arguments:
        rewards: (episodes, horizon).

    References:
        Benchmarking Deep Reinforcement Learning for Continuous Control, Duan et al., 2016,
        https://arxiv.org/abs/1604.06778 (the linear baseline).
    """
    sums = _sums_to_come(rewards, discount)
    count = len(sums)
    if baseline == "none" or count == 1:
        return sums
    if baseline == "mean":
        return (sums - sums.mean(0)) * (count / (count - 1))
    features = _features(episodes.before)
    flat, targets = features.flatten(0, 1).double(), sums.flatten().double()
    gram = flat.T @ flat
    gram = gram + _RIDGE * torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    weights = torch.linalg.solve(gram, flat.T @ targets)
    expected: Tensor = features.double() @ weights
    return sums - expected.to(sums)


def _sums_to_come(rewards: Tensor, discount: float) -> Tensor:
    """Discounted sum from each step to the end, along the last axis."""
    total = torch.zeros_like(rewards[..., 0])
    sums = []
    for reward in rewards.flip(-1).unbind(-1):
        total = reward + discount * total
        sums.append(total)
    return torch.stack(sums, -1).flip(-1)


def _features(states: Tensor) -> Tensor:
    """What the linear baseline knows of each step, (episodes, horizon, 2 state + 4)."""
    episodes, horizon, _ = states.shape
    time = torch.linspace(0, 1, horizon, device=states.device, dtype=states.dtype)
    powers = torch.stack([time**power for power in range(4)], -1).expand(episodes, -1, -1)
    return torch.cat([states, states.square(), powers], -1)


def _factors(log_probs: Tensor, curvature: Curvature) -> Tensor:
    """What the advantage of each step is multiplied with, of derivative the score's."""
    if curvature == "score":
        return log_probs
    if curvature == "lvc":
        return torch.exp(log_probs - log_probs.detach())
    until = torch.cumsum(log_probs, -1)
    before = until - log_probs
    return torch.exp(until - until.detach()) - torch.exp(before - before.detach())
