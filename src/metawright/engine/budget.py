"""How long a job may go on, and how much of that is left.

A budget is a value: seconds, a number of trials, or both (whichever ends first). A clock is a
budget that has started.
"""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from metawright.errors import InputError

__all__ = ["Budget", "Clock", "parse_duration"]

_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile(
    rf"(?:(?P<h>{_NUMBER})\s*h)?\s*(?:(?P<m>{_NUMBER})\s*m)?\s*(?:(?P<s>{_NUMBER})\s*s?)?"
)


def parse_duration(text: str, *, name: str = "--budget") -> float:
    """Seconds meant by hours, minutes and seconds such as "1h", "1m30s", "0.5h" or plain "90".

    Arguments:
        text: what the user wrote.
        name: the flag or argument it was given to, for the message.

    Raises:
        InputError: the text is not a duration, or is not more than zero.

    Example:
        >>> from metawright.engine.budget import parse_duration
        >>> parse_duration("1m30s")
        90.0
    """
    words = text.strip().lower()
    match = _DURATION.fullmatch(words.removeprefix("-").lstrip())
    if match is None or not any(match.groups()):
        raise InputError(
            f"{name} must be a duration such as 30s, 5m, 1h or 1m30s, but got {text!r}."
        )
    hours, minutes, seconds = (float(part or 0) for part in match.group("h", "m", "s"))
    total = 3600 * hours + 60 * minutes + seconds
    if words.startswith("-") or total == 0:
        raise InputError(f"{name} must be more than zero, but got {text!r}; try 30s.")
    if not math.isfinite(total):
        raise InputError(f"{name} must be finite, but got {text!r}; try 30s.")
    return total


@dataclass(frozen=True)
class Budget:
    """How much may be spent: seconds, trials, or both (whichever ends first).

    Arguments:
        seconds: wall-clock time, more than zero; None: as long as the trials take.
        trials: how many designs are tried, at least 1; None: as many as the time allows.

    Raises:
        InputError: a limit is out of range, or neither is given (the job would never end).
    """

    seconds: float | None = None
    trials: int | None = None

    def __post_init__(self) -> None:
        if self.seconds is None and self.trials is None:
            raise InputError("`seconds` or `trials` must be given, but both are None.")
        if self.seconds is not None and not 0 < self.seconds < math.inf:
            raise InputError(
                f"`seconds` must be finite and more than zero, but got {self.seconds}."
            )
        if self.trials is not None and self.trials < 1:
            raise InputError(f"`trials` must be at least 1, but got {self.trials}.")


@dataclass(frozen=True)
class Clock:
    """A budget that has started; it keeps asking the time.

    Arguments:
        budget: what may be spent.
        started: when it started, on the scale of `now`; by default at this moment. A resumed job
            that has used 20 seconds starts at `time.monotonic() - 20`.
        now: gives the time in seconds; it must never run backwards.
    """

    budget: Budget
    started: float = field(default_factory=time.monotonic)
    now: Callable[[], float] = time.monotonic

    def elapsed(self) -> float:
        """Seconds since the start."""
        return self.now() - self.started

    def remaining(self) -> float:
        """Seconds left, never below 0; infinite when only trials are limited."""
        if self.budget.seconds is None:
            return math.inf
        return max(0.0, self.budget.seconds - self.elapsed())

    def spent(self, trials_done: int) -> bool:
        """Whether nothing is left after `trials_done` trials."""
        trials = self.budget.trials
        return self.remaining() == 0 or (trials is not None and trials_done >= trials)

    def eta(self, trials_done: int) -> float | None:
        """Seconds until the budget is spent at the pace so far; None while there is no telling."""
        ends = [self.remaining()]
        if self.budget.trials is not None and trials_done > 0:
            pace = self.elapsed() / trials_done
            ends.append(pace * max(0, self.budget.trials - trials_done))
        soonest = min(ends)
        return soonest if math.isfinite(soonest) else None
