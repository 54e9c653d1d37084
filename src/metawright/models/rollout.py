"""A policy that acts: from noise to the episodes that it makes of it.

The world is known and batched, so an episode is a function of the policy's parameters and of
noise, and a policy is a model like any other: episodes in, outputs out. The outputs say what
happened and how likely it was; the loss (`learners.policy_gradient`) makes rewards of them.

What happened is a constant: no derivative goes through the world, which in general has none. The
probabilities alone depend on the parameters, to any order.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from metawright.models.backbones import MLP, TaskBatched
from metawright.params import Params, params_of

__all__ = ["Episodes", "Move", "Rollout", "policy_network", "unpack"]

Move = Callable[[Tensor, Tensor], Tensor]
"""From states and actions (..., state), (..., actions) to the states a step later."""

_NET = "policy."


class Episodes(NamedTuple):
    """What happened in some episodes, step by step.

    `before`: the states in which the policy acted, (..., horizon, state); `after`: those that its
    actions led to; `log_probs`: of the actions, (..., horizon), natural logarithm.
    """

    before: Tensor
    after: Tensor
    log_probs: Tensor


class Rollout(nn.Module):
    r"""A Gaussian policy rolled out in a known world.

    The action in state $s$ is $\mu(s) + \sigma \epsilon$ with the noise $\epsilon$ of the input.
    A stack of tasks acts at once.

    Arguments:
        policy: gives the means of the actions for states (episodes, state), for a stack of tasks
            too (`TaskBatched`), such as `policy_network`.
        move: the world. Its batch axes are tasks and episodes.
        start: the state in which every episode starts.
        actions: entries of an action.
        std: $\sigma$ at first; its logarithm is the parameter `log_std`, one entry an action.

    Example:
        >>> import torch
        >>> from metawright.models.rollout import Rollout, policy_network, unpack
        >>> from metawright.rng import stream
        >>> from metawright.tasks.navigation import move
        >>> policy = policy_network(2, 2, rng=stream(0, "doc"))
        >>> model = Rollout(policy, move=move, start=(0.0, 0.0), actions=2)
        >>> episodes = unpack(model(torch.zeros(20, 100, 2)))
        >>> episodes.after.shape, episodes.log_probs.shape
        (torch.Size([20, 100, 2]), torch.Size([20, 100]))
    """

    def __init__(
        self,
        policy: nn.Module,
        *,
        move: Move,
        start: Sequence[float],
        actions: int,
        std: float = 1.0,
    ) -> None:
        super().__init__()
        if not isinstance(policy, TaskBatched):
            raise TypeError(
                "`policy` must run a stack of tasks (forward_tasks), but got "
                f"{type(policy).__name__}."
            )
        if std <= 0:
            raise ValueError(f"`std > 0` must hold, but got {std}.")
        self.policy = policy
        self.move = move
        self.start = tuple(start)
        self.log_std = nn.Parameter(torch.full((actions,), math.log(std)))

    def forward(self, x: Tensor) -> Tensor:
        """Noise (episodes, horizon, actions) to packed episodes: see `unpack`."""
        stack = {name: value[None] for name, value in params_of(self).items()}
        return self.forward_tasks(stack, x[None])[0]

    def forward_tasks(self, params: Params, x: Tensor) -> Tensor:
        """Every task with its own policy: (tasks, episodes, horizon, actions) to
        (tasks, episodes, horizon, 2 state + 1)."""
        policy = {n.removeprefix(_NET): value for n, value in params.items() if n.startswith(_NET)}
        log_std = params["log_std"][:, None, None]
        with torch.no_grad():
            before, actions, after = self._act(policy, log_std.detach(), x)
        # The states are known now, so that the part with a graph is one call for all steps.
        net = cast(TaskBatched, self.policy)
        means = net.forward_tasks(policy, before.flatten(1, 2)).reshape(actions.shape)
        scaled = (actions - means) * torch.exp(-log_std)
        log_probs = -0.5 * (scaled.square() + 2 * log_std + math.log(2 * math.pi)).sum(-1)
        return torch.cat([before, after, log_probs.unsqueeze(-1)], -1)

    def _act(self, policy: Params, log_std: Tensor, noise: Tensor) -> tuple[Tensor, ...]:
        """States, actions and states after them, each (tasks, episodes, horizon, entries)."""
        net = cast(TaskBatched, self.policy)
        steps = torch.exp(log_std) * noise
        state = noise.new_tensor(self.start).expand(*noise.shape[:2], -1)
        history: list[tuple[Tensor, Tensor, Tensor]] = []
        for step in range(noise.shape[2]):
            action = net.forward_tasks(policy, state) + steps[:, :, step]
            following = self.move(state, action)
            history.append((state, action, following))
            state = following
        return tuple(torch.stack(part, 2) for part in zip(*history, strict=True))


def unpack(outputs: Tensor) -> Episodes:
    """The episodes in the outputs of a `Rollout`, (..., horizon, 2 state + 1)."""
    width = outputs.shape[-1] // 2
    return Episodes(outputs[..., :width], outputs[..., width:-1], outputs[..., -1])


def policy_network(
    states: int, actions: int, *, rng: torch.Generator, hidden: Sequence[int] = (100, 100)
) -> MLP:
    """The MAML paper's policy, two ReLU layers of 100, that at first hardly acts.

    Its last weights are a hundredth of the usual: where a mean of the size of the states feeds
    back into them, the first episodes would run off and their returns tell nothing of the goal.
    """
    policy = MLP(states, actions, rng=rng, hidden=hidden)
    policy.get_parameter(f"weight{len(hidden)}").data.mul_(0.01)
    return policy
