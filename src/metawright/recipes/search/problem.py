"""What is searched on what: an evaluator with its space, from whatever the user gave."""

import hashlib
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple, cast

from torch import nn

from metawright.errors import InputError
from metawright.evaluate.evaluator import Evaluator
from metawright.evaluate.supervised import Supervised
from metawright.evaluate.tabular import table
from metawright.recipes.search.asked import OWN, Asked, is_file
from metawright.recipes.search.check import check_problem, check_used, is_table
from metawright.recipes.search.data import Data, open_data
from metawright.recipes.search.own import OwnEvaluator
from metawright.recipes.search.own_file import FromFile, from_file, own_space
from metawright.spaces.design import Design
from metawright.spaces.schema import space_to_json
from metawright.spaces.space import Record, Space
from metawright.store.files import json_text
from metawright.tasks.task import Kind, TaskSpec

__all__ = ["Build", "Problem", "pose"]

_PRICES = ("parameters", "flops", "latency", "bytes", "energy", "seconds")

Build = Callable[[Design, TaskSpec], nn.Module]


class Problem(NamedTuple):
    """What is searched.

    Arguments:
        evaluator: judges designs.
        space: of the designs.
        name: of the data, for people.
        fingerprint: of the data; the task's id in stores.
        spec: of the data; None where there is none (tables, a user's own evaluator).
        data: in three parts; None likewise.
        notes: sentences for the user.
    """

    evaluator: Evaluator
    space: Space
    name: str
    fingerprint: str
    spec: TaskSpec | None = None
    data: Data | None = None
    notes: tuple[str, ...] = ()


def pose(
    asked: Asked,
    data: Any = None,
    *,
    space: Space | None = None,
    build: Build | None = None,
    evaluate: Callable[..., Any] | None = None,
) -> Problem:
    """The problem that was asked for.

    Arguments:
        asked: names of data and space.
        data: as an object, where `asked.data` is `OWN`.
        space: as an object, where `asked.space` is `OWN`.
        build: makes a module of a design of an own space.
        evaluate: judges designs in place of training.

    Raises:
        InputError: data and space do not go together, something is missing, or something that
            was given would change nothing.
    """
    if data is None and evaluate is None and space is None:
        check_problem(asked)
    _check_one(asked, space, build, evaluate)
    if is_table(asked.data):
        check_used(asked)
        return _table(asked)
    if is_file(asked.space):
        path = Path(asked.space)
        defined = from_file(path)
        space = defined["space"]
        if "evaluate" in defined:
            evaluate = FromFile(path, "evaluate")
        else:
            build = FromFile(path, "build")
    check_used(asked, given=data is not None, evaluated=evaluate is not None)
    if evaluate is not None:
        if space is None:
            raise InputError("`evaluate` needs `space`: the designs that it can judge.")
        own = OwnEvaluator(evaluate, own_space(space))
        return Problem(own, own.space, asked.data, _named(asked, own.space))
    if asked.data == OWN and data is None:
        raise InputError("Give DATA to search on, or a space that comes with `evaluate`.")
    if asked.space == OWN and (space is None or build is None):
        raise InputError("An own `space` needs `build(design, spec)`, or `evaluate(design)`.")
    return _trained(asked, data, space, build)


def _check_one(
    asked: Asked, space: Space | None, build: Build | None, evaluate: Callable[..., Any] | None
) -> None:
    """Refuses two things of which one would be ignored."""
    functions = [name for name, each in (("build", build), ("evaluate", evaluate)) if each]
    if len(functions) > 1:
        raise InputError("Give `build` or `evaluate`, not both: a design is trained or judged.")
    if is_table(asked.data):
        if given := [*(["space"] if space is not None else []), *functions]:
            raise InputError(
                f"'{asked.data}' is a table with a space and measures of its own: leave "
                f"`{given[0]}` out."
            )
    elif functions and is_file(asked.space):
        raise InputError(
            f"'{asked.space}' says how designs are judged: leave `{functions[0]}` out."
        )


def _check_measures(wanted: Collection[str], kind: Kind) -> None:
    """Refuses what training on such data does not measure, before any work."""
    if kind is Kind.REGRESSION and "accuracy" in wanted:
        raise InputError("The data has numbers to predict: give --objective r2 or rmse.")
    scores = ("r2", "rmse") if kind is Kind.REGRESSION else ("accuracy", "log_loss")
    known = (*scores, *_PRICES)
    for name in wanted:
        if name not in known:
            raise InputError(
                f"'{name}' is not measured on such data: choose among {', '.join(known)}."
            )


def _named(asked: Asked, space: Space) -> str:
    """A task without data is known by its name and its space."""
    text = json_text({"data": asked.data, "space": space_to_json(space)})
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _record(space: Space) -> Record:
    """An own space, where networks are to be trained: a record, so that it may say how."""
    if not isinstance(own_space(space), Record):
        raise InputError(f"A space of networks must be a Record, but got {space!r}.")
    return cast(Record, space)


def _table(asked: Asked) -> Problem:
    rows = table(asked.data)
    return Problem(rows, rows.space, asked.data, rows.task)


def _trained(asked: Asked, data: Any, space: Space | None, build: Build | None) -> Problem:
    opened = open_data(
        asked.data if data is None else data,
        seed=asked.seed,
        examples=asked.examples,
        size=asked.size,
        channels=asked.channels,
    )
    task = opened.division.task
    wanted = {*asked.objectives, *dict(asked.constraints)}
    _check_measures(wanted, task.spec.kind)
    evaluator = Supervised(
        task,
        asked.space if space is None else _record(space),
        build=build,
        epochs=asked.epochs,
        measure_latency="latency" in wanted,
        measure_energy="energy" in wanted,
    )
    return Problem(
        evaluator,
        evaluator.space,
        opened.name,
        opened.fingerprint,
        task.spec,
        opened,
        opened.notes,
    )
