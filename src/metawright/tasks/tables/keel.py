"""Real tables to gather experience on: those of the KEEL repository, as tasks.

Each is posed as it was meant (the last column is the class). The larger ones are also posed as
regression: a column of many different numbers is predicted from all others, the class among them.
"""

import csv
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas

from metawright.errors import InputError
from metawright.tasks.data_folder import data_file
from metawright.tasks.kind import Kind
from metawright.tasks.tables.read import read_table
from metawright.tasks.tables.task import TableTask, pose_table

__all__ = ["NamedTable", "keel_names", "keel_tables", "read_keel"]

_FOLDER = "tabular_keel"
_STEMS = re.compile(r"abalone|yeast|winequality|kr-vs-k|shuttle|car|segment|new-thyroid")
_WHOLE = ("abalone19", "yeast1", "winequality-red-4", "shuttle-2_vs_5", "new-thyroid1", "haberman")
_TARGETS = 2  # columns of a table that are predicted as numbers
_VALUES = 30  # different numbers that such a column must have


class NamedTable(NamedTuple):
    """A task with its name and family: tables of one family come from one source."""

    name: str
    family: str
    task: TableTask


def keel_names(root: Path | str | None = None) -> list[tuple[str, str]]:
    """Names of the tables, each with its suite ("balanced" or "imbalanced").

    Raises:
        InputError: the data set is not there.
    """
    text = data_file(root, _FOLDER, "index.csv").read_text("utf-8")
    return [(row["name"], row["suite"]) for row in csv.DictReader(text.splitlines())]


def read_keel(name: str, root: Path | str | None = None) -> pandas.DataFrame:
    """A table as texts, columns "c1", "c2" ... and "class".

    Raises:
        InputError: there is no such table.
    """
    path = data_file(root, _FOLDER, "keel_tables.zip")
    with zipfile.ZipFile(path) as folder:
        if f"{name}.csv" not in folder.namelist():
            raise InputError(f"'{path}' holds no table '{name}': use one of its index.csv.")
        rows = list(csv.reader(folder.read(f"{name}.csv").decode("utf-8").splitlines()))
    columns = [f"c{place}" for place in range(1, len(rows[0]))]
    return pandas.DataFrame(rows, columns=[*columns, "class"], dtype=str)


def keel_tables(
    kind: Kind, *, rows: int = 2000, seed: int = 0, root: Path | str | None = None
) -> Iterator[NamedTable]:
    """The tables as tasks of a kind, in the order of the data set's index.

    Arguments:
        kind: classification: all tables; regression: columns of the larger ones.
        rows: of which at most so many are drawn.
        seed: of that draw.
        root: folder of the data set; None for `tabular_keel` of METAWRIGHT_DATA.

    Raises:
        InputError: the data set is not there.
    """
    for name, suite in keel_names(root):
        if kind is Kind.REGRESSION and suite == "imbalanced" and name not in _WHOLE:
            continue
        frame = read_keel(name, root)
        if len(frame) > rows:
            frame = frame.sample(rows, random_state=seed).reset_index(drop=True)
        for target in ["class"] if kind is Kind.CLASSIFICATION else _measured(frame):
            try:
                task = pose_table(read_table(frame), target, kind=kind)
            except InputError:
                continue  # a class may be left with one row in so small a draw
            told = name if target == "class" else f"{name}:{target}"
            yield NamedTable(told, family_of(name), task)


def family_of(name: str) -> str:
    """The source that a table comes from.

    Example:
        >>> family_of("abalone-3_vs_11"), family_of("car-good"), family_of("wdbc")
        ('abalone', 'car', 'wdbc')
    """
    found = _STEMS.match(name)
    return found[0] if found else name


def _measured(frame: pandas.DataFrame) -> list[str]:
    """The columns with the most different numbers."""
    counts = {}
    for name in frame.columns[:-1]:
        values = pandas.to_numeric(frame[name], errors="coerce")
        if not values.isna().any() and values.nunique() >= _VALUES:
            counts[name] = values.nunique()
    return sorted(counts, key=lambda name: -counts[name])[:_TARGETS]
