"""The loop of every search: ask for a design, score it, tell what came of it.

A design whose scoring breaks is recorded as a failed trial and the search goes on; only when most
designs fail does it stop, because then something else is wrong.
"""

from collections.abc import Callable
from uuid import uuid4

from metawright.engine.budget import Clock
from metawright.errors import MetawrightError
from metawright.spaces.design import Design
from metawright.store.records import Trial
from metawright.strategies.strategy import Strategy

__all__ = ["ask_score_tell"]

_TRIES = 6  # designs asked for until one fits into the time left
_FAILURES = 5  # in a row


def ask_score_tell(
    strategy: Strategy,
    score: Callable[[Design], Trial],
    *,
    clock: Clock,
    expected_seconds: Callable[[Design], float],
    on_trial: Callable[[Trial], None],
    done: int = 0,
    task: str = "",
    run: str = "",
) -> int:
    """Tries designs until the budget is spent, and at least until one of them works.

    Arguments:
        strategy: proposes designs; it must have been told of earlier trials.
        score: tries one design.
        clock: the budget as it runs.
        expected_seconds: what trying a design will take; one that would not end in time is passed
            over (not before one has worked, for there must be an answer).
        on_trial: called with every trial, after the strategy was told.
        done: trials made earlier.
        task, run: for failed trials.

    Returns:
        Trials made in all.

    Raises:
        MetawrightError: several designs in a row failed.
    """
    failures, answered = 0, done > 0
    while not answered or not clock.spent(done):
        design = _affordable(strategy, clock, expected_seconds, first=not answered)
        if design is None:
            break
        try:
            trial = score(design)
            failures, answered = 0, True
        except (RuntimeError, ValueError, ArithmeticError) as error:
            failures += 1
            trial = _failed(design, error, task, run)
            if failures >= _FAILURES:
                raise MetawrightError(
                    f"{failures} designs in a row failed, the last with: {error}"
                ) from error
        done += 1
        strategy.tell([trial])
        on_trial(trial)
    return done


def _affordable(
    strategy: Strategy,
    clock: Clock,
    expected_seconds: Callable[[Design], float],
    *,
    first: bool,
) -> Design | None:
    for _ in range(_TRIES):
        design = strategy.ask(1)[0]
        left = clock.remaining()
        if first or expected_seconds(design) <= left:
            return design
    return None


def _failed(design: Design, error: Exception, task: str, run: str) -> Trial:
    return Trial(
        id=uuid4().hex[:12],
        task=task,
        design=design,
        scores={},
        evidence={"error": f"{type(error).__name__}: {error}"},
        status="failed",
        run=run,
    )
