"""Strategies of one objective for several objectives and for constraints.

Each trial gets one number, and the strategy underneath is told that number. What the number is
changes from time to time (other weights, other ranges), and then the strategy is made anew and
told all trials again: that is how every strategy is resumed, so it works for all of them.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import torch

from metawright import rng as streams
from metawright.errors import InputError
from metawright.spaces.design import Design
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.ledger import Ledger
from metawright.strategies.objectives import (
    Constraint,
    Objective,
    aligned,
    measured,
    violation,
)
from metawright.strategies.strategy import Strategy, fidelity_of

__all__ = ["SCALAR", "Make", "Scalarised", "Turned"]

SCALAR = "scalarised"
"""The score under which the strategy underneath is told its number."""


class Make(Protocol):
    """Makes the strategy underneath, which maximises the score `SCALAR`."""

    def __call__(self, *, rng: torch.Generator) -> Strategy:
        """The strategy before it was told anything."""
        ...


# By how much the sum of losses counts beside the largest one (the paper's rho).
_AUGMENTATION = 0.05
# Proposals that are still out, of the strategy as it was before, are passed over so many times.
_TRIES = 8


class Scalarised:
    r"""Tells a strategy the augmented Chebyshev value of each trial, under changing weights:

    $$-\max_i w_i l_i - \rho \sum_i w_i l_i$$

    where $l_i$ is what the trial loses to the best value of objective $i$ seen so far, as a share
    of the way from there to the median. Weights are uniform on the simplex; they and that scale
    stay until the number of trials has grown by `growth`, and depend only on the seed and the
    trials. Any point of a front, also of a hollow one, is best under some weights. When weights
    change, the strategy is told the old trials from the worst to the best: one that forgets the
    oldest (evolution) then keeps those that suit the new weights.

    A trial that breaks a constraint is worth less than any that keeps all of them, and less the
    more it breaks them, also when it was left out before training and has no score. One that was
    never measured counts as failed.

    Different from ParEGO: the strategy underneath may be any, not only a Gaussian process.

    Arguments:
        make: makes the strategy underneath from a generator; called again and again.
        space: a space of designs.
        rng: one number is drawn from it; weights and proposals follow from it and the trials.
        objectives: what is looked for, at least one; with one there is nothing to weigh, and only
            the constraints count.
        constraints: what must hold.
        growth: by which share the number of trials grows until weights change (after each trial,
            while there are few). Larger for strategies to which a new start is dear.

    Raises:
        InputError: there are no objectives, or `growth >= 0` does not hold.

    References:
        ParEGO: A Hybrid Algorithm With On-Line Landscape Approximation for Expensive
        Multiobjective Optimization Problems, Knowles, 2006,
        https://doi.org/10.1109/TEVC.2005.851274
    """

    def __init__(
        self,
        make: Make,
        space: Space,
        *,
        rng: torch.Generator,
        objectives: Sequence[Objective],
        constraints: Sequence[Constraint] = (),
        growth: float = 0.02,
    ) -> None:
        if not objectives:
            raise InputError("`objectives` must hold at least one objective, but got none.")
        if growth < 0:
            raise InputError(f"`growth >= 0` must hold, but got (growth={growth}).")
        self.growth = growth
        self.make = make
        self.objectives = tuple(objectives)
        self.constraints = tuple(constraints)
        self._ledger = Ledger(space, rng=rng)
        self._seed = streams.integer(rng, 2**62)
        self._trials: list[Trial] = []
        self._pending: dict[Design, float] = {}
        self._strategy = self._made(0)
        self._scale = _Scale([], self.objectives, self._weights(0))
        self._next = 1

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._ledger.ask(count, self._suggest)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Takes trials in, and weighs all of them anew when they have become enough more."""
        fresh = self._ledger.take(trials)
        due = None
        for trial in fresh:
            self._trials.append(trial)
            self._pending.pop(trial.design, None)
            if len(self._trials) >= self._next:
                due = len(self._trials)
                self._next = due + max(1, int(self.growth * due))
        if due is not None:
            self._strategy = self._made(due)
            self._scale = _Scale(self._trials[:due], self.objectives, self._weights(due))
            old = sorted(map(self._weighed, self._trials[:due]), key=_worth)
            self._strategy.tell(old)
            fresh = self._trials[due:]
        self._strategy.tell([self._weighed(trial) for trial in fresh])

    def fidelity(self, design: Design) -> float:
        """What the strategy underneath said when it proposed the design."""
        return self._pending.get(design, 1.0)

    def _suggest(self, rng: torch.Generator) -> Design:
        del rng  # the strategy underneath draws
        for _ in range(_TRIES):
            (design,) = self._strategy.ask(1)
            if design not in self._pending:
                break
        self._pending[design] = fidelity_of(self._strategy, design)
        return design

    def _made(self, told: int) -> Strategy:
        return self.make(rng=streams.stream(self._seed, "strategy", told))

    def _weights(self, told: int) -> list[float]:
        """Uniform on the simplex: exponential numbers over their sum."""
        rng = streams.stream(self._seed, "weights", told)
        shape = (len(self.objectives),)
        drawn = torch.rand(shape, generator=rng, device=rng.device, dtype=torch.float64)
        numbers = [-math.log1p(-value) + 1e-12 for value in drawn.tolist()]
        return [number / sum(numbers) for number in numbers]

    def _weighed(self, trial: Trial) -> Trial:
        excess, point = violation(trial, self.constraints), aligned(trial, self.objectives)
        scores = {}
        if excess == 0 and point is not None:
            scores = {SCALAR: self._scale.worth(point)}
        elif 0 < excess < math.inf:
            scores = {SCALAR: -3.0 - excess}
        return replace(trial, scores=scores)


class Turned:
    """Tells a strategy the measure of one objective, its sign changed where less is better.

    Arguments:
        strategy: maximises the score `SCALAR`.
        objective: what is looked for, in the scores or the cost of trials.
    """

    def __init__(self, strategy: Strategy, objective: Objective) -> None:
        self.strategy = strategy
        self.objective = objective

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self.strategy.ask(count)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Hands the trials on, each with its measure as the only score."""
        self.strategy.tell([self._turned(trial) for trial in trials])

    def fidelity(self, design: Design) -> float:
        """What the strategy underneath says."""
        return fidelity_of(self.strategy, design)

    def _turned(self, trial: Trial) -> Trial:
        value = measured(trial, self.objective.name)
        sign = 1 if self.objective.maximise else -1
        return replace(trial, scores={} if value is None else {SCALAR: sign * value})


def _worth(trial: Trial) -> float:
    return trial.scores.get(SCALAR, -math.inf)


class _Scale:
    """The best and the spread of each objective in some trials, and a weight for each."""

    def __init__(
        self, trials: Sequence[Trial], objectives: Sequence[Objective], weights: Sequence[float]
    ) -> None:
        found = [aligned(trial, objectives) for trial in trials]
        points = [point for point in found if point is not None] or [(0.0,) * len(objectives)]
        columns = list(zip(*points, strict=True))
        self.best = [max(column) for column in columns]
        # To the median: one diverged trial would make the range blind to all others.
        spans = [max(column) - statistics.median(column) for column in columns]
        self.factors = [w / (span or 1.0) for w, span in zip(weights, spans, strict=True)]

    def worth(self, point: tuple[float, ...]) -> float:
        """Above -3, and at most 0 where the point beats no best value."""
        lost = [
            factor * (best - value)
            for factor, best, value in zip(self.factors, self.best, point, strict=True)
        ]
        worth = -max(lost) - _AUGMENTATION * sum(lost)
        # Bent, not cut, below -2: worse stays worse, and above what breaks a constraint.
        return float(worth if worth >= -2 else -3 - 1 / (worth + 1))
