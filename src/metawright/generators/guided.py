"""Proposals from experience, and evolution guided by it.

The first designs for a task are those that the proposal model thinks best, each unlike the others.
Later ones are children of the best designs tried so far; of many children the model picks the one
that it thinks best, given how the parent turned out.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metawright.generators.proposal import ProposalModel, combine
from metawright.rng import fork, integer, stream
from metawright.spaces import Design, contains
from metawright.spaces.draw import crossover, mutate, sample
from metawright.store.records import Trial
from metawright.strategies.strategy import usable_score

__all__ = ["Candidate", "GuidedEvolution", "ProposalGenerator"]

POOL = 256  # random designs among which proposals are sought
CHILDREN = 24  # of which the most promising is proposed
PARENTS = 4
_TRIES = 16  # draws until a design is new
_NONE = Design({"kind": "none"})


class Candidate(NamedTuple):
    """A proposed design and its predicted accuracy relative to a task's mean design."""

    design: Design
    predicted: float


class ProposalGenerator:
    """Proposes designs for a task from its profile.

    Arguments:
        model: predicts how well designs do.
        elites: designs that did best over all earlier tasks; always considered.
    """

    def __init__(self, model: ProposalModel, elites: Sequence[Design] = ()) -> None:
        self.model, self.elites = model, tuple(elites)

    def propose(self, profile: Tensor, count: int, rng: torch.Generator) -> list[Candidate]:
        """The most promising designs, best first; no two with the same features and head."""
        pool = list(
            dict.fromkeys([*self.elites, *(sample(self.model.space, rng) for _ in range(POOL))])
        )
        predicted = self.model.predict(profile, pool)
        chosen: list[Candidate] = []
        kinds: set[str] = set()
        for index in np.argsort(-predicted, kind="stable"):
            design = pool[index]
            kind = _kind(design)
            if kind not in kinds:
                kinds.add(kind)
                chosen.append(Candidate(design, float(predicted[index])))
            if len(chosen) == count:
                break
        return chosen


class GuidedEvolution:
    """A strategy: the proposals first, then children of the best, screened by the model.

    Arguments:
        generator: proposes and predicts.
        profile: of the task.
        rng: draws proposals and children.
        proposals: how many designs come straight from the generator.
        single: whether classes have one example.
        judged: on how many examples designs are judged.

    Proposal number n draws from its own stream, so that a resumed search (constructed again, then
    told the stored trials) goes on as if it had never been stopped.
    """

    def __init__(
        self,
        generator: ProposalGenerator,
        profile: Tensor,
        *,
        rng: torch.Generator,
        proposals: int = 8,
        single: bool = False,
        judged: int = 1,
    ) -> None:
        self.model, self.profile = generator.model, profile
        self.noise = self.model.noise_of(judged, single=single)
        self.candidates = _quick_first(generator.propose(profile, proposals, fork(rng)))
        self._seed = integer(rng, 2**62)
        self._told: dict[str, tuple[Design, float]] = {}
        self._asked: set[Design] = set()

    def ask(self, count: int) -> list[Design]:
        """New designs, none of them asked for or told before."""
        designs: list[Design] = []
        for _ in range(count):
            design = self._next()
            self._asked.add(design)
            designs.append(design)
        return designs

    def tell(self, trials: Sequence[Trial]) -> None:
        """Notes what came of designs; failed trials are only not proposed again."""
        for trial in trials:
            self._asked.add(trial.design)
            accuracy = usable_score(trial, "accuracy")
            if accuracy is not None and contains(self.model.space, trial.design):
                self._told[trial.id] = (trial.design, accuracy)

    def estimates(self) -> dict[str, float]:
        """For each usable trial told, the accuracy by prior and evidence together."""
        if not self._told:
            return {}
        designs, measured = zip(*self._told.values(), strict=True)
        values = combine(
            self.model.predict(self.profile, designs),
            np.array(measured),
            spread=self.model.spread,
            noise=self.noise,
        )
        return dict(zip(self._told, values.tolist(), strict=True))

    def predicted(self, design: Design) -> float:
        """Predicted accuracy relative to the mean design of this task."""
        return float(self.model.predict(self.profile, [design])[0])

    def _next(self) -> Design:
        for candidate in self.candidates:
            if candidate.design not in self._asked:
                return candidate.design
        estimates, rng = self.estimates(), stream(self._seed, "proposal", len(self._asked))
        if not estimates:
            return self._unseen(rng)
        best = sorted(estimates, key=lambda trial: -estimates[trial])[:PARENTS]
        parents = [self._told[trial][0] for trial in best]
        return self._child(parents, [estimates[trial] for trial in best], rng)

    def _child(
        self, parents: Sequence[Design], values: Sequence[float], rng: torch.Generator
    ) -> Design:
        """Of many new children the one of which most is expected: its parent's estimate plus the
        predicted step from parent to child."""
        space = self.model.space
        children, before = [], []
        predicted = self.model.predict(self.profile, parents)
        for _ in range(CHILDREN):
            index = integer(rng, len(parents))
            parent = parents[index]
            if len(parents) > 1 and integer(rng, 4) == 0:
                parent = crossover(space, parent, parents[integer(rng, len(parents))], rng)
            child = mutate(space, parent, rng, changes=1 + integer(rng, 2))
            if child not in self._asked:
                children.append(child)
                before.append(values[index] - predicted[index])
        if not children:
            return self._unseen(rng)
        expected = np.array(before) + self.model.predict(self.profile, children)
        return children[int(np.argmax(expected))]

    def _unseen(self, rng: torch.Generator) -> Design:
        """A random design, as good as always a new one."""
        for _ in range(_TRIES):
            design = sample(self.model.space, rng)
            if design not in self._asked:
                break
        return design


def _quick_first(candidates: list[Candidate]) -> list[Candidate]:
    """The best candidate without descent moved to the front: the first answer comes at once."""
    quick = [c for c in candidates if c.design["features"].get("adaptation", _NONE) == _NONE]
    return [*quick[:1], *(c for c in candidates if c not in quick[:1])]


def _kind(design: Design) -> str:
    features = design["features"]
    network = features["network"].key if "network" in features else ""
    return f"{features['kind']} {network} {design['head']['kind']}"
