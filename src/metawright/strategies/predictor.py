"""Predictor-guided search: a surrogate learns from what was tried, and says what to try next."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import ndtr

from metawright import rng as streams
from metawright.errors import InputError
from metawright.lazy import load
from metawright.spaces.design import Design
from metawright.spaces.space import Space
from metawright.store.records import Trial
from metawright.strategies.ledger import Ledger
from metawright.strategies.pool import Pool
from metawright.strategies.strategy import usable_score
from metawright.strategies.surrogate import Surrogate, normal_ranks

__all__ = ["ACQUISITIONS", "SURROGATES", "Features", "Predictor"]

Features = Callable[[Design], Sequence[float | Sequence[float]]]
"""Further measures of a design, always as many: parameters, FLOPs, zero-cost proxies ...; each of
them is a number, or numbers in one unit, such as counts of operations."""

Rows: TypeAlias = NDArray[np.float64]
Acquisition = Callable[[Rows, Rows, float, torch.Generator], Rows]

SURROGATES: Mapping[str, str] = {
    "kernel": "metawright.strategies.surrogate:KernelProcess",
    "trees": "metawright.strategies.trees:TreeEnsemble",
    "ranking": "metawright.strategies.surrogate:RankingEnsemble",
}
"""Surrogates by name, named by text, so that scikit-learn is loaded for the trees alone."""


def _improvement(mean: Rows, deviation: Rows, best: float, rng: torch.Generator) -> Rows:
    del rng
    step = (mean - best) / deviation
    density = np.exp(-(step**2) / 2) / np.sqrt(2 * np.pi)
    improvement: Rows = deviation * (step * ndtr(step) + density)
    return improvement


def _bound(mean: Rows, deviation: Rows, best: float, rng: torch.Generator) -> Rows:
    del best, rng
    return mean + deviation


def _thompson(mean: Rows, deviation: Rows, best: float, rng: torch.Generator) -> Rows:
    del best
    drawn = torch.randn(len(mean), generator=rng, device=rng.device, dtype=torch.float64)
    thought: Rows = mean + deviation * drawn.numpy(force=True)
    return thought


ACQUISITIONS: Mapping[str, Acquisition] = {
    "improvement": _improvement,
    "bound": _bound,
    "thompson": _thompson,
}
"""What makes a candidate worth trying: expected improvement, mean plus deviation, or a draw."""

# After the first candidates, those with the largest acquisition are changed, in so many rounds.
_ROUNDS = 2
_PARENTS = 20


# Kept beyond one search, because looking up names costs more than all else.
@lru_cache(maxsize=2**16)
def _standing(space: Space, canonical: Callable[[Design], Design], row: bytes) -> Rows:
    """The row of the design that stands for that of a row."""
    pool = Pool(space)
    return pool.row(canonical(pool.design(np.frombuffer(row))))


@lru_cache(maxsize=2**16)
def _measured(space: Space, features: Features, row: bytes) -> tuple[Rows, tuple[int, ...]]:
    """The further measures of a row as columns, and how many columns each of them has."""
    design = Pool(space).design(np.frombuffer(row))
    parts = [np.atleast_1d(np.asarray(part, dtype=np.float64)) for part in features(design)]
    columns = np.concatenate([np.zeros(0), *parts])
    if not np.isfinite(columns).all():
        raise InputError(f"`features` must be finite, but got {columns} of {design}.")
    return columns, tuple(map(len, parts))


class _Scored(NamedTuple):
    score: float
    row: Rows


class Predictor:
    """Proposes the candidate of the largest acquisition under a surrogate.

    First the `warm_start`, then random designs until `initial` of them have a score. From then on
    the surrogate is fitted to all scores, as normal quantiles of their ranks; candidates are
    random designs and changed copies of the best designs tried, and after that changed copies of
    the best candidates. Failed trials, and those whose score is missing or not finite, teach
    nothing but that they are not to be tried again.

    A large part of such a search's success may come from changing good designs, whatever model
    chooses among the changes: compare it with `LocalSearch` and with `surrogate="random"` before
    praising the model.

    Arguments:
        space: a space of designs.
        rng: one number is drawn from it; all proposals follow from that number and the trials.
        score: the key of `Trial.scores` that is maximised.
        initial: random designs with scores before the first that is modelled, at least 2.
        surrogate: a row of `SURROGATES`, or "random" for none: a random candidate next to the
            best designs tried.
        acquisition: a row of `ACQUISITIONS`.
        candidates: among how many designs the acquisition is first maximised, at least 10, before
            the best of them are changed; None: 1500, or 300 with `features` or `canonical`, which
            are asked for each of them.
        most: to how many trials at most the surrogate is fitted, half of them the best, half the
            latest; at least 4.
        features: further measures of a design, each of which is brought to unit variance, numbers
            in one unit together; None: none.
        features_weight: how much a standard deviation of a measure counts, as a share of all
            decisions.
        canonical: gives the one design that stands for all that are the same under other names,
            such as networks with a node that does nothing; the model sees and proposes only these.
            None: all designs differ.
        warm_start: designs to try first, the most promising one first.

    Raises:
        InputError: a number is below its least, there is no such surrogate or acquisition, or a
            design of `warm_start` is not in the space.

    References:
        BANANAS: Bayesian Optimization with Neural Architectures for Neural Architecture Search,
        White, Neiswanger and Savani, 2021, https://arxiv.org/abs/1910.11858
        Exploring the Loss Landscape in Neural Architecture Search, White, Nolen and Savani, 2021,
        https://arxiv.org/abs/2005.02960

    Example:
        >>> from metawright.rng import stream
        >>> from metawright.spaces import Design, Integer, Record
        >>> from metawright.store.records import Trial
        >>> space = Record({"x": Integer(0, 99), "y": Integer(0, 99)})
        >>> strategy, scores = Predictor(space, rng=stream(0)), []
        >>> for number in range(40):
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
        initial: int = 10,
        surrogate: str = "kernel",
        acquisition: str = "improvement",
        candidates: int | None = None,
        most: int = 200,
        features: Features | None = None,
        features_weight: float = 0.2,
        canonical: Callable[[Design], Design] | None = None,
        warm_start: Sequence[Design] = (),
    ) -> None:
        quick = features is None and canonical is None
        count = (1500 if quick else 300) if candidates is None else candidates
        for name, value, least in (
            ("initial", initial, 2),
            ("candidates", count, 10),
            ("most", most, 4),
        ):
            if value < least:
                raise InputError(f"`{name} >= {least}` must hold, but got ({name}={value}).")
        for name, chosen, known in (
            ("surrogate", surrogate, [*SURROGATES, "random"]),
            ("acquisition", acquisition, [*ACQUISITIONS]),
        ):
            if chosen not in known:
                raise InputError(f"`{name}` must be one of {', '.join(known)}, not {chosen!r}.")
        self.score = score
        self.initial = initial
        self.surrogate = surrogate
        self.acquisition = acquisition
        self.candidates = count
        self.most = most
        self.features = features
        self.features_weight = features_weight
        self._ledger = Ledger(space, rng=rng, warm_start=warm_start)
        self._pool = Pool(space)
        self.canonical = canonical
        self._tried: set[Design] = set()
        self._scored: list[_Scored] = []

    def ask(self, count: int) -> list[Design]:
        """The next `count` designs to try."""
        return self._ledger.ask(count, self._suggest, self._note)

    def tell(self, trials: Sequence[Trial]) -> None:
        """Takes in the trials with a score."""
        for trial in self._ledger.take(trials):
            self._note(trial.design)
            score = usable_score(trial, self.score)
            if score is not None:
                rows = self._settled(self._pool.row(trial.design)[None])
                self._scored.append(_Scored(score, rows[0]))

    def _suggest(self, rng: torch.Generator) -> Design | None:
        # Proposals still out count, or a wide batch would draw more random designs than wanted.
        growing = len(self._scored) + self._ledger.pending < self.initial
        return None if growing or len(self._scored) < 2 else self._guided(rng)

    def _note(self, design: Design) -> None:
        self._tried.add(self.canonical(design) if self.canonical else design)

    def _settled(self, rows: Rows) -> Rows:
        """The rows of the designs that stand for these."""
        if self.canonical is None:
            return rows
        space, canonical = self._ledger.space, self.canonical
        return np.stack([_standing(space, canonical, row.tobytes()) for row in rows])

    def _guided(self, rng: torch.Generator) -> Design | None:
        """The best candidate not seen yet; None if there is none."""
        draw = np.random.default_rng(streams.integer(rng, 2**31))
        order = sorted(range(len(self._scored)), key=lambda index: -self._scored[index][0])
        parents = np.stack([self._scored[index].row for index in order[:_PARENTS]])
        third = self.candidates // 3
        if self.surrogate == "random":
            return self._first_unseen(self._settled(self._pool.change(parents[:10], third, draw)))
        kept = [self._scored[index] for index in self._kept(order)]
        worths = normal_ranks(np.array([each.score for each in kept]))
        if not worths.any():  # all scores are equal, and nothing can be learned
            return None
        known = np.stack([each.row for each in kept])
        further, sizes = self._further(known)
        middle = further.mean(0)
        spread = _spread(further, sizes) / self.features_weight**0.5

        def columns(rows: Rows) -> Rows:
            own = (self._further(rows)[0] - middle) / spread
            return np.hstack([self._pool.vectors(rows), own])

        model: Surrogate = load(SURROGATES[self.surrogate])()
        model.fit(columns(known), worths, rng)

        def value(rows: Rows) -> Rows:
            mean, deviation = model.predict(columns(rows))
            return ACQUISITIONS[self.acquisition](mean, deviation, float(worths.max()), rng)

        changed = self._pool.change(parents, third, draw)
        rows = self._settled(np.concatenate([self._pool.draw(2 * third, draw), changed]))
        values = value(rows)
        for _ in range(_ROUNDS):
            tops = rows[np.argsort(-values, kind="stable")[:_PARENTS]]
            more = self._settled(self._pool.change(tops, third // 2, draw))
            rows, values = np.concatenate([rows, more]), np.concatenate([values, value(more)])
        return self._first_unseen(rows[np.argsort(-values, kind="stable")])

    def _kept(self, order: Sequence[int]) -> Sequence[int]:
        """To which of the scored, given in the order of their scores, the surrogate is fitted."""
        if len(order) <= self.most:
            return sorted(order)
        best = set(order[: self.most // 2])
        late = [index for index in range(len(order)) if index not in best]
        return sorted([*best, *late[-(self.most - len(best)) :]])

    def _first_unseen(self, rows: Rows) -> Design | None:
        designs = (self._pool.design(row) for row in rows)
        new = (each for each in designs if each not in self._tried and not self._ledger.seen(each))
        return next(new, None)

    def _further(self, rows: Rows) -> tuple[Rows, tuple[int, ...]]:
        """The further measures (rows, columns), and how many columns each has."""
        if self.features is None:
            return np.zeros((len(rows), 0)), ()
        space, features = self._ledger.space, self.features
        found = [_measured(space, features, row.tobytes()) for row in rows]
        return np.stack([columns for columns, _ in found]), found[0][1]


def _spread(columns: Rows, sizes: Sequence[int]) -> Rows:
    """The standard deviation of the measure to which each column belongs; 1 where it is 0."""
    measure = np.repeat(np.arange(len(sizes)), np.array(sizes, dtype=np.int64))
    variance = np.bincount(measure, columns.var(0), minlength=len(sizes))
    spread: Rows = np.where(variance > 0, variance, 1.0)[measure] ** 0.5
    return spread
