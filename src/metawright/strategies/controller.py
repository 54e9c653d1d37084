"""Reinforcement learning: a recurrent controller that is rewarded for good designs.

`Controller` is what REINFORCE and PPO share: it asks the policy for designs, gathers trials into
batches and turns scores into advantages. How a batch changes the parameters is handed to it.
"""

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from metawright import rng as streams
from metawright.errors import InputError
from metawright.params import Params
from metawright.spaces.design import Design
from metawright.spaces.draw import mutate
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.ledger import Ledger
from metawright.strategies.policy import Policy
from metawright.strategies.strategy import usable_score
from metawright.training.optimisers import Adam, State

__all__ = ["Controller", "Improve", "Reinforce", "descend", "reinforce_loss"]

# Draws from the policy until a design is new, before one is changed.
_TRIES = 8
# How fast the baseline forgets, a trial.
_DECAY = 0.9


class Improve(Protocol):
    """How a batch changes the parameters of a policy."""

    def __call__(
        self, params: Params, state: State, numbers: Tensor, advantages: Tensor
    ) -> tuple[Params, State]:
        """The parameters and the optimiser's state afterwards.

        Arguments:
            params: of the policy.
            state: of the optimiser.
            numbers: (designs, decisions), what was decided.
            advantages: (designs,), by how much the scores were better than expected.
        """
        ...


class Controller:
    """Designs drawn from a policy that changes after each batch of trials with a score.

    The advantage of a trial is its score less a moving average of the scores before it, in units
    of their spread. A design that was proposed before is drawn again, and in the end changed a
    little.

    Arguments:
        policy: over the space that is searched.
        improve: how a batch changes its parameters.
        rng: one number is drawn from it; all proposals follow from that number and the trials.
        score: the key of `Trial.scores` that is maximised.
        batch: trials with a score between two changes, at least 1.
        warm_start: designs to try first, the most promising one first.
    """

    def __init__(
        self,
        policy: Policy,
        improve: Improve,
        *,
        rng: torch.Generator,
        score: str,
        batch: int,
        warm_start: Sequence[Design],
    ) -> None:
        if batch < 1:
            raise InputError(f"`batch >= 1` must hold, but got (batch={batch}).")
        self.policy = policy
        self.improve = improve
        self.score = score
        self.batch = batch
        self._ledger = Ledger(policy.space, rng=rng, warm_start=warm_start)
        self._params = policy.parameters(streams.fork(rng))
        self._state = Adam().init(self._params)
        self._waiting: list[tuple[Design, float]] = []
        self._baseline = _Baseline()

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._ledger.ask(count, self._drawn)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Changes the policy after each full batch, in the order given."""
        for trial in self._ledger.take(trials):
            score = usable_score(trial, self.score)
            if score is None:
                continue
            self._waiting.append((trial.design, self._baseline.advantage(score)))
            if len(self._waiting) == self.batch:
                designs, advantages = zip(*self._waiting, strict=True)
                self._waiting = []
                self._params, self._state = self.improve(
                    self._params,
                    self._state,
                    self.policy.numbers(designs),
                    torch.tensor(advantages, dtype=torch.get_default_dtype()),
                )

    def _drawn(self, rng: torch.Generator) -> Design:
        for _ in range(_TRIES):
            design = self.policy.sample(self._params, rng)
            if not self._ledger.seen(design):
                return design
        for changes in range(1, _TRIES):
            changed = mutate(self.policy.space, design, rng, changes=changes)
            if not self._ledger.seen(changed):
                return changed
        return self._ledger.sample_unseen(rng)


class _Baseline:
    """A moving mean and spread of scores, without the bias of their start."""

    def __init__(self) -> None:
        self._mean = self._square = self._weight = 0.0

    def advantage(self, score: float) -> float:
        """By how many spreads `score` is above the mean of those before it; then it counts too."""
        found = 0.0
        if self._weight:
            mean = self._mean / self._weight
            spread = math.sqrt(max(self._square / self._weight - mean**2, 0.0))
            # At most 3, for the first differences have no spread to be measured by.
            found = (
                max(-3.0, min((score - mean) / (spread + 1e-12), 3.0)) if score != mean else 0.0
            )
        self._mean = _DECAY * self._mean + (1 - _DECAY) * score
        self._square = _DECAY * self._square + (1 - _DECAY) * score**2
        self._weight = _DECAY * self._weight + (1 - _DECAY)
        return found


class Reinforce:
    r"""REINFORCE on a recurrent controller, as in ENAS:

    $$\nabla J = E[(r - b) \nabla \log p(design)] + \beta \nabla H$$

    with a moving average as baseline $b$ and a bonus for the entropy $H$ of the decisions.

    Different from ENAS: designs are scored by whoever calls, not by shared weights; scores count
    in units of their spread, so that any score will do; nothing is proposed twice.

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it; all proposals follow from that number and the trials.
        score: the key of `Trial.scores` that is maximised.
        batch: trials with a score between two steps, at least 1.
        lr: learning rate of Adam, > 0.
        entropy: weight of the entropy bonus, >= 0.
        bins: parts of the scale of a number, at least 2.
        width: units of the recurrent layer, at least 1.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: an argument is not as said, or a design of `warm_start` is not in the space.

    References:
        Simple Statistical Gradient-Following Algorithms for Connectionist Reinforcement Learning,
        Williams, 1992, https://doi.org/10.1007/BF00992696
        Efficient Neural Architecture Search via Parameter Sharing, Pham, Guan, Zoph, Le and Dean,
        2018, https://arxiv.org/abs/1802.03268
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: torch.Generator,
        score: str = "score",
        batch: int = 5,
        lr: float = 0.03,
        entropy: float = 0.01,
        bins: int = 8,
        width: int = 32,
        warm_start: Sequence[Design] = (),
    ) -> None:
        check_settings(lr=lr, entropy=entropy, bins=bins, width=width)
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
        """Makes a step after each full batch of trials with a score, in the order given."""
        self._controller.tell(trials)

    def _improve(
        self, params: Params, state: State, numbers: Tensor, advantages: Tensor
    ) -> tuple[Params, State]:
        wanted = {name: value.requires_grad_() for name, value in params.items()}
        loss = reinforce_loss(self._policy, wanted, numbers, advantages, entropy=self.entropy)
        return descend(loss, wanted, state, self.lr)


def reinforce_loss(
    policy: Policy, params: Params, numbers: Tensor, advantages: Tensor, *, entropy: float = 0.0
) -> Tensor:
    """A scalar whose gradient is the negative policy gradient of the batch."""
    log_probabilities, entropies = policy.judge(params, numbers)
    return -(advantages * log_probabilities + entropy * entropies).mean()


def descend(loss: Tensor, params: Params, state: State, lr: float) -> tuple[Params, State]:
    """Parameters, free of any graph, and Adam's state after a step down the loss."""
    grads = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
    found = {
        name: torch.zeros_like(value) if grad is None else grad
        for (name, value), grad in zip(params.items(), grads, strict=True)
    }
    with torch.no_grad():
        return Adam().update(params, found, state, lr)


def check_settings(*, lr: float, entropy: float, bins: int, width: int) -> None:
    """Returns if the settings of a controller can be used.

    Raises:
        InputError: one cannot; the sentence names it.
    """
    if not lr > 0:
        raise InputError(f"`lr > 0` must hold, but got (lr={lr}).")
    if not entropy >= 0:
        raise InputError(f"`entropy >= 0` must hold, but got (entropy={entropy}).")
    if bins < 2 or width < 1:
        raise InputError(
            f"`bins >= 2` and `width >= 1` must hold, but got (bins={bins}, width={width})."
        )
