"""Bayesian optimisation beats random search where there is something to model."""

import logging
import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import optuna
import pytest

from metawright.errors import InputError
from metawright.lazy import load
from metawright.rng import stream
from metawright.spaces import Choice, Design, Either, Integer, Real, Record
from metawright.store.records import Trial
from metawright.strategies.bayesian import TPE
from metawright.strategies.choose import STRATEGIES
from metawright.strategies.filled import Filled
from metawright.strategies.gaussian_process import GaussianProcess
from metawright.strategies.objectives import Constraint, objective
from metawright.strategies.pareto import Archive
from metawright.strategies.random import RandomSearch
from metawright.strategies.strategy import Strategy

BOWL = Record({"x": Real(-5.0, 5.0), "y": Real(-5.0, 5.0), "lr": Real(1e-4, 1.0, log=True)})
# Only the second case has the good designs, and they hang on decisions of that case.
TREE = Record(
    {
        "head": Either(
            {
                "linear": Record({"bias": Choice((True, False)), "scale": Real(0.0, 1.0)}),
                "deep": Record({"layers": Integer(1, 9), "act": Choice(("a", "b", "c", "d"))}),
            }
        ),
        "lr": Real(1e-4, 1.0, log=True),
    }
)


def bowl(design: Design) -> float:
    off = (design["x"] - 2) ** 2 + (design["y"] + 1) ** 2 + (math.log10(design["lr"]) + 2) ** 2
    return -float(off)


def tree(design: Design) -> float:
    off = abs(math.log10(design["lr"]) + 2)
    if design["head"]["kind"] == "linear":
        return 1.0 - off
    return float(
        3.0 - abs(design["head"]["layers"] - 7) / 3 + (design["head"]["act"] == "c") - off
    )


def best_of(strategy: Strategy, worth: Callable[[Design], float], trials: int) -> float:
    best = -math.inf
    for number in range(trials):
        (design,) = strategy.ask(1)
        best = max(best, worth(design))
        strategy.tell([Trial(str(number), "task", design, {"score": worth(design)})])
    return best


@pytest.mark.parametrize("worth", [bowl, tree])
@pytest.mark.parametrize("name", ["tpe", "gp"])
def test_it_beats_random_search(name: str, worth: Callable[[Design], float]) -> None:
    space = BOWL if worth is bowl else TREE
    found, random = [], []
    options: dict[str, Any] = {"candidates": 30} if name == "gp" else {}
    trials, seeds = (24, 2) if name == "gp" else (45, 3)
    for seed in range(seeds):
        strategy = load(STRATEGIES[name])(space, rng=stream(seed), **options)
        found.append(best_of(strategy, worth, trials))
        random.append(best_of(RandomSearch(space, rng=stream(seed)), worth, trials))
    assert statistics.mean(found) > statistics.mean(random)
    top = 0.0 if worth is bowl else 4.0
    assert top - statistics.mean(found) < 0.7 * (top - statistics.mean(random))


@pytest.mark.parametrize("make", [TPE, GaussianProcess])
def test_two_objectives_under_a_constraint(make: Callable[..., Strategy]) -> None:
    """Left of x = 0 nothing is allowed; there the designs are left out before training."""
    goals, limits = [objective("error"), objective("flops")], [Constraint("bytes", 0.0)]
    options: dict[str, Any] = {"candidates": 30} if make is GaussianProcess else {}
    strategy = make(
        BOWL, rng=stream(1), objectives=goals, constraints=limits, starts=10, **options
    )
    archive, kept = Archive(goals, limits), []
    for number in range(30):
        (design,) = strategy.ask(1)
        cost = {"bytes": -design["x"], "flops": (design["y"] - 1) ** 2 + design["x"]}
        scores = {"error": design["y"] ** 2 + design["x"]} if design["x"] >= 0 else {}
        trial = Trial(str(number), "task", design, scores, cost)
        archive.tell([trial])
        strategy.tell([trial])
        kept.append(design["x"] >= 0)
    assert sum(kept[15:]) >= 11
    assert archive.hypervolume([10.0, 10.0]) > 70


def test_a_proposal_made_before_is_changed() -> None:
    """One good design in a space of 27: the estimator alone would propose it again and again."""
    small = Record({name: Choice(("p", "q", "r")) for name in "abc"})
    strategy, designs = TPE(small, rng=stream(0), starts=5), []
    for number in range(27):
        designs += strategy.ask(1)
        score = float(sum(value == "p" for value in designs[-1].values()))
        strategy.tell([Trial(str(number), "task", designs[-1], {"score": score})])
    assert len(set(designs)) == 27


def test_proposals_still_out_are_not_crowded() -> None:
    """Eight proposals at once are eight different ones, near the good and not in one place."""
    for strategy in (TPE(BOWL, rng=stream(0)), GaussianProcess(BOWL, rng=stream(0))):
        for number in range(20):
            (design,) = strategy.ask(1)
            strategy.tell([Trial(str(number), "task", design, {"score": bowl(design)})])
        designs = strategy.ask(4)
        assert len({design["x"] for design in designs}) > 1 and len(set(designs)) == 4


def test_what_is_not_in_play_is_filled_in() -> None:
    filled = Filled(TREE)
    linear = Design({"head": {"kind": "linear", "bias": False, "scale": 0.25}, "lr": 0.01})
    deep = Design({"head": {"kind": "deep", "layers": 9, "act": "b"}, "lr": 1.0})
    expected = [[0, 1, 0.25, 0.5, 4, 0.5], [1, 2, 0.5, 1.0, 1, 1.0]]
    np.testing.assert_allclose(filled.features([linear, deep]), expected)


def test_the_process_keeps_the_best_and_the_latest() -> None:
    line = Record({"x": Integer(0, 99)})
    strategy = GaussianProcess(line, rng=stream(0), most=4)
    for number, x in enumerate([90, 10, 80, 20, 30, 40]):
        strategy.tell([Trial(str(number), "task", Design({"x": x}), {"score": float(x)})])
    values = [t.values[0] for t in strategy._study(strategy._ranked()).get_trials()]
    assert sorted(values) == [30, 40, 80, 90]


def test_the_logging_of_others_is_left_as_it_was() -> None:
    optuna.logging.set_verbosity(logging.WARNING)
    strategy = TPE(BOWL, rng=stream(0), starts=2)
    best_of(strategy, bowl, 4)
    assert optuna.logging.get_verbosity() == logging.WARNING


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (TPE, {"starts": 0}, r"`starts >= 1` must hold, but got \(starts=0\)"),
        (GaussianProcess, {"most": 1}, r"`most >= 2` must hold, but got \(most=1\)"),
        (GaussianProcess, {"candidates": 2}, r"`candidates >= 3` must hold"),
    ],
)
def test_impossible_arguments_are_refused(
    make: Callable[..., Strategy], arguments: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        make(BOWL, rng=stream(0), **arguments)
