"""Designs of a space as Optuna proposes them: define by run, decision by decision."""

from typing import Any

import optuna

from metawright.spaces import Choice, Design, Integer, Real, Space, active, decisions, read

__all__ = ["suggested"]


def suggested(space: Space, trial: optuna.Trial) -> Design:
    """The design that an Optuna trial means; inactive decisions are not asked for."""
    point: list[Any] = []
    for each in decisions(space):
        match each.domain if active(each, point) else None:
            case Choice(options):
                point.append(trial.suggest_categorical(each.name, list(options)))
            case Integer(low, high, log):
                point.append(trial.suggest_int(each.name, low, high, log=log))
            case Real(low, high, log):
                point.append(trial.suggest_float(each.name, low, high, log=log))
            case None:
                point.append(None)
    return read(space, tuple(point))
