"""A ready strategy by its name, for one objective or several and with or without constraints.

Modules are named by text, so that the table is read without torch.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from metawright.errors import InputError
from metawright.lazy import load
from metawright.strategies.objectives import Constraint, Objective, objective

if TYPE_CHECKING:
    import torch

    from metawright.spaces.design import Design
    from metawright.spaces.space import Space
    from metawright.strategies.strategy import Strategy

__all__ = ["STRATEGIES", "options_of", "strategy"]

STRATEGIES: Mapping[str, str] = {
    "random": "metawright.strategies.random:RandomSearch",
    "grid": "metawright.strategies.grid:Grid",
    "evolution": "metawright.strategies.evolution:Evolution",
    "local": "metawright.strategies.local:LocalSearch",
    "tpe": "metawright.strategies.bayesian:TPE",
    "gp": "metawright.strategies.gaussian_process:GaussianProcess",
    "nsga2": "metawright.strategies.nsga2:NSGA2",
    "reinforce": "metawright.strategies.controller:Reinforce",
    "ppo": "metawright.strategies.ppo:PPO",
    "halving": "metawright.strategies.halving:SuccessiveHalving",
    "hyperband": "metawright.strategies.halving:hyperband",
    "predictor": "metawright.strategies.predictor:Predictor",
}
"""Strategies by name; each is called as `row(space, rng=rng, score=..., warm_start=...)`, has
options with defaults beyond, and maximises the score."""

# Those that also take `objectives=` and `constraints=` themselves.
_NATIVE = {"nsga2", "tpe", "gp"}
# Those that learn as they are told: made anew, they learn all over again.
_GROWTH = {"reinforce": 0.5, "ppo": 0.5}

_COMMON = {"space", "rng", "score", "objectives", "constraints", "warm_start"}


def strategy(
    name: str,
    space: "Space",
    *,
    rng: "torch.Generator",
    objectives: Sequence[str | Objective],
    constraints: Sequence[Constraint] = (),
    warm_start: Sequence["Design"] = (),
    **options: Any,
) -> "Strategy":
    """The strategy of that name, ready for the objectives and constraints, told plain trials.

    With one objective and no constraints it is the strategy itself, told the turned measure where
    less is better. Otherwise NSGA-II and Optuna's take all objectives as they are, and the others
    are told one number for all (`scalarise.Scalarised`).

    Arguments:
        name: a row of `STRATEGIES`.
        space: a space of designs.
        rng: where the seeds of all proposals come from.
        objectives: names (see `objectives.OBJECTIVES`) or own objectives, the first one counts
            most where one has to.
        constraints: what must hold.
        warm_start: designs to try first, the most promising one first.
        options: of that strategy; those that name another strategy (`inner`) take a name too.

    Raises:
        InputError: there is no such strategy, objective or option, or an option's value is wrong.

    Example:
        >>> from metawright.rng import stream
        >>> from metawright.spaces import Integer, Record
        >>> from metawright.store.records import Trial
        >>> from metawright.strategies.choose import strategy
        >>> space = Record({"x": Integer(0, 9)})
        >>> search = strategy("evolution", space, rng=stream(0), objectives=["error", "params"])
        >>> (design,) = search.ask(1)
        >>> search.tell([Trial("0", "task", design, {"error": 0.5}, {"parameters": 100})])
    """
    wanted = [objectives] if isinstance(objectives, str) else objectives
    goals = [goal if isinstance(goal, Objective) else objective(goal) for goal in wanted]
    if not goals:
        raise InputError("`objectives` must hold at least one objective, but got none.")
    row = _row(name)
    _check_options(name, row, options)
    if isinstance(options.get("inner"), str):
        options["inner"] = _row(options["inner"])
    make = partial(row, space, warm_start=warm_start, **options)
    if name in _NATIVE:
        native: Strategy = make(rng=rng, objectives=goals, constraints=constraints)
        return native
    scalarise = import_module("metawright.strategies.scalarise")
    if len(goals) == 1 and not constraints:
        return cast("Strategy", scalarise.Turned(make(rng=rng, score=scalarise.SCALAR), goals[0]))
    wrapped: Strategy = scalarise.Scalarised(
        partial(make, score=scalarise.SCALAR),
        space,
        rng=rng,
        objectives=goals,
        constraints=constraints,
        growth=_GROWTH.get(name, 0.02),
    )
    return wrapped


def options_of(name: str) -> dict[str, Any]:
    """The options of a strategy beyond those that all have, and their defaults."""
    parameters = inspect.signature(_row(name)).parameters.values()
    return {each.name: each.default for each in parameters if each.name not in _COMMON}


def _row(name: str) -> Callable[..., "Strategy"]:
    if name not in STRATEGIES:
        raise InputError(f"There is no strategy {name!r}: choose among {', '.join(STRATEGIES)}.")
    row: Callable[..., Strategy] = load(STRATEGIES[name])
    return row


def _check_options(name: str, row: Callable[..., Any], options: Mapping[str, Any]) -> None:
    known = [each for each in inspect.signature(row).parameters if each not in _COMMON]
    for option in options:
        if option not in known:
            has = f"its options are {', '.join(known)}" if known else "it has none"
            raise InputError(f"Strategy '{name}' has no option {option!r}: {has}.")
