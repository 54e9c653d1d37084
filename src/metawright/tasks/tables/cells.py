"""Cells that are texts as numbers or dates: marks of missing values, thousands, signs, formats.

All works on the distinct texts of a column (`Texts`), so that a long column costs little.
"""

import datetime
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas

__all__ = [
    "DATES",
    "Texts",
    "date_form",
    "is_mark",
    "numbers",
    "own_decimal",
    "read_date",
    "read_number",
    "texts",
]

_MISSING = {"", "?", "na", "n/a", "#n/a", "#na", "<na>", "nan", "nat", "null", "n.a."}
_MARKS = {"-", "--", "---", ".", "..", "none", "missing", "unknown", "#div/0!", "#value!", "#ref!"}
_SIGNS = re.compile(r"[$€£¥₹₽%\s'’_]|^(usd|eur|gbp|chf)|(usd|eur|gbp|chf)$", re.IGNORECASE)
_THOUSANDS = {
    ".": re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?"),
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?"),
}
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
_COMMA = re.compile(r"[+-]?\d*,\d+")
_SURE_COMMA = re.compile(r"[+-]?(\d*,(\d{1,2}|\d{4,})|0,\d+)")

_TIME = r"([ T]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?\s?(Z|[+-]\d{2}:?\d{2})?)?"
_MONTH = r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_ISO = "year-month-day"
DATES = {
    _ISO: re.compile(rf"\d{{4}}([-/.])\d{{1,2}}\1\d{{1,2}}{_TIME}"),
    "day.month.year": re.compile(rf"\d{{1,2}}\.\d{{1,2}}\.(\d{{4}}|\d{{2}}){_TIME}"),
    "month/day/year": re.compile(rf"\d{{1,2}}([/-])\d{{1,2}}\1(\d{{4}}|\d{{2}}){_TIME}"),
    "day/month/year": re.compile(rf"\d{{1,2}}([/-])\d{{1,2}}\1(\d{{4}}|\d{{2}}){_TIME}"),
    "day month year": re.compile(rf"\d{{1,2}}[ -]{_MONTH}[ -]\d{{4}}{_TIME}", re.IGNORECASE),
    "month day, year": re.compile(rf"{_MONTH} \d{{1,2}},? \d{{4}}{_TIME}", re.IGNORECASE),
}
"""How a date may be written; where two fit all cells, the first one wins."""


class Texts(NamedTuple):
    """A column as texts: the distinct ones, and of each row which one (-1: missing).

    `counts` says how many rows have each.
    """

    codes: np.ndarray
    distinct: list[str]
    counts: np.ndarray

    @property
    def known(self) -> int:
        """Rows that are not missing."""
        return int(self.counts.sum())

    def spread(self, values: np.ndarray, missing: Any) -> np.ndarray:
        """One value a distinct text, as one a row."""
        every = np.append(values, np.array([missing], values.dtype))
        return np.asarray(every[self.codes])

    def without(self, gone: Callable[[str], bool]) -> "Texts":
        """The same with some texts taken for missing."""
        keep = [index for index, text in enumerate(self.distinct) if not gone(text)]
        place = np.full(len(self.distinct) + 1, -1)
        place[keep] = np.arange(len(keep))
        distinct = [self.distinct[index] for index in keep]
        return Texts(place[self.codes], distinct, self.counts[keep])

    def some(self, most: int) -> tuple[list[str], np.ndarray]:
        """At most so many of the distinct texts, evenly spread, with their counts."""
        step = -(-len(self.distinct) // most) or 1
        return self.distinct[::step], self.counts[::step]


def texts(column: pandas.Series) -> Texts:
    """The cells as texts without space around; empty ones and the usual marks are missing."""
    values = column.to_numpy(object)
    gone = pandas.isna(values)
    if not all(type(value) is str for value in values[~gone]):
        values = np.array(
            [None if g else _text(v) for v, g in zip(values, gone, strict=True)], object
        )
    codes, distinct = pandas.factorize(np.where(gone, None, values))
    stripped = [text.strip() for text in distinct]
    if len(set(stripped)) < len(stripped):
        again, stripped_index = pandas.factorize(np.array(stripped, object))
        codes, stripped = np.append(again, -1)[codes], list(stripped_index)
    counts = np.bincount(codes[codes >= 0], minlength=len(stripped))
    return Texts(codes, stripped, counts).without(lambda text: text.casefold() in _MISSING)


def is_mark(text: str) -> bool:
    """Whether a text stands for "missing" among numbers and dates, though it may be a word.

    Example:
        >>> is_mark("-"), is_mark("none"), is_mark("low")
        (True, True, False)
    """
    return text.casefold() in _MARKS


def read_number(text: str, decimal: str = ".") -> float:
    """The number that a text means; NaN where it means none.

    Thousands, signs of currency and percent, and negative numbers in brackets are understood. A
    percentage is left as it stands.

    Example:
        >>> read_number("$1,234.50"), read_number("1.234,5 €", ","), read_number("(12 %)")
        (1234.5, 1234.5, -12.0)
        >>> read_number("twelve"), read_number("0,5", ",")
        (nan, 0.5)
    """
    if decimal == "." and _PLAIN.fullmatch(text):
        return float(text)
    bare = text
    if bare.startswith("(") and bare.endswith(")"):
        bare = f"-{bare[1:-1]}"
    bare = _SIGNS.sub("", bare).replace("−", "-")
    if bare.startswith("--"):
        return float("nan")
    if _THOUSANDS[decimal].fullmatch(bare):
        bare = bare.replace("," if decimal == "." else ".", "")
    if decimal == "," and (_COMMA.fullmatch(bare) or bare.count(",") == 1):
        bare = bare.replace(",", ".")
    return float(bare) if _PLAIN.fullmatch(bare) else float("nan")


def own_decimal(distinct: Sequence[str], decimal: str) -> str:
    """The decimal mark of one column: its own cells know better than the table.

    Example:
        >>> own_decimal(["1,5", "2,25"], "."), own_decimal(["1,234"], ".")
        (',', '.')
        >>> own_decimal(["1.5"], ","), own_decimal(["1.500", "2"], ",")
        ('.', ',')
    """
    if not any("," in text or (decimal == "," and "." in text) for text in distinct):
        return decimal
    bare = [_SIGNS.sub("", text) for text in distinct]
    if decimal == ".":
        surely = any(_SURE_COMMA.fullmatch(text) for text in bare)
        return "," if surely and not any("." in text and "," not in text for text in bare) else "."
    pointed = [text for text in bare if "." in text]
    grouped = all(_THOUSANDS[","].fullmatch(text) for text in pointed)
    return "." if pointed and not grouped and not any("," in text for text in bare) else ","


def numbers(distinct: Sequence[str], decimal: str) -> np.ndarray:
    """The numbers of texts, NaN where one is none."""
    plain = pandas.Series(distinct, dtype=object)
    if decimal == ",":
        plain = pandas.Series([_pointed(text) for text in distinct], dtype=object)
    values: np.ndarray = pandas.to_numeric(plain, errors="coerce").to_numpy(np.float64).copy()
    for index in np.flatnonzero(np.isnan(values)).tolist():  # the quick way is strict
        values[index] = read_number(distinct[index], decimal)
    return values


def _pointed(text: str) -> str:
    """A decimal comma as a point; "" where points may stand between thousands."""
    return "" if "." in text else text.replace(",", ".")


def date_form(distinct: Sequence[str]) -> tuple[str, float]:
    """The way of writing dates that reads most of the texts, and which share of them it reads."""
    best, share = "", 0.0
    if not distinct:
        return best, share
    for form in DATES:
        start = list(distinct[:50])
        if sum(read_date(text, form) is not None for text in start) < 0.5 * len(start):
            continue
        read = sum(read_date(text, form) is not None for text in distinct) / len(distinct)
        if read > share:
            best, share = form, read
    return best, share


def read_date(text: str, form: str) -> datetime.datetime | None:
    """The moment that a text means under a row of `DATES`, in UTC where it names a zone.

    Example:
        >>> read_date("3/4/2021", "month/day/year"), read_date("2021-02-30", "year-month-day")
        (datetime.datetime(2021, 3, 4, 0, 0), None)
    """
    if not DATES[form].fullmatch(text):
        return None
    if form == _ISO and text[4] == "-":
        try:
            return _without_zone(datetime.datetime.fromisoformat(text))
        except ValueError:  # such as days of one digit, or a thirteenth month
            pass
    day, _, clock = re.sub(r"[ T](?=\d{1,2}:)", "\n", text, count=1).partition("\n")
    try:
        return _moment(_day(day, form), clock)
    except ValueError:  # such as a thirteenth month
        return None


def _without_zone(moment: datetime.datetime) -> datetime.datetime:
    if moment.tzinfo is None:
        return moment
    return moment.astimezone(datetime.UTC).replace(tzinfo=None)


def _day(text: str, form: str) -> datetime.datetime:
    parts = re.findall(r"[A-Za-z]+|\d+", text)
    order = re.findall(r"year|month|day", form)
    named = dict(zip(order, parts, strict=True))
    month = named["month"]
    number = int(month) if month.isdigit() else _MONTHS.index(month[:3].lower()) + 1
    year = int(named["year"])
    if len(named["year"]) == 2:
        year += 2000 if year < 69 else 1900  # as POSIX reads two digits
    return datetime.datetime(year, number, int(named["day"]))


def _moment(day: datetime.datetime, clock: str) -> datetime.datetime:
    if not clock:
        return day
    found = re.fullmatch(r"(\d+):(\d+)(?::(\d+)(?:[.,](\d+))?)?\s?(Z|[+-]\d{2}:?\d{2})?", clock)
    if found is None:
        raise ValueError(clock)
    hour, minute, second, fraction, zone = found.groups()
    moment = day.replace(hour=int(hour), minute=int(minute), second=int(second or 0),
                         microsecond=int((fraction or "0")[:6].ljust(6, "0")))  # fmt: skip
    if zone and zone != "Z":
        sign = -1 if zone[0] == "-" else 1
        away = datetime.timedelta(hours=int(zone[1:3]), minutes=int(zone[-2:]))
        moment -= sign * away
    return moment


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
