"""Successive halving and Hyperband: many designs tried a little, the best of them tried more.

Either works on top of any strategy, which proposes the new designs. Promotion is asynchronous: no
trial waits for others. How far each trial was trained stands in its `evidence["fidelity"]`.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from metawright import rng as streams
from metawright.errors import InputError
from metawright.spaces.design import Design
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.ledger import Ledger
from metawright.strategies.random import RandomSearch
from metawright.strategies.strategy import Strategy, usable_score

__all__ = ["SuccessiveHalving", "brackets", "hyperband"]

# Proposals that are still out, of the inner strategy as it was before, are passed over so often.
_TRIES = 8


class SuccessiveHalving:
    """Asynchronous successive halving (ASHA).

    A new design is tried at the lowest rung, at the share `reduction ** (1 - rungs)` of the
    training; the best of every `reduction` designs of a rung is tried again at the next one, at
    `reduction` times the share, up to the whole training. What can be promoted goes first, from
    the highest rung down; otherwise the inner strategy proposes a new design.

    The inner strategy is told the scores of one rung, so that they can be compared: the highest
    rung where `enough` trials have one. When that rises, the inner strategy is made anew. Of
    designs that have no score at that rung it learns that they were tried.

    Arguments:
        space: a space of designs.
        rng: two numbers are drawn from it; all proposals follow from them and the trials.
        score: the key of `Trial.scores` that is maximised.
        inner: makes the strategy that proposes new designs, called as
            `inner(space, rng=rng, score=score, warm_start=warm_start)`.
        reduction: how many designs of a rung there are for one of the next (the paper's eta).
        rungs: how many shares of the training there are.
        starts: on which rung new designs begin, in turn; more than one: Hyperband's brackets.
        enough: scores at a rung before the inner strategy learns from it.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: `reduction >= 2`, `rungs >= 1`, `enough >= 1` or `0 <= start < rungs` does not
            hold, or a design of `warm_start` is not in the space.

    References:
        Non-stochastic Best Arm Identification and Hyperparameter Optimization, Jamieson and
        Talwalkar, 2016, https://arxiv.org/abs/1502.07943
        A System for Massively Parallel Hyperparameter Tuning, Li, Jamieson, Rostamizadeh, Gonina,
        Ben-tzur, Hardt, Recht and Talwalkar, 2020, https://arxiv.org/abs/1810.05934

    Example:
        >>> from metawright.rng import stream
        >>> from metawright.spaces import Integer, Record
        >>> from metawright.strategies.halving import SuccessiveHalving
        >>> from metawright.strategies.strategy import fidelity_of
        >>> halving = SuccessiveHalving(Record({"x": Integer(0, 99)}), rng=stream(0), rungs=3)
        >>> (design,) = halving.ask(1)
        >>> round(fidelity_of(halving, design), 3)
        0.111
    """

    def __init__(
        self,
        space: Space,
        *,
        rng: torch.Generator,
        score: str = "score",
        inner: Callable[..., Strategy] = RandomSearch,
        reduction: int = 3,
        rungs: int = 4,
        starts: Sequence[int] = (0,),
        enough: int = 10,
        warm_start: Sequence[Design] = (),
    ) -> None:
        _check_rungs(reduction, rungs)
        if enough < 1:
            raise InputError(f"`enough >= 1` must hold, but got (enough={enough}).")
        if not starts or not all(0 <= start < rungs for start in starts):
            raise InputError(
                f"`0 <= start < rungs` must hold for at least one start, but got "
                f"(starts={tuple(starts)}, rungs={rungs})."
            )
        self.score = score
        self.inner = inner
        self.reduction = reduction
        self.rungs = rungs
        self.starts = tuple(starts)
        self.enough = enough
        self.warm_start = tuple(warm_start)
        self._ledger = Ledger(space, rng=rng)  # the strategy underneath has the warm start
        self._seed = streams.integer(rng, 2**62)
        self._trials: list[tuple[int, Trial]] = []
        self._first: dict[Design, int] = {}
        self._reached: dict[Design, int] = {}
        self._pending: dict[Design, int] = {}
        self._level = 0
        self._strategy = self._made()

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try, each at its `fidelity`; promoted ones come again."""
        return self._ledger.ask(count, self._suggest)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Takes trials in at the rungs that their `evidence["fidelity"]` says (absent: the
        highest)."""
        for trial in self._ledger.take(trials):
            rung = self._rung(float(trial.evidence.get("fidelity", 1.0)))
            self._trials.append((rung, trial))
            self._first[trial.design] = min(rung, self._first.get(trial.design, rung))
            self._reached[trial.design] = max(rung, self._reached.get(trial.design, 0))
            self._pending.pop(trial.design, None)
            scored = sum(
                at == rung and usable_score(each, self.score) is not None
                for at, each in self._trials
            )
            if rung > self._level and scored >= self.enough:
                self._level = rung
                self._strategy = self._made()
                self._teach(self._trials)
            else:
                self._teach([(rung, trial)])

    def fidelity(self, design: Design) -> float:
        """The share of the training of the rung at which a pending design is to be tried."""
        return self._share(self._pending.get(design, self.rungs - 1))

    def _suggest(self, rng: torch.Generator) -> Design:
        del rng  # the strategy underneath draws
        promoted = self._promotion()
        if promoted is not None:
            design, rung = promoted
        else:
            rung = self.starts[len(self._first.keys() | self._pending.keys()) % len(self.starts)]
            for _ in range(_TRIES):
                (design,) = self._strategy.ask(1)
                if design not in self._pending:
                    break
        self._pending[design] = rung
        return design

    def _promotion(self) -> tuple[Design, int] | None:
        """A design that is among the best of its rung and has not gone further, and its rung."""
        for rung in range(self.rungs - 2, -1, -1):
            for start in sorted(set(self.starts)):
                if start > rung:
                    continue
                told = [
                    (usable_score(trial, self.score), trial.design)
                    for at, trial in self._trials
                    if at == rung and self._first[trial.design] == start
                ]
                scored = [(score, design) for score, design in told if score is not None]
                scored.sort(key=lambda pair: -pair[0])  # of equals the first told
                for _, design in scored[: len(told) // self.reduction]:
                    if self._reached[design] == rung and design not in self._pending:
                        return design, rung + 1
        return None

    def _teach(self, trials: Sequence[tuple[int, Trial]]) -> None:
        """Tells the inner strategy the scores of its rung, and which other designs are known."""
        comparable = {trial.design for rung, trial in trials if rung == self._level}
        known = set(comparable)
        told = []
        for rung, trial in trials:
            if rung == self._level:
                told.append(trial)
            elif rung == self._first[trial.design] and trial.design not in known:
                known.add(trial.design)
                told.append(replace(trial, scores={}))
        self._strategy.tell(told)

    def _made(self) -> Strategy:
        rng = streams.stream(self._seed, "inner", self._level)
        return self.inner(
            self._ledger.space, rng=rng, score=self.score, warm_start=self.warm_start
        )

    def _share(self, rung: int) -> float:
        return float(self.reduction) ** (rung + 1 - self.rungs)

    def _rung(self, fidelity: float) -> int:
        """The rung whose share is nearest, by ratio."""
        at = self.rungs - 1 + math.log(max(fidelity, 1e-12), self.reduction)
        return min(max(round(at), 0), self.rungs - 1)


def hyperband(
    space: Space,
    *,
    rng: torch.Generator,
    score: str = "score",
    inner: Callable[..., Strategy] = RandomSearch,
    reduction: int = 3,
    rungs: int = 4,
    enough: int = 10,
    warm_start: Sequence[Design] = (),
) -> SuccessiveHalving:
    """Hyperband: successive halving that begins on every rung, for where little training misleads.

    Of the new designs each rung gets the share that the paper's brackets say, all at once instead
    of one bracket after the other.

    Arguments:
        space: and all others as in `SuccessiveHalving`.

    References:
        Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization, Li, Jamieson,
        DeSalvo, Rostamizadeh and Talwalkar, 2018, https://arxiv.org/abs/1603.06560
    """
    _check_rungs(reduction, rungs)
    counts = [bracket[0] for bracket in brackets(rungs, reduction)]
    turns = sorted(
        ((number + 0.5) / count, start)
        for start, count in enumerate(counts)
        for number in range(count)
    )
    return SuccessiveHalving(
        space,
        rng=rng,
        score=score,
        inner=inner,
        reduction=reduction,
        rungs=rungs,
        starts=[start for _, start in turns],
        enough=enough,
        warm_start=warm_start,
    )


def brackets(rungs: int, reduction: int = 3) -> list[list[int]]:
    """Hyperband's table: for each rung on which designs begin, how many are tried on it and on
    the rungs above.

    Example:
        >>> from metawright.strategies.halving import brackets
        >>> brackets(3)
        [[9, 3, 1], [3, 1], [3]]
    """
    table = []
    for longest in range(rungs, 0, -1):
        # As in the paper's table; its formula rounds later and gives a few designs more.
        first = rungs // longest * reduction ** (longest - 1)
        table.append([first // reduction**up for up in range(longest)])
    return table


def _check_rungs(reduction: int, rungs: int) -> None:
    if reduction < 2 or rungs < 1:
        raise InputError(
            f"`reduction >= 2` and `rungs >= 1` must hold, but got (reduction={reduction}, "
            f"rungs={rungs})."
        )
