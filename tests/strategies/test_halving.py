"""Successive halving and Hyperband: the paper's table, promotions by hand, honest teaching."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import Design, Integer, Record
from metawright.store.records import Trial
from metawright.strategies.choose import STRATEGIES, strategy
from metawright.strategies.evolution import Evolution
from metawright.strategies.grid import Grid
from metawright.strategies.halving import SuccessiveHalving, brackets, hyperband
from metawright.strategies.random import RandomSearch
from metawright.strategies.strategy import Strategy, fidelity_of

RACES = ("halving", "hyperband")
LINE = Record({"x": Integer(0, 999)})


def test_brackets_are_those_of_the_papers_table() -> None:
    """Table 1 of Li et al. (2018): a maximum of 81, reduction 3."""
    assert brackets(5, 3) == [[81, 27, 9, 3, 1], [27, 9, 3, 1], [9, 3, 1], [6, 2], [5]]


def tried(search: Strategy, design: Design, number: int, score: float | None) -> Trial:
    scores = {} if score is None else {"score": score}
    evidence = {"fidelity": fidelity_of(search, design)}
    cost = {"parameters": float(design["x"] % 7)}
    return Trial(f"trial-{number}", "task", design, scores, cost, evidence)


def run(
    search: Strategy, trials: int, score: Callable[[Design, float], float], portion: int = 1
) -> list[Trial]:
    told: list[Trial] = []
    while len(told) < trials:
        found = [
            tried(search, design, len(told) + at, score(design, fidelity_of(search, design)))
            for at, design in enumerate(search.ask(portion))
        ]
        search.tell(found)
        told += found
    return told


def rungs(trials: Sequence[Trial], rungs: int, reduction: int = 3) -> list[int]:
    found = Counter(round(1 / trial.evidence["fidelity"]) for trial in trials)
    return [found[reduction ** (rungs - 1 - rung)] for rung in range(rungs)]


def first_are_best() -> Callable[[Design, float], float]:
    """Each new design is a little worse, so that nothing is promoted in error."""
    order: dict[Design, int] = {}
    return lambda design, _: -float(order.setdefault(design, len(order)))


def test_promotions_halve_as_the_table_says() -> None:
    search = SuccessiveHalving(LINE, rng=stream(0), rungs=5)
    assert rungs(run(search, 81 + 27 + 9 + 3 + 1, first_are_best()), 5) == [81, 27, 9, 3, 1]


def test_hyperband_begins_on_every_rung() -> None:
    """Four rungs: 27, 9, 6 and 4 designs begin; by the table they give so many trials a rung."""
    table = brackets(4, 3)
    assert table == [[27, 9, 3, 1], [9, 3, 1], [6, 2], [4]]
    search = hyperband(LINE, rng=stream(0), rungs=4)
    trials = run(search, sum(map(sum, table)), first_are_best())
    by_rung = [
        sum(row[up - start] for start, row in enumerate(table[: up + 1])) for up in range(4)
    ]
    assert rungs(trials, 4) == by_rung
    begun = {trial.design: trial.evidence["fidelity"] for trial in reversed(trials)}
    assert Counter(round(1 / each) for each in begun.values()) == {27: 27, 9: 9, 3: 6, 1: 4}


def test_the_best_of_three_is_promoted_at_once() -> None:
    search = SuccessiveHalving(LINE, rng=stream(0), rungs=3)
    designs = search.ask(4)
    assert {fidelity_of(search, design) for design in designs} == {1 / 9}
    search.tell([tried(search, designs[0], 0, 0.1), tried(search, designs[1], 1, 0.7)])
    assert search.ask(1)[0] not in designs  # the best of two is not yet one of three
    search.tell([tried(search, designs[2], 2, 0.5)])
    assert search.ask(1) == [designs[1]] and fidelity_of(search, designs[1]) == 1 / 3
    assert search.ask(1)[0] not in designs  # it goes up once


def test_failures_count_but_are_never_promoted() -> None:
    search = SuccessiveHalving(LINE, rng=stream(0), rungs=2)
    designs = search.ask(3)
    search.tell([tried(search, design, number, None) for number, design in enumerate(designs)])
    assert not set(search.ask(2)) & set(designs)


def test_the_budget_is_spent_on_good_designs() -> None:
    """With the training of 20 designs, the best one found is better than the best of 20."""

    def score(design: Design, fidelity: float) -> float:
        return float(-abs(design["x"] - 400) - 100 * (1 - fidelity))

    gains = []
    for seed in range(4):
        search, spent, best = SuccessiveHalving(LINE, rng=stream(seed)), 0.0, -1000.0
        for number in range(1000):
            (design,) = search.ask(1)
            share = fidelity_of(search, design)
            spent += share
            if spent > 20:
                break
            if share == 1:
                best = max(best, score(design, 1))
            search.tell([tried(search, design, number, score(design, share))])
        drawn = RandomSearch(LINE, rng=stream(seed)).ask(20)
        gains.append(best - max(score(design, 1) for design in drawn))
    assert sum(gains) > 0


class Listener:
    """Random search that keeps what it is told."""

    def __init__(self, space: Record, *, rng: Any, score: str, warm_start: Any) -> None:
        self.told: list[Trial] = []
        self.search = RandomSearch(space, rng=rng, score=score, warm_start=warm_start)

    def ask(self, count: int) -> list[Design]:
        return self.search.ask(count)

    def tell(self, trials: Sequence[Trial]) -> None:
        self.told += trials
        self.search.tell(trials)


def test_the_inner_strategy_is_told_only_what_can_be_compared() -> None:
    search = SuccessiveHalving(LINE, rng=stream(0), rungs=3, enough=4, inner=Listener)
    levels = set()
    trials: list[Trial] = []
    for _ in range(120):
        (design,) = search.ask(1)
        trials.append(tried(search, design, len(trials), float(design["x"])))
        search.tell(trials[-1:])
        listener = search._strategy
        assert isinstance(listener, Listener)
        shares = {trial.evidence["fidelity"] for trial in listener.told if trial.scores}
        assert len(shares) == 1  # one rung at a time
        levels |= shares
        known = {trial.design for trial in listener.told}
        assert known == {trial.design for trial in trials}
    assert levels == {1 / 9, 1 / 3, 1.0}


@pytest.mark.parametrize("make", [SuccessiveHalving, hyperband])
@pytest.mark.parametrize("stop", [5, 40, 90])
def test_it_is_resumed_from_the_trials(make: Callable[..., Strategy], stop: int) -> None:
    def score(design: Design, fidelity: float) -> float:
        return float(fidelity * design["x"])

    searches = [make(LINE, rng=stream(0), inner=Evolution, enough=5) for _ in range(2)]
    stored = run(searches[0], stop, score, portion=3)
    searches[1].tell(stored)
    for _ in range(20):
        found = [search.ask(1)[0] for search in searches]
        shares = [fidelity_of(search, found[0]) for search in searches]
        assert found[0] == found[1] and shares[0] == shares[1]
        trial = tried(searches[0], found[0], len(stored), score(found[0], shares[0]))
        stored.append(trial)
        for search in searches:
            search.tell([trial])


@pytest.mark.parametrize("inner", [name for name in STRATEGIES if name not in RACES])
def test_any_strategy_can_be_inside(inner: str) -> None:
    """Also under several objectives, where weights change as trials come in."""
    for goals in (["score"], ["score", "params"]):
        search = strategy("halving", LINE, rng=stream(0), objectives=goals, inner=inner, rungs=3)
        trials = run(search, 36, lambda design, share: share * design["x"])
        assert {trial.evidence["fidelity"] for trial in trials} == {1 / 9, 1 / 3, 1.0}
        pairs = [(trial.design, trial.evidence["fidelity"]) for trial in trials]
        assert len(set(pairs)) == len(pairs)


def test_an_inner_strategy_is_chosen_by_name() -> None:
    search = strategy(
        "hyperband", LINE, rng=stream(0), objectives=["error", "params"], inner="grid"
    )
    (design,) = search.ask(1)
    assert fidelity_of(search, design) < 1
    direct = SuccessiveHalving(LINE, rng=stream(0), inner=Grid)
    assert isinstance(direct._strategy, Grid)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"reduction": 1}, r"`reduction >= 2` and `rungs >= 1` must hold, but got \(reduction=1"),
        ({"starts": (4,)}, r"`0 <= start < rungs` must hold .* got \(starts=\(4,\), rungs=4\)"),
        ({"enough": 0}, r"`enough >= 1` must hold, but got \(enough=0\)"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SuccessiveHalving(LINE, rng=stream(0), **arguments)
