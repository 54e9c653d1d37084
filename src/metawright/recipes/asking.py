"""Whether a folder may be taken for what is asked: the rule of every run that is gone on with."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metawright.engine.run_folder import check_free
from metawright.errors import InputError
from metawright.store.files import read_json

__all__ = ["MADE_BY", "check_folder", "what_differs"]

MADE_BY = {
    "fewshot": "metawright fewshot",
    "fewshot comparison": "metawright fewshot --compare",
    "search": "metawright search",
    "table": "metawright generate",
}
"""Which command makes a run, by the kind that its `run.json` names."""


def check_folder(out: Path, asked: Mapping[str, Any], kind: str) -> None:
    """Refuses a folder that is taken: by something else, or by a run that was asked otherwise.

    Arguments:
        asked: what tells the run from another, plain data as `run.json` keeps it under "asked".
        kind: which verb makes the run, a key of `MADE_BY`.

    Raises:
        InputError: says what the folder holds, or which settings differ.
        VersionError: a run of another version.
    """
    check_free(out)
    if not (out / "run.json").exists():
        return
    found = read_json(out / "run.json")
    if found.get("kind") != kind:
        made_by = MADE_BY.get(str(found.get("kind")), "metawright generate")
        raise InputError(
            f"'{out}' holds a run of `{made_by}`: choose another --out, so that nothing is lost."
        )
    if others := what_differs(found.get("asked") or {}, asked):
        raise InputError(
            f"'{out}' holds a run with {others}: choose another --out, or give the same "
            "arguments as then to go on."
        )


def what_differs(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The settings in which two questions differ, as words; empty where they are the same."""
    return " and ".join(
        f"--{_flag(name)} {_shown(before.get(name))} (now {_shown(value)})"
        for name, value in now.items()
        if before.get(name) != value
    )


def _flag(name: str) -> str:
    return {"sources": "source", "objectives": "objective"}.get(name, name).replace("_", "-")


def _shown(value: Any) -> str:
    if isinstance(value, list | tuple) and not value:
        return "none"
    if isinstance(value, list | tuple) and isinstance(value[0], list | tuple):
        return ", ".join(f"{name} <= {most:g}" for name, most in value)
    if isinstance(value, list | tuple):
        return "+".join(str(part) for part in value)
    return "unset" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
