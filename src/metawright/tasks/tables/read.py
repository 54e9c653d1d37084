"""Tables from files and from pandas or polars, as they are: what a column means is decided later.

Cells of text files stay texts, so that nothing is lost by guessing too early.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas

from metawright.errors import InputError, MissingExtraError, did_you_mean
from metawright.tasks.tables.files import contents, decoded, form_of, table_file
from metawright.tasks.tables.separated import NAMES, distinct_names, parse

__all__ = ["Frame", "read_table"]

_MEANT = "a path, a pandas or polars frame, or a mapping of columns"


class Frame(NamedTuple):
    """A table as it was given: texts or typed columns, and what was noticed while reading.

    `decimal` is the mark before the decimals in texts; `repeated` names those that came more than
    once (the later ones have been renamed).
    """

    data: pandas.DataFrame
    name: str
    notes: tuple[str, ...] = ()
    decimal: str = "."
    repeated: tuple[str, ...] = ()


def read_table(source: Any, *, sheet: str | int | None = None) -> Frame:
    """A table from a file or a frame.

    Arguments:
        source: path of a file with separated text (separator, encoding, decimal comma and header
            are found out), JSON lines, Parquet (extra `parquet`) or Excel (extra `excel`), maybe
            packed by gzip; or a frame of pandas or polars, or a mapping of columns.
        sheet: which sheet of an Excel file, by name or number; None: the first.

    Raises:
        InputError: names the file, and the line where one is at fault.
        MissingExtraError: the file needs a package that is not there.
    """
    if isinstance(source, pandas.DataFrame):
        return _named(source.copy(deep=False), "the frame")
    if isinstance(source, Mapping):
        return _named(_columns(source), "the columns")
    if type(source).__module__.partition(".")[0] == "polars":
        frame = source.collect() if hasattr(source, "collect") else source
        lists = {name: frame[name].to_list() for name in frame.columns}
        return _named(pandas.DataFrame(lists), "the frame")
    if not isinstance(source, (str, Path)):
        raise InputError(f"A table must be {_MEANT}, but got {type(source).__name__}.")
    path = table_file(source)
    stored = contents(path)
    form = form_of(path, stored)
    if sheet is not None and form != "excel":
        raise InputError(f"'{path}' is no Excel file, so it has no sheet '{sheet}': leave it out.")
    if form == "parquet":
        return _named(_parquet(path, stored), path.name)
    if form == "excel":
        return _excel(path, stored, sheet)
    return _json(path, stored) if form == "json" else _separated(path, stored)


def _separated(path: Path, stored: bytes) -> Frame:
    text, encoding = decoded(path, stored)
    table = parse(path, text)
    if table.columns and not table.columns[0]:
        raise InputError(f"'{path}' has a line of names only: add at least one row.")
    columns = [np.array(cells, object) for cells in table.columns]
    data = pandas.DataFrame(dict(zip(table.names, columns, strict=True)), dtype=object)
    notes = []
    if not encoding.startswith("utf-8"):
        notes.append(f"The file is not in UTF-8: it was read as {encoding}.")
    if table.separator not in (",", "\t") and len(table.names) > 1:
        name = NAMES.get(table.separator, f"'{table.separator}'")
        notes.append(f"The separator is the {name}.")
    if table.decimal == ",":
        notes.append("Decimals are written with a comma.")
    return Frame(data, path.name, (*notes, *table.notes), table.decimal, table.repeated)


def _json(path: Path, stored: bytes) -> Frame:
    text, _ = decoded(path, stored)
    rows = []
    for line, one in enumerate(text.split("\n"), 1):
        if not one.strip():
            continue
        try:
            row = json.loads(one)
        except ValueError as error:
            raise InputError(f"Line {line} of '{path}' is no JSON: {error}.") from error
        if not isinstance(row, dict):
            raise InputError(f"Line {line} of '{path}' must be a JSON object: one row a line.")
        rows.append(row)
    if not rows or not any(rows):
        raise InputError(f"'{path}' is empty: it must hold one JSON object a line.")
    return _named(pandas.DataFrame(rows), path.name)


def _parquet(path: Path, stored: bytes) -> pandas.DataFrame:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet") from error
    try:
        return parquet.read_table(pyarrow.BufferReader(stored)).to_pandas()
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(f"'{path}' is damaged: write it again.") from error


def _excel(path: Path, stored: bytes, sheet: str | int | None) -> Frame:
    try:
        import openpyxl
    except ImportError as error:
        raise MissingExtraError("openpyxl", "excel") from error
    try:
        book = openpyxl.load_workbook(io.BytesIO(stored), read_only=True, data_only=True)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"'{path}' is no Excel file, or damaged: save it again.") from error
    names = book.sheetnames
    wanted = names[0] if sheet is None else sheet
    if isinstance(wanted, int) and 0 <= wanted < len(names):
        wanted = names[wanted]
    if wanted not in names:
        raise InputError(f"'{path}' has no sheet '{sheet}': {did_you_mean(str(sheet), names)}")
    rows = [
        row for row in book[wanted].iter_rows(values_only=True) if any(c is not None for c in row)
    ]
    if len(rows) < 2:
        raise InputError(f"Sheet '{wanted}' of '{path}' must hold a line of names and rows below.")
    width = max(sum(1 for _ in row) for row in rows)
    rows = [(*row, *[None] * (width - len(row))) for row in rows]
    header = ["" if name is None else str(name) for name in rows[0]]
    given, _, _ = distinct_names(header)
    data = pandas.DataFrame(dict(zip(given, zip(*rows[1:], strict=True), strict=True)))
    told = (f"Of {len(names)} sheets the first was read, '{wanted}'.",)
    frame = _named(data, path.name, header)
    return frame._replace(notes=(told if len(names) > 1 and sheet is None else ()) + frame.notes)


def _columns(source: Mapping[Any, Any]) -> pandas.DataFrame:
    lengths = {str(name): len(values) for name, values in source.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"'{name}' {length}" for name, length in list(lengths.items())[:5])
        raise InputError(f"All columns must be equally long, but got {told}.")
    return pandas.DataFrame({name: list(values) for name, values in source.items()})


def _named(data: pandas.DataFrame, name: str, header: list[str] | None = None) -> Frame:
    """Names as texts that differ; a table with no rows or columns is refused."""
    given = [_word(label) for label in data.columns] if header is None else header
    names, repeated, notes = distinct_names([word.strip() for word in given])
    data.columns = pandas.Index(names, dtype=object)
    if not len(data) or not len(names):
        raise InputError(f"{name[0].upper()}{name[1:]} has no rows or no columns: give some.")
    return Frame(data.reset_index(drop=True), name, notes, ".", repeated)


def _word(label: Any) -> str:
    """A column's name; frames may have numbers or tuples."""
    return "_".join(map(str, label)) if isinstance(label, tuple) else str(label)
