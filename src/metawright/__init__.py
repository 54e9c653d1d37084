"""metawright learns from many tasks, then makes a model for a new one.

This is the public door. Names load when they are first used, so that `import metawright` and the
command line stay light:

    made = metawright.generate("drawings/", budget="30s", out="runs/drawings")
    metawright.predict("runs/drawings", ["new.png"]).labels
    metawright.report("runs/drawings")
    metawright.export("runs/drawings")
"""

from typing import TYPE_CHECKING

from metawright.lazy import attributes, load

if TYPE_CHECKING:
    from metawright.app.report.any_run import write_run_report as report
    from metawright.engine.budget import Budget
    from metawright.errors import BusyError, InputError, MetawrightError, VersionError
    from metawright.generators.bundle import Bundle, load_bundle
    from metawright.recipes.estimator import MetaClassifier
    from metawright.recipes.export import export_model as export
    from metawright.recipes.fewshot.compare import Comparison, compare
    from metawright.recipes.fewshot.run import FewShot, fewshot, load_fewshot
    from metawright.recipes.generate import Generated
    from metawright.recipes.meta_train import meta_train
    from metawright.recipes.predict import predict_paths as predict
    from metawright.recipes.search.found import Found, load_found
    from metawright.recipes.search.search import search
    from metawright.recipes.tables.estimators import TableClassifier, TableRegressor
    from metawright.recipes.tables.verb import (
        GeneratedTable,
        generate_from_table,
        predict_table,
    )
    from metawright.recipes.verbs import generate
    from metawright.tasks.task import Batch, Task, TaskSpec

__version__ = "0.1.0"

__all__ = [
    "Batch",
    "Budget",
    "Bundle",
    "BusyError",
    "Comparison",
    "FewShot",
    "Found",
    "Generated",
    "GeneratedTable",
    "InputError",
    "MetaClassifier",
    "MetawrightError",
    "TableClassifier",
    "TableRegressor",
    "Task",
    "TaskSpec",
    "VersionError",
    "__version__",
    "compare",
    "export",
    "fewshot",
    "generate",
    "generate_from_table",
    "load_bundle",
    "load_fewshot",
    "load_found",
    "meta_train",
    "predict",
    "predict_table",
    "report",
    "search",
]

_VERBS = {
    "compare": "metawright.recipes.fewshot.compare:compare",
    "export": "metawright.recipes.export:export_model",
    "fewshot": "metawright.recipes.fewshot.run:fewshot",
    "generate": "metawright.recipes.verbs:generate",
    "generate_from_table": "metawright.recipes.tables.verb:generate_from_table",
    "meta_train": "metawright.recipes.meta_train:meta_train",
    "predict": "metawright.recipes.predict:predict_paths",
    "predict_table": "metawright.recipes.tables.verb:predict_table",
    "report": "metawright.app.report.any_run:write_run_report",
    "search": "metawright.recipes.search.search:search",
}
_get = attributes(
    __name__,
    dict.fromkeys(("Batch", "Task", "TaskSpec"), "metawright.tasks.task")
    | dict.fromkeys(
        ("BusyError", "InputError", "MetawrightError", "VersionError"), "metawright.errors"
    )
    | dict.fromkeys(("Bundle", "load_bundle"), "metawright.generators.bundle")
    | dict.fromkeys(("TableClassifier", "TableRegressor"), "metawright.recipes.tables.estimators")
    | dict.fromkeys(("FewShot", "load_fewshot"), "metawright.recipes.fewshot.run")
    | dict.fromkeys(("Found", "load_found"), "metawright.recipes.search.found")
    | {
        "Comparison": "metawright.recipes.fewshot.compare",
        "Budget": "metawright.engine.budget",
        "Generated": "metawright.recipes.generate",
        "GeneratedTable": "metawright.recipes.tables.verb",
        "MetaClassifier": "metawright.recipes.estimator",
    },
)


def __getattr__(name: str) -> object:
    return load(_VERBS[name]) if name in _VERBS else _get(name)
