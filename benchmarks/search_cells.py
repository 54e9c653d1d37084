"""Work of the search benchmark: many repeats of one search on one table, in one process."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from cells import Tell
from metawright.evaluate.evaluator import Evaluation
from metawright.evaluate.tabular import Table, table
from metawright.evaluate.tabular.nasbench201 import DATA_SETS
from metawright.evaluate.tabular.nasbench_graph import GRAPHS
from metawright.evaluate.tabular.perceptrons import HPOBENCH, HPOLIB
from metawright.lazy import load
from metawright.rng import integer, stream
from metawright.spaces import Design
from metawright.spaces.draw import mutate, sample
from metawright.store.records import Trial
from metawright.strategies import STRATEGIES
from metawright.strategies.choose import strategy
from metawright.strategies.objectives import Objective, objective
from metawright.strategies.pareto import hypervolume
from optuna_space import suggested

__all__ = ["FAMILIES", "work"]

FAMILIES = {
    "nasbench201": [f"nasbench201/{name}" for name in DATA_SETS],
    "nasbench-graph": [f"nasbench-graph/{name}" for name in GRAPHS if name != "proteins"],
    "nasbench-macro": ["nasbench-macro/cifar10"],
    "hpobench": [f"hpobench/{name}" for name in HPOBENCH],
    "hpolib": [f"hpolib/{name}" for name in HPOLIB],
}
"""Tables of one space, among which transfer is possible."""

_opened = lru_cache(maxsize=None)(table)


def work(settings: Mapping[str, Any], path: Path, tell: Tell) -> Mapping[str, Any]:
    """The figures of a cell, by its kind."""
    del path  # nothing is kept but the figures
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kinds = {"regret": _regret, "front": _front, "overhead": _overhead, "resume": _resume}
    return kinds[settings["kind"]](settings, tell)


def _regret(settings: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """`curves`: regret of the best seen at the stated evaluations, one row a repeat."""
    name, method, most = settings["table"], settings["method"], settings["evaluations"]
    found, curves, started = _opened(name), [], time.process_time()
    for repeat in range(settings["repeats"]):
        values = _METHODS.get(method, partial(_by_strategy, method))(found, most, repeat)
        curve = _scaled(found, found.best) - np.maximum.accumulate(values)
        curves.append([float(curve[at - 1]) for at in settings["at"]])
        tell((repeat + 1) / settings["repeats"])
        if method in ("static transfer", "mean design"):
            break  # nothing is drawn
    return {"curves": curves, "seconds": time.process_time() - started}


def _scaled(found: Table, value: Any) -> Any:
    """The measure as more is better: points of NAS-Bench-201, log10 of a squared error."""
    if not objective(found.score).maximise:
        return -np.log10(value)
    return value * (100 if found.task.startswith(("nasbench201", "nasbench-macro")) else 1)


def _tried(found: Table, design: Design) -> float:
    """What a search is told: NaN where the table has nothing."""
    row = found.row(design)
    return float("nan") if row is None else float(_column(found)[row])


@cache
def _column(found: Table) -> Any:
    column = found.scores[found.score]
    return _scaled(found, column if column.ndim == 1 else column.mean(1))


def _by_strategy(method: str, found: Table, most: int, repeat: int, **options: Any) -> list[float]:
    options = found.known | options if method == "predictor" else options
    search = load(STRATEGIES[method])(found.space, rng=stream(repeat, "search"), **options)
    values = []
    for number in range(most):
        (design,) = search.ask(1)
        value = _tried(found, design)
        scores = {} if value != value else {"score": value}
        search.tell([Trial(str(number), found.task, design, scores)])
        values.append(-np.inf if value != value else value)
    return values


def _mutate_best(found: Table, most: int, repeat: int) -> list[float]:
    """Ten random designs, then each time the best so far with one decision changed."""
    rng, seen = stream(repeat, "mutate the best"), dict[Design, float]()
    values: list[float] = []
    while len(values) < most:
        best = max(seen, key=lambda design: seen[design]) if seen else None
        design = sample(found.space, rng) if best is None or len(values) < 10 else None
        for attempt in range(50):
            if best is not None and len(values) >= 10:
                design = mutate(found.space, best, rng, changes=1 + attempt // 20)
            if design not in seen:
                break
        assert design is not None
        value = _tried(found, design)
        seen[design] = -np.inf if value != value else value
        values.append(seen[design])
    return values


def _optuna_tpe(found: Table, most: int, repeat: int) -> list[float]:
    study = optuna.create_study(
        direction="maximize", sampler=optuna.samplers.TPESampler(seed=repeat)
    )
    values = []
    for _ in range(most):
        trial = study.ask()
        value = _tried(found, suggested(found.space, trial))
        if value != value:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, value)
        values.append(-np.inf if value != value else value)
    return values


def _static(found: Table, most: int, repeat: int) -> list[float]:
    """In the order of the mean rank on the other tables of the family."""
    del repeat
    family = FAMILIES[found.task.split("/")[0]]
    ranks = [
        (-_column(_opened(other))).argsort().argsort() for other in family if other != found.task
    ]
    if not ranks:
        return [float("nan")] * most
    values: list[float] = _column(found)[np.argsort(sum(ranks), kind="stable")][:most].tolist()
    return values


def _mean(found: Table, most: int, repeat: int) -> list[float]:
    del repeat
    return [float(np.nanmean(_column(found)))] * most


def _experience(found: Table) -> Callable[[Design], list[float]]:
    """One column: the mean rank on the other tables of the family, 0 (worst) to 1."""
    family = FAMILIES[found.task.split("/")[0]]
    columns = [_column(_opened(other)) for other in family if other != found.task]
    ranks = sum(column.argsort().argsort() for column in columns) / len(columns)
    ranks = ranks / len(ranks)

    def rank(design: Design) -> list[float]:
        row = found.row(design)
        return [0.5 if row is None else float(ranks[row])]

    return rank


def _with_experience(found: Table, most: int, repeat: int, *, modelled: bool) -> list[float]:
    """Starts with the ten of 2,000 random designs that rank best on the other tables."""
    rank, rng = _experience(found), stream(repeat, "experience")
    drawn = [sample(found.space, rng) for _ in range(2000)]
    warm = sorted(drawn, key=lambda design: -rank(design)[0])[:10]
    options: dict[str, Any] = {"warm_start": warm}
    if modelled:
        options |= {"features": rank, "features_weight": 0.2, "candidates": 300}
    return _by_strategy("predictor" if modelled else "evolution", found, most, repeat, **options)


_METHODS: Mapping[str, Callable[[Table, int, int], Sequence[float]]] = {
    "mutate the best": _mutate_best,
    "Optuna TPE": _optuna_tpe,
    "static transfer": _static,
    "mean design": _mean,
    "experienced evolution": partial(_with_experience, modelled=False),
    "predictor, mean plus deviation": partial(_by_strategy, "predictor", acquisition="bound"),
    "experienced predictor": partial(_with_experience, modelled=True),
}


def _front(settings: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """`shares`: hypervolume of all that was tried, as a share of that of the whole table."""
    found = _opened(settings["table"], **settings["options"])
    second, method, shares = settings["cost"], settings["method"], []
    accuracy, price = _column(found), np.log(found.cost[second])
    # Both between 0 (worst) and 1 (best); the middle 98 % of the costs, for a few latencies are
    # implausible, and what is outside counts as at the end.
    low, high = np.quantile(price, [0.01, 0.99])

    def point(row: int) -> tuple[float, float]:
        first = (accuracy[row] - accuracy.min()) / (accuracy.max() - accuracy.min())
        return float(first), float(np.clip((high - price[row]) / (high - low), 0, 1))

    every = [point(row) for row in range(len(accuracy))]
    whole = hypervolume(_skyline(every), (0, 0))
    for repeat in range(settings["repeats"]):
        search = _multi(method, found, second, repeat)
        rows = [search() for _ in range(settings["evaluations"])]
        shares.append(hypervolume(_skyline([every[row] for row in rows]), (0, 0)) / whole)
        tell((repeat + 1) / settings["repeats"])
    return {"shares": shares}


def _skyline(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Those that no other covers: sorted by the first, the second must rise."""
    kept: list[tuple[float, float]] = []
    for one in sorted(set(points), reverse=True):
        if not kept or one[1] > kept[-1][1]:
            kept.append(one)
    return kept


def _multi(method: str, found: Table, second: str, repeat: int) -> Callable[[], int]:
    """A search for both objectives, which gives the row that it tried at each call."""

    def tried(design: Design) -> tuple[int, Evaluation]:
        row = found.row(design)
        assert row is not None
        return row, found(design)

    if method.startswith("Optuna"):
        samplers = optuna.samplers
        kind = samplers.NSGAIISampler if "NSGA" in method else samplers.TPESampler
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=kind(seed=repeat))

        def by_optuna() -> int:
            trial = study.ask()
            row, given = tried(suggested(found.space, trial))
            study.tell(trial, [given.scores["accuracy"], given.cost[second]])
            return row

        return by_optuna
    goals = [Objective("accuracy"), Objective(second, maximise=False)]
    search = strategy(method, found.space, rng=stream(repeat, "front"), objectives=goals)
    numbers = iter(range(10**9))

    def by_us() -> int:
        (design,) = search.ask(1)
        row, given = tried(design)
        search.tell([Trial(str(next(numbers)), found.task, design, given.scores, given.cost)])
        return row

    return by_us


def _overhead(settings: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """`milliseconds`: CPU time of ask and tell after 500 trials, median of the last 20."""
    found, rng = _opened("nasbench201/cifar10"), stream(0, "told")
    told = list(dict.fromkeys(sample(found.space, rng) for _ in range(600)))[:500]
    search = load(STRATEGIES[settings["method"]])(found.space, rng=stream(0, "overhead"))
    search.tell(
        [
            Trial(f"told-{number}", "t", design, {"score": _tried(found, design)})
            for number, design in enumerate(told)
        ]
    )
    spent = []
    for number in range(20):
        started = time.process_time()
        (design,) = search.ask(1)
        search.tell([Trial(str(number), "t", design, {"score": _tried(found, design)})])
        spent.append(time.process_time() - started)
        tell(number / 20)
    return {"milliseconds": 1000 * float(np.median(spent))}


def _resume(settings: Mapping[str, Any], tell: Tell) -> dict[str, Any]:
    """`same`: whether a search that is killed and made anew makes the same proposals."""
    del tell
    found, half = _opened("nasbench201/cifar10"), settings["evaluations"] // 2

    def go(search: Any, first: int) -> list[Trial]:
        trials: list[Trial] = []
        for number in range(first, first + half):
            (design,) = search.ask(1)
            trial = Trial(str(number), "t", design, {"score": _tried(found, design)})
            search.tell([trial])
            trials.append(trial)
        return trials

    make = partial(load(STRATEGIES[settings["method"]]), found.space)
    straight = make(rng=stream(integer(stream(7)), "resume"))
    before = go(straight, 0)
    after = go(straight, half)
    again = make(rng=stream(integer(stream(7)), "resume"))
    again.tell(before)
    same = [trial.design for trial in go(again, half)] == [trial.design for trial in after]
    return {"same": same}
