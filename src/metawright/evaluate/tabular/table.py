"""A tabular benchmark: all designs of a space were tried beforehand, once for all."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from metawright.errors import InputError, MetawrightError
from metawright.evaluate.evaluator import Evaluation, check_fidelity
from metawright.spaces.design import Design
from metawright.spaces.points import write
from metawright.spaces.space import Point, Record
from metawright.strategies.objectives import objective

__all__ = ["Column", "Table", "mean_of_runs"]

Column: TypeAlias = NDArray[np.floating]
"""A measure of each row: (rows,), or (rows, runs) where the trainings were repeated."""


class Table:
    """An evaluator that looks up what came of a design, in microseconds.

    A table has no short trainings: any fidelity gives the whole one, and the evidence says so.

    Arguments:
        space: the designs.
        task: name of the data set that they were trained on.
        score: the main measure, one of `scores`.
        scores: quality by name, one column each.
        cost: price by name, one column each.
        row: from a point of the space to its row; None where there is none, such as a network
            without an operation.
        one_run: gives the run `seed % runs` of repeated trainings instead of their mean.
        known: what is known of the space beside its decisions, as options of the strategy
            `predictor`: which designs are equal, and what they are made of.
    """

    def __init__(
        self,
        space: Record,
        *,
        task: str,
        score: str,
        scores: Mapping[str, Column],
        cost: Mapping[str, Column],
        row: Callable[[Point], int | None],
        one_run: bool = False,
        known: Mapping[str, Any] | None = None,
    ) -> None:
        if score not in scores:
            raise InputError(f"`score` must be one of {', '.join(scores)}, but got {score!r}.")
        self.space = space
        self.task = task
        self.score = score
        self.scores = dict(scores)
        self.cost = dict(cost)
        self.one_run = one_run
        self.known = dict(known or {})
        self._row = row

    def __call__(self, design: Design, *, fidelity: float = 1.0, seed: int = 0) -> Evaluation:
        """What the table says of the design.

        Raises:
            InputError: the design is not in the space, or `0 < fidelity <= 1` does not hold.
            MetawrightError: the table has no such design.
        """
        check_fidelity(fidelity)
        row = self.row(design)
        if row is None:
            raise MetawrightError(f"{self.task} has no result for {design}.")
        scores = {name: self._value(column, row, seed) for name, column in self.scores.items()}
        cost = {name: self._value(column, row, seed) for name, column in self.cost.items()}
        return Evaluation(scores, cost, {"row": row, "fidelity": 1.0})

    def row(self, design: Design) -> int | None:
        """The number of the design's row; None if it has none.

        Raises:
            InputError: the design is not in the space.
        """
        return self._row(write(self.space, design))

    @cached_property
    def best(self) -> float:
        """The best main measure of all designs (of repeated trainings, their mean)."""
        column = mean_of_runs(self.scores[self.score])
        best = np.nanmax(column) if objective(self.score).maximise else np.nanmin(column)
        return float(best)

    def _value(self, column: Column, row: int, seed: int) -> float:
        found = column[row]
        if self.one_run and found.ndim:
            return float(found[seed % len(found)])
        return float(found.mean())


def mean_of_runs(column: Column) -> Column:
    """The mean over repeated trainings, (rows,)."""
    return column if column.ndim == 1 else column.mean(1)
