"""What a bundle's folder says of itself, read without torch: a wrong one is refused at once."""

from pathlib import Path
from typing import Any

from metawright.errors import InputError, VersionError
from metawright.store.files import read_json

__all__ = ["FORMAT", "HEADER", "check_place", "read_header"]

FORMAT = 1
HEADER = "bundle.json"


def read_header(path: Path) -> dict[str, Any]:
    """What `bundle.json` of the bundle in the folder `path` holds.

    Raises:
        InputError: no bundle there, or its `bundle.json` is damaged.
        VersionError: written by an incompatible version.
    """
    if not (path / HEADER).is_file():
        raise InputError(
            f"There is no bundle in '{path}' (no {HEADER}): make one with "
            f"`metawright meta-train SOURCE --out {path}`, or leave --bundle out."
        )
    data = read_json(path / HEADER)
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        raise VersionError(
            f"Bundle '{path}' has format {found!r}, but this version of metawright reads format "
            f"{FORMAT}: meta-train it again, or install the version that wrote it."
        )
    return data


def check_place(path: Path) -> None:
    """Refuses to write a bundle into a folder that is neither new, empty, nor one of a bundle.

    Raises:
        InputError: a file, or a folder with other things in it.
    """
    if path.is_file():
        raise InputError(f"'{path}' is a file, but a bundle needs a folder: choose another --out.")
    known = any((path / name).exists() for name in (HEADER, "experience.json", "work"))
    if path.is_dir() and not known and any(path.iterdir()):
        raise InputError(
            f"'{path}' is not empty and holds no bundle: choose another folder with --out, so "
            "that nothing of yours is touched."
        )
