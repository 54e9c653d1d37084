"""The data check: columns that teach nothing, know too much, or need a look.

Each decision can be turned round: a column that is left out here is used when `keep` names
it.
"""

import re
from collections.abc import Collection, Sequence

import numpy as np
import pandas

from metawright.tasks.tables.alone import is_target, tells
from metawright.tasks.tables.column import CATEGORY, DATE, NUMBER, TEXT, Column, Finding, rows

__all__ = ["check_columns", "check_rows", "left_out"]

SURE = 0.99
"""From here on a column alone tells the target suspiciously well (`alone.tells`)."""

LIKE = 0.9
"""The same for a column that bears the target's name in its own."""

FEW = 50
IDENTITIES = 20
"""Rows from which values that never come again are names of rows."""

_ID = re.compile(r"(?i:(^|[_\W])(id|ids|uuid|guid|key|idx|index|rowid|nr|no)$)|[a-z]I[dD]$")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{16,}", re.IGNORECASE)


def left_out(
    x: pandas.DataFrame,
    columns: Sequence[Column],
    y: np.ndarray,
    classes: int,
    target: str,
    keep: Collection[str] = (),
) -> tuple[list[Column], list[Finding]]:
    """The columns with those left out that teach nothing, or are the target itself; and why."""
    decided: list[Column] = []
    findings: list[Finding] = []
    seen: dict[tuple[str, bytes], str] = {}
    for column in columns:
        values = x[column.name]
        found = _useless(column, values, seen) or _is_target(column, values, y, classes, target)
        if found is None or not column.used:
            decided.append(column)
        elif column.name in keep:
            decided.append(column)
            findings.append(found._replace(sentence=f"{found.sentence} Kept, as asked."))
        else:
            decided.append(column._replace(used=False, why=f"{column.why}; {_SHORT[found.code]}"))
            findings.append(found._replace(sentence=f"{found.sentence} Left out."))
    return decided, findings


def check_columns(
    x: pandas.DataFrame, columns: Sequence[Column], y: np.ndarray, classes: int, target: str
) -> list[Finding]:
    """What is odd about the columns that are used: leaks, gaps, time, groups."""
    used = [column for column in columns if column.used]
    findings = _leaks(x, used, y, classes, target) if len(used) > 1 else []
    for column in used:
        name, total = column.name, len(y)
        if column.missing > 0.5 * total:
            findings.append(Finding(name, "missing",
                f"Column '{name}' is missing in {100 * column.missing / total:.0f} % of the "
                "rows."))  # fmt: skip
        if column.kind == DATE:
            findings.append(Finding(name, "time",
                f"Column '{name}' holds {column.why.partition(',')[0]}: if new rows come later "
                "than these, split by time."))  # fmt: skip
        elif _ID.search(name) and IDENTITIES < column.distinct < 0.9 * total:
            findings.append(Finding(name, "group",
                f"Column '{name}' names {column.distinct:,} things in {total:,} rows: if new rows "
                "are of other ones, split by group."))  # fmt: skip
    return findings


def check_rows(x: pandas.DataFrame, y: np.ndarray) -> list[Finding]:
    """What is odd about the rows: few of them, or the same ones again."""
    findings = []
    if len(y) < FEW:
        findings.append(Finding(None, "few",
            f"There are only {rows(len(y))}: whatever is learned and measured from them is "
            "unreliable.", True))  # fmt: skip
    again = int(x.assign(**{"\0": y}).duplicated().sum()) if x.shape[1] else 0
    if again:
        findings.append(Finding(None, "repeated",
            f"{rows(again)} {'is' if again == 1 else 'are'} the same as an earlier one, target "
            "included."))  # fmt: skip
    return findings


def _leaks(
    x: pandas.DataFrame, used: Sequence[Column], y: np.ndarray, classes: int, target: str
) -> list[Finding]:
    """Columns that alone tell the target; where many do, the task is an easy one."""
    found = []
    for column in used:
        alone = tells(x[column.name], column.kind, y, classes)
        if alone >= SURE or (alone >= LIKE and _named_like(column.name, target)):
            found.append((column.name, alone))
    if len(found) > max(2, len(used) / 3):
        told = ", ".join(f"'{name}'" for name, _ in found[:5]) + (", ..." if found[5:] else "")
        return [Finding(found[0][0], "easy",
            f"{len(found)} columns tell '{target}' all but perfectly, each alone ({told}): an "
            "easy task, unless they are only known afterwards.")]  # fmt: skip
    return [
        Finding(name, "leak",
            f"Column '{name}' alone tells '{target}' all but perfectly ({100 * alone:.1f} of 100):"
            " if it is only known afterwards, drop it.", True)
        for name, alone in found
    ]  # fmt: skip


_SHORT = {
    "empty": "nothing to learn from",
    "constant": "it teaches nothing",
    "duplicate": "the same as another column",
    "id": "names of rows",
    "target": "the target itself",
}


def _useless(
    column: Column, values: pandas.Series, seen: dict[tuple[str, bytes], str]
) -> Finding | None:
    """Why a column teaches nothing; notes the others in `seen`."""
    name = column.name
    if column.distinct == 0:
        return Finding(name, "empty", f"Column '{name}' is empty.")
    if column.distinct == 1 and not column.missing:
        only = values.iloc[0]
        told = f"{only:g}" if isinstance(only, float) else str(only)[:40]
        return Finding(name, "constant", f"Column '{name}' has only the value '{told}'.")
    first = seen.setdefault((column.kind, _content(column.kind, values)), name)
    if first != name:
        return Finding(name, "duplicate", f"Column '{name}' is the same as '{first}'.")
    why = _identity(column, values)
    return Finding(name, "id", f"Column '{name}' {why}: names of rows.") if why else None


def _content(kind: str, values: pandas.Series) -> bytes:
    if kind in (NUMBER, DATE):
        return bytes(values.to_numpy().tobytes())
    return bytes(pandas.util.hash_array(values.to_numpy(object)).tobytes())


def _identity(column: Column, values: pandas.Series) -> str:
    """How a column names the rows; "" where it does not."""
    total = len(values)
    if column.missing or total < IDENTITIES or column.distinct < 0.95 * total:
        return ""
    named = _ID.search(column.name) is not None
    if column.kind == NUMBER:
        numbers = values.to_numpy()
        if column.distinct < total or bool((numbers % 1 != 0).any()):
            return ""
        if _is_count(numbers):
            return "counts the rows"
        return "is called so and has another number in each row" if named else ""
    if column.kind == DATE:
        return ""
    some = values.iloc[:100].astype(str)
    if all(_UUID.fullmatch(text) for text in some):
        return "holds unique keys"
    if named or (
        column.kind == CATEGORY and sum(len(text.split()) for text in some) < 2 * len(some)
    ):
        return "has another value in each row" if column.distinct == total else (
            "has another value in almost each row"
        )  # fmt: skip
    return ""


def _is_count(numbers: np.ndarray) -> bool:
    """0, 1, 2, ... or 1, 2, 3, ... in any order; in order also with gaps (rows left out)."""
    total, low, high = len(numbers), numbers.min(), numbers.max()
    if low in (0, 1) and high - low == total - 1:
        return True
    gaps = 0.25 * total
    return bool(
        0 <= low <= 1 + gaps and high - low < total + gaps and (np.diff(numbers) > 0).all()
    )


def _is_target(
    column: Column, values: pandas.Series, y: np.ndarray, classes: int, target: str
) -> Finding | None:
    if column.kind == TEXT or not is_target(values, column.kind, y, classes):
        return None
    how = "under other names" if classes else "on another scale"
    sentence = f"Column '{column.name}' is the target '{target}' {how}."
    return Finding(column.name, "target", sentence, True)


def _named_like(name: str, target: str) -> bool:
    """Whether a name holds the target's as whole words."""
    parts, wanted = (re.findall(r"[a-z0-9]+", word.casefold()) for word in (name, target))
    return bool(wanted) and any(
        parts[start : start + len(wanted)] == wanted for start in range(len(parts))
    )
