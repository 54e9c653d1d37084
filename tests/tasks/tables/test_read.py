"""Files of all kinds: what is read is what was written, and what cannot be read is told."""

import gzip
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from metawright.errors import InputError, MissingExtraError
from metawright.tasks.tables import read_table

GERMAN = "größe;preis\n1,5;3\n2,25;4\n"


def write(folder: Path, content: str | bytes, name: str = "a.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def read(path: Path) -> tuple[list[str], list[list[str]]]:
    data = read_table(path).data
    return list(data.columns), data.astype(object).to_numpy().tolist()


@pytest.mark.parametrize(
    ("text", "names", "cells"),
    [
        ("a,b\n1,x\n2,y\n", ["a", "b"], [["1", "x"], ["2", "y"]]),
        ("a;b\n1,5;2,5\n", ["a", "b"], [["1,5", "2,5"]]),
        ("a\tb\n1, 2\t3\n", ["a", "b"], [["1, 2", "3"]]),
        ("a|b\n1|2\n", ["a", "b"], [["1", "2"]]),
        ("a b\n1   2\n 3 4\n", ["a", "b"], [["1", "2"], ["3", "4"]]),
        ("a\nthis, that\nno, not, so\n", ["a"], [["this, that"], ["no, not, so"]]),
        ('a,b\n"x\ny, z",1\n"he said ""no""",2\n', ["a", "b"],
         [["x\ny, z", "1"], ['he said "no"', "2"]]),
        ("a,b\r\n1,2\r\n\r\n3,4", ["a", "b"], [["1", "2"], ["3", "4"]]),
        ("sep=;\na;b\n1;2\n", ["a", "b"], [["1", "2"]]),
        ("1,x\n2,y\n3,x\n", ["column 1", "column 2"], [["1", "x"], ["2", "y"], ["3", "x"]]),
        ("p,e\nx,e\np,f\n", ["column 1", "column 2"], [["p", "e"], ["x", "e"], ["p", "f"]]),
        (",0,1,2\n0,5,1,7\n1,6,2,9\n", ["column 1", "0", "1", "2"],
         [["0", "5", "1", "7"], ["1", "6", "2", "9"]]),
        ("x,2019,2020\ny,1,2\nz,3,4\n", ["x", "2019", "2020"], [["y", "1", "2"], ["z", "3", "4"]]),
        ("a,b,\n1,2,\n", ["a", "b"], [["1", "2"]]),
        ("a,b\n1,2,\n3,4,\n", ["a", "b"], [["1", "2"], ["3", "4"]]),
        ("a,b\nr1,1,2\nr2,3,4\n", ["row", "a", "b"], [["r1", "1", "2"], ["r2", "3", "4"]]),
        ("a,a,,a.2\n1,2,3,4\n", ["a", "a.3", "column 3", "a.2"], [["1", "2", "3", "4"]]),
        ('size\n5" pipe\n"6"" pipe"\n', ["size"], [['5" pipe'], ['6" pipe']]),
    ],
    ids=["comma", "decimal comma", "tab", "bar", "spaces", "one column", "quotes",
         "blank line", "declared", "no header", "no header, words", "a frame without names",
         "years", "separator at the end",
         "separator below", "row names", "names", "inches"],
)  # fmt: skip
def test_separated(text: str, names: list[str], cells: list[list[str]], tmp_path: Path) -> None:
    assert read(write(tmp_path, text)) == (names, cells)


@pytest.mark.parametrize(
    ("stored", "note"),
    [
        (GERMAN.encode(), "The separator"),
        (GERMAN.encode("utf-8-sig"), "The separator"),
        (GERMAN.encode("cp1252"), "The file is not in UTF-8: it was read as cp1252."),
        (GERMAN.replace("ß", "\x81").encode("latin-1"), "read as latin-1."),
        (GERMAN.encode("utf-16"), "read as utf-16."),
        (GERMAN.encode("utf-16-le"), "read as utf-16-le."),
        (gzip.compress(GERMAN.encode()), "The separator"),
    ],
    ids=["utf-8", "mark", "cp1252", "latin-1", "utf-16", "utf-16 without mark", "gzip"],
)
def test_encodings(stored: bytes, note: str, tmp_path: Path) -> None:
    frame = read_table(write(tmp_path, stored))
    assert list(frame.data.columns)[1] == "preis" and frame.data.columns[0].startswith("grö")
    assert note in frame.notes[0] and frame.notes[-1] == "Decimals are written with a comma."
    assert frame.decimal == "," and frame.data.shape == (2, 2)


def test_json_lines(tmp_path: Path) -> None:
    path = write(tmp_path, '{"a": 1, "b": "x"}\n\n{"a": 2.5}\n', "a.jsonl")
    data = read_table(path).data
    assert data["a"].tolist() == [1, 2.5] and data["b"].isna().tolist() == [False, True]


def test_frames_and_columns() -> None:
    given = pandas.DataFrame({("a", 1): [1, 2], 5: [3, 4], "b ": [5, 6]}, index=[7, 7])
    frame = read_table(given)
    assert list(frame.data.columns) == ["a_1", "5", "b"] and frame.data.index.tolist() == [0, 1]
    assert list(given.columns)[2] == "b ", "the frame given stays as it was"
    assert read_table({"x": np.arange(3)}).data["x"].tolist() == [0, 1, 2]
    with pytest.raises(InputError, match="All columns must be equally long, but got 'a' 1, 'b' 2"):
        read_table({"a": [1], "b": [1, 2]})
    with pytest.raises(InputError, match=r"A table must be a path, .* but got int"):
        read_table(3)


def test_names_are_told(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path, "a,a,b,\n1,2,3,4\n"))
    assert frame.repeated == ("a",) and frame.notes == (
        "Column 4 has no name: it is now called 'column 4'.",
        "2 columns are called 'a': the later is now 'a.2'.",
    )
    frame = read_table(write(tmp_path, "1,x\n2,y\n3,x\n"))
    assert frame.notes == (
        "There is no line of names: the columns are called 'column 1' to 'column 2'.",
    )


def test_short_lines_are_told(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path, 'a,b\n1,"x\ny"\n2\n3,z\n4\n'))
    assert frame.data["b"].tolist() == ["x\ny", "", "z", ""]
    assert frame.notes == (
        "2 lines (the first is line 4) have fewer than 2 cells: what lacks counts as missing.",
    )


BROKEN: dict[str, tuple[str | bytes, str]] = {
    "too long": (
        "a,b\n1,2\n3,4,5\n6,7\n",
        r"Line 3 of '.*a.csv' has 3 cells, but there are 2 col",
    ),
    "open quote": ('a,b\n1,2\n3,"x\n4,5\n', "A quote that opens on line 3 of .* is not closed"),
    "names only": ("a,b\n", "has a line of names only: add at least one row"),
    "blank": (" \n\n", "is empty: it must hold a table"),
    "nothing": ("", "is empty: it must hold a table"),
    "binary": (b"\x00\x01\x02a,b", "holds no text but binary data: give a table as .csv, .tsv"),
    "zip": (b"PK\x03\x04abc", "is a ZIP archive: unpack it"),
    "old excel": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "is an old Excel file"),
    "cut gzip": (gzip.compress(b"a,b\n1,2\n")[:-9], "cannot be read"),
    "wrong mark": (b"\xff\xfea", "begins as utf-16, but its byte 2 is not"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files(case: str, tmp_path: Path) -> None:
    content, sentence = BROKEN[case]
    with pytest.raises(InputError, match=sentence):
        read_table(write(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ('{"a": 1}\n{"a": \n', "Line 2 of '.*a.jsonl' is no JSON"),
        ("[1]\n", "Line 1 of '.*' must be a JSON object: one row a line"),
        ("{}\n", "is empty: it must hold one JSON object a line"),
    ],
)
def test_broken_json_lines(content: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=sentence):
        read_table(write(tmp_path, content, "a.jsonl"))


def test_paths(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file '.*a.csv', nor any table beside it"):
        read_table(tmp_path / "a.csv")
    write(tmp_path, GERMAN, "prices.csv")
    with pytest.raises(InputError, match=r"no file '.*price.csv': did you mean '.*prices.csv'\?"):
        read_table(tmp_path / "price.csv")
    with pytest.raises(InputError, match=r"no file '.*x.csv': '.*' holds prices.csv\."):
        read_table(tmp_path / "x.csv")
    with pytest.raises(InputError, match=r"is a folder: give the file .* such as '.*prices.csv'"):
        read_table(tmp_path)
    with pytest.raises(InputError, match=r"nor its folder '.*none': check the path"):
        read_table(tmp_path / "none" / "a.csv")
    with pytest.raises(InputError, match="is no Excel file, so it has no sheet 'one'"):
        read_table(tmp_path / "prices.csv", sheet="one")


def test_the_bytes_say_more_than_the_ending(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is no \.parquet file inside, or damaged"):
        read_table(write(tmp_path, "a,b\n1,2\n", "a.parquet"))
    assert read(write(tmp_path, "a,b\n1,2\n", "a.data")) == (["a", "b"], [["1", "2"]])


@pytest.mark.parametrize(
    ("stored", "package", "extra"),
    [(b"PAR1....PAR1", "pyarrow", "parquet"), (b"PK\x03\x04 xl/workbook", "openpyxl", "excel")],
)
def test_extras_are_named(
    stored: bytes, package: str, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=rf"'{package}': .* 'metawright\[{extra}\]'"):
        read_table(write(tmp_path, stored))


TYPED = pandas.DataFrame({"a": [1.5, 2.0, None], "b": ["x", None, "y"], "c": [1, 2, 3]})


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="needs pyarrow")
def test_parquet(tmp_path: Path) -> None:
    TYPED.to_parquet(tmp_path / "a.parquet")
    pandas.testing.assert_frame_equal(
        read_table(tmp_path / "a.parquet").data, TYPED, check_dtype=False, check_column_type=False
    )
    stored = (tmp_path / "a.parquet").read_bytes()
    with pytest.raises(InputError, match="is damaged: write it again"):
        read_table(write(tmp_path, stored[: len(stored) // 2], "half.parquet"))


@pytest.mark.skipif(importlib.util.find_spec("openpyxl") is None, reason="needs openpyxl")
def test_excel(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with pandas.ExcelWriter(path) as book:
        TYPED.to_excel(book, sheet_name="one", index=False)
        TYPED[["c", "a"]].to_excel(book, sheet_name="two", index=False)
    frame = read_table(path)
    assert frame.data["c"].tolist() == [1, 2, 3] and frame.data["b"].isna().sum() == 1
    assert frame.notes == ("Of 2 sheets the first was read, 'one'.",)
    assert list(read_table(path, sheet="two").data.columns) == ["c", "a"]
    with pytest.raises(InputError, match="has no sheet 'twoo': did you mean 'two'"):
        read_table(path, sheet="twoo")
    with pytest.raises(InputError, match="is no Excel file, or damaged"):
        read_table(write(tmp_path, path.read_bytes()[:3000], "half.xlsx"))


@pytest.mark.skipif(importlib.util.find_spec("polars") is None, reason="needs polars")
def test_polars() -> None:
    import polars

    frame = polars.DataFrame({"a": [1, None], "b": ["x", "y"]})
    for given in (frame, frame.lazy()):
        data = read_table(given).data
        assert data["b"].tolist() == ["x", "y"] and data["a"].isna().tolist() == [False, True]
