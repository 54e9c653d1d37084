"""What the workers of a table's run do: try a candidate, or fit a chosen one on all rows."""

import math
from collections.abc import Sequence
from typing import Any

from metawright.engine.budget import Clock
from metawright.engine.workers import Workers
from metawright.evaluate.tables import fit_final
from metawright.models.tables import FittedPipeline, State
from metawright.recipes.search.attempt import Attempt, Tried
from metawright.spaces.design import Design
from metawright.store.records import Trial
from metawright.tasks.tables import TableTask

__all__ = ["Work", "fitted"]

_LARGEST, _OTHERS = 5.0, 0.5  # seconds: the largest member always gets a fair chance


class Work:
    """Tries a design, or with `fit=True` fits it on all rows.

    Arguments:
        attempt: how a design is tried.
        task: the table.
        seed: of what is drawn in fitting.
    """

    def __init__(self, attempt: Attempt, task: TableTask, seed: int) -> None:
        self.attempt, self.task, self.seed = attempt, task, seed

    def __call__(self, design: Design, *, fit: bool = False, **asked: Any) -> tuple[Any, ...]:
        """Scores and held-out predictions, or the state of the fitted pipeline."""
        if fit:
            return tuple(fit_final(self.task, design, self.seed).to_state())
        tried: Tried = self.attempt(design, **asked)
        return tried


def fitted(trials: Sequence[Trial], workers: Workers, clock: Clock) -> dict[str, FittedPipeline]:
    """Their designs fitted on all rows, by trial, as far as there is time.

    Arguments:
        trials: the members, largest first.
        workers: that run a `Work`.
        clock: the time that is left.
    """
    made: dict[str, FittedPipeline] = {}
    waiting = list(trials)
    while waiting or workers.free < workers.count:
        while waiting and workers.free:
            trial = waiting.pop(0)
            left = clock.remaining()
            fair = _LARGEST if trial is trials[0] else _OTHERS
            seconds = None if math.isinf(left) else max(left, fair)
            workers.submit(trial.id, trial.design, fit=True, seconds=seconds)
        for outcome in workers.wait():
            if outcome.how == "done":
                made[outcome.key] = FittedPipeline.from_state(State(*outcome.value))
    return made
