"""Regularised evolution: children of good designs replace the oldest ones, not the worst."""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import torch

from metawright.errors import InputError
from metawright.spaces.design import Design
from metawright.spaces.draw import crossover
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.ledger import Ledger
from metawright.strategies.strategy import usable_score

__all__ = ["Evolution"]


class _Member(NamedTuple):
    design: Design
    score: float


class Evolution:
    """Regularised (aging) evolution.

    First the `warm_start`, then random designs until `population` of them have a score; from then
    on each proposal is a mutation of the best of `sample_size` members drawn with replacement, and
    each trial with a score pushes out the oldest member. Failed trials, and those whose score is
    missing or not finite, never become members.

    Different from the paper: a child that was proposed before is made again, in the end with more
    changes, so that the budget goes to new designs; and a child may mix two parents before its
    mutation.

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it; all proposals follow from that number and the trials.
        score: the key of `Trial.scores` that is maximised.
        population: how many of the latest members live, the P of the paper.
        sample_size: how many of them compete to be a parent, the S of the paper; 1 means no
            selection, larger is greedier; None: half of the population.
        crossover_rate: share of children with two parents, 0..1.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: `1 <= sample_size <= population` or `0 <= crossover_rate <= 1` does not hold,
            or a design of `warm_start` is not in the space.

    References:
        Regularized Evolution for Image Classifier Architecture Search, Real, Aggarwal, Huang and
        Le, 2019, https://arxiv.org/abs/1802.01548

    Example:
        >>> from metawright.rng import stream
        >>> from metawright.strategies import Evolution
        >>> from metawright.spaces import Design, Integer, Record
        >>> from metawright.store.records import Trial
        >>> space = Record({"x": Integer(0, 99), "y": Integer(0, 99)})
        >>> strategy, scores = Evolution(space, rng=stream(0), population=10), []
        >>> for number in range(100):
        ...     (design,) = strategy.ask(1)
        ...     scores.append(-abs(design["x"] - 70) - abs(design["y"] - 20))
        ...     strategy.tell([Trial(str(number), "task", design, {"score": scores[-1]})])
        >>> max(scores) >= -4  # true of 41 of the 10 000 designs
        True
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: torch.Generator,
        score: str = "score",
        population: int = 20,
        sample_size: int | None = None,
        crossover_rate: float = 0.0,
        warm_start: Sequence[Design] = (),
    ) -> None:
        if sample_size is None:
            sample_size = max(1, population // 2)
        if not 1 <= sample_size <= population:
            raise InputError(
                "`1 <= sample_size <= population` must hold, "
                f"but got (sample_size={sample_size}, population={population})."
            )
        if not 0 <= crossover_rate <= 1:
            raise InputError(
                f"`0 <= crossover_rate <= 1` must hold, but got (crossover_rate={crossover_rate})."
            )
        self.score = score
        self.population = population
        self.sample_size = sample_size
        self.crossover_rate = crossover_rate
        self._ledger = Ledger(space, rng=rng, warm_start=warm_start)
        self._members: deque[_Member] = deque(maxlen=population)

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._ledger.ask(count, self._suggest)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Takes the trials with a score into the population, in the order given."""
        for trial in self._ledger.take(trials):
            score = usable_score(trial, self.score)
            if score is not None:
                self._members.append(_Member(trial.design, score))

    def _suggest(self, rng: torch.Generator) -> Design | None:
        """A child; None while the population grows."""
        # Proposals still out count, or a wide batch would draw more random designs than wanted.
        growing = len(self._members) + self._ledger.pending < self.population
        if growing or not self._members:
            return None
        space, parent = self._ledger.space, self._parent(rng)
        if float(torch.rand((), generator=rng, device=rng.device)) < self.crossover_rate:
            parent = crossover(space, parent, self._parent(rng), rng)
        return self._ledger.change_unseen(parent, rng)

    def _parent(self, rng: torch.Generator) -> Design:
        """The winner of a tournament; of equal ones the first drawn."""
        shape, living = (self.sample_size,), len(self._members)
        drawn = torch.randint(living, shape, generator=rng, device=rng.device).tolist()
        return max((self._members[i] for i in drawn), key=lambda member: member.score).design
