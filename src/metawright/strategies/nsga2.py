"""NSGA-II: evolution for several objectives, by rank of the front and room around a point."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch

from metawright import rng as streams
from metawright.errors import InputError
from metawright.spaces.design import Design
from metawright.spaces.draw import crossover
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.ledger import Ledger
from metawright.strategies.objectives import Constraint, Objective, aligned, violation
from metawright.strategies.pareto import crowding, ranks

__all__ = ["NSGA2", "Fitness", "fitness"]


class Fitness(NamedTuple):
    """How a member stands: a lower rank is better, and of equal ones more room around it."""

    rank: int
    room: float

    def beats(self, other: "Fitness") -> bool:
        """The crowded comparison of the paper."""
        return (self.rank, -self.room) < (other.rank, -other.room)


class _Member(NamedTuple):
    design: Design
    point: tuple[float, ...]
    violation: float


class NSGA2:
    """The non-dominated sorting genetic algorithm, one trial at a time.

    First the `warm_start`, then random designs until `population` of them are members. Each
    further proposal has two parents, each the better of two members drawn at random, and is
    mutated; each trial joins the members, and the worst of them leaves: of the last front the one
    with the least room. A trial that breaks the constraints is worse than all that keep them, and
    less bad the less it breaks them, also when it was left out before training.

    Different from the paper: it goes trial by trial instead of in generations, so that trials may
    come in any order and at any time; mutation changes one decision (more, where the child was
    proposed before).

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it; all proposals follow from that number and the trials.
        score: the key of `Trial.scores` that is maximised where `objectives` is empty.
        objectives: what is looked for.
        constraints: what must hold.
        population: how many members live, at least 2.
        crossover_rate: share of children with two parents, 0..1.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: `population >= 2` or `0 <= crossover_rate <= 1` does not hold, or a design of
            `warm_start` is not in the space.

    References:
        A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, Deb, Pratap, Agarwal and
        Meyarivan, 2002, https://doi.org/10.1109/4235.996017
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: torch.Generator,
        score: str = "score",
        objectives: Sequence[Objective] = (),
        constraints: Sequence[Constraint] = (),
        population: int = 30,
        crossover_rate: float = 0.9,
        warm_start: Sequence[Design] = (),
    ) -> None:
        if population < 2:
            raise InputError(f"`population >= 2` must hold, but got (population={population}).")
        if not 0 <= crossover_rate <= 1:
            raise InputError(
                f"`0 <= crossover_rate <= 1` must hold, but got (crossover_rate={crossover_rate})."
            )
        self.objectives = tuple(objectives) or (Objective(score),)
        self.constraints = tuple(constraints)
        self.population = population
        self.crossover_rate = crossover_rate
        self._ledger = Ledger(space, rng=rng, warm_start=warm_start)
        self._members: list[_Member] = []
        self._fitness: list[Fitness] = []

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._ledger.ask(count, self._suggest)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Takes trials among the members, one after the other in the order given."""
        for trial in self._ledger.take(trials):
            member = self._member(trial)
            if member is not None:
                self._members.append(member)
                self._judge()
                if len(self._members) > self.population:
                    self._drop()

    def _member(self, trial: Trial) -> _Member | None:
        excess, point = violation(trial, self.constraints), aligned(trial, self.objectives)
        if excess == 0 and point is not None:
            return _Member(trial.design, point, 0.0)
        if 0 < excess < np.inf:
            return _Member(trial.design, (), excess)
        return None

    def _judge(self) -> None:
        self._fitness = fitness(
            [member.point for member in self._members],
            [member.violation for member in self._members],
        )

    def _drop(self) -> None:
        """The worst leaves; of equals the oldest."""
        worst = 0
        for index, each in enumerate(self._fitness):
            if self._fitness[worst].beats(each):
                worst = index
        del self._members[worst]
        self._judge()

    def _suggest(self, rng: torch.Generator) -> Design | None:
        """A child; None while the population grows."""
        growing = len(self._members) + self._ledger.pending < self.population
        if growing or not self._members:
            return None
        space, parent = self._ledger.space, self._parent(rng)
        if float(torch.rand((), generator=rng, device=rng.device)) < self.crossover_rate:
            parent = crossover(space, parent, self._parent(rng), rng)
        return self._ledger.change_unseen(parent, rng)

    def _parent(self, rng: torch.Generator) -> Design:
        """The winner of a tournament of two; of equal ones the first drawn."""
        first, second = (streams.integer(rng, len(self._members)) for _ in range(2))
        swap = self._fitness[second].beats(self._fitness[first])
        return self._members[second if swap else first].design


def fitness(
    points: Sequence[tuple[float, ...]], violations: Sequence[float] | None = None
) -> list[Fitness]:
    """Rank and room of each point; what breaks constraints comes after the last front.

    Arguments:
        points: measures of each, more is better; those of points with a violation are not read.
        violations: by how much each breaks the constraints; None: nobody does.
    """
    broken = list(violations or [0.0] * len(points))
    kept = [index for index, excess in enumerate(broken) if excess == 0]
    found = [Fitness(0, 0.0)] * len(points)
    rank = ranks([points[index] for index in kept])
    for level in set(rank):
        same = [index for index, each in zip(kept, rank, strict=True) if each == level]
        for index, room in zip(same, crowding([points[i] for i in same]), strict=True):
            found[index] = Fitness(level, room)
    last = max(rank, default=-1)
    levels = {excess: last + 1 + at for at, excess in enumerate(sorted({e for e in broken if e}))}
    for index, excess in enumerate(broken):
        if excess:
            found[index] = Fitness(levels[excess], 0.0)
    return found
