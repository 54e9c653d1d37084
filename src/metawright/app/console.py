"""Messages and progress for a person: on stderr, so that stdout holds results only.

On a terminal, progress is a live bar with the time left; elsewhere (a log, a pipe) a plain line
now and then, without control codes. `NO_COLOR` is respected.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress

__all__ = ["Progress", "duration", "message", "messages", "progress"]

messages = Console(stderr=True, highlight=False)


class Progress(Protocol):
    """How far a job has come. `note` is a few words beside it: "best 93.1 %"."""

    def advance(self, by: float = 1.0, note: str = "") -> None:
        """`by` more of the total is done."""
        ...

    def reach(self, done: float, note: str = "") -> None:
        """`done` of the total is done (for a budget in seconds: the seconds gone)."""
        ...


def message(text: str, style: str = "") -> None:
    """One line for the user on stderr; never read as markup, and in a log never wrapped."""
    wrap = not messages.is_terminal
    messages.print(text, style=style, markup=False, emoji=False, soft_wrap=wrap)


@contextmanager
def progress(
    description: str,
    total: float,
    *,
    every: float = 10.0,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Progress]:
    """Shows how far a job of size `total` has come, and the time left, until the block ends.

    Arguments:
        description: what is being done, as a plain phrase ("Meta-training").
        total: size of the job in any unit (steps, tasks, seconds), > 0.
        every: without a terminal, the seconds between two lines.
        clock: gives seconds; for tests.
    """
    if not total > 0:
        raise ValueError(f"`total > 0` must hold, but got (total={total}).")
    if messages.is_terminal:
        with _live() as bar:
            yield _Bar(bar, description, total)
    else:
        lines = _Lines(description, total, every, clock)
        yield lines
        lines.close()


def duration(seconds: float) -> str:
    """A length of time in the two units that matter.

    Example:
        >>> duration(7.4), duration(187), duration(3725)
        ('7 s', '3 min 07 s', '1 h 02 min')
    """
    whole = round(max(seconds, 0.0))
    minutes, rest = divmod(whole, 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes_left:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class _Bar:
    """A live bar on a terminal."""

    def __init__(self, bar: RichProgress, description: str, total: float) -> None:
        self._bar = bar
        self._total = total
        self._task = bar.add_task(description, total=total, note="", left="")

    def advance(self, by: float = 1.0, note: str = "") -> None:
        self.reach(self._bar.tasks[self._task].completed + by, note)

    def reach(self, done: float, note: str = "") -> None:
        elapsed = self._bar.tasks[self._task].elapsed or 0.0
        left = _left(elapsed, done, self._total)
        self._bar.update(self._task, completed=min(done, self._total), note=note, left=left)


class _Lines:
    """A plain line at the start, every so often, and at the end."""

    def __init__(
        self, description: str, total: float, every: float, clock: Callable[[], float]
    ) -> None:
        self._description = description
        self._total = total
        self._every = every
        self._clock = clock
        self._start = self._last = clock()
        self._done = 0.0
        self._note = ""
        message(f"{description} ...")

    def advance(self, by: float = 1.0, note: str = "") -> None:
        self.reach(self._done + by, note)

    def reach(self, done: float, note: str = "") -> None:
        self._done = min(done, self._total)
        self._note = note or self._note
        now = self._clock()
        if now - self._last < self._every or self._done >= self._total:
            return
        self._last = now
        left = _left(now - self._start, self._done, self._total)
        share = 100 * self._done / self._total
        self._line(f"{share:.0f} %" + (f", {left}" if left else ""))

    def close(self) -> None:
        self._line(f"done in {duration(self._clock() - self._start)}")

    def _line(self, what: str) -> None:
        note = f" ({self._note})" if self._note else ""
        message(f"{self._description}: {what}{note}")


def _live() -> RichProgress:
    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %", markup=False),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
        console=messages,
        refresh_per_second=4,
    )


def _left(elapsed: float, done: float, total: float) -> str:
    """The time left at the mean speed so far; empty before the start and at the end."""
    if not 0 < done < total:
        return ""
    return f"{duration(elapsed * (total - done) / done)} left"
