"""A strategy by name: what it is for one objective, for several, under constraints."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

import pytest

from metawright.errors import InputError
from metawright.rng import stream
from metawright.spaces import Design, Integer, Record
from metawright.store.records import Trial
from metawright.strategies.choose import STRATEGIES, options_of, strategy
from metawright.strategies.evolution import Evolution
from metawright.strategies.objectives import Constraint, objective
from metawright.strategies.pareto import Archive
from metawright.strategies.random import RandomSearch
from metawright.strategies.scalarise import SCALAR, Scalarised
from metawright.strategies.strategy import Strategy, fidelity_of

PLANE = Record({"x": Integer(0, 99), "y": Integer(0, 99), "waste": Integer(0, 9)})
BOTH = ["accuracy", "parameters"]


def tried(designs: Sequence[Design], first: int) -> list[Trial]:
    """Accuracy grows with x, parameters with its square; y = 50 and waste = 0 are best."""
    trials = []
    for number, design in enumerate(designs, start=first):
        off = abs(design["y"] - 50) / 100
        scores = {"accuracy": design["x"] / 100 - off, "error": 1 - design["x"] / 100 + off}
        cost = {"parameters": float(design["x"] ** 2 + 100 * design["waste"])}
        trials.append(Trial(str(number), "task", design, scores, cost))
    return trials


def run(search: Strategy, trials: int, portion: int = 4) -> list[Trial]:
    told: list[Trial] = []
    while len(told) < trials:
        told += tried(search.ask(portion), len(told))
        search.tell(told[-portion:])
    return told


def covered(trials: Sequence[Trial]) -> float:
    archive = Archive([objective(name) for name in BOTH])
    archive.tell(trials)
    return archive.hypervolume([0.0, 10_000.0])


def test_one_objective_is_the_strategy_itself() -> None:
    chosen = strategy("evolution", PLANE, rng=stream(0), objectives=["accuracy"], population=8)
    plain = Evolution(PLANE, rng=stream(0), score="accuracy", population=8)
    assert [t.design for t in run(chosen, 40)] == [t.design for t in run(plain, 40)]


def test_less_error_is_more_accuracy() -> None:
    runs = [
        [t.design for t in run(strategy("evolution", PLANE, rng=stream(0), objectives=name), 60)]
        for name in ("accuracy", "error")
    ]
    assert runs[0] == runs[1]


def test_a_cost_can_be_the_only_objective() -> None:
    trials = run(strategy("evolution", PLANE, rng=stream(0), objectives=["parameters"]), 100)
    assert min(trial.cost["parameters"] for trial in trials) < 300


def test_two_objectives_cover_more_than_random_search() -> None:
    gains = []
    for seed in range(3):
        searches = [
            strategy(name, PLANE, rng=stream(seed), objectives=BOTH)
            for name in ("evolution", "random")
        ]
        gains.append(covered(run(searches[0], 200)) / covered(run(searches[1], 200)))
    assert min(gains) > 0.98 and statistics.mean(gains) > 1.02


@pytest.mark.parametrize("name", STRATEGIES)
def test_constraints_turn_the_search_to_what_is_allowed(name: str) -> None:
    if name in ("random", "grid", "halving", "hyperband"):
        pytest.skip("its new designs pay no heed to what it is told")
    limit = [Constraint("parameters", 900)]
    search = strategy(name, PLANE, rng=stream(1), objectives=["accuracy"], constraints=limit)
    trials = run(search, 32 if name == "gp" else 100)
    allowed = [trial for trial in trials if trial.cost["parameters"] <= 900]
    late = [trial.cost["parameters"] <= 900 for trial in trials[len(trials) // 2 :]]
    assert statistics.mean(late) > 0.25  # of random designs 0.19
    assert max(trial.scores["accuracy"] for trial in allowed) > 0.15  # 0.3 is the optimum


def test_what_was_left_out_before_training_still_teaches() -> None:
    """Designs that break the constraint have no score at all, only a cost."""
    limit = [Constraint("parameters", 25)]
    search = strategy(
        "evolution", PLANE, rng=stream(0), objectives=["accuracy"], constraints=limit
    )
    trials: list[Trial] = []
    for number in range(150):
        (trial,) = tried(search.ask(1), number)
        if trial.cost["parameters"] > 25:
            evidence = {"skipped": "too many parameters"}
            trial = Trial(trial.id, "task", trial.design, {}, trial.cost, evidence)
        search.tell([trial])
        trials.append(trial)
    assert sum(bool(trial.scores) for trial in trials) >= 5  # of random designs one in 170


def weighed(search: Scalarised, trials: Sequence[Trial]) -> list[float]:
    return [search._weighed(trial).scores[SCALAR] for trial in trials]


def scalarised(**arguments: Any) -> Scalarised:
    def make(*, rng: Any) -> Strategy:
        return RandomSearch(PLANE, rng=rng, score=SCALAR)

    goals = [objective(name) for name in BOTH]
    return Scalarised(make, PLANE, rng=stream(0), objectives=goals, **arguments)


def test_the_number_is_the_augmented_chebyshev_value() -> None:
    search = scalarised()
    trials = tried([Design({"x": x, "y": 50, "waste": 0}) for x in (10, 50, 90)], 0)
    search.tell(trials)
    first, second = search._weights(3)
    assert first + second == pytest.approx(1)
    # Best 0.9 and -100; the medians are 0.5 and -2500.
    for trial, lost in zip(trials, [(2.0, 0.0), (1.0, 1.0), (0.0, 8000 / 2400)], strict=True):
        parts = [first * lost[0], second * lost[1]]
        expected = -max(parts) - 0.05 * sum(parts)
        if expected < -2:
            expected = -3 - 1 / (expected + 1)
        assert weighed(search, [trial]) == [pytest.approx(expected)]


def test_weights_are_uniform_on_the_simplex_and_change() -> None:
    search = scalarised()
    drawn = [search._weights(told) for told in range(400)]
    assert statistics.mean(first for first, _ in drawn) == pytest.approx(0.5, abs=0.05)
    assert sum(first < 0.1 for first, _ in drawn) / 400 == pytest.approx(0.1, abs=0.05)


def test_a_broken_constraint_is_worse_than_anything_allowed() -> None:
    search = scalarised(constraints=[Constraint("parameters", 5000)])
    trials = tried(
        [Design({"x": x, "y": y, "waste": 0}) for x in (0, 70, 80, 90) for y in (0, 50)], 0
    )
    search.tell(trials[:3])
    values = weighed(search, trials)
    assert max(values[4:]) < -3 < min(values[:4])
    assert values[4] == values[5] > values[6] == values[7]
    unmeasured = Trial("9", "task", trials[0].design, {"accuracy": 1.0})
    assert search._weighed(unmeasured).scores == {}


def test_a_resumed_search_goes_on_with_the_same_weights() -> None:
    for stop in (1, 7, 30, 61):
        straight = strategy("evolution", PLANE, rng=stream(3), objectives=BOTH, population=6)
        stored = run(straight, stop, portion=1)
        resumed = strategy("evolution", PLANE, rng=stream(3), objectives=BOTH, population=6)
        resumed.tell(stored)
        assert straight.ask(5) == resumed.ask(5)


def test_the_fidelity_is_that_of_the_strategy_underneath() -> None:
    class Halves:
        def __init__(self, rng: Any) -> None:
            self.inner = RandomSearch(PLANE, rng=rng, score=SCALAR)

        def ask(self, count: int) -> list[Design]:
            return self.inner.ask(count)

        def tell(self, trials: Sequence[Trial]) -> None:
            self.inner.tell(trials)

        def fidelity(self, design: Design) -> float:
            return 0.5

    def make(*, rng: Any) -> Strategy:
        return Halves(rng)

    search = Scalarised(make, PLANE, rng=stream(0), objectives=[objective("accuracy")])
    (design,) = search.ask(1)
    assert fidelity_of(search, design) == 0.5
    assert fidelity_of(RandomSearch(PLANE, rng=stream(0)), design) == 1.0


def test_failures_and_infinite_measures_are_borne() -> None:
    search = strategy("evolution", PLANE, rng=stream(0), objectives=BOTH)
    for number, scores in enumerate([{}, {"accuracy": math.nan}, {"accuracy": 0.5}] * 5):
        (design,) = search.ask(1)
        status: Any = "failed" if number % 4 == 3 else "ok"
        search.tell([Trial(str(number), "task", design, scores, {"parameters": 1.0}, {}, status)])


def test_what_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(InputError, match=r"no strategy 'magic': choose among random, "):
        strategy("magic", PLANE, rng=stream(0), objectives=["accuracy"])
    with pytest.raises(InputError, match="no objective 'speed'"):
        strategy("random", PLANE, rng=stream(0), objectives=["speed"])
    with pytest.raises(InputError, match="'evolution' has no option 'size': its options are popu"):
        strategy("evolution", PLANE, rng=stream(0), objectives=["accuracy"], size=3)
    with pytest.raises(InputError, match="`objectives` must hold at least one"):
        strategy("random", PLANE, rng=stream(0), objectives=[])
    assert options_of("evolution")["population"] == 20
