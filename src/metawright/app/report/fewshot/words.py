"""Figures of few-shot runs in words."""

from collections.abc import Mapping
from typing import Any

from metawright.app.report.charts import Interval
from metawright.app.report.words import number, percent

__all__ = ["asked_words", "interval", "interval_words", "shape", "value_words"]


def asked_words(asked: Mapping[str, Any], percents: bool) -> dict[str, object]:
    """What was asked for, by name; regression has no ways."""
    left_out = set() if percents else {"ways"}
    known = {name: v for name, v in asked.items() if v is not None and name not in left_out}
    known["sources"] = ", ".join(asked["sources"])
    return {name.replace("_", " "): value for name, value in known.items()}


def value_words(value: float | None, percents: bool) -> str:
    """An accuracy in per cent, or another number.

    Example:
        >>> value_words(0.9512, True), value_words(0.35271, False)
        ('95.1 %', '0.353')
    """
    return percent(value) if percents else number(value)


def interval_words(found: Mapping[str, Any], percents: bool) -> str:
    """A mean with half the width of its 95 % interval.

    Example:
        >>> interval_words({"mean": 0.95123, "ci95": 0.0041}, True)
        '95.12 ± 0.41 %'
    """
    mean, half = found["mean"], found["ci95"] or 0.0
    if mean is None:
        return "no number"
    if percents:
        return f"{100 * mean:.2f} ± {100 * half:.2f} %"
    return f"{number(mean)} ± {number(half, 2)}"


def shape(asked: Mapping[str, Any], percents: bool) -> str:
    """The shape of the tasks.

    Example:
        >>> shape({"ways": 5, "shots": None}, True), shape({"ways": 5, "shots": None}, False)
        ('5-way 1-shot', '10-shot')
    """
    if percents:
        return f"{asked['ways']}-way {asked['shots'] or 1}-shot"
    return f"{asked['shots'] or 10}-shot"


def interval(
    name: str, found: Mapping[str, Any], percents: bool, *, own: bool = False
) -> Interval:
    """A figure as a row of a chart; `own` stands out."""
    mean, half = found["mean"], found["ci95"]
    if not half:
        return Interval(name, mean, own=own)
    high = min(mean + half, 1.0) if percents else mean + half
    return Interval(name, mean, max(mean - half, 0.0), high, own)
