"""Regularised evolution's own truths: it beats random search, ages, and heeds only real scores."""

import math
import statistics
from typing import Any

import pytest

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import Choice, Design, Integer, Real, Record, Repeat, write
from metawright.store.records import Trial
from metawright.strategies import Evolution, RandomSearch, Strategy

# Twelve bits to be set, a learning rate of 0.01 and a size of 70 to be found.
SPACE = Record(
    {
        "bits": Repeat(Choice((0, 1)), 12, 12),
        "lr": Real(1e-4, 1.0, log=True),
        "size": Integer(0, 99),
    }
)
LINE = Record({"x": Integer(0, 999)})


def worth(design: Design) -> float:
    """1 at the optimum, less elsewhere."""
    bits = sum(design["bits"]) / 12
    return float(bits - abs(math.log10(design["lr"]) + 2) / 4 - abs(design["size"] - 70) / 100)


def best_of(strategy: Strategy, trials: int = 120) -> float:
    best = -math.inf
    for number in range(trials):
        (design,) = strategy.ask(1)
        best = max(best, worth(design))
        strategy.tell([Trial(str(number), "task", design, {"score": worth(design)})])
    return best


def tell(strategy: Strategy, scores: dict[int, Any], first: int = 0) -> None:
    """Tells designs of LINE by their x, in order; a score of None means a failed trial."""
    strategy.tell(
        [
            Trial(
                f"{first + number}",
                "task",
                Design({"x": x}),
                {} if score is None else {"score": score},
                status="failed" if score is None else "ok",
            )
            for number, (x, score) in enumerate(scores.items())
        ]
    )


@pytest.mark.parametrize("crossover_rate", [0.0, 0.5])
def test_it_beats_random_search(crossover_rate: float) -> None:
    gains = []
    for seed in range(4):
        evolution = Evolution(SPACE, rng=stream(seed), crossover_rate=crossover_rate)
        gains.append(best_of(evolution) - best_of(RandomSearch(SPACE, rng=stream(seed))))
    assert min(gains) > 0
    assert statistics.mean(gains) > 0.1


def test_selection_is_what_helps() -> None:
    for seed in range(2):
        greedy, blind = (Evolution(SPACE, rng=stream(seed), sample_size=size) for size in (5, 1))
        assert best_of(greedy) > best_of(blind) + 0.05


def test_the_first_population_is_that_of_random_search() -> None:
    evolution = Evolution(SPACE, rng=stream(0), population=20)
    assert evolution.ask(20) == RandomSearch(SPACE, rng=stream(0)).ask(20)


def test_proposals_still_out_count_for_the_first_population() -> None:
    strategy = Evolution(LINE, rng=stream(0), population=5)
    random = RandomSearch(LINE, rng=stream(0))
    for told in (strategy, random):
        tell(told, {1: 1.0, 2: 1.0})
    proposals, expected = strategy.ask(20), random.ask(20)
    assert proposals[:3] == expected[:3]
    assert all(child != other for child, other in zip(proposals[3:], expected[3:], strict=True))


def test_children_differ_from_their_parent_in_one_decision() -> None:
    strategy = Evolution(SPACE, rng=stream(0), population=1, sample_size=1)
    (parent,) = strategy.ask(1)
    strategy.tell([Trial("only", "task", parent, {"score": 1.0})])
    for child in strategy.ask(4):
        pairs = zip(write(SPACE, parent), write(SPACE, child), strict=True)
        assert sum(a != b for a, b in pairs) == 1


def test_the_best_of_the_sample_is_the_parent() -> None:
    # Sampling 200 times with replacement from four misses the best with a chance of 1e-25.
    strategy = Evolution(LINE, rng=stream(0), population=200, sample_size=200)
    tell(strategy, {0: 0.1, 300: 0.3, 600: 0.9, 900: 0.2} | dict.fromkeys(range(1, 197), -1.0))
    near = [abs(design["x"] - 600) < 450 for design in strategy.ask(20)]
    assert sum(near) >= 15  # the others were drawn afresh


def test_the_oldest_member_dies_however_good() -> None:
    strategy = Evolution(LINE, rng=stream(0), population=3, sample_size=3)
    tell(strategy, {500: 100.0, 1: 0.0, 2: 0.0})
    assert Design({"x": 500}) in [member.design for member in strategy._members]
    tell(strategy, {3: 0.0}, first=3)
    assert [member.design["x"] for member in strategy._members] == [1, 2, 3]


def test_only_usable_scores_become_members() -> None:
    strategy = Evolution(LINE, rng=stream(0), population=3, sample_size=3)
    tell(strategy, {1: None, 2: math.nan, 3: math.inf, 4: -math.inf, 5: 0.5})
    failed = Trial("failed", "task", Design({"x": 6}), {"score": 9.0}, status="failed")
    strategy.tell([failed, Trial("other", "task", Design({"x": 7}), {"loss": 9.0})])
    assert [member.design["x"] for member in strategy._members] == [5]


def test_failures_do_not_thin_out_the_first_population() -> None:
    strategy = Evolution(LINE, rng=stream(0), population=4, sample_size=1)
    drawn = RandomSearch(LINE, rng=stream(0))
    for number in range(8):  # every second one fails, so eight are drawn at random
        (design,), (expected,) = strategy.ask(1), drawn.ask(1)
        assert design == expected
        for told in (strategy, drawn):
            scores = {"score": 1.0} if number % 2 else {}
            told.tell([Trial(str(number), "task", design, scores)])
    assert strategy.ask(1) != drawn.ask(1)


def test_the_warm_start_comes_first_and_only_once() -> None:
    warm = [Design({"x": x}) for x in (7, 3, 5)]
    strategy = Evolution(LINE, rng=stream(0), warm_start=warm)
    assert strategy.ask(2) == warm[:2]
    assert strategy.ask(2)[0] == warm[2]
    resumed = Evolution(LINE, rng=stream(0), warm_start=warm)
    tell(resumed, {3: 1.0})
    assert resumed.ask(2) == [warm[0], warm[2]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_size": 0}, r"`1 <= sample_size <= population` must hold.*sample_size=0"),
        ({"population": 4, "sample_size": 5}, r"but got \(sample_size=5, population=4\)"),
        ({"crossover_rate": 1.5}, r"`0 <= crossover_rate <= 1` must hold"),
        ({"warm_start": [Design({"x": -1})]}, r"^x must be an integer from 0 to 999, but got -1"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Evolution(LINE, rng=stream(0), **arguments)
