"""A user's function as an evaluator of designs."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from metawright.evaluate.evaluator import Evaluation
from metawright.recipes.search.own_file import FromFile
from metawright.spaces.design import Design
from metawright.spaces.space import Space

__all__ = ["OwnEvaluator", "own_evaluation"]


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
