"""The most that a model of a table may cost: bytes on the disk, seconds to predict a row."""

import json
from collections.abc import Mapping, Sequence

import numpy as np

from metawright.errors import InputError
from metawright.evaluate.tables import rows_latency
from metawright.models.tables import FittedPipeline
from metawright.recipes.tables.model import TableModel
from metawright.recipes.tables.naming import pipeline_words
from metawright.store.records import Trial
from metawright.strategies.objectives import Constraint
from metawright.tasks.tables import TableTask

__all__ = ["constraints", "excess", "measured_cost", "member_costs", "nothing_fits",
           "kept_words", "total"]  # fmt: skip

_ONES = 30  # rows that are predicted one by one


def constraints(max_bytes: float | None, max_latency: float | None) -> tuple[Constraint, ...]:
    """What was asked for.

    Raises:
        InputError: a limit that is not more than 0.
    """
    asked = {"bytes": max_bytes, "latency": max_latency}
    for name, most in asked.items():
        if most is not None and not 0 < most < np.inf:
            raise InputError(f"`max_{name}` must be more than 0, but got {most}.")
    return tuple(Constraint(name, most) for name, most in asked.items() if most is not None)


def excess(cost: Mapping[str, float], most: Sequence[Constraint]) -> float:
    """How many times a cost is what is allowed, by the limit that is hardest to keep; 0 without
    limits."""
    return max((cost.get(limit.name, 0.0) / limit.most for limit in most), default=0.0)


def total(costs: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """What pipelines cost together."""
    return {name: sum(cost.get(name, 0.0) for cost in costs) for name in ("bytes", "latency")}


def measured_cost(
    model: TableModel, files: Mapping[str, bytes], task: TableTask
) -> dict[str, float]:
    """What `run.json` holds of a model: "bytes" of its files, and seconds on one thread to predict
    a row of a thousand ("latency") and a single one ("latency_single")."""
    x = task.x[list(task.used)]
    return {
        "bytes": float(sum(len(data) for data in files.values())),
        "latency": rows_latency(model.answers, x),
        "latency_single": rows_latency(model.answers, x.iloc[:1], rows=1, repeats=_ONES),
    }


def member_costs(
    members: Sequence[FittedPipeline], whole: Mapping[str, float], task: TableTask
) -> list[dict[str, float]]:
    """The share of each member in what the whole costs."""
    x = task.x[list(task.used)]
    own = []
    for member in members:
        state = member.to_state()
        size = sum(array.nbytes for array in state.arrays.values()) + len(json.dumps(state.data))
        own.append({"bytes": float(size), "latency": rows_latency(member.predict, x)})
    sums = total(own)
    return [
        {name: cost[name] / sums[name] * whole[name] for name in ("bytes", "latency")}
        for cost in own
    ]


def nothing_fits(trials: Sequence[Trial], most: Sequence[Constraint]) -> InputError:
    """The sentence where no pipeline keeps the limits: it names the nearest."""
    nearest = min(trials, key=lambda trial: excess(trial.cost, most))
    told = " and ".join(
        f"{_amount(limit.name, nearest.cost.get(limit.name, 0.0))} "
        f"(--max-{limit.name} allows {_amount(limit.name, limit.most)})"
        for limit in most
    )
    return InputError(
        f"None of {len(trials)} pipelines keeps the limits; the nearest is "
        f"{pipeline_words(nearest.design)} with {told}: allow more, or give it more time."
    )


def _amount(name: str, value: float) -> str:
    return f"{value:,.0f} bytes" if name == "bytes" else f"{1e6 * value:,.3g} µs a row"


def kept_words(cost: Mapping[str, float], most: Sequence[Constraint]) -> list[str]:
    """By how much a model keeps the limits, in a sentence; none without limits."""
    told = [
        f"{_amount(limit.name, cost[limit.name])} of the {_amount(limit.name, limit.most)}"
        for limit in most
    ]
    return [f"It takes {' and '.join(told)} that are allowed."] if told else []
