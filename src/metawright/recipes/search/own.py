"""A user's own space, and a way to build or to judge its designs: from a Python file, or objects.

A file is loaded where it is needed, also in workers, by its path: what it defines has no name that
another process could import.
"""

import inspect
import runpy
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from metawright.errors import InputError
from metawright.evaluate.evaluator import Evaluation
from metawright.spaces.decisions import decisions
from metawright.spaces.design import Design
from metawright.spaces.space import Space

__all__ = ["FromFile", "OwnEvaluator", "from_file", "own_space"]


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


class OwnEvaluator:
    """A user's function as an evaluator.

    Arguments:
        function: takes a design, and `fidelity` and `seed` if it has parameters of these names;
            gives an `Evaluation`, scores by name, or one number (then called "score").
        space: of its designs.
    """

    def __init__(self, function: Callable[..., Any], space: Space) -> None:
        self.function, self.space = function, space

    def __call__(self, design: Design, *, fidelity: float = 1.0, seed: int = 0) -> Evaluation:
        """What the function says of the design."""
        known = _parameters(self.function)
        given = {"fidelity": fidelity, "seed": seed}
        return own_evaluation(
            self.function(design, **{name: given[name] for name in given if name in known})
        )


def own_evaluation(made: Any) -> Evaluation:
    """An `Evaluation` of what a user's function gave.

    Raises:
        TypeError: it gave something else than one, scores by name, or a number.
    """
    if isinstance(made, Evaluation):
        return made
    if isinstance(made, Mapping):
        return Evaluation({str(name): float(value) for name, value in made.items()}, {}, {})
    if isinstance(made, int | float):
        return Evaluation({"score": float(made)}, {}, {})
    raise TypeError(
        "An evaluator must give an Evaluation, scores by name or one number, "
        f"but gave {type(made).__name__}."
    )


def _parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    if isinstance(function, FromFile):
        return function.parameters
    return inspect.signature(function).parameters


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
