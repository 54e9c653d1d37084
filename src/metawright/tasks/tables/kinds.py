"""What a column is: numbers, categories, dates or free text, found from its cells.

Types that a frame brings are believed; texts are numbers or dates where nine in ten of them can
be read so, and otherwise words: free text where they are long and rarely the same.
"""

import re
from typing import NamedTuple

import numpy as np
import pandas
from pandas.api import types

from metawright.tasks.tables.cells import (
    DATES,
    Texts,
    date_form,
    is_mark,
    numbers,
    own_decimal,
    read_date,
    texts,
)
from metawright.tasks.tables.column import CATEGORY, DATE, NUMBER, TEXT, Column, Finding, rows

__all__ = ["Read", "read_as", "typed"]

MOST = 0.9
"""Share of the cells that must be numbers (or dates) for a column to be of them."""

SAMPLE = 2000
"""Different texts that are looked at to find out what a column is; all are read then."""

MANY = 50
"""Levels from which a category has many."""

RARE = 5
"""Rows below which a level is rare."""

_CODE = re.compile(r"\d{3,}")


class Read(NamedTuple):
    """A typed column; `lost` are the texts that could not be read so, with their `cells`."""

    values: pandas.Series
    form: str
    lost: tuple[str, ...] = ()
    cells: int = 0
    infinite: int = 0


def typed(
    name: str, given: pandas.Series, decimal: str = "."
) -> tuple[Column, Read, list[Finding]]:
    """What a column is, its typed values, and what was odd in reading it."""
    told: list[Finding] = []
    plain = _quickly(given, decimal)
    if plain is not None:
        given = plain
    words = None if _has_type(given) else texts(given)
    kind = _kind_of_type(given) if words is None else _kind_of_texts(name, words, decimal, told)
    read = read_as(given, kind, form=decimal if kind == NUMBER else "", known=words)
    missing = int(read.values.isna().sum())
    distinct = int(read.values.nunique())
    comma = words is not None and any("," in text for text in words.distinct)
    why = _why(kind, read, distinct, comma=comma) if distinct else "empty"
    if read.cells:
        some = ", ".join(f"'{_cut(text)}'" for text in read.lost[:3])
        some = f"{rows(read.cells, 'cell')} ({some}{', ...' if read.lost[3:] else ''})"
        are = "is none and counts" if read.cells == 1 else "are none and count"
        sentence = f"Column '{name}' was read as {kind}s; {some} {are} as missing."
        told.append(Finding(name, "mixed", sentence))
    if read.infinite:
        sentence = f"Column '{name}' is infinite in {rows(read.infinite)}: counted as missing."
        told.append(Finding(name, "infinite", sentence))
    return Column(name, kind, True, why, missing, distinct, read.form), read, told


def read_as(
    given: pandas.Series, kind: str, *, form: str = "", known: Texts | None = None
) -> Read:
    """The column as the given kind, whatever it was; cells that cannot be read are missing.

    Arguments:
        form: the decimal mark, or a row of `DATES`; "" to find it out.
        known: the column's texts, where they are known already.
    """
    if kind == NUMBER:
        return _numbers(given, form or ".", known)
    if kind == DATE:
        return _dates(given, form, known)
    words = known if known is not None else texts(_plain(given))
    if kind == TEXT:
        values = words.spread(np.array(words.distinct, object), np.nan)
        return Read(pandas.Series(values, dtype=object), "")
    order = np.argsort(np.array(words.distinct, str), kind="stable").astype(np.int64)
    place = np.append(np.argsort(order), -1)
    levels = pandas.Index([words.distinct[index] for index in order], dtype=object)
    return Read(pandas.Series(pandas.Categorical.from_codes(place[words.codes], levels)), "")


def _numbers(given: pandas.Series, decimal: str, known: Texts | None) -> Read:
    lost: tuple[str, ...] = ()
    cells = 0
    plain = _quickly(given, decimal) if known is None else None
    if plain is not None:
        given = plain
    if known is None and types.is_timedelta64_dtype(given.dtype):
        values = given.dt.total_seconds().to_numpy(np.float64)
    elif known is None and _is_number(given):
        values = given.to_numpy(np.float64, na_value=np.nan)
    else:
        known = known if known is not None else texts(_plain(given))
        decimal = own_decimal(known.distinct, decimal)
        read = numbers(known.distinct, decimal)
        gone = [i for i in np.flatnonzero(np.isnan(read)) if not is_mark(known.distinct[i])]
        lost, cells = tuple(known.distinct[i] for i in gone), int(known.counts[gone].sum())
        values = known.spread(read, np.nan)
    infinite = np.isinf(values)
    if infinite.any():
        values = np.where(infinite, np.nan, values)
    return Read(pandas.Series(values), decimal, lost, cells, int(infinite.sum()))


def _dates(given: pandas.Series, form: str, known: Texts | None) -> Read:
    if known is None and types.is_datetime64_any_dtype(given.dtype):
        utc = given.dt.tz_convert("UTC").dt.tz_localize(None) if given.dt.tz is not None else given
        return Read(utc.astype("datetime64[us]").reset_index(drop=True), form)
    known = known if known is not None else texts(_plain(given))
    real = [text for text in known.distinct if not is_mark(text)]
    form = form or date_form(real)[0] or next(iter(DATES))
    read = [read_date(text, form) for text in known.distinct]
    gone = [
        i for i, moment in enumerate(read) if moment is None and not is_mark(known.distinct[i])
    ]
    moments = np.array(read, "datetime64[us]")
    lost, cells = tuple(known.distinct[i] for i in gone), int(known.counts[gone].sum())
    return Read(pandas.Series(known.spread(moments, np.datetime64("NaT"))), form, lost, cells)


def _quickly(given: pandas.Series, decimal: str) -> pandas.Series | None:
    """Texts that are plain numbers or empty, as numbers; None where a closer look is needed."""
    values = given.to_numpy(object) if given.dtype == object else np.array([])
    if decimal != "." or not all(type(value) is str for value in values):
        return None
    filled = values != ""
    if not filled.any() or any(_CODE.match(text) for text in values[filled] if text[0] == "0"):
        return None
    read = np.full(len(values), np.nan)
    try:
        read[filled] = values[filled].astype(np.float64)
    except ValueError:
        return None
    return pandas.Series(read)


def _has_type(given: pandas.Series) -> bool:
    return _is_number(given) or any(
        test(given.dtype)
        for test in (
            types.is_datetime64_any_dtype, types.is_timedelta64_dtype, types.is_bool_dtype,
            lambda dtype: isinstance(dtype, pandas.CategoricalDtype),
        )
    )  # fmt: skip


def _is_number(given: pandas.Series) -> bool:
    dtype = given.dtype
    return (
        bool(types.is_numeric_dtype(dtype))
        and not types.is_bool_dtype(dtype)
        and not types.is_complex_dtype(dtype)
    )


def _kind_of_type(given: pandas.Series) -> str:
    if types.is_datetime64_any_dtype(given.dtype):
        return DATE
    if _is_number(given) or types.is_timedelta64_dtype(given.dtype):
        return NUMBER
    return CATEGORY


def _kind_of_texts(name: str, words: Texts, decimal: str, told: list[Finding]) -> str:
    real = words.without(is_mark)
    if not real.distinct:
        return NUMBER if not words.distinct else CATEGORY
    if any(text[0] == "0" for text in real.distinct) and _are_codes(real.distinct):
        return CATEGORY
    some, counts = real.some(SAMPLE)
    numeric = ~np.isnan(numbers(some, own_decimal(some, decimal)))
    share = float(counts[numeric].sum()) / float(counts.sum())
    if share >= MOST:
        return NUMBER
    form, dated = date_form(some)
    if form and dated >= MOST:
        _note_of_order(name, form, real.distinct, told)
        return DATE
    kind = TEXT if _is_text(words, some) else CATEGORY
    if max(share, dated) >= 0.3:
        what, most = ("numbers", share) if share >= dated else ("dates", dated)
        other = next(text for text, yes in zip(some, numeric, strict=True) if not yes)
        told.append(Finding(name, "mixed",
            f"Column '{name}' mixes {what} ({100 * most:.0f} % of the cells) and words such as "
            f"'{_cut(other)}': all are read as words."))  # fmt: skip
    return kind


def _are_codes(distinct: list[str]) -> bool:
    """Digits of one length, such as "00501", are names and no quantities."""
    return len({len(text) for text in distinct}) == 1 and all(map(_CODE.fullmatch, distinct))


def _note_of_order(name: str, form: str, distinct: list[str], told: list[Finding]) -> None:
    other = {"month/day/year": "day/month/year"}.get(form, "")
    if other and all(read_date(text, other) is not None for text in distinct):
        told.append(Finding(name, "date order",
            f"Dates in '{name}', such as {_cut(distinct[0])}, are read as {form}; {other} would "
            "fit too."))  # fmt: skip


def _is_text(words: Texts, some: list[str]) -> bool:
    many = len(words.distinct) >= 10 and len(words.distinct) > 0.3 * words.known
    lengths = [len(text.split()) for text in some]
    letters = [len(text) for text in some]
    return many and bool(np.mean(lengths) >= 3 or np.mean(letters) >= 40)


def _why(kind: str, read: Read, distinct: int, *, comma: bool) -> str:
    """What the column is, in words."""
    values = read.values.dropna()
    if kind == DATE:
        first, last = (str(moment)[:10] for moment in (values.min(), values.max()))
        return f"dates from {first} to {last}" + (f", written {read.form}" if read.form else "")
    if kind == NUMBER:
        if comma and read.form == ",":
            return "numbers with a decimal comma"
        return "whole numbers" if bool((values % 1 == 0).all()) else "numbers"
    if kind == TEXT:
        mean = np.mean([len(text.split()) for text in values.unique()])
        return f"free text, {mean:.0f} words on average"
    counts = values.value_counts()
    rare = int((counts < RARE).sum())
    told = ("many levels: " if distinct >= MANY else "") + rows(distinct, "level")
    return told + (f", {rare:,} of them in fewer than {RARE} rows" if rare else "")


def _plain(given: pandas.Series) -> pandas.Series:
    """Without a type of its own; whole numbers without ".0"."""
    if isinstance(given.dtype, pandas.CategoricalDtype) or types.is_numeric_dtype(given.dtype):
        return given.astype(object)
    return given


def _cut(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:29]}…"
