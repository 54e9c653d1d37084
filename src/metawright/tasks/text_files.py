"""Texts with labels on disk: tables (CSV, TSV, JSON lines) and folders, read without torch."""

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from metawright.errors import InputError

__all__ = ["TABLES", "read_texts"]

TABLES = (".csv", ".tsv", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz")
"""Endings of tables of texts."""

_LIMIT = 2**31 - 1  # longest cell; Python's own limit of 128 KiB is less than some texts


def read_texts(
    path: Path, *, text: str = "text", label: str = "label"
) -> dict[str, tuple[str, ...]]:
    """Texts by label, labels sorted.

    A table has one text a row, in the columns `text` and `label`. A folder has one sub-folder of
    .txt files a class, each file one text; or one .txt file a class, each line one text.

    Raises:
        InputError: names the file, and the line where one is at fault.
    """
    if not path.exists():
        raise InputError(f"There is no file or folder '{path}' to read texts from.")
    pairs = _folder(path) if path.is_dir() else _table(path, text, label)
    found: dict[str, list[str]] = {}
    for name, one in pairs:
        found.setdefault(name, []).append(one)
    if not found:
        raise InputError(f"'{path}' holds no texts: it must have at least one of each class.")
    return {name: tuple(found[name]) for name in sorted(found)}


def _table(path: Path, text: str, label: str) -> Iterator[tuple[str, str]]:
    """Label and text of each row."""
    ending = "".join(path.suffixes[-2:]).lower().removesuffix(".gz")[-6:]
    content = _content(path)
    if not content.strip():
        raise InputError(f"'{path}' is empty: it must hold rows with '{text}' and '{label}'.")
    if ending.endswith(".jsonl"):
        rows = _json_rows(path, content)
    elif ending.endswith((".csv", ".tsv")):
        rows = _separated_rows(path, content, "\t" if ending.endswith(".tsv") else ",")
    else:
        raise InputError(
            f"'{path}' is no table of texts that can be read: use one of {', '.join(TABLES)}, or "
            "a folder with one sub-folder of .txt files a class."
        )
    for line, row in rows:
        for column in (text, label):
            if column not in row:
                has = ", ".join(f"'{name}'" for name in row)
                raise InputError(
                    f"'{path}' must have the columns '{text}' and '{label}', but line {line} has "
                    f"{has or 'none'}: rename them, or say which ones hold the text and the label."
                )
        if not row[text].strip() or not row[label].strip():
            empty = text if not row[text].strip() else label
            raise InputError(
                f"Line {line} of '{path}' has nothing in '{empty}': fill it in, or delete it."
            )
        yield row[label].strip(), row[text]


def _separated_rows(
    path: Path, content: str, separator: str
) -> Iterator[tuple[int, dict[str, str]]]:
    csv.field_size_limit(_LIMIT)
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=separator)
    try:
        header = [name.strip() for name in next(reader)]
        if not set(header) - {""}:
            raise InputError(f"The first line of '{path}' must name the columns, but is empty.")
        for cells in reader:
            if any(cell.strip() for cell in cells):
                cells += [""] * (len(header) - len(cells))
                yield reader.line_num, dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise InputError(f"Line {reader.line_num} of '{path}' cannot be read: {error}.") from error
    if reader.line_num < 2:
        raise InputError(f"'{path}' has a first line only: add one line a text.")


def _json_rows(path: Path, content: str) -> Iterator[tuple[int, dict[str, str]]]:
    for line, one in enumerate(content.split("\n"), 1):
        if not one.strip():
            continue
        try:
            row = json.loads(one)
        except ValueError as error:
            raise InputError(f"Line {line} of '{path}' is no JSON: {error}.") from error
        if not isinstance(row, Mapping):
            raise InputError(
                f"Line {line} of '{path}' must be a JSON object with the text and its label."
            )
        yield line, {str(name): "" if value is None else str(value) for name, value in row.items()}


def _folder(path: Path) -> Iterator[tuple[str, str]]:
    """Label and text of each file of sub-folders, or of each line of files."""
    folders = [p for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    for folder in folders:
        files = _texts_in(folder)
        if not files:
            raise InputError(f"Class folder '{folder}' has no .txt files: add some, or remove it.")
        for file in files:
            yield folder.name, _whole(file)
    if not folders:
        for file in _texts_in(path):
            lines = [line.strip() for line in _whole(file).splitlines()]
            yield from ((file.stem, line) for line in lines if line)


def _texts_in(folder: Path) -> list[Path]:
    return sorted(
        p for p in folder.iterdir() if p.suffix.lower() == ".txt" and not p.name.startswith(".")
    )


def _whole(path: Path) -> str:
    content = _content(path)
    if not content.strip():
        raise InputError(f"'{path}' is empty: write a text into it, or delete it.")
    return content


def _content(path: Path) -> str:
    """The file's characters; UTF-8, with or without a byte order mark, maybe compressed."""
    try:
        stored = path.read_bytes()
        if path.suffix.lower() == ".gz":
            stored = gzip.decompress(stored)
        return stored.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"'{path}' must be text in UTF-8, but its byte {error.start} is not: save it as UTF-8."
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"'{path}' cannot be read: {error}.") from error
