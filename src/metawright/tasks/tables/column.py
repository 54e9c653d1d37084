"""What is said of a table: of each column what it is, and of some what is odd about them."""

from typing import NamedTuple

__all__ = ["CATEGORY", "DATE", "NUMBER", "TEXT", "Column", "Finding", "rows"]

NUMBER, CATEGORY, DATE, TEXT = "number", "category", "date", "text"


class Column(NamedTuple):
    """What a column is, and what is done with it.

    `kind` is "number", "category", "date" or "text"; `used` whether models see it; `why` says
    both in words. `missing` counts rows, `distinct` the different values. `form` is what reading
    it again needs: the decimal mark of numbers, the order of day, month and year of dates.
    """

    name: str
    kind: str
    used: bool
    why: str
    missing: int
    distinct: int
    form: str = ""


class Finding(NamedTuple):
    """One thing that the data check noticed.

    `column` is None where it concerns the whole table; `code` is one word for programs;
    `severe` says that it may spoil the result, so that somebody should look.
    """

    column: str | None
    code: str
    sentence: str
    severe: bool = False


def rows(count: int, noun: str = "row") -> str:
    """A count with its noun.

    Example:
        >>> rows(1), rows(1200), rows(2, "level")
        ('1 row', '1,200 rows', '2 levels')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
