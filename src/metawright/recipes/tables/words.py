"""A model of a table in sentences."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metawright.recipes.tables.naming import pipeline_words
from metawright.store.records import Trial

if TYPE_CHECKING:
    from metawright.recipes.tables.chosen import Chosen
    from metawright.tasks.tables import TableTask

__all__ = ["looks_at", "why"]

_TOP = 3


def why(task: "TableTask", chosen: "Chosen", trials: Sequence[Trial], loss: str) -> list[str]:
    """Why this model, in sentences."""
    done = [trial for trial in trials if trial.status == "ok"]
    first, best = done[0], min(done, key=lambda trial: trial.scores[loss])
    name = loss.replace("_", " ")
    lines = [
        f"{len(done)} pipelines were tried on {len(task.y):,} rows, the first a scaled linear "
        f"model with {name} {first.scores[loss]:.4g}; the best single one reaches "
        f"{best.scores[loss]:.4g}, guessing {chosen.baseline[loss]:.4g}."
    ]
    if len(chosen.trials) > 1:
        count, value = len(chosen.trials), chosen.scores[loss]
        lines.append(
            f"The answers of {count} pipelines are averaged, because that lowers the {name} to "
            f"{value:.4g} on rows that none of them had learned from."
            if value < best.scores[loss]
            else f"The answers of {count} pipelines are averaged ({name} {value:.4g}), because on "
            f"{len(task.y):,} rows the first of many is so by luck."
        )
    lines += [
        f"{weight:.0%} {pipeline_words(trial.design)}."
        for trial, weight in zip(chosen.trials, chosen.weights, strict=True)
    ]
    if chosen.temperature != 1:
        way = "surer" if chosen.temperature > 1 else "less sure"
        lines.append(
            f"Its probabilities were {way} than right and are read at a temperature of "
            f"{chosen.temperature:.2f}."
        )
    failed = len(trials) - len(done)
    if failed:
        lines.append(f"{failed} pipelines failed; their errors are in the store.")
    return lines


def looks_at(record: Mapping[str, Any]) -> list[str]:
    """Which columns the model of a run needs most, in a sentence; none where that is not known.

    Arguments:
        record: what `run.json` holds.

    Example:
        >>> worth = {"column": "size", "rise": 0.31, "low": 0.2, "high": 0.4}
        >>> told = {"of": ["a"], "measure": "r2", "columns": [worth]}
        >>> looks_at({"best": {"members": ["a"]}, "explained": told})
        ["It looks most at 'size' (shuffled, R² falls by 0.31)."]
    """
    told = record.get("explained") or {}
    if told.get("of") != record["best"]["members"] or not told.get("columns"):
        return []
    sure = [worth for worth in told["columns"] if worth["low"] > 0][:_TOP]
    if not sure:
        return ["No single column is surely needed: each can be shuffled without harm."]
    change = "R² falls by" if told["measure"] == "r2" else "the log loss rises by"
    names = [f"'{worth['column']}' ({worth['rise']:.2g})" for worth in sure]
    names[0] = f"'{sure[0]['column']}' (shuffled, {change} {sure[0]['rise']:.2g})"
    joined = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return [f"It looks most at {joined}."]
