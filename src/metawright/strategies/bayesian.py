"""Bayesian optimisation with Optuna underneath: what a study is told, and its Parzen estimator.

A study in memory holds what came of the trials; its sampler is made anew for each proposal, with a
seed from the proposal's own stream, so that a resumed search makes the same proposals. The
Gaussian process is in `gaussian_process.py`.
"""

import math
import statistics
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import optuna
import torch
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from metawright import rng as streams
from metawright.errors import InputError
from metawright.spaces.decisions import Decision, active, decisions
from metawright.spaces.design import Design
from metawright.spaces.domain import Choice, Integer, Scalar, from_unit, to_unit
from metawright.spaces.draw import mutate
from metawright.spaces.points import read, write
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.ledger import Ledger
from metawright.strategies.objectives import (
    Constraint,
    Objective,
    aligned,
    excesses,
    violation,
)

__all__ = ["TPE", "Outcome", "outcome", "quiet", "study_of"]

# Tries until a changed proposal is new; after every few of them one more decision is changed.
_TRIES = 12
_TRIES_PER_CHANGE = 4


class Outcome(NamedTuple):
    """What a study is told of a trial: its measures, more is better (None: it was left out before
    training), and by how much it exceeds each constraint."""

    design: Design
    point: tuple[float, ...] | None
    excess: dict[str, float]


def outcome(
    trial: Trial, objectives: Sequence[Objective], constraints: Sequence[Constraint]
) -> Outcome | None:
    """None for a trial that teaches nothing: it failed, or lacks a measure and breaks no
    constraint."""
    point, broken = aligned(trial, objectives), violation(trial, constraints)
    if math.isinf(broken) or (point is None and broken == 0):
        return None
    return Outcome(trial.design, point, excesses(trial, constraints))


def study_of(objectives: int) -> optuna.Study:
    """An empty study in memory that maximises so many objectives."""
    with quiet():
        return optuna.create_study(directions=["maximize"] * objectives)


@contextmanager
def quiet() -> Iterator[None]:
    """Inside it Optuna neither logs nor warns that something is experimental."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)


class TPE:
    """Tree-structured Parzen estimators: proposes where good trials are dense and bad ones rare.

    Decisions are suggested one after the other, so those that are not in play are not modelled;
    those that are in play together are modelled together. Several objectives and constraints are
    Optuna's own: good are the trials of the first fronts, and those that keep the constraints. A
    proposal that was made before is replaced by one with a changed decision.

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it; all proposals follow from that number and the trials.
        score: the key of `Trial.scores` that is maximised where `objectives` is empty.
        objectives: what is looked for.
        constraints: what must hold.
        starts: random designs with measures before the first that is modelled, at least 1.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: `starts >= 1` does not hold, or a design of `warm_start` is not in the space.

    References:
        Algorithms for Hyper-Parameter Optimization, Bergstra, Bardenet, Bengio and Kégl, 2011,
        https://papers.nips.cc/paper/4443-algorithms-for-hyper-parameter-optimization
        Optuna: A Next-generation Hyperparameter Optimization Framework, Akiba, Sano, Yanase, Ohta
        and Koyama, 2019, https://arxiv.org/abs/1907.10902
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
        warm_start: Sequence[Design] = (),
    ) -> None:
        if starts < 1:
            raise InputError(f"`starts >= 1` must hold, but got (starts={starts}).")
        self.objectives = tuple(objectives) or (Objective(score),)
        self.constraints = tuple(constraints)
        self.starts = starts
        self._ledger = Ledger(space, rng=rng, warm_start=warm_start)
        self._distributions = [_distribution(decision) for decision in decisions(space)]
        self._study = study_of(len(self.objectives))
        self._points: list[tuple[float, ...]] = []
        self._pending: dict[Design, int] = {}

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._ledger.ask(count, self._suggest, self._note)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Adds trials to the study, in the order given."""
        with quiet():
            for trial in self._ledger.take(trials):
                pending = self._pending.pop(trial.design, None)
                if pending is not None:
                    # The study is ordered as told, not as asked, or resuming would change it.
                    self._study.tell(pending, state=TrialState.FAIL)
                found = outcome(trial, self.objectives, self.constraints)
                if found is not None:
                    self._study.add_trial(self._frozen(found))

    def _note(self, design: Design) -> None:
        with quiet():
            self._study.add_trial(self._frozen(design))
        self._pending[design] = len(self._study.get_trials(deepcopy=False)) - 1

    def _suggest(self, rng: torch.Generator) -> Design | None:
        """What the sampler suggests, or something like it that was not seen; None while there are
        too few trials."""
        if len(self._points) < self.starts:
            return None
        with quiet():
            seed = streams.integer(rng, 2**31)
            self._study.sampler = optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True
            )
            suggestion = self._study.ask()
            design = self._read(suggestion)
            self._study.tell(suggestion, state=TrialState.FAIL)
        space = self._ledger.space
        for attempt in range(_TRIES):
            if not self._ledger.seen(design):
                return design
            design = mutate(space, design, rng, changes=1 + attempt // _TRIES_PER_CHANGE)
        return None

    def _read(self, suggestion: optuna.Trial) -> Design:
        values: list[Scalar] = []
        flat = decisions(self._ledger.space)
        for decision, distribution in zip(flat, self._distributions, strict=True):
            if not active(decision, values):
                values.append(None)
                continue
            values.append(_decided(decision, _suggested(suggestion, decision, distribution)))
        return read(self._ledger.space, tuple(values))

    def _frozen(self, told: Outcome | Design) -> FrozenTrial:
        """The study's form of what came of a design, or of a design that is still out."""
        design = told if isinstance(told, Design) else told.design
        point = write(self._ledger.space, design)
        flat = zip(decisions(self._ledger.space), self._distributions, point, strict=True)
        used = [(d.name, dist, _number(d, value)) for d, dist, value in flat if active(d, point)]
        found: dict[str, Any] = {
            "params": {name: value for name, _, value in used},
            "distributions": {name: distribution for name, distribution, _ in used},
        }
        if isinstance(told, Design):
            return create_trial(state=TrialState.RUNNING, **found)
        if told.point is not None:
            self._points.append(told.point)
        values = told.point or self._neutral()
        return create_trial(values=values, constraints=told.excess or None, **found)

    def _neutral(self) -> tuple[float, ...]:
        """Measures for a design that was left out: trials that break a constraint are compared by
        that alone, but Optuna must have some."""
        if not self._points:
            return (0.0,) * len(self.objectives)
        return tuple(statistics.median(column) for column in zip(*self._points, strict=True))


def _distribution(decision: Decision) -> BaseDistribution:
    domain = decision.domain
    if isinstance(domain, Choice):
        return CategoricalDistribution(range(len(domain.options)))
    if isinstance(domain, Integer):
        return IntDistribution(domain.low, domain.high, log=domain.log)
    return FloatDistribution(0.0, 1.0)  # of its scale


def _suggested(
    suggestion: optuna.Trial, decision: Decision, distribution: BaseDistribution
) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return suggestion.suggest_categorical(decision.name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        low, high, log = distribution.low, distribution.high, distribution.log
        return suggestion.suggest_int(decision.name, low, high, log=log)
    return suggestion.suggest_float(decision.name, 0.0, 1.0)


def _number(decision: Decision, value: Scalar) -> Any:
    """The decision's value as Optuna's."""
    domain = decision.domain
    if isinstance(domain, Choice):
        return domain.options.index(value)
    assert isinstance(value, int | float)
    return value if isinstance(domain, Integer) else to_unit(domain, value)


def _decided(decision: Decision, number: Any) -> Scalar:
    """The inverse of `_number`."""
    domain = decision.domain
    if isinstance(domain, Choice):
        option: Scalar = domain.options[number]
        return option
    return int(number) if isinstance(domain, Integer) else from_unit(domain, number)
