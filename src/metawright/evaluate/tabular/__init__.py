"""Tabular benchmarks: evaluators that look results up; a new one is a row of `TABLES`."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from metawright.errors import InputError
from metawright.evaluate.tabular.lcbench import LCBench
from metawright.evaluate.tabular.nasbench201 import DATA_SETS, nasbench201
from metawright.evaluate.tabular.nasbench_graph import GRAPHS, nasbench_graph
from metawright.evaluate.tabular.nasbench_macro import nasbench_macro
from metawright.evaluate.tabular.perceptrons import HPOBENCH, HPOLIB, hpobench, hpolib
from metawright.evaluate.tabular.table import Table

__all__ = [
    "TABLES",
    "LCBench",
    "Table",
    "hpobench",
    "hpolib",
    "nasbench201",
    "nasbench_graph",
    "nasbench_macro",
    "table",
]

TABLES: Mapping[str, Callable[..., Table]] = {
    **{f"nasbench201/{name}": partial(nasbench201, name) for name in DATA_SETS},
    "nasbench-macro/cifar10": nasbench_macro,
    **{f"nasbench-graph/{name}": partial(nasbench_graph, name) for name in GRAPHS},
    **{f"hpobench/{name}": partial(hpobench, name) for name in HPOBENCH},
    **{f"hpolib/{name}": partial(hpolib, name) for name in HPOLIB},
}
"""Tables by name, read when called. `LCBench` is no table: it has a model instead of rows."""


def table(name: str, **options: Any) -> Table:
    """The table of that name.

    Arguments:
        name: a row of `TABLES`.
        options: of that benchmark, such as `device` of NAS-Bench-201.

    Raises:
        InputError: there is no such table, or its data are missing.
    """
    if name not in TABLES:
        raise InputError(f"There is no table {name!r}: choose among {', '.join(TABLES)}.")
    return TABLES[name](**options)
