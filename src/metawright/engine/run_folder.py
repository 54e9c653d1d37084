"""The folder of a run: what was asked, how it stands, and everything needed to go on from it."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metawright import __version__
from metawright.errors import InputError, VersionError
from metawright.store.files import clear_errors, read_json, write_json

__all__ = ["FORMAT", "RunFolder", "check_free"]

FORMAT = 1
_TOLD = ("data", "seed", "bundle")


class RunFolder:
    """One run on disk; `record` is what `run.json` holds.

    Arguments:
        path: the folder; made if need be.
        asked: what identifies the run ("data" with a "fingerprint", "seed", "bundle" with a
            "digest") and what else is to be noted at its start.

    Raises:
        InputError: the folder holds something else, or a run on other data.
        VersionError: the folder holds a run of another version.
    """

    def __init__(self, path: Path, asked: Mapping[str, Any]) -> None:
        check_free(path)
        with clear_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.resumed = (path / "run.json").exists()
        fresh = {
            "format": FORMAT,
            "metawright": __version__,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "status": "running",
            "seconds": 0.0,
            "first_model_seconds": None,
            "history": [],
            "test": None,
            **asked,
        }
        if self.resumed:
            self.record: dict[str, Any] = self._same(read_json(path / "run.json"), asked)
            self.record["budget"] = asked.get("budget", self.record.get("budget"))
        else:
            self.record = fresh
        self._began = time.monotonic() - float(self.record["seconds"])

    @property
    def seconds(self) -> float:
        """Time spent on this run, in all sessions."""
        return time.monotonic() - self._began

    def started_before(self, seconds: float) -> None:
        """Counts time that went by before the folder was opened (loading, reading the data)."""
        self._began -= seconds

    def save(self, **changes: Any) -> None:
        """Writes `run.json` with what changed."""
        self.record |= changes
        self.record["seconds"] = round(self.seconds, 3)
        write_json(self.path / "run.json", self.record)

    def _same(self, found: Any, asked: Mapping[str, Any]) -> dict[str, Any]:
        for name in _TOLD:
            if _identity(found.get(name)) != _identity(asked.get(name)):
                raise InputError(
                    f"'{self.path}' holds a run with other {name}: choose another --out, or give "
                    "the same arguments as then to go on."
                )
        return dict(found)


def check_free(path: Path) -> None:
    """Refuses a folder that is neither new, empty, nor a run; loads nothing heavy.

    Raises:
        InputError: a file, or a folder with other things in it.
        VersionError: a run of another version.
    """
    for part in (path, *path.parents):
        if part.is_file():
            raise InputError(
                f"'{part}' is a file, but a run needs a folder: choose another --out."
            )
    if not path.is_dir():
        return
    if not (path / "run.json").exists():
        # A lock or a store is left where a run was killed before its first line was written.
        others = [p.name for p in path.iterdir() if p.name not in (".lock", "store")]
        if [name for name in others if not name.startswith(".run.json")]:
            raise InputError(
                f"'{path}' is not empty and holds no run: choose another folder with --out, so "
                "that nothing of yours is touched."
            )
        return
    found = read_json(path / "run.json")
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise VersionError(
            f"'{path}' holds a run of another version of metawright: choose another --out."
        )


def _identity(value: Any) -> Any:
    if isinstance(value, Mapping):
        return value.get("fingerprint") or value.get("digest") or value
    return value
