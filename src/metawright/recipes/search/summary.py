"""What a find is worth, as plain data for `run.json`: against controls, on a test, and why."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from operator import ge
from statistics import fmean, stdev
from typing import Any

from torch import nn

from metawright.errors import InputError
from metawright.evaluate.evaluating import predictions
from metawright.evaluate.robustness import robustness
from metawright.recipes.search.asked import Asked
from metawright.recipes.search.controls import MUTANT, RANKED, REPEAT, explored
from metawright.recipes.search.job import CONTROL, FULL, SEARCH, role_of
from metawright.recipes.search.problem import Problem
from metawright.recipes.search.tested import row
from metawright.recipes.search.words import sentences
from metawright.rng import stream
from metawright.store.records import Trial
from metawright.strategies.ascent import ascent
from metawright.strategies.confidence import beats
from metawright.strategies.controls import expected_best, mean_design
from metawright.strategies.importance import importance
from metawright.strategies.objectives import (
    Objective,
    aligned,
    measured,
    objective,
    violation,
)
from metawright.tasks.task import Kind

__all__ = ["summary"]


def summary(
    problem: Problem,
    asked: Asked,
    best: Trial,
    kept: Trial,
    trials: Sequence[Trial],
    tests: Mapping[str, Mapping[str, float]],
    module: nn.Module | None,
    *,
    plain: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Everything that is to be said about the find.

    Arguments:
        best: the trial that was chosen; kept: the one whose weights are kept.
        trials: all of the run.
        tests: scores on the test part by trial id.
        module: the network that is kept, if there is one.
        plain: the row of the plain baseline on the test part, if it was made.
    """
    goal = objective(asked.objectives[0])
    told = {
        "measure": {"name": goal.name, "maximise": goal.maximise},
        "test": _test(problem, asked, best, kept, trials, tests, plain),
        "controls": _controls(asked, best, trials, goal),
        "confidence": _confidence(best, trials, goal),
        "importance": _importance(problem, trials, goal),
        "path": _path(problem, asked, trials, goal),
        "robustness": _robustness(problem, module),
    }
    return told | {"sentences": sentences(told, asked, best, kept)}


def _values(trials: Sequence[Trial], goal: Objective) -> list[float]:
    """The measures of those trials that have one and were trained in full."""
    whole = [trial for trial in trials if trial.evidence.get("fidelity", 1) == 1]
    found = (measured(trial, goal.name) for trial in whole)
    return [value for value in found if value is not None]


def _of(trials: Sequence[Trial], *roles: str) -> list[Trial]:
    return [trial for trial in trials if role_of(trial) in roles]


def _controls(
    asked: Asked, best: Trial, trials: Sequence[Trial], goal: Objective
) -> dict[str, Any]:
    allowed = [t for t in trials if violation(t, asked.limits()) == 0]
    side = 1 if goal.maximise else -1
    # Trained in part by the strategy and then in full: its find, whoever asked for the training.
    ours = [side * value for value in _values(_of(allowed, SEARCH, FULL), goal)]
    random = [side * value for value in _values(_of(allowed, CONTROL), goal)]
    if asked.strategy == "random":
        random = ours
    curve = None
    if random:
        draws = [expected_best(random, count) for count in range(1, len(random) + 1)]
        curve = {
            "expected": [side * one.mean for one in draws],
            "low": [side * (one.low if side > 0 else one.high) for one in draws],
            "high": [side * (one.high if side > 0 else one.low) for one in draws],
        }
    mean = mean_design(random) if len(random) > 1 else None
    return {
        "search": [side * value for value in accumulate(ours, max)],
        "random": curve,
        "mean_design": None
        if mean is None
        else {"value": side * mean.mean, "sd": stdev(random), "count": len(random)},
        "mutants": _mutants(asked, trials, goal),
        "transfer": _transfer(trials, goal),
        "seeds": _seeds(best, trials, goal),
    }


def _mutants(asked: Asked, trials: Sequence[Trial], goal: Objective) -> dict[str, Any] | None:
    """Blind changes of what exploring found, and how many of them beat it in every respect."""
    front = explored(trials, asked)
    origin = front.choose(asked.rule) if front.trials else None
    if origin is None:
        return None
    goals, side = [objective(name) for name in asked.objectives], 1 if goal.maximise else -1
    made = [t for t in _of(trials, MUTANT) if t.evidence.get("of") == origin.id]
    values = [side * value for value in _values(made, goal)]
    bar = aligned(origin, goals)
    if not values or bar is None:
        return None
    allowed = [t for t in made if violation(t, asked.limits()) == 0]
    points = [point for t in allowed if (point := aligned(t, goals)) is not None]
    better = sum(p != bar and all(map(ge, p, bar)) for p in points)
    return {"best": side * max(values), "count": len(values), "better": better}


def _transfer(trials: Sequence[Trial], goal: Objective) -> dict[str, Any] | None:
    for trial in trials:
        value = measured(trial, goal.name)
        if trial.evidence.get("transfer") and value is not None:
            return {"value": value, "trial": trial.id}
    return None


def _pairs(
    best: Trial, trials: Sequence[Trial], goal: Objective
) -> tuple[str, list[float], list[float]]:
    """The rival's id, and the scores of the best and of it with the same further seeds."""
    repeats = _of(trials, REPEAT)
    mine = {t.evidence["seed"]: t for t in repeats if t.evidence.get("of") == best.id}
    others = [t for t in repeats if t.evidence.get("of") != best.id]
    rival = str(others[-1].evidence["of"]) if others else ""
    theirs = {t.evidence["seed"]: t for t in others if t.evidence["of"] == rival}
    both = [
        (measured(mine[seed], goal.name), measured(theirs[seed], goal.name))
        for seed in sorted(mine)
        if seed in theirs
    ]
    whole = [(a, b) for a, b in both if a is not None and b is not None]
    return rival, [a for a, _ in whole], [b for _, b in whole]


def _seeds(best: Trial, trials: Sequence[Trial], goal: Objective) -> dict[str, Any] | None:
    mine = [t for t in _of(trials, REPEAT) if t.evidence.get("of") == best.id]
    values = _values(mine, goal)
    if len(values) < 2:
        return None
    rival, _, theirs = _pairs(best, trials, goal)
    return {"sd": stdev(values), "chosen": values, "rival": theirs, "rival_trial": rival}


def _confidence(best: Trial, trials: Sequence[Trial], goal: Objective) -> dict[str, Any] | None:
    """From further seeds alone: the first ones were selected by, and are too good."""
    rival, mine, theirs = _pairs(best, trials, goal)
    if len(mine) < 2:
        return None
    side = 1 if goal.maximise else -1
    found = beats([side * value for value in mine], [side * value for value in theirs])
    return {**found._asdict(), "pairs": len(mine), "rival": rival}


def _importance(
    problem: Problem, trials: Sequence[Trial], goal: Objective
) -> list[dict[str, Any]]:
    whole = [t for t in trials if role_of(t) in RANKED]
    try:
        rows = importance(problem.space, whole, goal)
    except InputError:
        return []  # too few trials, or all with the same score
    return [{"decision": r.decision, "share": r.share, "sd": r.spread} for r in rows]


def _path(
    problem: Problem, asked: Asked, trials: Sequence[Trial], goal: Objective
) -> list[dict[str, Any]]:
    ranked = [trial for trial in trials if role_of(trial) in RANKED]
    steps = ascent(problem.space, ranked, goal, asked.limits())
    return [
        {
            "trial": step.trial.id,
            "number": step.number + 1,
            "role": role_of(step.trial),
            "value": step.value,
            "changes": [str(one) for one in step.changed],
        }
        for step in steps
    ]


def _test(
    problem: Problem,
    asked: Asked,
    best: Trial,
    kept: Trial,
    trials: Sequence[Trial],
    tests: Mapping[str, Mapping[str, float]],
    plain: dict[str, Any] | None,
) -> dict[str, Any] | None:
    """The chosen, the best and the mean of the random designs on examples nobody chose by."""
    own = tests.get(kept.id)
    if own is None or problem.data is None:
        return None
    goal = objective(asked.objectives[0])
    if goal.name not in own:  # such as the parameters: nothing to be tested
        goal = objective("r2" if "r2" in own else "accuracy")
    examples, side = len(problem.data.division.test.x), 1 if goal.maximise else -1
    rows = [row("chosen", own, goal.name, examples, own=True)]
    if kept.id != best.id:
        longer = f"chosen, trained {kept.evidence['stretch']:.3g} times longer"
        rows = [row(longer, own, goal.name, examples, own=True)]
        rows.append(row("chosen, trained as the others", tests.get(best.id), goal.name, examples))
    allowed = [t for t in _of(trials, CONTROL) if violation(t, asked.limits()) == 0]
    random = [t for t in allowed if t.id in tests and measured(t, goal.name) is not None]
    random.sort(key=lambda t: -side * (measured(t, goal.name) or 0.0))
    if random:
        name = f"best of {len(random)} random designs"
        rows.append(row(name, tests[random[0].id], goal.name, examples))
    if len(random) > 1:
        mean = fmean(tests[t.id][goal.name] for t in random)
        rows.append(
            {"name": "mean random design", "value": mean, "low": None, "high": None, "own": False}
        )
    rows.append(plain)
    return {
        "measure": goal.name,
        "examples": examples,
        "scores": dict(own),
        "rows": [one for one in rows if one is not None],
    }


def _robustness(problem: Problem, module: nn.Module | None) -> dict[str, float] | None:
    if module is None or problem.data is None or problem.spec is None:
        return None
    test = problem.data.division.test
    if problem.spec.kind is not Kind.CLASSIFICATION or not len(test.x):
        return None
    rng = stream(0, "robustness")
    return robustness(lambda x: predictions(module, x), test, problem.spec, rng)
