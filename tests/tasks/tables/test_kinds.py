"""What a column is: by its cells, with the parse that won and what it lost."""

import math
from collections.abc import Sequence

import numpy as np
import pandas
import pytest

from metawright.tasks.tables.cells import DATES, date_form, own_decimal, read_date, read_number
from metawright.tasks.tables.kinds import read_as, typed

NAN = math.nan


def series(values: Sequence[object]) -> pandas.Series:
    return pandas.Series(list(values), dtype=object)


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("12", ".", 12), ("-1.5e3", ".", -1500), (".5", ".", 0.5), ("1,234", ".", 1234),
        ("1,234,567.8", ".", 1234567.8), ("1,23", ".", NAN), ("12 %", ".", 12), ("$ 5", ".", 5),
        ("5 USD", ".", 5), ("(3)", ".", -3), ("−3", ".", -3), ("1 234", ".", 1234),
        ("1'234", ".", 1234), ("1,5", ",", 1.5), ("1.234,5", ",", 1234.5), ("1.234", ",", 1234),
        ("0.234", ",", 0.234), ("abc", ".", NAN), ("12kg", ".", NAN), ("1-2", ".", NAN),
        ("inf", ".", math.inf), ("--3", ".", NAN), ("", ".", NAN),
    ],
)  # fmt: skip
def test_numbers(text: str, decimal: str, number: float) -> None:
    np.testing.assert_equal(read_number(text, decimal), float(number))


@pytest.mark.parametrize(
    ("cells", "table", "mark"),
    [
        (["1,5", "2,25"], ".", ","),
        (["1,234", "5"], ".", "."),
        (["1,234", "5"], ",", ","),
        (["1,5", "2.5"], ".", "."),
        (["1.5", "2"], ",", "."),
        (["1.500", "2.000"], ",", ","),
        (["1.5", "2,5"], ",", ","),
    ],
)
def test_a_column_has_its_own_decimal_mark(cells: list[str], table: str, mark: str) -> None:
    assert own_decimal(cells, table) == mark


@pytest.mark.parametrize(
    ("text", "form", "moment"),
    [
        ("2021-03-04", "year-month-day", "2021-03-04T00:00:00"),
        ("2021/3/4 5:06", "year-month-day", "2021-03-04T05:06:00"),
        ("2021-03-04T05:06:07.25Z", "year-month-day", "2021-03-04T05:06:07.250000"),
        ("2021-03-04 01:00:00+02:00", "year-month-day", "2021-03-03T23:00:00"),
        ("4.3.2021", "day.month.year", "2021-03-04T00:00:00"),
        ("4.3.2021 01:00 -05:30", "day.month.year", "2021-03-04T06:30:00"),
        ("4.3.99 5:06", "day.month.year", "1999-03-04T05:06:00"),
        ("3/4/2021", "month/day/year", "2021-03-04T00:00:00"),
        ("4-3-2021", "day/month/year", "2021-03-04T00:00:00"),
        ("4 Mar 2021", "day month year", "2021-03-04T00:00:00"),
        ("5 Oct 2021 10:00", "day month year", "2021-10-05T10:00:00"),
        ("March 4, 2021", "month day, year", "2021-03-04T00:00:00"),
    ],
)
def test_dates(text: str, form: str, moment: str) -> None:
    read = read_date(text, form)
    assert read is not None
    assert read.isoformat() == moment
    assert date_form([text])[1] == 1.0


@pytest.mark.parametrize("text", ["2021-13-01", "31.2.2021", "1.2.3.4", "20210304", "4/2021", "x"])
def test_no_dates(text: str) -> None:
    assert all(read_date(text, form) is None for form in DATES)


KINDS: dict[str, tuple[list[object], str, str, int]] = {
    "numbers": (["1", " 2", "3.5"], "number", "numbers", 0),
    "whole": (["1", "2", "NA", "?", "null"], "number", "whole numbers", 3),
    "missing by a bar": (["1", "2", "-", ""], "number", "whole numbers", 2),
    "signs": (["$1,200", "$300"], "number", "whole numbers", 0),
    "comma": (["1,5", "2,5"], "number", "numbers with a decimal comma", 0),
    "words": (["low", "high", "low", None], "category", "2 levels, 2 of them in fewer than 5 rows",
              1),
    "signs as levels": (["+", "-"] * 9, "category", "2 levels", 0),
    "none is a level": (["none", "some"] * 9, "category", "2 levels", 0),
    "codes": (["00501", "10001"] * 9, "category", "2 levels", 0),
    "truth": ([True, False] * 9, "category", "2 levels", 0),
    "dates": (["2020-01-02", "2020-01-04", ""], "date",
              "dates from 2020-01-02 to 2020-01-04, written year-month-day", 1),
    "second first": (["13/1/2020", "2/1/2020"], "date",
                     "dates from 2020-01-02 to 2020-01-13, written day/month/year", 0),
    "text": ([f"this is sentence {i}" for i in range(30)], "text",
             "free text, 4 words on average", 0),
    "many": ([f"v{i % 60}" for i in range(300)], "category", "many levels: 60 levels", 0),
    "empty": (["", "?", None], "number", "empty", 3),
}  # fmt: skip


@pytest.mark.parametrize("case", KINDS)
def test_kinds_of_texts(case: str) -> None:
    cells, kind, why, missing = KINDS[case]
    column, read, told = typed("x", series(cells))
    assert (column.kind, column.why, column.missing) == (kind, why, missing) and not told
    assert column.used and read.values.isna().sum() == missing and len(read.values) == len(cells)
    assert column.distinct == read.values.nunique()


def test_values_are_typed() -> None:
    assert typed("x", series(["1", "", "2"]))[1].values.dtype == np.float64
    assert typed("x", series(["2020-01-02", "?"]))[1].values.dtype == "datetime64[us]"
    words = typed("x", series(["b", "a", None, "b"]))[1].values
    assert words.cat.categories.tolist() == ["a", "b"] and words.cat.codes.tolist() == [
        1,
        0,
        -1,
        1,
    ]
    text = typed("x", series([f"one two three {i}" for i in range(12)]))[1].values
    assert text.dtype == object and text[3] == "one two three 3"


@pytest.mark.parametrize(
    ("given", "kind", "first"),
    [
        (pandas.Series([1, None], dtype="Int64"), "number", 1.0),
        (pandas.Series([1, 2], dtype="category"), "category", "1"),
        (pandas.Series(["a", "b"], dtype="category"), "category", "a"),
        (pandas.Series([True, False]), "category", "True"),
        (pandas.Series(pandas.to_timedelta(["1min", "2min"])), "number", 60.0),
        (pandas.Series(pandas.to_datetime(["2020-01-02 01:00"] * 2)).dt.tz_localize("Etc/GMT-2"),
         "date", pandas.Timestamp("2020-01-01 23:00")),
        (pandas.Series(["1", "2"], dtype="string"), "number", 1.0),
        (series([1, "2", 3.0]), "number", 1.0),
    ],
    ids=["Int64", "codes", "category", "bool", "timedelta", "zone", "string", "mixed"],
)  # fmt: skip
def test_types_of_frames_are_believed(given: pandas.Series, kind: str, first: object) -> None:
    column, read, _ = typed("x", given)
    assert column.kind == kind and read.values.iloc[0] == first


def test_infinite_is_missing_and_told() -> None:
    for given in (series(["1", "inf", "-inf"]), pandas.Series([1, np.inf, -np.inf])):
        column, _, told = typed("x", given)
        assert column.missing == 2
        assert [found.sentence for found in told] == [
            "Column 'x' is infinite in 2 rows: counted as missing."
        ]


def test_mixed_types_say_which_parse_won() -> None:
    column, read, told = typed("x", series([str(i) for i in range(40)] + ["low", "none"]))
    assert column.kind == "number" and column.missing == 2 and read.lost == ("low",)
    assert told[0].code == "mixed" and told[0].sentence == (
        "Column 'x' was read as numbers; 1 cell ('low') is none and counts as missing."
    )
    column, _, told = typed("x", series(["1", "2", "low", "high"] * 3))
    assert column.kind == "category" and told[0].sentence == (
        "Column 'x' mixes numbers (50 % of the cells) and words such as 'low': all are read as "
        "words."
    )


def test_an_order_of_dates_that_is_a_guess_is_told() -> None:
    assert "day/month/year would fit too" in typed("x", series(["1/2/2020"]))[2][0].sentence
    assert not typed("x", series(["1/2/2020", "1/13/2020"]))[2]


def test_quick_numbers_are_the_slow_ones() -> None:
    cells = [repr(i / 7) if i % 5 else "" for i in range(100)]
    quick = typed("x", series(cells))[1].values
    slow = typed("x", series([*cells, "?"]))[1].values  # a mark takes the longer way
    np.testing.assert_array_equal(quick, slow[:-1])


def test_reading_again_keeps_the_form() -> None:
    read = read_as(series(["1/2/2020", "13/2/2020", "soon"]), "date", form="day/month/year")
    assert read.values[0] == pandas.Timestamp("2020-02-01") and read.lost == ("soon",)
    read = read_as(series(["1.234", "x"]), "number", form=",")
    assert read.values[0] == 1234 and (read.lost, read.cells) == (("x",), 1)
    assert read_as(pandas.Series([1.0, 2.5]), "category").values.tolist() == ["1", "2.5"]
