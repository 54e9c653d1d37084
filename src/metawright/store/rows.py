"""Records as rows of the tables, and back.

JSON has no NaN and no infinity: they are kept as null, and come back as NaN in scores and costs.
"""

import json
import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Insert, Row, Table, bindparam, exists, select

from metawright.spaces.design import Design
from metawright.store.files import json_text
from metawright.store.records import RunRecord, Trial

__all__ = ["bound", "insert_new", "run_of", "run_row", "trial_of", "trial_row"]


def insert_new(table: Table, unique: str) -> Insert:
    """Inserts a row unless the value of its `unique` column is there; its parameters are `bound`.

    One statement that every database knows. Starting with the write also makes SQLite wait for
    other writers; a transaction that read first would be turned away at once.
    """
    columns = [column for column in table.columns if column.name != "sequence"]
    values = [bindparam(f"new_{column.name}", type_=column.type) for column in columns]
    known = exists().where(table.c[unique] == bindparam(f"new_{unique}"))
    return table.insert().from_select(columns, select(*values).where(~known))


def bound(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row under the parameter names of `insert_new`; plain names are SQLAlchemy's own."""
    return {f"new_{column}": value for column, value in row.items()}


def trial_row(trial: Trial) -> dict[str, Any]:
    """A trial as the parameters of `insert_new`."""
    return bound(
        {
            "id": trial.id,
            "task": trial.task,
            "run": trial.run,
            "status": trial.status,
            "design": trial.design.key,
            "scores": json_text(trial.scores),
            "cost": json_text(trial.cost),
            "evidence": json_text(trial.evidence),
            "weights": trial.weights,
            "created": trial.created,
        }
    )


def trial_of(row: Row[Any]) -> Trial:
    """The trial in a row of `trials`."""
    return Trial(
        id=row.id,
        task=row.task,
        design=Design.from_json(json.loads(row.design)),
        scores=_numbers(row.scores),
        cost=_numbers(row.cost),
        evidence=json.loads(row.evidence),
        status=row.status,
        run=row.run,
        created=row.created,
        weights=row.weights,
    )


def run_row(run: RunRecord) -> dict[str, Any]:
    """A run as the parameters of `insert_new`."""
    return bound(
        {
            "id": run.id,
            "command": run.command,
            "status": run.status,
            "info": json_text(run.info),
            "created": run.created,
        }
    )


def run_of(row: Row[Any]) -> RunRecord:
    """The run in a row of `runs`."""
    return RunRecord(
        id=row.id,
        command=row.command,
        created=row.created,
        status=row.status,
        info=json.loads(row.info),
    )


def _numbers(text: str) -> dict[str, float]:
    return {name: math.nan if value is None else value for name, value in json.loads(text).items()}
