"""A model of a table in sentences."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from metawright.spaces.design import Design
from metawright.store.records import Trial

if TYPE_CHECKING:
    from metawright.recipes.tables.chosen import Chosen
    from metawright.tasks.tables import TableTask

__all__ = ["pipeline_words", "why"]


def pipeline_words(design: Design) -> str:
    """A pipeline in a few words: its model and its settings.

    Example:
        >>> from metawright.spaces.tables import first_designs
        >>> pipeline_words(first_designs("classification")[0])
        'logistic (strength 1) on standard scaling'
    """
    model = design["model"]
    settings = [_setting(name, value) for name, value in model.items() if name != "kind"]
    told = f" ({', '.join(settings)})" if settings else ""
    scaling = design["preparation"]["scaling"]
    return f"{model['kind'].replace('_', ' ')}{told} on " + (
        "unscaled columns" if scaling == "none" else f"{scaling} scaling"
    )


def _setting(name: str, value: Any) -> str:
    if isinstance(value, Mapping):  # a choice with decisions of its own
        value = value["kind"]
    told = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {told}"


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
        lines.append(
            f"The answers of {len(chosen.trials)} pipelines are averaged, because that lowers the "
            f"{name} to {chosen.scores[loss]:.4g} on rows that none of them had learned from."
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
