"""The target of a table: which rows know it, and whether it is classes or numbers."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import NamedTuple

import numpy as np
import pandas

from metawright.errors import InputError
from metawright.tasks.kind import Kind
from metawright.tasks.tables.column import CATEGORY, DATE, NUMBER, Finding, rows
from metawright.tasks.tables.kinds import Read, read_as, typed
from metawright.tasks.tables.read import Frame

__all__ = ["Target", "find_column", "read_target"]

FEW_VALUES = 20
"""Whole numbers with so many values at most, in `ROWS_A_VALUE` rows each or more, are classes."""

ROWS_A_VALUE = 5
MANY_CLASSES = 50


class Target(NamedTuple):
    """`y` of the rows `known` (a mask over all rows): labels 0 .. classes - 1, or numbers."""

    y: np.ndarray
    known: np.ndarray
    kind: Kind
    classes: tuple[str, ...]
    findings: tuple[Finding, ...]


def find_column(frame: Frame, name: str, role: str = "target") -> str:
    """The column of that name; "last" stands for the last one where none is called so.

    Raises:
        InputError: there is none, with the nearest one and all that there are; or there are two.
    """
    names = list(frame.data.columns)
    if name in frame.repeated:
        raise InputError(
            f"{_capital(frame.name)} has several columns '{name}': rename all but the {role}."
        )
    if name in names:
        return name
    if name == "last":
        return str(names[-1])
    lower = {str(known).casefold(): str(known) for known in names}
    close = get_close_matches(name.casefold(), lower, n=1, cutoff=0.6)
    hint = f"did you mean '{lower[close[0]]}'? " if close else ""
    told = ", ".join(f"'{known}'" for known in names[:20])
    more = f", ... ({len(names)} in all)" if names[20:] else ""
    raise InputError(
        f"There is no column '{name}' for the {role} in {frame.name}: {hint}"
        f"{'Its' if hint else 'its'} columns are {told}{more}."
    )


def read_target(
    frame: Frame, name: str, kind: Kind | None = None, *, strict: bool = False
) -> Target:
    """What is to be predicted.

    Without `kind`, words are classes, and numbers are classes where they are whole and few;
    how many rows have no target is a finding, under `strict` an error.

    Raises:
        InputError: nothing can be predicted: no known row, one value, a date, or too many words.
    """
    given = frame.data[name]
    column, read, told = typed(name, given, frame.decimal)
    if column.kind == DATE and kind is not Kind.CLASSIFICATION:
        raise InputError(
            f"Target '{name}' holds dates: turn them into a number, such as days since the first."
        )
    if kind is Kind.REGRESSION or (kind is None and column.kind == NUMBER):
        read = read_as(given, NUMBER, form=frame.decimal)
    findings = [found for found in told if found.code in ("mixed", "infinite")]
    if kind is Kind.REGRESSION and read.lost:
        raise InputError(
            f"Target '{name}' must be numbers for regression, but {rows(read.cells, 'cell')} "
            f"{'is' if read.cells == 1 else 'are'} none, such as '{read.lost[0][:40]}': mend "
            "them, or ask for classification."
        )
    chosen = kind or _choose(name, column.kind, read, findings)
    if chosen is Kind.CLASSIFICATION:
        read = read_as(_exact(given, read, column.kind), CATEGORY)
    known = read.values.notna().to_numpy()
    _refuse_unknown(frame, name, known, findings, strict=strict)
    values = read.values[known]
    if values.nunique() == 1:
        raise InputError(
            f"Target '{name}' has only the value '{_number(values.iloc[0])}' in "
            f"{rows(len(values))}: there is nothing to predict."
        )
    if chosen is Kind.REGRESSION:
        return Target(values.to_numpy(np.float64), known, chosen, (), tuple(findings))
    y, classes = _labels(values)
    _look_at_classes(name, y, classes, findings, asked=kind is not None)
    return Target(y, known, chosen, classes, tuple(findings))


def _exact(given: pandas.Series, read: Read, kind: str) -> pandas.Series:
    """Numbers that are classes, as whole numbers where they are ("1" and "1.0" are one class)."""
    return read.values.astype(object) if kind == NUMBER else given


def _choose(name: str, kind: str, read: Read, findings: list[Finding]) -> Kind:
    if kind != NUMBER:
        return Kind.CLASSIFICATION
    values = read.values.dropna()
    distinct, whole = values.nunique(), bool((values % 1 == 0).all())
    few = distinct <= min(FEW_VALUES, len(values) / ROWS_A_VALUE)
    if distinct <= 2 or (whole and few):
        if distinct > 2:
            findings.append(Finding(name, "kind",
                f"Target '{name}' has {distinct} different whole numbers, taken for classes: "
                "choose the kind regression if they are quantities."))  # fmt: skip
        return Kind.CLASSIFICATION
    if distinct <= min(FEW_VALUES, len(values) / 3):
        findings.append(Finding(name, "kind",
            f"Target '{name}' has only {distinct} different numbers, taken for quantities: choose "
            "the kind classification if they are classes."))  # fmt: skip
    return Kind.REGRESSION


def _refuse_unknown(
    frame: Frame, name: str, known: np.ndarray, findings: list[Finding], *, strict: bool
) -> None:
    gone = int((~known).sum())
    if gone == len(known):
        raise InputError(f"Target '{name}' is missing in all {rows(gone)} of {frame.name}.")
    if not gone:
        return
    first = int(np.flatnonzero(~known)[0]) + 1
    if strict:
        raise InputError(
            f"Target '{name}' is missing in {rows(gone)} (the first is row {first}): fill them "
            "in, or leave out `strict` to go on without them."
        )
    findings.append(Finding(name, "target missing",
        f"Target '{name}' is missing in {rows(gone)} (the first is row {first}): left out.",
        gone > 0.2 * len(known)))  # fmt: skip


def _labels(values: pandas.Series) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels and the names of classes: numbers by size, words by letters."""
    words = [str(level) for level in values.cat.categories]
    present = set(values.cat.codes.unique())
    used = [index for index in range(len(words)) if index in present]
    numeric = all(re.fullmatch(r"[+-]?\d+(\.\d+)?", words[index]) for index in used)
    order = sorted(used, key=lambda index: (float(words[index]) if numeric else 0.0, words[index]))
    place = np.zeros(len(words), np.int64)
    place[order] = np.arange(len(order))
    return place[values.cat.codes.to_numpy()], tuple(words[index] for index in order)


def _look_at_classes(
    name: str, y: np.ndarray, classes: Sequence[str], findings: list[Finding], *, asked: bool
) -> None:
    counts = np.bincount(y, minlength=len(classes))
    total = len(y)
    if len(classes) > (0.9 if asked else 0.5) * total and total >= 10:
        raise InputError(
            f"Target '{name}' has {len(classes)} different values in {rows(total)}: these are no "
            "classes. Choose a column whose values come again."
        )
    if len(classes) > MANY_CLASSES:
        findings.append(Finding(name, "many classes",
            f"Target '{name}' has {len(classes)} classes, {rows(total // len(classes))} each on "
            "average: choose the kind regression if they are quantities.", True))  # fmt: skip
    single = [classes[index] for index in np.flatnonzero(counts == 1).tolist()]
    rare = np.flatnonzero((counts > 1) & (counts < ROWS_A_VALUE)).tolist()
    few = [classes[index] for index in rare]
    if single:
        findings.append(Finding(name, "single",
            f"{_classes(single)} of '{name}' {'has' if len(single) == 1 else 'have'} a single row:"
            " kept, but nothing can be said of how well it is told apart.", True))  # fmt: skip
    if few:
        findings.append(Finding(name, "rare",
            f"{_classes(few)} of '{name}' {'has' if len(few) == 1 else 'have'} fewer than "
            f"{ROWS_A_VALUE} rows: scores of it are unreliable.", True))  # fmt: skip
    most, least = int(counts.argmax()), int(counts.argmin())
    if counts[most] >= 10 * counts[least] or counts[most] > 0.8 * total:
        shares = 100 * counts / total
        findings.append(Finding(name, "unbalanced",
            f"Target '{name}' is unbalanced: '{classes[most]}' has {shares[most]:.1f} % of the "
            f"rows, '{classes[least]}' {shares[least]:.1f} %."))  # fmt: skip


def _classes(names: Sequence[str]) -> str:
    told = ", ".join(f"'{name}'" for name in names[:5])
    return f"{'Class' if len(names) == 1 else 'Classes'} {told}" + (", ..." if names[5:] else "")


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if text.startswith("the ") else text
