"""What a model looks at: the worth of each column on rows left out, and how answers hang on them.

Members are fitted anew on the rows of a fold, and one column after the other is shuffled in the
rows left out: as many folds and shuffles as there is time for. Only means over rows are kept.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metawright.engine.budget import Clock
from metawright.engine.run_folder import RunFolder
from metawright.evaluate.columns import dependence, loss_rises, worths
from metawright.evaluate.tables import TableEvaluator
from metawright.models.tables.mixture import calibrated, mixed
from metawright.recipes.search.job import Runner
from metawright.recipes.tables.model import TableModel
from metawright.rng import integer, stream
from metawright.spaces.design import Design
from metawright.store.records import Trial
from metawright.tasks.tables import TableTask
from metawright.tasks.task import Kind

__all__ = ["explain", "kept_back", "shuffled"]

_END = 0.04  # share of the budget that is left for the report

_FOLDS, _REPEATS = 2, 3  # where trials are counted and not time, so that the result is the same
_MOST_REPEATS = 5
_ROWS, _SHOWN_ROWS = 2000, 200
_MARGIN = 1.5  # times longer that a fit may take than it did before
_COLUMNS = 6


def shuffled(
    evaluator: TableEvaluator,
    designs: Sequence[Design],
    weights: Sequence[float],
    temperature: float,
    number: int,
    seed: int,
    seconds: float,
) -> NDArray[np.float64]:
    """In a worker: by how much the loss of each row of a fold rises without a column.

    Returns:
        (rows, columns) means over the shuffles; the columns are those that are used.

    Arguments:
        number: of the fold.
        seconds: there is time for; infinite: a fixed number of shuffles. One is always done.
    """
    began = time.monotonic()
    task, fold = evaluator.task, evaluator.folds[number]
    members = [evaluator.fitted(design, number, seed=seed) for design in designs]
    draw = np.random.default_rng(integer(stream(seed, "importance", number)))
    rows = fold.judge
    if len(rows) > _ROWS:
        rows = np.sort(draw.choice(rows, _ROWS, replace=False))

    def predict(x: Any) -> NDArray[np.float64]:
        answers = mixed([member.predict(x) for member in members], weights)
        return answers if task.kind is Kind.REGRESSION else calibrated(answers, temperature)

    names = list(task.used)
    x, y = task.x[names].iloc[rows], task.y[rows]
    total, repeats = np.zeros((len(rows), len(names))), 0
    most = _REPEATS if math.isinf(seconds) else _MOST_REPEATS
    while repeats < most:
        start = time.monotonic()
        total += loss_rises(predict, x, y, task.kind, names, draw)
        repeats += 1
        if 2 * time.monotonic() - start - began > seconds:  # another one would be too late
            break
    return total / repeats


def explain(
    folder: RunFolder,
    model: TableModel,
    task: TableTask,
    trials: Sequence[Trial],
    workers: Runner,
    clock: Clock,
    *,
    folds: int,
    seed: int,
) -> None:
    """Writes to `run.json`, as "explained", what the model of the folder looks at.

    Without the time for it nothing is written; what is known of the same model already stays.

    Arguments:
        trials: among them the members of the model.
        workers: that run a `Work`.
        clock: of the whole budget.
        folds: how many there are.
    """
    members = folder.record["best"]["members"]
    kept = folder.record.get("explained") or {}
    if kept.get("of") == members and kept.get("columns"):
        return
    known = {trial.id: trial for trial in trials}
    rises = _rises([known[name] for name in members], model, workers, clock, folds)
    told: dict[str, Any] = {"of": members}
    names = list(task.used)
    if rises is not None:
        if task.kind is Kind.REGRESSION:
            rises = rises / max(float(task.y.var()), 1e-300)
        columns = worths(rises, names)
        names = [worth.column for worth in columns]
        told["measure"] = "log_loss" if task.kind is Kind.CLASSIFICATION else "r2"
        told |= {"rows": len(rises), "columns": [worth._asdict() for worth in columns]}
    told["dependence"] = _dependences(task, model, names, clock, seed)
    folder.save(explained=told)


def kept_back(clock: Clock) -> float:
    """Seconds of a budget that are left for the report."""
    total = clock.budget.seconds
    return 0.0 if total is None else min(max(_END * total, 1.0), 0.2 * total)


def _rises(
    members: Sequence[Trial], model: TableModel, workers: Runner, clock: Clock, folds: int
) -> NDArray[np.float64] | None:
    """By how much losses rise without a column (rows, columns), of as many folds as there is time
    for; None where there is none for a single one."""
    counted = clock.budget.seconds is None
    expected = sum(trial.cost.get("seconds", 0.0) for trial in members) / folds
    designs = [trial.design for trial in members]
    waiting, out = list(range(min(_FOLDS, folds) if counted else folds)), 0
    parts: dict[str, NDArray[np.float64]] = {}
    while waiting or out:
        while waiting and workers.free:
            left = clock.remaining() - kept_back(clock)
            if _MARGIN * expected > left:
                waiting = []
                break
            number = waiting.pop(0)
            how = (model.weights, model.temperature, number, 0.7 * left)
            seconds = None if counted else left
            until = None if counted else time.monotonic() + left
            workers.submit(
                f"shuffled-{number}", designs, shuffle=how, seconds=seconds, until=until
            )
            out += 1
        for outcome in workers.wait():
            out -= 1
            if outcome.how == "done":
                parts[outcome.key] = outcome.value
    return np.concatenate([parts[key] for key in sorted(parts)]) if parts else None


def _dependences(
    task: TableTask, model: TableModel, names: Sequence[str], clock: Clock, seed: int
) -> list[dict[str, Any]]:
    """How the answers of the model hang on some columns, while there is time."""
    draw = np.random.default_rng(integer(stream(seed, "dependence")))
    rows = np.sort(draw.permutation(len(task.y))[:_SHOWN_ROWS])
    x = task.x[list(task.used)].iloc[rows].reset_index(drop=True)
    kinds = {column.name: column.kind for column in task.columns}
    found: list[dict[str, Any]] = []
    for name in names[:_COLUMNS]:
        if clock.remaining() <= kept_back(clock):
            break
        shape = dependence(model.answers, x, name)
        if shape is not None:
            parts = {"answers": shape.answers, "low": shape.low, "high": shape.high}
            told = {key: [[float(f"{v:.6g}") for v in row] for row in part.tolist()]
                    for key, part in parts.items()}  # fmt: skip
            found.append({"column": name, "kind": kinds[name], "at": list(shape.at), **told})
    return found
