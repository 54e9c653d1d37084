"""What `run.json` holds of a table's run."""

from collections.abc import Mapping
from typing import Any

from metawright.recipes.search.asked import Limits
from metawright.recipes.tables.chosen import Chosen
from metawright.tasks.tables import TableTask
from metawright.tasks.tables.column import CATEGORY

__all__ = ["KIND", "folds", "levels", "members", "told"]

KIND = "table"


def levels(task: TableTask) -> dict[str, tuple[str, ...]]:
    """The values of each category that is used."""
    names = [c.name for c in task.columns if c.used and c.kind == CATEGORY]
    return {name: tuple(map(str, task.x[name].cat.categories)) for name in names}


def members(chosen: Chosen) -> dict[str, Any]:
    """Which trials a model is made of, as `run.json` tells it."""
    return {"members": [t.id for t in chosen.trials], "weights": list(chosen.weights)}


def folds(rows: int) -> int:
    """More folds where rows are dear, fewer where time is."""
    return 10 if rows < 200 else 5 if rows < 20_000 else 3


def told(task: TableTask, name: str, asked: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    return {
        "kind": KIND,
        "asked": dict(asked),
        "data": {"name": name, "fingerprint": task.fingerprint},
        "check": task.to_json(),
        "seed": asked["seed"],
        "bundle": None,
        "budget": {"seconds": limits.seconds, "trials": limits.trials},
    }
