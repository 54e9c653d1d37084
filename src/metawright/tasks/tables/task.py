"""A table as a task: typed features, a target, and all that the data check found."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas

from metawright.errors import InputError
from metawright.tasks.kind import Kind
from metawright.tasks.tables.check import check_columns, check_rows, left_out
from metawright.tasks.tables.column import DATE, Column, Finding, rows
from metawright.tasks.tables.kinds import typed
from metawright.tasks.tables.read import Frame
from metawright.tasks.tables.target import find_column, read_target

__all__ = ["TableTask", "pose_table"]

LEAST = 10
"""Rows that are needed, unless one insists."""


@dataclass(frozen=True, eq=False)
class TableTask:
    """What is to be learned from a table.

    Arguments:
        x: all columns but the target, typed: numbers float64 (NaN where missing), categories as
            pandas categories, texts as objects, dates datetime64; rows in the order of the file.
        y: labels 0 .. classes - 1 (int64), or numbers (float64).
        kind: classification or regression.
        classes: names of the classes in label order; empty for regression.
        target: the target's name.
        columns: what each column of `x` is, in order.
        findings: the data check.
        fingerprint: of content, target, groups and times; equal for equal tasks.
        groups: which group each row belongs to (int64), if asked for.
        times: when each row was (datetime64 or float64), if asked for.
        row_numbers: which rows of the table these are, from 1.
    """

    x: pandas.DataFrame
    y: np.ndarray
    kind: Kind
    classes: tuple[str, ...]
    target: str
    columns: tuple[Column, ...]
    findings: tuple[Finding, ...]
    fingerprint: str
    groups: np.ndarray | None = None
    times: np.ndarray | None = None
    row_numbers: np.ndarray | None = None

    @property
    def used(self) -> tuple[str, ...]:
        """Names of the columns that models see."""
        return tuple(column.name for column in self.columns if column.used)

    def to_json(self) -> dict[str, Any]:
        """The data check in plain data: for run folders, reports and other programs."""
        labels = self.y if self.classes else np.zeros(0, np.int64)
        counts = np.bincount(labels, minlength=len(self.classes)).tolist()
        return {
            "rows": len(self.y),
            "target": self.target,
            "kind": self.kind.value,
            "classes": dict(zip(self.classes, counts, strict=True)),
            "columns": [column._asdict() for column in self.columns],
            "findings": [finding._asdict() for finding in self.findings],
            "fingerprint": self.fingerprint,
        }


def pose_table(
    frame: Frame,
    target: str,
    *,
    kind: Kind | str | None = None,
    group: str | None = None,
    time: str | None = None,
    drop: Collection[str] = (),
    keep: Collection[str] = (),
    strict: bool = False,
    force: bool = False,
) -> TableTask:
    """The task of predicting one column of a table from the others.

    Arguments:
        target: its name; "last" for the last column.
        kind: classification or regression; None to choose by the target.
        group, time: columns by which rows are to be split, not only at random. The group is left
            out of the features, and so is a time that is no date.
        drop: columns not to be used.
        keep: columns to be used even where the data check would leave them out.
        strict: refuse rows without a target.
        force: go on with fewer than ten rows.

    Raises:
        InputError: a column is not there, or there is nothing to predict or to predict from.
    """
    wanted = None if kind is None else _kind(kind)
    target = find_column(frame, target)
    roles = _roles(frame, target, group, time, drop, keep)
    asked = read_target(frame, target, wanted, strict=strict)
    _refuse_few(frame, target, len(asked.y), force=force)
    data = frame.data[asked.known].reset_index(drop=True)
    x, columns, findings = _typed(data, frame.decimal, target, roles)
    columns, gone = left_out(x, columns, asked.y, len(asked.classes), target, keep)
    _refuse_nothing(columns, target)
    odd = check_columns(x, columns, asked.y, len(asked.classes), target)
    if time is not None:
        odd = [found for found in odd if found.code != "time"]
    read = [Finding(None, "reading", note) for note in frame.notes]
    place = {column.name: index for index, column in enumerate(columns)}
    about = sorted([*findings, *gone, *odd], key=lambda found: place[str(found.column)])
    task = TableTask(
        x, asked.y, asked.kind, asked.classes, target, tuple(columns),
        (*read, *check_rows(x, asked.y), *asked.findings, *about), "",
        None if group is None else _groups(x[group]),
        None if time is None else _times(x[time], time),
        np.flatnonzero(asked.known) + 1,
    )  # fmt: skip
    return replace(task, fingerprint=_fingerprint(task))


def _kind(kind: Kind | str) -> Kind:
    if kind not in (Kind.CLASSIFICATION, Kind.REGRESSION):
        raise InputError(f"The kind must be classification or regression, but got '{kind}'.")
    return Kind(kind)


def _roles(
    frame: Frame,
    target: str,
    group: str | None,
    time: str | None,
    drop: Collection[str],
    keep: Collection[str],
) -> dict[str, str]:
    """Columns that are not used, and why."""
    named = [(group, "group"), (time, "time")]
    named += [(name, "columns to drop") for name in drop]
    named += [(name, "columns to keep") for name in keep]
    for name, role in named:
        if name is not None and find_column(frame, name, role) == target:
            raise InputError(f"Column '{name}' is the target: it cannot be of the {role} too.")
    roles = dict.fromkeys(drop, "dropped, as asked")
    if group is not None:
        roles[group] = "says which rows belong together"
    if time is not None:
        roles[time] = "says when a row was"
    return roles


def _typed(
    data: pandas.DataFrame, decimal: str, target: str, roles: dict[str, str]
) -> tuple[pandas.DataFrame, list[Column], list[Finding]]:
    values: dict[str, pandas.Series] = {}
    columns, findings = [], []
    for name in data.columns:
        if name == target:
            continue
        column, read, told = typed(name, data[name], decimal)
        values[name] = read.values
        if name in roles and not (column.kind == DATE and roles[name].startswith("says when")):
            column = column._replace(used=False, why=f"{column.why}; {roles[name]}")
        columns.append(column)
        findings += told
    return pandas.DataFrame(values, index=data.index), columns, findings


def _refuse_few(frame: Frame, target: str, count: int, *, force: bool) -> None:
    if count < LEAST and not (force and count >= 2):
        least = "2" if force else f"{LEAST}"
        hint = "" if force else ", or insist with `force`"
        raise InputError(
            f"Only {rows(count)} of {frame.name} {'has' if count == 1 else 'have'} a '{target}', "
            f"but at least {least} are needed to learn anything: give more{hint}."
        )


def _refuse_nothing(columns: list[Column], target: str) -> None:
    if any(column.used for column in columns):
        return
    told = "; ".join(f"'{column.name}': {column.why}" for column in columns[:5])
    raise InputError(
        f"There is no column to predict '{target}' from" + (f" ({told})." if told else ".")
    )


def _groups(values: pandas.Series) -> np.ndarray:
    """Numbers of groups; a row without one is a group of its own."""
    codes = pandas.factorize(values)[0].astype(np.int64)
    alone = np.flatnonzero(codes < 0)
    codes[alone] = codes.max(initial=-1) + 1 + np.arange(len(alone))
    return np.asarray(codes)


def _times(values: pandas.Series, name: str) -> np.ndarray:
    if not (pandas.api.types.is_numeric_dtype(values) or values.dtype.kind == "M"):
        raise InputError(f"Column '{name}' must hold dates or numbers to split by time.")
    gone = int(values.isna().sum())
    if gone:
        raise InputError(f"Column '{name}' is missing in {rows(gone)}: no split by time.")
    return np.asarray(values.to_numpy())


def _fingerprint(task: TableTask) -> str:
    """Of names, kinds, values and target, and of which rows belong together or come later."""
    digest = hashlib.sha256(repr((task.target, task.kind.value, task.classes)).encode())
    for column in task.columns:
        digest.update(repr((column.name, column.kind, column.used)).encode())
        values = task.x[column.name]
        plain = values if values.dtype.kind in "fM" else values.astype(object)
        digest.update(pandas.util.hash_array(plain.to_numpy()).tobytes())
    for array in (task.y, task.groups, task.times):
        digest.update(b"none" if array is None else array.tobytes())
    return digest.hexdigest()[:16]
