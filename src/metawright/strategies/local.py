"""Local search: up the hill over the neighbours of the best design, then again from elsewhere."""

from collections.abc import Sequence

import torch

from metawright import rng as streams
from metawright.errors import InputError
from metawright.spaces.decisions import Decision
from metawright.spaces.design import Design
from metawright.spaces.domain import Scalar
from metawright.spaces.draw import draw
from metawright.spaces.neighbours import STEPS, Change, apply, changes
from metawright.spaces.points import write
from metawright.spaces.space import Point, Space
from metawright.store.records import Trial
from metawright.strategies.ledger import Ledger
from metawright.strategies.strategy import usable_score

__all__ = ["LocalSearch"]


class LocalSearch:
    """Climbs over neighbours and starts again where none is better.

    A climb begins at the best of `starts` random designs (the first one, of the warm start too).
    Its neighbours, all designs at one changed decision, are tried in a random order, and the first
    better one is the next place to stand. Where all neighbours were tried in vain, a new climb
    begins.

    Different from the paper: it moves at once when a neighbour is better, instead of trying all of
    them first; decisions that a change brings into play are drawn at random.

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it; all proposals follow from that number and the trials.
        score: the key of `Trial.scores` that is maximised.
        starts: random designs with a score before each climb, at least 1.
        steps: how far numbers move, as shares of their scale; integers also move by one.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: `starts >= 1` or `0 < step <= 1` does not hold, or a design of `warm_start` is
            not in the space.

    References:
        Exploring the Loss Landscape in Neural Architecture Search, White, Nolen and Savani, 2021,
        https://arxiv.org/abs/2005.02960
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: torch.Generator,
        score: str = "score",
        starts: int = 10,
        steps: Sequence[float] = STEPS,
        warm_start: Sequence[Design] = (),
    ) -> None:
        if starts < 1:
            raise InputError(f"`starts >= 1` must hold, but got (starts={starts}).")
        if not all(0 < step <= 1 for step in steps):
            raise InputError(f"`steps` must be above 0 and at most 1, but got {tuple(steps)}.")
        self.score = score
        self.starts = starts
        self.steps = tuple(steps)
        self._ledger = Ledger(space, rng=rng, warm_start=warm_start)
        self._seed = streams.integer(rng, 2**62)
        self._told: set[Design] = set()
        self._started: list[tuple[float, Design]] = []
        self._place: _Place | None = None

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._ledger.ask(count, self._suggest)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Moves to each trial that is better, in the order given."""
        for trial in self._ledger.take(trials):
            self._told.add(trial.design)
            score = usable_score(trial, self.score)
            if score is not None:
                self._climb(score, trial.design)
            # Told, not only proposed: how it goes on must hang on the trials alone.
            if self._place is not None and self._place.first_outside(self._told) is None:
                self._place, self._started = None, []

    def _climb(self, score: float, design: Design) -> None:
        if self._place is not None:
            if score > self._place.score:
                self._place = self._stand(score, design)
            return
        self._started.append((score, design))
        if len(self._started) >= self.starts:
            self._place = self._stand(*max(self._started, key=lambda pair: pair[0]))

    def _stand(self, score: float, design: Design) -> "_Place":
        rng = streams.stream(self._seed, "place", design.digest)
        return _Place(self._ledger.space, design, score, self.steps, rng)

    def _suggest(self, rng: torch.Generator) -> Design | None:
        del rng  # what is drawn for a neighbour hangs on its place
        return None if self._place is None else self._place.next_unseen(self._ledger)


class _Place:
    """A design that is being left for a better neighbour; neighbours are made when needed."""

    def __init__(
        self,
        space: Space,
        design: Design,
        score: float,
        steps: Sequence[float],
        rng: torch.Generator,
    ) -> None:
        self.score = score
        self._space = space
        self._point: Point = write(space, design)
        found = changes(space, self._point, steps=steps)
        order = torch.randperm(len(found), generator=rng, device=rng.device).tolist()
        self._left: list[Change] = [found[index] for index in order]
        self._made: list[Design] = []
        self._rng = rng
        self._proposed = 0
        self._tried = 0

    def next_unseen(self, ledger: Ledger) -> Design | None:
        """The next neighbour that was not proposed yet."""
        while (design := self._neighbour(self._proposed)) is not None:
            if not ledger.seen(design):
                return design
            self._proposed += 1
        return None

    def first_outside(self, told: set[Design]) -> Design | None:
        """The first neighbour that is not among `told`, a set that only grows."""
        while (design := self._neighbour(self._tried)) is not None and design in told:
            self._tried += 1
        return design

    def _neighbour(self, number: int) -> Design | None:
        """Neighbours are made in order, so that what is drawn for them is always the same."""
        while len(self._made) <= number:
            if len(self._made) == len(self._left):
                return None
            change = self._left[len(self._made)]
            self._made.append(apply(self._space, self._point, change, self._fill))
        return self._made[number]

    def _fill(self, decision: Decision) -> Scalar:
        return draw(decision.domain, self._rng)
