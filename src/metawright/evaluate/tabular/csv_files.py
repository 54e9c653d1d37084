"""Tables of text: packed files of comma-separated values, read once a process."""

import csv
import gzip
import zlib
from functools import lru_cache
from pathlib import Path

from metawright.errors import InputError

__all__ = ["read_columns"]


@lru_cache(maxsize=8)
def read_columns(path: Path) -> dict[str, tuple[str, ...]]:
    """The columns of a `.csv.gz` file by their names.

    Raises:
        InputError: the file is damaged, or its rows are not all as long as its header.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
        return dict(zip(header, zip(*rows, strict=True), strict=True))
    except (OSError, EOFError, ValueError, csv.Error, zlib.error) as error:
        raise InputError(f"'{path}' is damaged or no table: fetch it again.") from error
