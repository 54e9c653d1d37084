"""What the workers of a table's run do: try a candidate, fit a chosen one on all rows, or shuffle
columns to see what they are worth."""

import math
import time
from collections.abc import Sequence
from typing import Any

from metawright.engine.budget import Clock
from metawright.evaluate.tables import TableEvaluator, fit_final
from metawright.models.tables import FittedPipeline, State
from metawright.recipes.search.attempt import Attempt, Tried
from metawright.recipes.search.job import Runner
from metawright.recipes.tables.explained import shuffled
from metawright.spaces.design import Design
from metawright.store.records import Trial

__all__ = ["Work", "fitted"]


class Work:
    """Tries a design, with `fit=True` fits it on all rows, with `shuffle` shuffles columns.

    Arguments:
        evaluator: tries designs, and knows the table and its folds.
        seed: of what is drawn in fitting.
    """

    def __init__(self, evaluator: TableEvaluator, seed: int) -> None:
        self.evaluator, self.seed = evaluator, seed

    def __call__(
        self,
        design: Design | Sequence[Design],
        *,
        fit: bool = False,
        shuffle: tuple[Sequence[float], float, int, float] | None = None,
        **asked: Any,
    ) -> Any:
        """Scores and held-out predictions; the state of the fitted pipeline; or what `shuffled`
        gives for several designs with (weights, temperature, fold, seconds)."""
        if not isinstance(design, Design):
            assert shuffle is not None
            weights, temperature, number, seconds = shuffle
            return shuffled(
                self.evaluator, design, weights, temperature, number, self.seed, seconds
            )
        if fit:
            return tuple(fit_final(self.evaluator.task, design, self.seed).to_state())
        tried: Tried = Attempt(self.evaluator)(design, **asked)
        return tried


def fitted(
    trials: Sequence[Trial], workers: Runner, clock: Clock, *, end: float = 0.0
) -> dict[str, FittedPipeline]:
    """Their designs fitted on all rows, by trial, as far as there is time.

    Arguments:
        trials: the members, largest first.
        workers: that run a `Work`.
        clock: the time that is left; end: seconds of it that are for something else.
    """
    made: dict[str, FittedPipeline] = {}
    waiting, out = list(trials), 0
    while waiting or out:
        while waiting and workers.free:
            trial, left = waiting.pop(0), clock.remaining() - end
            if left > 0:
                seconds = None if math.isinf(left) else left
                until = None if seconds is None else time.monotonic() + seconds
                workers.submit(trial.id, trial.design, fit=True, seconds=seconds, until=until)
                out += 1
        for outcome in workers.wait():
            out -= 1
            if outcome.how == "done":
                made[outcome.key] = FittedPipeline.from_state(State(*outcome.value))
    return made
