"""Proximal policy optimisation of the recurrent controller: several careful steps a batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.params import Params
from metawright.spaces.design import Design
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.controller import Controller, check_settings, descend
from metawright.strategies.policy import Policy
from metawright.training.optimisers import State

__all__ = ["PPO", "ppo_loss"]


class PPO:
    r"""Clipped proximal policy optimisation on the controller of `Reinforce`:

    $$\max E[\min(\rho A, clip(\rho, 1 - \epsilon, 1 + \epsilon) A)] + \beta H, \quad
    \rho = p(design) / p_{old}(design)$$

    $p_{old}$ is the policy before the steps of a batch, $\rho$ the ratio for a whole design.

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it; all proposals follow from that number and the trials.
        score: the key of `Trial.scores` that is maximised.
        batch: trials with a score between two rounds of steps, at least 1.
        steps: steps on each batch, at least 1.
        clip: by which share $\rho$ may leave 1 and still be rewarded, the $\epsilon$ above, > 0.
        lr: learning rate of Adam, > 0.
        entropy: weight of the entropy bonus, >= 0.
        bins: parts of the scale of a number, at least 2.
        width: units of the recurrent layer, at least 1.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: an argument is not as said, or a design of `warm_start` is not in the space.

    References:
        Proximal Policy Optimization Algorithms, Schulman, Wolski, Dhariwal, Radford and Klimov,
        2017, https://arxiv.org/abs/1707.06347
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: torch.Generator,
        score: str = "score",
        batch: int = 10,
        steps: int = 8,
        clip: float = 0.2,
        lr: float = 0.02,
        entropy: float = 0.01,
        bins: int = 8,
        width: int = 32,
        warm_start: Sequence[Design] = (),
    ) -> None:
        check_settings(lr=lr, entropy=entropy, bins=bins, width=width)
        if steps < 1 or not clip > 0:
            raise InputError(
                f"`steps >= 1` and `clip > 0` must hold, but got (steps={steps}, clip={clip})."
            )
        self.steps = steps
        self.clip = clip
        self.lr = lr
        self.entropy = entropy
        self._policy = Policy(space, bins=bins, width=width)
        self._controller = Controller(
            self._policy,
            self._improve,
            rng=rng,
            score=score,
            batch=batch,
            warm_start=warm_start,
        )

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._controller.ask(count)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Makes `steps` steps after each full batch of trials with a score, in the order given."""
        self._controller.tell(trials)

    def _improve(
        self, params: Params, state: State, numbers: Tensor, advantages: Tensor
    ) -> tuple[Params, State]:
        with torch.no_grad():
            before, _ = self._policy.judge(params, numbers)
        for _ in range(self.steps):
            wanted = {name: value.requires_grad_() for name, value in params.items()}
            now, entropies = self._policy.judge(wanted, numbers)
            loss = ppo_loss(now, before, advantages, self.clip) - self.entropy * entropies.mean()
            params, state = descend(loss, wanted, state, self.lr)
        return params, state


def ppo_loss(now: Tensor, before: Tensor, advantages: Tensor, clip: float) -> Tensor:
    """The negative clipped objective.

    Arguments:
        now: (designs,) log-probabilities under the parameters that are stepped.
        before: (designs,) log-probabilities before the first step.
        advantages: (designs,).
        clip: the share by which the ratio may leave 1.
    """
    ratio = (now - before).exp()
    held = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantages, held * advantages).mean()
