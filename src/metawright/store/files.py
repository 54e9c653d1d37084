"""Files that are whole or not there: a kill, a full disk or a second writer leaves no half of one.

Bytes go to a temporary file in the same folder, are flushed to the disk, and take the place of the
old file in one step (`os.replace`). Whatever the operating system refuses is told as one sentence.
A killed process may leave its temporary file (hidden, ending in `.tmp`); it is never read.
"""

import contextlib
import errno
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from metawright.errors import InputError

__all__ = [
    "clear_errors",
    "full_disk",
    "json_text",
    "read_json",
    "write_bytes",
    "write_json",
    "write_text",
]


def write_bytes(path: Path, data: bytes) -> None:
    """Makes `data` the content of `path`, wholly or not at all; missing folders are made.

    Raises:
        InputError: the disk is full or the path cannot be written; what was there is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    with clear_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            # Gone after a success; after a failure only the first error is worth telling.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Makes `text` (as UTF-8) the content of `path`, wholly or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, obj: Any) -> None:
    """Makes `obj` as indented JSON the content of `path`; NaN and infinities become null."""
    write_text(path, json_text(obj, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """What the JSON file `path` holds.

    Raises:
        InputError: there is no such file, it cannot be read, or it is not JSON.
    """
    if not path.exists():
        raise InputError(f"There is no file {path}: check the path.")
    with clear_errors(path, verb="read"):
        data = path.read_bytes()
    try:
        return json.loads(data)
    except ValueError as error:
        raise InputError(
            f"{path} is damaged or not a JSON file ({error}): restore it or make it again."
        ) from error


def json_text(obj: Any, *, indent: int | None = None) -> str:
    """`obj` as strict JSON text; JSON knows no NaN and no infinity, so they become null.

    Raises:
        TypeError: `obj` holds something that is not plain data.

    Example:
        >>> from metawright.store.files import json_text
        >>> json_text({"accuracy": 0.5, "loss": float("nan")})
        '{"accuracy": 0.5, "loss": null}'
    """
    return json.dumps(_strict(obj), indent=indent, allow_nan=False)


def _strict(obj: Any) -> Any:
    if isinstance(obj, float):
        return obj if math.isfinite(obj) else None
    if isinstance(obj, Mapping):
        return {key: _strict(value) for key, value in obj.items()}
    if isinstance(obj, (list, tuple)):
        return [_strict(value) for value in obj]
    return obj


@contextlib.contextmanager
def clear_errors(path: Path, *, verb: str = "written") -> Iterator[None]:
    """Turns every OSError inside into an `InputError` that says what cannot be `verb` and why."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full_disk(path) from error
        advice = _ADVICE.get(error.errno or 0, "check the path and the disk")
        reason = error.strerror or str(error)
        raise InputError(f"{path} cannot be {verb} ({reason}): {advice}.") from error


def full_disk(path: Path | str) -> InputError:
    """The error for a disk that has no room left for `path`."""
    return InputError(
        f"No space left on the disk of {path}: free some and run the same command again; "
        "what was there is untouched."
    )


_ADVICE = {
    errno.EACCES: "change its permissions or choose another place",
    errno.EPERM: "change its permissions or choose another place",
    errno.EROFS: "choose a place that can be written",
    errno.ENOTDIR: "a part of the path is a file where a folder is needed",
    errno.EEXIST: "a file stands where a folder is needed",
    errno.EISDIR: "a folder stands where a file is needed",
    errno.ENAMETOOLONG: "choose a shorter name",
}
