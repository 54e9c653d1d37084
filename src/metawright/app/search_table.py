"""A search as it goes on: the front as a live table on a terminal, elsewhere a line at times."""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, Self

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from metawright.app import console
from metawright.app.measures import shown
from metawright.store.records import Trial
from metawright.strategies.objectives import measured

__all__ = ["SearchTable"]

_ROWS = 6
_WORDS = 60  # characters of a design


class SearchTable:
    """Watches a search and shows it.

    Arguments:
        objectives: names of the measures, one column each.
        seconds, trials: the budget.
    """

    def __init__(
        self, objectives: Sequence[str], seconds: float | None, trials: int | None
    ) -> None:
        self.objectives = tuple(objectives)
        self.seconds, self.trials = seconds, trials
        self._stack = ExitStack()
        self._live: Live | None = None
        self._job: console.Progress | None = None

    def __enter__(self) -> Self:
        if console.messages.is_terminal:
            self._live = self._stack.enter_context(
                Live(Text("Starting workers ..."), console=console.messages, refresh_per_second=4)
            )
        else:
            total = self.seconds or float(self.trials or 1)
            self._job = self._stack.enter_context(console.progress("Searching", total))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Takes in what a search tells after every trial."""
        if self._live is not None:
            self._live.update(Group(Text(self._progress(event)), self._table(event)))
        if self._job is not None:
            total = self.seconds or float(self.trials or 1)
            done = event["seconds"] if self.seconds else event["trials"]
            self._job.reach(min(done, total), f"{event['trials']} designs{self._best(event)}")

    def _progress(self, event: Mapping[str, Any]) -> str:
        told = f"{event['stage']}: {event['trials']} designs, "
        told += console.duration(event["seconds"])
        if self.seconds is not None:
            left = max(0.0, self.seconds - event["seconds"])
            return f"{told} gone, {console.duration(left)} left{self._last(event)}"
        if self.trials is not None and 0 < event["trials"] < self.trials:
            pace = event["seconds"] / event["trials"]
            left = pace * (self.trials - event["trials"])
            return f"{told} gone, about {console.duration(left)} left{self._last(event)}"
        return f"{told} gone{self._last(event)}"

    def _best(self, event: Mapping[str, Any]) -> str:
        chosen: Trial | None = event["chosen"]
        if chosen is None:
            return ""
        values = ((name, measured(chosen, name)) for name in self.objectives)
        told = [f"{name} {shown(name, value)}" for name, value in values if value is not None]
        return f", best {', '.join(told)}" + self._last(event)

    def _last(self, event: Mapping[str, Any]) -> str:
        error = event["trial"].evidence.get("error")
        return f"; the last failed: {error}" if error else ""

    def _table(self, event: Mapping[str, Any]) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in self.objectives:
            table.add_column(name, justify="right")
        table.add_column("parameters", justify="right")
        table.add_column("design")
        front: list[Trial] = event["front"]
        for trial in _spread(front, _ROWS):
            chosen = event["chosen"] is not None and trial.id == event["chosen"].id
            values = [measured(trial, name) for name in (*self.objectives, "parameters")]
            cells = [
                "–" if value is None else shown(name, value)
                for name, value in zip((*self.objectives, "parameters"), values, strict=True)
            ]
            words = Text(_short(trial), overflow="ellipsis", no_wrap=True)
            table.add_row(*cells, words, style="bold" if chosen else "")
        return table


def _short(trial: Trial) -> str:
    text = trial.design.key.replace('"', "")
    return text if len(text) <= _WORDS else f"{text[: _WORDS - 1]}…"


def _spread(trials: Sequence[Trial], most: int) -> list[Trial]:
    """At most so many of a front, evenly spread over it, both ends among them."""
    if len(trials) <= most:
        return list(trials)
    step = (len(trials) - 1) / (most - 1)
    return [trials[math.floor(step * index + 0.5)] for index in range(most)]
