"""What every strategy must remember to be resumed and not to repeat itself.

Proposal number n, n being the designs asked so far, draws from its own stream (seed, n), and
telling more trials than were asked raises n to the number told. So the numbers that a proposal
draws hang only on how many came before it, not on the process in which they came.
"""

from collections.abc import Callable, Sequence

import torch

from metawright import rng as streams
from metawright.errors import InputError
from metawright.spaces.counting import count, grid
from metawright.spaces.design import Design
from metawright.spaces.draw import mutate, sample
from metawright.spaces.points import check
from metawright.spaces.space import Space
from metawright.store.records import Trial

__all__ = ["Ledger"]

# Draws until a design is new, before a small space is listed.
_TRIES = 16
# Tries until a changed design is new; after every few of them one more decision is changed.
_CHANGES = 12
_TRIES_PER_CHANGE = 4
# Listing costs about 0.1 ms a design, once.
_LISTABLE = 1024


class Ledger:
    """The designs that a strategy has proposed and the trials that it was told.

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it, the seed of all proposals.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: a design of `warm_start` is not in the space.
    """

    def __init__(
        self, space: Space, *, rng: torch.Generator, warm_start: Sequence[Design] = ()
    ) -> None:
        for design in warm_start:
            check(space, design)
        self.space = space
        self.warm_start = tuple(warm_start)
        self._seed = streams.integer(rng, 2**62)
        self._asked = 0
        self._told: set[str] = set()
        self._seen: set[Design] = set()
        self._listed: list[Design] = []

    @property
    def pending(self) -> int:
        """How many proposals have not been told yet."""
        return self._asked - len(self._told)

    def ask(
        self,
        count: int,
        suggest: Callable[[torch.Generator], Design | None] | None = None,
        note: Callable[[Design], None] | None = None,
    ) -> list[Design]:
        """The next `count` proposals, one after the other: what is left of the warm start, then
        what `suggest` gives, and where that is nothing a random design that was not seen.

        Arguments:
            suggest: makes a design with the generator of the proposal, or gives None.
            note: is told each proposal before the next one is made.

        Raises:
            InputError: `count >= 0` does not hold.
        """
        if count < 0:
            raise InputError(f"`count >= 0` must hold, but got (count={count}).")
        proposals: list[Design] = []
        for _ in range(count):
            rng = self.stream()
            design = self.warm()
            if design is None and suggest is not None:
                design = suggest(rng)
            if design is None:
                design = self.sample_unseen(rng)
            self.propose(design)
            if note is not None:
                note(design)
            proposals.append(design)
        return proposals

    def seen(self, design: Design) -> bool:
        """Whether the design was proposed or told before."""
        return design in self._seen

    def warm(self) -> Design | None:
        """The first design of the warm start that was not seen yet."""
        return next((design for design in self.warm_start if not self.seen(design)), None)

    def stream(self) -> torch.Generator:
        """The generator of the next proposal."""
        return streams.stream(self._seed, "proposal", self._asked)

    def propose(self, design: Design) -> None:
        """Notes a design as proposed."""
        self._asked += 1
        self._seen.add(design)

    def take(self, trials: Sequence[Trial]) -> list[Trial]:
        """Notes trials as told; gives those whose id had not been told before.

        Raises:
            InputError: the design of a trial is not in the space; then nothing was noted.
        """
        for trial in trials:
            try:
                check(self.space, trial.design)
            except InputError as error:
                raise InputError(f"Trial {trial.id} is not of this space: {error}") from error
        fresh = list({trial.id: trial for trial in trials if trial.id not in self._told}.values())
        self._told.update(trial.id for trial in fresh)
        self._seen.update(trial.design for trial in fresh)
        self._asked = max(self._asked, len(self._told))
        return fresh

    def change_unseen(self, parent: Design, rng: torch.Generator) -> Design:
        """The design with a decision changed such that it was not seen before; after every few
        tries one decision more, and in the end any random one."""
        for attempt in range(_CHANGES):
            changes = 1 + attempt // _TRIES_PER_CHANGE
            child = mutate(self.space, parent, rng, changes=changes)
            if not self.seen(child):
                return child
        return self.sample_unseen(rng)

    def sample_unseen(self, rng: torch.Generator) -> Design:
        """A random design not seen before; in a space that is used up, any random design.

        Spaces of up to 1024 designs never repeat themselves before they are used up; in larger
        ones a repetition needs 16 bad draws in a row.
        """
        for _ in range(_TRIES):
            design = sample(self.space, rng)
            if not self.seen(design):
                return design
        if count(self.space) <= _LISTABLE:
            self._listed = self._listed or list(grid(self.space))
            left = [listed for listed in self._listed if not self.seen(listed)]
            if left:
                return left[streams.integer(rng, len(left))]
        return design
