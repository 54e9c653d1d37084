"""Tables written as separated text, read without being told how: separator, header, decimal comma.

The separator is the one by which all lines have equally many cells; the first line is a header if
it is unlike the lines below it.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import NamedTuple

from metawright.errors import InputError

__all__ = ["Separated", "decimal_mark", "distinct_names", "has_header", "parse", "separator_of"]

NAMES = {"\t": "tab", ";": "semicolon", "|": "bar", ",": "comma", " ": "space"}
"""Separators, in the order in which they are tried."""

NONE = "\x1f"
"""Stands for no separator: a line is one cell."""

_SAMPLE = 1 << 17
_RECORDS = 200
_LIMIT = 2**31 - 1  # longest cell; Python's own limit of 128 KiB is less than some texts
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?\s*%?")
_EMPTY = {"", "?", "na", "nan", "n/a", "null"}
_SURE = {",": re.compile(r"[+-]?(\d+,(\d{1,2}|\d{4,})|0,\d+)"),
         ".": re.compile(r"[+-]?(\d+\.(\d{1,2}|\d{4,})|0\.\d+)")}  # fmt: skip


class Separated(NamedTuple):
    """A table of texts: names, one list of cells a column, and how they were written.

    `decimal` is "." or ","; `repeated` names those that the file gives to several columns.
    """

    names: list[str]
    columns: list[list[str]]
    separator: str
    decimal: str
    header: bool
    repeated: tuple[str, ...]
    notes: tuple[str, ...]


def parse(path: Path, text: str) -> Separated:
    """The table in the characters of a file.

    Raises:
        InputError: names the file and the line that cannot be read.

    Example:
        >>> parse(Path("a.csv"), "size;price\\n1,5;2\\n2,5;3\\n")[:4]
        (['size', 'price'], [['1,5', '2,5'], ['2', '3']], ';', ',')
    """
    if not text.strip():
        raise InputError(f"'{path}' is empty: it must hold a table with at least one column.")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    declared = re.match(r"sep=(.)\n", text, re.IGNORECASE)  # a line that Excel writes
    if declared:
        text = text[declared.end() :]
    separator = declared[1] if declared else separator_of(text)
    records, lines = _records(path, text, separator)
    header = has_header(records)
    width, rest = _width(records, header)
    notes = _level(path, records, lines, width, separator)
    given = [name.strip() for name in records[0]] if header else [""] * width
    given = ["row"] * (width - len(given)) + given
    columns = [list(cells) for cells in zip(*records[header:], strict=True)] or [[]] * width
    if rest or (width > 1 and not given[-1] and not any(map(str.strip, columns[-1]))):
        given, columns = given[: width - (not rest)], columns[: width - (not rest)]
    names, repeated, told = distinct_names(given, named=header)
    decimal = decimal_mark(columns, separator)
    if not header:
        told = (f"There is no line of names: the columns are called {_few(names)}.",)
    return Separated(names, columns, separator, decimal, header, repeated, (*notes, *told))


def separator_of(text: str) -> str:
    """What stands between the cells of a line: the first of tab, semicolon, bar and comma by
    which the lines, the first one too, have equally many cells.

    Example:
        >>> separator_of("a,b\\n1,2\\n"), separator_of("a;b\\n1,5;2,5\\n")
        (',', ';')
    """
    shares = {}
    for separator in list(NAMES)[:-1]:
        records = _sample(text, separator)
        widths = Counter(map(len, records))
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        if width > 1 and len(records[0]) in (width, width - 1):
            shares[separator] = count / len(records)
    for separator, share in shares.items():
        if share >= 0.9:
            return separator
    if shares:
        return max(shares, key=lambda separator: shares[separator])
    words = [line.split() for line in text[:_SAMPLE].splitlines()[:_RECORDS] if line.strip()]
    cells = [cell for line in words[1:] for cell in line]
    even = len({len(line) for line in words[1:]}) == 1 and len(words[-1]) > 1
    numbers = sum(_NUMBER.fullmatch(cell) is not None for cell in cells)
    if even and numbers > len(cells) / 2:
        return " "
    first = text.lstrip().partition("\n")[0]
    return max(list(NAMES)[:-1], key=first.count) if set(first) & {*"\t;|,"} else NONE


def has_header(records: Sequence[Sequence[str]]) -> bool:
    """Whether the first record names the columns.

    It does where it has words above numbers, or counts on (0, 1, 2, ... as frames without names
    are written, or years). It does not where it has numbers above numbers, or words that come
    again below.

    Example:
        >>> has_header([["a", "b"], ["1", "x"]]), has_header([["3", "x"], ["1", "x"]])
        (True, False)
    """
    first, rest = records[0], records[1 : 1 + _RECORDS]
    if _counts_on(first) and not any(_counts_on(row) for row in rest):
        return True
    votes = 0
    for index, name in enumerate(first):
        below = [row[index].strip() for row in rest if index < len(row)]
        below = [cell for cell in below if cell.casefold() not in _EMPTY]
        cell = name.strip()
        if not below or cell.casefold() in _EMPTY:
            continue
        numbers = sum(_NUMBER.fullmatch(value) is not None for value in below)
        if numbers > 0.8 * len(below):
            if not _NUMBER.fullmatch(cell):
                return True
            votes -= 1
        elif cell in below:
            votes -= 1
        elif len(set(below)) <= len(below) / 2:
            votes += 1
    return votes >= 0


def decimal_mark(columns: Sequence[Sequence[str]], separator: str) -> str:
    """The mark before the decimals, "." or ",", by the cells that leave no doubt.

    "1,234" may be a thousand: only such as "1,25" or "0,125" count. Without any, a comma is a
    decimal mark where semicolons separate.

    Example:
        >>> decimal_mark([["1,25"]], ";"), decimal_mark([["1,250"]], ",")
        (',', '.')
    """
    cells = [cell.strip() for column in columns for cell in column[:1000]]
    commas, points = (
        sum(pattern.fullmatch(cell) is not None for cell in cells) for pattern in _SURE.values()
    )
    if commas or points:
        return "," if commas > points else "."
    maybe = separator == ";" and any(re.fullmatch(r"[+-]?\d{1,3},\d{3}", cell) for cell in cells)
    return "," if maybe else "."


def distinct_names(
    given: Sequence[str], *, named: bool = True
) -> tuple[list[str], tuple[str, ...], tuple[str, ...]]:
    """Names that differ and are not empty; those that came more than once; what was changed.

    Example:
        >>> distinct_names(["a", "a"])
        (['a', 'a.2'], ('a',), ("2 columns are called 'a': the later is now 'a.2'.",))
    """
    names: list[str] = []
    taken, notes = set(given), []
    counts: Counter[str] = Counter()
    for place, name in enumerate(given, 1):
        counts[name] += 1
        if not name:
            names.append(f"column {place}")
            if named:
                notes.append(f"Column {place} has no name: it is now called 'column {place}'.")
            continue
        new, number = name, counts[name]
        while number > 1 and (new := f"{name}.{number}") in taken:
            number += 1
        taken.add(new)
        names.append(new)
    repeated = tuple(name for name, count in counts.items() if name and count > 1)
    for name in repeated:
        later = [n for n, old in zip(names, given, strict=True) if old == name and n != name]
        are = "later ones are" if len(later) > 1 else "later is"
        told = " and ".join(f"'{n}'" for n in later)
        notes.append(f"{counts[name]} columns are called '{name}': the {are} now {told}.")
    return names, repeated, tuple(notes)


def _counts_on(cells: Sequence[str]) -> bool:
    """Whether the whole numbers of a row are 0, 1, 2, ... or years one after the other."""
    numbers = [int(cell) for cell in cells if re.fullmatch(r"\d{1,6}", cell.strip())]
    if len(numbers) < 2 or any(after != before + 1 for before, after in pairwise(numbers)):
        return False
    return numbers[0] == 0 or (1900 <= numbers[0] and numbers[-1] <= 2100)


def _few(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"'{names[0]}' to '{names[-1]}'"


def _name(separator: str) -> str:
    return NAMES.get(separator, f"'{separator}'")


def _sample(text: str, separator: str) -> list[list[str]]:
    """The first records, without the last if the sample ends in the middle of it."""
    csv.field_size_limit(_LIMIT)
    reader = csv.reader(io.StringIO(text[:_SAMPLE], newline=""), delimiter=separator)
    records = [record for record in islice(reader, _RECORDS) if record]
    return records[:-1] if len(text) > _SAMPLE and 1 < len(records) < _RECORDS else records


def _records(path: Path, text: str, separator: str) -> tuple[list[list[str]], list[int]]:
    """The records and the lines at which they begin; blank lines are left out."""
    if separator == " ":
        text = "\n".join(" ".join(line.split()) for line in text.split("\n"))
    try:
        pairs = list(_read(text, separator, strict=True))
    except csv.Error as error:
        if "unexpected end" in str(error):
            line = sum(1 for _ in io.StringIO(text, newline=""))
            opened = _last_line(text, separator)
            raise InputError(
                f"A quote that opens on line {opened} of '{path}' is not closed until the end "
                f"(line {line}): close it, or double a quote inside quotes."
            ) from error
        pairs = list(_read(text, separator, strict=False))
    return [record for _, record in pairs], [line for line, _ in pairs]


def _read(text: str, separator: str, *, strict: bool) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(_LIMIT)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=strict)
    line = 1
    for record in reader:
        if record and (len(record) > 1 or record[0].strip()):
            yield line, record
        line = reader.line_num + 1


def _last_line(text: str, separator: str) -> int:
    """Where the last record begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    ends = [0, *(reader.line_num for _ in reader)]
    return [before + 1 for before, _ in pairwise(ends)][-1]


def _width(records: Sequence[Sequence[str]], header: bool) -> tuple[int, bool]:
    """Cells of a row, and whether all rows end with a separator that the header lacks."""
    first, rows = len(records[0]), records[header:]
    if not header:
        return Counter(map(len, rows)).most_common(1)[0][0], False
    if rows and all(len(row) == first + 1 for row in rows):
        if not any(row[-1].strip() for row in rows):
            return first, True
        return first + 1, False  # names of rows stand in front, as R writes them
    return first, False


def _level(
    path: Path, records: list[list[str]], lines: Sequence[int], width: int, separator: str
) -> tuple[str, ...]:
    """Makes all rows equally long, in place; says which were not."""
    short = []
    for index, record in enumerate(records):
        if len(record) == width:
            continue
        if len(record) > width:
            if any(cell.strip() for cell in record[width:]):
                raise InputError(
                    f"Line {lines[index]} of '{path}' has {len(record)} cells, but there are "
                    f"{width} columns: put quotes around a cell that holds a {_name(separator)}."
                )
            del record[width:]
        elif index or len(record) < width - 1:
            short.append(lines[index])
            record += [""] * (width - len(record))
    if not short:
        return ()
    where = f"Line {short[0]} has" if len(short) == 1 else (
        f"{len(short)} lines (the first is line {short[0]}) have"
    )  # fmt: skip
    return (f"{where} fewer than {width} cells: what lacks counts as missing.",)
