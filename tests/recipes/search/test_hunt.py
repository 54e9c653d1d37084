"""The loop of a search: controls among proposals, failures, constraints, time, and going on."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from metawright.engine.budget import Budget, Clock
from metawright.engine.inline import Inline
from metawright.engine.workers import Outcome
from metawright.errors import InputError, MetawrightError
from metawright.recipes.search.asked import Asked, Limits
from metawright.recipes.search.attempt import Attempt
from metawright.recipes.search.hunt import Hunt
from metawright.recipes.search.job import CONTROL, FULL, SEARCH, Job, role_of
from metawright.recipes.search.own import OwnEvaluator
from metawright.spaces import Design, Integer, Record
from metawright.store.records import Trial
from metawright.strategies.objectives import objective

SPACE = Record({"x": Integer(0, 99), "y": Integer(0, 99)})


def worth(design: Design) -> Mapping[str, float]:
    return {"accuracy": 1 - (abs(design["x"] - 70) + abs(design["y"] - 20)) / 200}


def hunt(
    told: tuple[Trial, ...] = (),
    *,
    failures: float = 0.5,
    asked: Asked | None = None,
    deadline: Clock | None = None,
) -> Hunt:
    asked = asked or Asked("own", "dense", controls=True)
    limits = Limits(trials=40, failures=failures, workers=0)
    return Hunt(
        SPACE,
        asked,
        limits,
        deadline or Clock(Budget(trials=40)),
        objectives=[objective(name) for name in asked.objectives],
        run="run",
        task="task",
        keep=lambda trial, weights: trial,
        told=told,
    )


def run(searching: Hunt, function: Any = worth, trials: int = 40) -> list[Trial]:
    attempt = Attempt(OwnEvaluator(function, SPACE), searching.asked.limits())
    searching.explore(Inline(attempt), Clock(Budget(trials=trials)))
    return searching.trials


def test_every_fourth_design_is_a_random_one_that_the_strategy_never_hears_of() -> None:
    trials = run(hunt())
    roles = [role_of(trial) for trial in trials]
    assert roles == [CONTROL if number % 4 == 3 else SEARCH for number in range(40)]
    # The same search without controls proposes the same designs.
    alone = run(hunt(asked=Asked("own", "dense", controls=False)), trials=30)
    assert [t.design for t in alone] == [t.design for t in trials if role_of(t) == SEARCH]
    best = {
        role: max(t.scores["accuracy"] for t in trials if role_of(t) == role) for role in roles
    }
    assert best[SEARCH] > 0.85


def test_told_its_trials_a_search_goes_on_as_if_it_had_never_stopped() -> None:
    whole = run(hunt())
    first = run(hunt(), trials=17)
    resumed = run(hunt(tuple(first)))
    assert [t.design for t in resumed] == [t.design for t in whole]
    assert [role_of(t) for t in resumed] == [role_of(t) for t in whole]


def test_what_raises_or_gives_no_number_is_a_failed_trial_and_the_search_goes_on() -> None:
    def broken(design: Design) -> Mapping[str, float]:
        if design["x"] % 5 == 0:
            raise ZeroDivisionError("x is round")
        if design["x"] % 5 == 1:
            return {"accuracy": math.nan}
        return {"loss": 1.0} if design["x"] % 5 == 2 else worth(design)

    trials = run(hunt(failures=1.0), broken)
    assert len(trials) == 40
    for trial in trials:
        kind, error = trial.design["x"] % 5, trial.evidence.get("error", "")
        assert (trial.status == "failed") == (kind < 3)
        if kind == 0:
            assert error == "ZeroDivisionError: x is round"
            assert "in broken" in trial.evidence["traceback"]
        if kind == 1:
            assert (
                error == "The evaluator gave nan for accuracy (its measures: accuracy, seconds)."
            )
        if kind == 2:
            assert "gave no such measure for accuracy (its measures: loss, seconds)" in error


def test_a_search_stops_where_too_many_fail() -> None:
    def always(design: Design) -> Mapping[str, float]:
        raise RuntimeError("no")

    searching = hunt(failures=0.5)
    with pytest.raises(MetawrightError, match=r"4 of 4 trials failed.* 50%.*RuntimeError: no"):
        run(searching, always)
    assert len(searching.trials) == 4


def test_jobs_are_done_once_also_after_a_stop() -> None:
    jobs = [Job(Design({"x": 1, "y": 2}), "repeat", seed=seed, of="a") for seed in (1, 2, 3)]
    runner = Inline(Attempt(OwnEvaluator(worth, SPACE)))
    searching = hunt()
    searching.carry_out(jobs[:2], runner, Clock(Budget(trials=1)))
    again = hunt(tuple(searching.trials))
    again.carry_out(jobs, runner, Clock(Budget(trials=1)))
    assert [trial.evidence["seed"] for trial in again.trials] == [1, 2, 3]
    assert again.count("repeat") == 3


def test_the_first_design_is_tried_whatever_the_time_and_then_none_that_would_be_late() -> None:
    runner = Inline(Attempt(OwnEvaluator(worth, SPACE)))
    searching = hunt()
    searching.explore(runner, Clock(Budget(seconds=5), started=0.0, now=lambda: 100.0))
    assert len(searching.trials) == 1
    slow = replace(searching.trials[0], cost={"seconds": 3.0})
    late, early = (
        Clock(Budget(seconds=5, trials=2), started=0.0, now=partial(float, now))
        for now in (2.5, 1.5)
    )
    for clock, made in ((late, 1), (early, 2)):
        again = hunt((slow,))
        again.explore(runner, clock)
        assert len(again.trials) == made


class Timed:
    """Works here, and notes how long each job may take."""

    def __init__(self) -> None:
        self.inline = Inline(Attempt(OwnEvaluator(worth, SPACE)))
        self.seconds: list[float | None] = []

    @property
    def free(self) -> int:
        return self.inline.free

    def submit(
        self, key: Any, *arguments: Any, seconds: float | None = None, **keywords: Any
    ) -> None:
        self.seconds.append(seconds)
        self.inline.submit(key, *arguments, **keywords)

    def wait(self, seconds: float | None = None) -> list[Outcome]:
        return self.inline.wait(seconds)


def test_a_training_in_full_that_an_answer_depends_on_has_time_beyond_the_budget() -> None:
    over = Clock(Budget(seconds=5), started=0.0, now=lambda: 100.0)
    design, cost = Design({"x": 1, "y": 2}), {"seconds": 1.0}
    part = Trial("a", "task", design, worth(design), cost, {"seed": 0, "fidelity": 0.1})
    for role, most in (("mutant", 0.01), (FULL, None)):
        timed, searching = Timed(), hunt((part,), deadline=over)
        searching.carry_out([Job(design, role, of="a")], timed, Clock(Budget(trials=1)))
        assert timed.seconds == [most]


def test_an_objective_that_no_measure_has_is_told(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="no objective"):
        Asked("own", "dense", objectives=("beauty",))


def test_options_reach_the_strategy_that_was_asked_for() -> None:
    seen: list[Design] = []

    def canonical(design: Design) -> Design:
        seen.append(design)
        return design

    space = Record({"x": Integer(0, 99)})
    asked = Asked("own", "own", "predictor", ("score",), controls=False)
    hunt = Hunt(
        space,
        asked,
        Limits(None, 4, 0),
        Clock(Budget(None, 4)),
        objectives=[objective("score")],
        run="run",
        task="task",
        keep=lambda trial, weights: trial,
        options={"canonical": canonical},
    )
    hunt.strategies[SEARCH].ask(1)
    assert seen
