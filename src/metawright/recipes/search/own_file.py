"""A Python file with a space of the user's and a way to build or to judge its designs.

A file is loaded where it is needed, also in workers, by its path: what it defines has no name that
another process could import. This module imports no torch; a user's file may.
"""

import inspect
import runpy
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from metawright.errors import InputError
from metawright.spaces.decisions import decisions
from metawright.spaces.space import Space

__all__ = ["FromFile", "from_file", "own_space"]


def own_space(space: Any, where: str = "`space`") -> Space:
    """`space`, if designs can be drawn from it.

    Raises:
        InputError: it is no space, or one without a single free decision.
    """
    if callable(space):
        space = space()
    if not isinstance(space, Space):
        raise InputError(f"{where} must be a space such as a Record, but got {space!r}.")
    if not decisions(space):
        raise InputError(f"{where} is empty: it must leave at least one decision open.")
    return space


def from_file(path: Path) -> dict[str, Any]:
    """What a Python file defines: `space`, and `build(design, spec)` or `evaluate(design, ...)`.

    Raises:
        InputError: the file breaks when it is run, or lacks one of them.
    """
    defined = _run(path.resolve())
    if "space" not in defined:
        raise InputError(f"'{path}' must define `space`, but defines {_names(defined)}.")
    given = [name for name in ("build", "evaluate") if callable(defined.get(name))]
    if len(given) != 1:
        raise InputError(
            f"'{path}' must define one function, `build(design, spec)` that gives a module or "
            f"`evaluate(design)` that gives scores, but defines {' and '.join(given) or 'none'}."
        )
    return {"space": own_space(defined["space"], f"`space` of '{path}'"), given[0]: True}


class FromFile:
    """A function of a Python file, which workers load anew.

    Arguments:
        path: of the file; name: of the function.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name = path.resolve(), name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """What the file's function gives."""
        return _run(self.path)[self.name](*arguments, **keywords)

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Of the file's function."""
        return inspect.signature(_run(self.path)[self.name]).parameters


@lru_cache(maxsize=8)
def _run(path: Path) -> dict[str, Any]:
    try:
        return runpy.run_path(str(path), run_name="metawright_own")
    except InputError as error:
        raise InputError(f"'{path}' breaks: {error}") from error
    except Exception as error:  # whatever a user's file may raise
        raise InputError(
            f"'{path}' breaks when it is run: {type(error).__name__}: {error}"
        ) from error


def _names(defined: Mapping[str, Any]) -> str:
    own = [f"`{name}`" for name in defined if not name.startswith("_")]
    return ", ".join(own) or "nothing"
