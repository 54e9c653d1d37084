"""Where the user's own experience is kept, unless a command names another place."""

import os
from pathlib import Path

from platformdirs import user_data_path

__all__ = ["NOWHERE", "VARIABLE", "home_store"]

VARIABLE = "METAWRIGHT_STORE"
NOWHERE = "none"
"""In place of a folder: nothing is remembered, and nothing looked up."""


def home_store(asked: Path | str | None = None) -> Path | None:
    """The folder of the store: what was asked for, else METAWRIGHT_STORE, else the user's own.

    None where that is "none".

    Example:
        >>> home_store("experience")
        PosixPath('experience')
        >>> home_store("none") is None
        True
    """
    name = str(asked) if asked is not None else os.environ.get(VARIABLE, "")
    if name == NOWHERE:
        return None
    return Path(name) if name else user_data_path("metawright") / "store"
