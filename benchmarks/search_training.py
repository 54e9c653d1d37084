"""Searching by real training: two objectives in ten CPU-minutes, beside random search and Optuna.

Every method gets the same data, space, evaluator and CPU time; a killed run goes on.

    python benchmarks/search_training.py            # as published: about 100 CPU-minutes
    python benchmarks/search_training.py --quick    # under a minute
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import torch

from cells import Cell, Tell, figures_of, flags_of
from harness import Check, data_folder, finish
from metawright.errors import MetawrightError
from metawright.evaluate.scores import scores_of
from metawright.evaluate.supervised import Supervised
from metawright.recipes.search.data import open_data
from metawright.rng import stream
from metawright.spaces import Design
from metawright.store.records import Trial
from metawright.strategies.choose import strategy
from metawright.strategies.objectives import objective
from metawright.strategies.pareto import front, hypervolume
from optuna_space import suggested

OURS = ("nsga2", "predictor")
METHODS = ("random", *OURS, "Optuna NSGA-II", "Optuna TPE")
# Data, space, examples, epochs of a training: such that a design takes a few CPU-seconds.
PROBLEMS: Mapping[str, Mapping[str, Any]] = {
    "digits": {"space": "macro", "examples": None, "epochs": 8},
    "mnist": {"space": "macro", "examples": 15000, "epochs": 2},
}
AT = (60, 120, 300, 600)  # CPU-seconds
SMALLEST, LARGEST = 2.0, 6.0  # log10 of the parameters that count as best and as worst
ABOUT = (
    "Each method searches the space 'macro' (architecture and training together) for accuracy and "
    "few parameters, with the same evaluator (`evaluate.supervised.Supervised`: 60 % of the "
    "examples to learn from, 20 % to choose by) and the same CPU time on one thread, its own "
    "overhead counted. Hypervolume: of validation accuracy from chance to 1 and of the logarithm "
    "of the parameters from 10^6 down to 10^2, both scaled to 0..1, in per cent. Test accuracy: "
    "of the design with the best validation accuracy, on 20 % of the examples that nobody chose "
    "by. One seed each: differences of a few tenths are within the noise of training."
)


def work(settings: Mapping[str, Any], path: Path, tell: Tell) -> dict[str, Any]:
    """Searches for so many CPU-seconds; every trial is kept as a line beside the cell."""
    torch.set_num_threads(1)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    opened = open_data(settings["data"], seed=0, examples=settings["examples"])
    judge = Supervised(opened.division.task, settings["space"], epochs=settings["epochs"])
    search = _searcher(settings["method"], judge)
    log = path.with_suffix(".trials.jsonl")
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    rows: list[dict[str, Any]] = [json.loads(line) for line in lines]
    for known in rows:
        search.told(known)
    spent = rows[-1]["spent"] if rows else 0.0
    best = max((row["accuracy"] for row in rows if row["accuracy"] is not None), default=-1.0)
    while spent < settings["seconds"]:
        started = time.process_time()
        design = search.ask()
        row: dict[str, Any] = {"design": design.to_json(), "accuracy": None, "parameters": None}
        try:
            found = judge(design, seed=0)
            row |= {"accuracy": found.scores["accuracy"], "parameters": found.cost["parameters"]}
            if found.scores["accuracy"] > best:
                best = found.scores["accuracy"]
                module = judge.module(design)
                assert found.params is not None
                module.load_state_dict(found.params)
                test = opened.division.test
                with torch.inference_mode():
                    answers = torch.cat([module.eval()(x) for x in torch.split(test.x, 512)])
                scores = scores_of(answers, test.labels, judge.task.spec)
                row["test"] = scores["accuracy"]
        except MetawrightError as error:
            row["error"] = str(error)
        search.told(row)
        spent += time.process_time() - started
        row["spent"] = spent
        rows.append(row)
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        tell(min(spent / settings["seconds"], 1.0))
    return _figures(rows, settings["seconds"])


_Row = Mapping[str, Any]


class _Searcher:
    """A search as two calls: `ask` gives a design, `told` takes a row of the log."""

    def __init__(
        self, ask: Callable[[], Design], told: Callable[[Mapping[str, Any]], None]
    ) -> None:
        self.ask, self.told = ask, told


def _searcher(method: str, judge: Supervised) -> _Searcher:
    if method.startswith("Optuna"):
        return _by_optuna(method, judge)
    goals = [objective("accuracy"), objective("parameters")]
    search = strategy(method, judge.space, rng=stream(0, "search", method), objectives=goals)
    count = iter(range(10**9))

    def told(row: Mapping[str, Any]) -> None:
        search.tell([_trial(row, str(next(count)))])

    return _Searcher(lambda: search.ask(1)[0], told)


def _trial(row: Mapping[str, Any], number: str) -> Trial:
    design = Design.from_json(row["design"])
    if row["accuracy"] is None:
        return Trial(number, "task", design, {}, status="failed")
    scores, cost = {"accuracy": row["accuracy"]}, {"parameters": row["parameters"]}
    return Trial(number, "task", design, scores, cost)


def _by_optuna(method: str, judge: Supervised) -> _Searcher:
    samplers = optuna.samplers
    kind = samplers.NSGAIISampler if "NSGA" in method else samplers.TPESampler
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=kind(seed=0))
    open_trials: list[optuna.Trial] = []

    def ask() -> Design:
        open_trials.append(study.ask())
        return suggested(judge.space, open_trials[-1])

    def told(row: Mapping[str, Any]) -> None:
        if not open_trials:  # a row of an earlier session: the same proposals are drawn again
            ask()
        trial = open_trials.pop()
        if row["accuracy"] is None:
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(trial, [row["accuracy"], row["parameters"]])

    return _Searcher(ask, told)


def _figures(rows: Sequence[Mapping[str, Any]], seconds: float) -> dict[str, Any]:
    """Hypervolume in per cent at each stated time, the front, and the best on test examples."""
    volumes = {}
    done = [row for row in rows if row["accuracy"] is not None]
    for at in (*(at for at in AT if at < seconds), seconds):
        points = [
            _point(row) for row in rows if row["spent"] <= at and row["accuracy"] is not None
        ]
        volumes[str(at)] = 100 * hypervolume([points[i] for i in front(points)], (0, 0))
    best = max(done, key=lambda row: float(row["accuracy"]))
    tests = [row["test"] for row in rows if "test" in row]
    ends = front([_point(row) for row in done])
    return {
        "volumes": volumes,
        "trials": len(rows),
        "failed": len(rows) - len(done),
        "mean": sum(row["accuracy"] for row in done) / len(done),
        "best": best["accuracy"],
        "best_parameters": best["parameters"],
        "test": tests[-1] if tests else None,
        "front": sorted((done[i]["parameters"], done[i]["accuracy"]) for i in ends),
    }


def _point(row: Mapping[str, Any]) -> tuple[float, float]:
    size = (LARGEST - math.log10(max(row["parameters"], 1.0))) / (LARGEST - SMALLEST)
    return max((row["accuracy"] - 0.1) / 0.9, 0.0), min(max(size, 0.0), 1.0)


def cells_of(*, quick: bool) -> list[Cell]:
    """A cell a method and data set."""
    seconds = 3 if quick else AT[-1]
    made = []
    for data, problem in PROBLEMS.items():
        if data == "mnist" and (quick or data_folder("mnist") is None):
            continue
        for method in METHODS:
            settings: dict[str, Any] = {"data": data, "method": method, "seconds": seconds}
            settings |= problem
            if quick:
                settings |= {"examples": 300, "epochs": 1}
            name = f"{data}-{method}".replace(" ", "-")
            made.append(Cell(name, settings, seconds / 60))
    return made


def result_table(found: Mapping[str, Any], data: str) -> dict[str, Any]:
    """A row a method."""
    rows = []
    for method in METHODS:
        figures = found.get(f"{data}-{method}".replace(" ", "-"))
        if figures is None:
            continue
        volumes = [f"{value:.2f}" for value in figures["volumes"].values()]
        rows.append(
            [
                method,
                figures["trials"],
                *volumes,
                f"{100 * figures['best']:.2f}",
                None if figures["test"] is None else f"{100 * figures['test']:.2f}",
                f"{100 * figures['mean']:.1f}",
            ]
        )
    times = [f"{at} s" for at in AT]
    columns = ["method", "designs", *times, "best, validation", "its test accuracy", "mean design"]
    title = f"{data}: hypervolume (%) after CPU-seconds, and accuracies (%)"
    return {"title": title, "columns": columns, "rows": rows}


def checks(found: Mapping[str, Any]) -> Iterator[Check]:
    """Our best strategy beside random search and Optuna's better sampler."""
    for data in PROBLEMS:
        volume = {
            method: list(found[name]["volumes"].values())[-1]
            for method in METHODS
            if (name := f"{data}-{method}".replace(" ", "-")) in found
        }
        ours = [volume[name] for name in OURS if name in volume]
        for title, theirs in (("random search", ("random",)), ("Optuna", METHODS[-2:])):
            rivals = [volume[name] for name in theirs if name in volume]
            if ours and rivals:
                name = f"hypervolume of our best on {data}, as a multiple of {title}'s"
                yield Check(name, max(ours) / max(rivals), must=1.0)


def main() -> int:
    """Reads the flags, runs what is missing, and hands the record to the harness."""
    flags = flags_of(__doc__).parse_args()
    folder = data_folder("mnist")
    if folder is not None:
        os.environ["METAWRIGHT_DATA"] = str(folder.parent)
    cells = cells_of(quick=flags.quick)
    found = figures_of("Search by training", "search_training", cells, work, flags)
    result = {
        "title": "Search by real training",
        "about": ABOUT,
        "seeds": [0],
        "tables": [result_table(found, data) for data in PROBLEMS],
        "fronts": {name: figures["front"] for name, figures in found.items()},
        "missing": [cell.name for cell in cells if cell.name not in found],
    }
    return finish("search_training", result, list(checks(found)), flags.quick)


if __name__ == "__main__":
    sys.exit(main())
