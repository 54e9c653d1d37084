"""What a search is after: objectives by name and the side to which they are better, constraints.

Quality lies in `Trial.scores`, price in `Trial.cost`; an objective is looked for in both, so that
a strategy need not know which is which.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from metawright.errors import InputError

if TYPE_CHECKING:
    from metawright.store.records import Trial  # for the command line: it loads NumPy

__all__ = [
    "ALIASES",
    "OBJECTIVES",
    "Constraint",
    "Objective",
    "Rule",
    "aligned",
    "excesses",
    "measured",
    "objective",
    "violation",
]

OBJECTIVES: Mapping[str, bool] = {
    "score": True,
    "accuracy": True,
    "balanced_accuracy": True,
    "auc": True,
    "f1": True,
    "r2": True,
    "inception_score": True,
    "log_loss": False,
    "error": False,
    "mean_squared_error": False,
    "mean_absolute_error": False,
    "rmse": False,
    "perplexity": False,
    "fid": False,
    "parameters": False,
    "flops": False,
    "latency": False,
    "bytes": False,
    "energy": False,
    "seconds": False,
}
"""Objectives by name, and whether more of them is better."""

ALIASES: Mapping[str, str] = {
    "acc": "accuracy",
    "loss": "log_loss",
    "mse": "mean_squared_error",
    "mae": "mean_absolute_error",
    "params": "parameters",
    "size": "bytes",
    "time": "seconds",
}
"""Other names that are understood."""

Rule: TypeAlias = Literal["best", "knee"] | Mapping[str, float]
"""How one point of a front is chosen: see `pareto.Archive.choose`."""


@dataclass(frozen=True)
class Objective:
    """A measure of a trial and its better side.

    Arguments:
        name: a key of `Trial.scores` or `Trial.cost`.
        maximise: whether more is better.
    """

    name: str
    maximise: bool = True

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("`name` must be a non-empty text, but got ''.")


@dataclass(frozen=True)
class Constraint:
    """A measure that must not be above `most`, such as 100,000 parameters.

    Arguments:
        name: a key of `Trial.scores` or `Trial.cost`.
        most: the largest value that is allowed.
    """

    name: str
    most: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", _name(self.name))
        if not self.name:
            raise InputError("`name` must be a non-empty text, but got ''.")
        if not math.isfinite(self.most):
            raise InputError(f"`most` must be a finite number, but got {self.most}.")


def objective(name: str) -> Objective:
    """The objective of that name or alias.

    An own measure is an `Objective` that is made by hand.

    Raises:
        InputError: there is no such name; the sentence tells those that there are.

    Example:
        >>> from metawright.strategies.objectives import objective
        >>> objective("accuracy"), objective("params")
        (Objective(name='accuracy', maximise=True), Objective(name='parameters', maximise=False))
    """
    known = _name(name)
    if known not in OBJECTIVES:
        raise InputError(
            f"There is no objective {name!r}: choose among {', '.join(OBJECTIVES)} "
            f"(or {', '.join(f'{short} for {long}' for short, long in ALIASES.items())})."
        )
    return Objective(known, OBJECTIVES[known])


def measured(trial: "Trial", name: str) -> float | None:
    """The trial's measure of that name or alias, from its scores or else its cost.

    Returns:
        The number; None where the trial failed, lacks it, or it is not finite.
    """
    if trial.status == "failed":
        return None
    name = _name(name)
    value = trial.scores.get(name, trial.cost.get(name, math.nan))
    return value if math.isfinite(value) else None


def aligned(trial: "Trial", objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """The trial's measures, all turned so that more is better; None where one is missing.

    Example:
        >>> from metawright.spaces import Design
        >>> from metawright.store.records import Trial
        >>> from metawright.strategies.objectives import aligned, objective
        >>> trial = Trial("1", "task", Design({}), {"accuracy": 0.9}, cost={"parameters": 50})
        >>> aligned(trial, [objective("accuracy"), objective("parameters")])
        (0.9, -50.0)
    """
    point = []
    for wanted in objectives:
        value = measured(trial, wanted.name)
        if value is None:
            return None
        point.append(value if wanted.maximise else -value)
    return tuple(point)


def violation(trial: "Trial", constraints: Sequence[Constraint]) -> float:
    """By how much the trial breaks the constraints: 0 where it keeps all of them.

    Each excess counts as a share of what is allowed (as it is, where 0 is allowed), and they are
    summed. A measure that is missing counts as unknown beside constraints that are known to be
    broken (a design left out for its size was never timed), and as infinite where none is.
    """
    excess = sum(max(over, 0.0) for over in excesses(trial, constraints).values())
    unknown = any(measured(trial, each.name) is None for each in constraints)
    return math.inf if unknown and excess == 0 else excess


def excesses(trial: "Trial", constraints: Sequence[Constraint]) -> dict[str, float]:
    """By how much the trial is above (or, below 0, below) each constraint, as a share of what is
    allowed; 0 where that is not known. Two constraints on one measure count as the tighter one."""
    found: dict[str, float] = {}
    for constraint in constraints:
        value = measured(trial, constraint.name)
        over = 0.0 if value is None else value - constraint.most
        share = over / abs(constraint.most) if constraint.most else over
        found[constraint.name] = max(share, found.get(constraint.name, share))
    return found


def _name(name: str) -> str:
    return ALIASES.get(name, name)
