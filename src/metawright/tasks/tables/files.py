"""Files of tables: which one is meant, how it is packed, and its characters.

Nothing here needs pandas, so that a wrong path is answered at once.
"""

import gzip
import zlib
from difflib import get_close_matches
from pathlib import Path

from metawright.errors import InputError

__all__ = ["ENDINGS", "contents", "decoded", "form_of", "is_table", "table_file"]

ENDINGS = (".csv", ".tsv", ".txt", ".data", ".parquet", ".jsonl", ".ndjson", ".xlsx")
"""Endings of files that are read as tables, all but the last also with .gz behind them."""

_FORMS = {".tsv": "separated", ".jsonl": "json", ".ndjson": "json", ".parquet": "parquet",
          ".pq": "parquet", ".xlsx": "excel", ".xlsm": "excel"}  # fmt: skip
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)
_OF_TEXT = frozenset(b"\t\n\r\f\x0b\x1a\x1b")


def is_table(data: Path | str) -> bool:
    """Whether a path is that of a file which is read as a table, by its ending.

    Example:
        >>> is_table("flats.CSV"), is_table("flats.csv.gz"), is_table("digits")
        (True, True, False)
    """
    name = str(data).lower().removesuffix(".gz")
    return name.endswith(ENDINGS) and not Path(data).is_dir()


def table_file(source: str | Path) -> Path:
    """The path, if a file is there that may hold a table.

    Raises:
        InputError: there is none (names the nearest one of the folder), or it is empty.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        tables = _tables_in(path)
        held = f"such as '{path / tables[0]}'" if tables else f"but there is no {ENDINGS[0]} in it"
        raise InputError(f"'{path}' is a folder: give the file of the table, {held}.")
    if not path.exists():
        raise InputError(f"There is no file '{path}'{_nearest(path)}")
    if not path.is_file():
        raise InputError(f"'{path}' is no plain file: give the file of a table.")
    if path.stat().st_size == 0:
        raise InputError(f"'{path}' is empty: it must hold a table with at least one column.")
    return path


def contents(path: Path) -> bytes:
    """The bytes of a file, unpacked if they are packed by gzip.

    Raises:
        InputError: the file cannot be read or unpacked.
    """
    try:
        stored = path.read_bytes()
        return gzip.decompress(stored) if stored[:2] == b"\x1f\x8b" else stored
    except PermissionError:
        raise
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"'{path}' cannot be read: {error}.") from error


def form_of(path: Path, stored: bytes) -> str:
    """How a table is written: "separated", "json", "parquet" or "excel"; the bytes say, then
    the ending.

    Raises:
        InputError: it is none of these.

    Example:
        >>> form_of(Path("a.csv"), b"a,b"), form_of(Path("a.csv"), b"PAR1..."), form_of(
        ...     Path("a.jsonl.gz"), b'{"a": 1}')
        ('separated', 'parquet', 'json')
    """
    endings = [ending.lower() for ending in path.suffixes if ending.lower() != ".gz"]
    ending = endings[-1] if endings else ""
    if stored[:4] == b"PAR1":
        return "parquet"
    if stored[:4] == b"PK\x03\x04":
        if b"xl/" in stored or _FORMS.get(ending) == "excel":
            return "excel"
        raise InputError(f"'{path}' is a ZIP archive: unpack it and give the file in it.")
    if stored[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise InputError(f"'{path}' is an old Excel file (.xls): save it as .xlsx or .csv.")
    form = _FORMS.get(ending, "separated")
    if form in ("parquet", "excel"):
        raise InputError(f"'{path}' is no {ending} file inside, or damaged: write it again.")
    if _is_binary(stored):
        raise InputError(
            f"'{path}' holds no text but binary data: give a table as {', '.join(ENDINGS)}."
        )
    return form


def decoded(path: Path, stored: bytes) -> tuple[str, str]:
    """The characters of a text file, and its encoding: that of its byte order mark, UTF-8,
    UTF-16 without a mark, or else Windows' (cp1252) or Latin-1.

    Example:
        >>> decoded(Path("a.csv"), "größe".encode("cp1252"))
        ('größe', 'cp1252')
    """
    for mark, encoding in _MARKS:
        if stored.startswith(mark):
            return _text(path, stored, encoding), encoding
    wide = _wide(stored)
    if wide:
        return _text(path, stored, wide), wide
    for encoding in ("utf-8", "cp1252"):
        try:
            return stored.decode(encoding), encoding
        except UnicodeDecodeError:
            continue
    return stored.decode("latin-1"), "latin-1"


def _text(path: Path, stored: bytes, encoding: str) -> str:
    try:
        return stored.decode(encoding)
    except UnicodeDecodeError as error:
        raise InputError(
            f"'{path}' begins as {encoding}, but its byte {error.start} is not: save it as UTF-8."
        ) from error


def _wide(stored: bytes) -> str:
    """UTF-16 without a mark: every other byte of plain letters is zero."""
    start = stored[:4096]
    half = len(start) // 2
    if half < 4:
        return ""
    if start[1::2].count(0) > 0.7 * half and start[::2].count(0) < 0.1 * half:
        return "utf-16-le"
    if start[::2].count(0) > 0.7 * half and start[1::2].count(0) < 0.1 * half:
        return "utf-16-be"
    return ""


def _is_binary(stored: bytes) -> bool:
    if _wide(stored) or any(stored.startswith(mark) for mark, _ in _MARKS):
        return False
    start = stored[:8192]
    return any(byte < 32 and byte not in _OF_TEXT for byte in start)


def _tables_in(folder: Path) -> list[str]:
    return sorted(
        p.name for p in folder.iterdir() if p.is_file() and set(p.suffixes) & set(ENDINGS)
    )


def _nearest(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f", nor its folder '{folder}': check the path."
    names = sorted(p.name for p in folder.iterdir() if p.is_file())
    close = get_close_matches(path.name, names, n=1, cutoff=0.6)
    if close:
        return f": did you mean '{folder / close[0]}'?"
    tables = _tables_in(folder)
    if not tables:
        return ", nor any table beside it: check the path."
    more = ", ..." if tables[3:] else ""
    return f": '{folder}' holds {', '.join(tables[:3])}{more}."
