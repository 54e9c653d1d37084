"""Bayesian optimisation with Optuna's Gaussian process, over designs instead of over a box.

The process and its acquisition functions (expected improvement, expected hypervolume improvement,
both under constraints) are Optuna's. Where the acquisition is largest is looked for among designs:
random ones, and good ones with changed decisions. So conditional decisions are included, every
candidate is a valid design that was not tried yet, and the time does not grow with the decisions.
"""

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import optuna
import torch
from numpy.typing import NDArray
from optuna.trial import TrialState, create_trial

from metawright import rng as streams
from metawright.errors import InputError
from metawright.spaces.design import Design
from metawright.spaces.draw import mutate, sample
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.bayesian import Outcome, outcome, quiet, study_of
from metawright.strategies.filled import Filled
from metawright.strategies.ledger import Ledger
from metawright.strategies.nsga2 import fitness
from metawright.strategies.objectives import Constraint, Objective

__all__ = ["GaussianProcess"]

# From how many of the best, and from how many of the best candidates, others are made.
_PARENTS = 8


class GaussianProcess:
    """Proposes the design with the largest expected improvement under a Gaussian process.

    The kernel is Matérn 5/2 with a length scale a decision; a decision that is not in play is an
    option of its own (of a choice) or in the middle (of a number). Several objectives have a
    process each, and so have constraints. Trials that are still out count by Optuna's rules.

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it; all proposals follow from that number and the trials.
        score: the key of `Trial.scores` that is maximised where `objectives` is empty.
        objectives: what is looked for.
        constraints: what must hold.
        starts: random designs with measures before the first that is modelled, at least 1.
        most: how many trials at most the process is fitted to, for its time grows with their cube:
            half of them the best, half the latest.
        candidates: among how many designs the acquisition is maximised.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: `starts >= 1`, `most >= 2` or `candidates >= 3` does not hold, or a design of
            `warm_start` is not in the space.

    References:
        Unexpected Improvements to Expected Improvement for Bayesian Optimization, Ament, Daulton,
        Eriksson, Balandat and Bakshy, 2023, https://arxiv.org/abs/2310.20708
        Differentiable Expected Hypervolume Improvement for Parallel Multi-Objective Bayesian
        Optimization, Daulton, Balandat and Bakshy, 2020, https://arxiv.org/abs/2006.05078
        BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search,
        White, Neiswanger and Savani, 2021, https://arxiv.org/abs/1910.11858 (the acquisition is
        maximised over mutations)
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: torch.Generator,
        score: str = "score",
        objectives: Sequence[Objective] = (),
        constraints: Sequence[Constraint] = (),
        starts: int = 10,
        most: int = 100,
        candidates: int = 180,
        warm_start: Sequence[Design] = (),
    ) -> None:
        for name, value, least in (
            ("starts", starts, 1),
            ("most", most, 2),
            ("candidates", candidates, 3),
        ):
            if value < least:
                raise InputError(f"`{name} >= {least}` must hold, but got ({name}={value}).")
        self.objectives = tuple(objectives) or (Objective(score),)
        self.constraints = tuple(constraints)
        self.starts = starts
        self.most = most
        self.candidates = candidates
        self._ledger = Ledger(space, rng=rng, warm_start=warm_start)
        self._outcomes: list[Outcome] = []
        self._parameters: dict[Design, dict[str, Any]] = {}
        self._pending: dict[Design, None] = {}
        self._filled = Filled(space)

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._ledger.ask(count, self._suggest, self._note)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Takes in what came of the trials, in the order given."""
        for trial in self._ledger.take(trials):
            self._pending.pop(trial.design, None)
            found = outcome(trial, self.objectives, self.constraints)
            if found is not None:
                self._outcomes.append(found)
                self._parameters[trial.design] = self._filled.told(trial.design)

    def _note(self, design: Design) -> None:
        self._pending[design] = None

    def _suggest(self, rng: torch.Generator) -> Design | None:
        scored = sum(each.point is not None for each in self._outcomes)
        if scored < self.starts or not len(self._filled):
            return None
        ranked = self._ranked()
        first = self._candidates([each.design for each in ranked[:_PARENTS]], rng)
        if not first:
            return None
        chosen: list[Design] = []

        def pick(acquisition: Any, best: NDArray[np.float64] | None) -> NDArray[np.float64]:
            """In place of Optuna's search through the box: the best of the candidates, and of
            what is next to the best of them."""
            del best  # candidates were made from it
            values = acquisition.eval_acqf_no_grad(self._filled.features(first))
            tops = [first[i] for i in np.argsort(-values, kind="stable")[:_PARENTS]]
            near = tops + self._changed(tops, self.candidates // 3, rng)
            features = self._filled.features(near)
            index = int(np.argmax(acquisition.eval_acqf_no_grad(features)))
            chosen.append(near[index])
            row: NDArray[np.float64] = features[index]
            return row

        with quiet():
            study = self._study(ranked)
            sampler = optuna.samplers.GPSampler(
                seed=streams.integer(rng, 2**31),
                n_startup_trials=1,
                warn_independent_sampling=False,
            )
            # "Advanced users can override this method", says its comment.
            setattr(sampler, "_optimize_acqf", pick)  # noqa: B010
            study.sampler = sampler
            study.ask(self._filled.distributions)
        return chosen[0] if chosen else None

    def _ranked(self) -> list[Outcome]:
        """Everything told, the best first."""
        found = fitness(
            [each.point or () for each in self._outcomes],
            [max(0.0, sum(max(0.0, e) for e in each.excess.values())) for each in self._outcomes],
        )
        # Of one objective a front has one point (or equal ones), so the rank is the order.
        order = sorted(range(len(found)), key=lambda i: (found[i].rank, -found[i].room))
        return [self._outcomes[index] for index in order]

    def _study(self, ranked: Sequence[Outcome]) -> optuna.Study:
        kept = ranked
        if len(ranked) > self.most:
            best = ranked[: self.most // 2]
            known = {id(each) for each in best}
            late = [each for each in self._outcomes if id(each) not in known]
            kept = [*best, *late[-(self.most - len(best)) :]]
        scored = [each.point for each in kept if each.point is not None]
        columns = zip(*scored, strict=True)
        neutral = [statistics.median(column) for column in columns]
        study = study_of(len(self.objectives))
        for each in kept:
            study.add_trial(
                create_trial(
                    values=each.point or neutral,
                    constraints=each.excess or None,
                    **self._parameters[each.design],
                )
            )
        for design in self._pending:
            running = create_trial(state=TrialState.RUNNING, **self._filled.told(design))
            study.add_trial(running)
        return study

    def _candidates(self, parents: Sequence[Design], rng: torch.Generator) -> list[Design]:
        """New designs, two thirds of them near good ones."""
        third = self.candidates // 3
        drawn = [sample(self._ledger.space, rng) for _ in range(third)]
        found = dict.fromkeys(drawn + self._changed(parents, third, rng))
        return [design for design in found if not self._ledger.seen(design)]

    def _changed(
        self, parents: Sequence[Design], count: int, rng: torch.Generator
    ) -> list[Design]:
        """New designs, one or two decisions from the parents, each having as many children."""
        space = self._ledger.space
        made = [
            mutate(space, parents[at % len(parents)], rng, changes=1 + (at % 3 == 2))
            for at in range(count)
        ]
        return [design for design in dict.fromkeys(made) if not self._ledger.seen(design)]
