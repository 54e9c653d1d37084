"""Jobs in supervised child processes: limits on time and memory are enforced from outside.

A job that computes too long, takes too much memory, or brings its process down, is an outcome like
any other; the process is replaced and the work goes on.
"""

import multiprocessing
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Literal, NamedTuple

from metawright.engine.child import begin_child, no_interrupt, one_thread_each, packed, unpacked
from metawright.errors import InputError, MetawrightError

__all__ = ["How", "Outcome", "Workers", "in_words"]

How = Literal["done", "failed", "time", "memory", "died"]

_LOOK = 0.1  # seconds between two looks at time and memory
_PATIENCE = 2.0  # seconds for a child to end by itself
_PAGE = 4096


class Outcome(NamedTuple):
    """What came of a job.

    Arguments:
        key: the job's, as it was submitted.
        how: "done"; "failed", the function raised; "time" or "memory", it was stopped at a limit;
            "died", its process ended in another way.
        value: what the function gave, of a job that is done.
        message: one sentence on what went wrong.
        trace: the function's traceback, where it raised.
        seconds: how long the job ran.
    """

    key: Any
    how: How
    value: Any
    message: str
    trace: str
    seconds: float


class _Order(NamedTuple):
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]


class _Answer(NamedTuple):
    value: Any
    message: str
    trace: str


@dataclass(eq=False)
class _Child:
    """A process as its parent sees it; `key` is None while it has no job."""

    process: SpawnProcess
    connection: Connection
    ready: bool = False
    key: Any = None
    began: float = 0.0
    limit: float | None = None
    until: float | None = None

    def end(self) -> None:
        self.connection.close()
        self.process.terminate()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


class Workers:
    """Children that each work on one job at a time, with one thread, and are watched.

    Arguments:
        function: what a job calls; sent to every child once, so it and what it holds must be
            defined at the top of a module.
        count: how many children, at least 1.
        memory: bytes that a child may hold; None: as many as there are. Enforced where the
            system tells them (`/proc`, Linux).

    Raises:
        InputError: `count < 1`, or the function cannot be sent.

    Example:
        >>> from contextlib import closing
        >>> from metawright.engine.workers import Workers
        >>> with closing(Workers(divmod)) as workers:
        ...     workers.submit("first", 17, 5)
        ...     [outcome.value for outcome in workers.wait()]
        [(3, 2)]
    """

    def __init__(
        self, function: Callable[..., Any], *, count: int = 1, memory: int | None = None
    ) -> None:
        if count < 1:
            raise InputError(f"`count >= 1` must hold, but got (count={count}).")
        self.count, self.memory = count, memory
        self._data = packed(function)
        self._children: list[_Child] = []
        self._lost: list[Outcome] = []

    @property
    def free(self) -> int:
        """How many jobs can be submitted now."""
        return self.count - sum(child.key is not None for child in self._children)

    def start(self) -> None:
        """Starts all children now; they get ready while the caller goes on. Without it each is
        started by its first job."""
        while len(self._children) < self.count:
            self._children.append(self._started())

    def submit(
        self,
        key: Any,
        *arguments: Any,
        seconds: float | None = None,
        until: float | None = None,
        **keywords: Any,
    ) -> None:
        """Gives a free child a job.

        Arguments:
            key: names the job in its outcome; not None.
            arguments, keywords: of the function.
            seconds: after which it is stopped; None: never. The time that the child takes to start
                is not counted.
            until: a moment of `time.monotonic` at which it is stopped, started or not.
        """
        if key is None or not self.free:
            raise ValueError(f"`key` must be given and a child be free, but {self.free} are.")
        child = next((child for child in self._children if child.key is None), None)
        if child is None:
            child = self._started()
            self._children.append(child)
        child.key, child.limit, child.until = key, seconds, until
        child.began = time.monotonic()
        try:
            child.connection.send_bytes(packed(_Order(arguments, keywords)))
        except (BrokenPipeError, ConnectionResetError):
            self._lost.append(self._ended(child))

    def wait(self, seconds: float | None = None) -> list[Outcome]:
        """Outcomes since the last call; waits for the first, but not longer than `seconds`.

        Gives an empty list when that time is over, or when no job is out.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            outcomes, self._lost = self._lost, []
            outcomes += self._collect(0.0 if outcomes else self._pause(until))
            over = until is not None and time.monotonic() >= until
            if outcomes or over or self.free == self.count:
                return outcomes

    def close(self) -> None:
        """Ends all children; jobs that are out are lost."""
        while self._children:
            self._children.pop().end()

    def _pause(self, until: float | None) -> float:
        return _LOOK if until is None else min(_LOOK, max(0.0, until - time.monotonic()))

    def _collect(self, pause: float) -> list[Outcome]:
        busy = [child for child in self._children if child.key is not None]
        if not busy:
            return []
        ends: list[Any] = [end for c in busy for end in (c.connection, c.process.sentinel)]
        told = set(wait(ends, pause))
        outcomes: list[Outcome] = []
        for child in busy:
            if child.connection in told or child.process.sentinel in told:
                outcomes += self._heard(child)
            elif (limit := self._over(child)) is not None:
                outcomes.append(self._stopped(child, *limit))
        return outcomes

    def _heard(self, child: _Child) -> list[Outcome]:
        try:
            answer: _Answer | None = unpacked(child.connection.recv_bytes())
        except (EOFError, ConnectionResetError):
            return [self._ended(child)]
        if answer is None:  # it has the function now: the job's time begins
            child.ready, child.began = True, time.monotonic()
            return []
        if not child.ready:
            raise MetawrightError(f"A worker process could not start: {answer.message}")
        how: How = "failed" if answer.message else "done"
        outcome = Outcome(
            child.key, how, answer.value, answer.message, answer.trace, _since(child)
        )
        child.key = None
        return [outcome]

    def _over(self, child: _Child) -> tuple[How, str] | None:
        """Which limit the child is beyond, and the sentence that says so."""
        if child.ready and child.limit is not None and _since(child) > child.limit:
            return "time", f"It was stopped at the limit of {child.limit:.3g} s."
        if child.until is not None and time.monotonic() > child.until:
            return "time", "It was stopped at the end of the time."
        held = _held(child.process.pid) if self.memory is not None else 0
        if self.memory is not None and held > self.memory:
            most, is_held = self.memory / 2**20, held / 2**20
            return "memory", f"It was stopped at {is_held:.0f} MiB; the limit is {most:.0f} MiB."
        return None

    def _stopped(self, child: _Child, how: How, message: str) -> Outcome:
        outcome = Outcome(child.key, how, None, message, "", _since(child))
        self._children.remove(child)
        child.end()
        return outcome

    def _ended(self, child: _Child) -> Outcome:
        child.process.join(_PATIENCE)
        code = child.process.exitcode
        if not child.ready and code != -signal.SIGKILL:
            raise MetawrightError(
                f"A worker process ended with exit code {code} before it began: put what your "
                'program runs under `if __name__ == "__main__":`.'
            )
        message = f"Its process ended with exit code {code}."
        if code is not None and code < 0:
            hint = " (out of memory?)" if code == -signal.SIGKILL else ""
            message = f"Its process was killed by {signal.Signals(-code).name}{hint}."
        return self._stopped(child, "died", message)

    def _started(self) -> _Child:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, self._data), name="worker", daemon=True
        )
        with no_interrupt(), one_thread_each():
            process.start()
        theirs.close()
        return _Child(process, ours)


def _serve(connection: Connection, data: bytes) -> None:
    """The whole life of a child."""
    begin_child()
    try:
        function = unpacked(data)
        connection.send_bytes(packed(None))
    except Exception as error:  # noqa: BLE001 (the parent raises it)
        connection.send_bytes(packed(_answer(error)))
        return
    while True:
        try:
            order: _Order = unpacked(connection.recv_bytes())
        except EOFError:
            return
        try:
            sent = packed(_Answer(function(*order.arguments, **order.keywords), "", ""))
        except Exception as error:  # noqa: BLE001 (it becomes an outcome)
            sent = packed(_answer(error))
        connection.send_bytes(sent)


def _answer(error: Exception) -> _Answer:
    return _Answer(None, in_words(error), traceback.format_exc())


def in_words(error: Exception) -> str:
    """An error as one line; those meant for the user speak for themselves."""
    told = isinstance(error, MetawrightError) and str(error)
    return str(error) if told else f"{type(error).__name__}: {error}"


def _since(child: _Child) -> float:
    return time.monotonic() - child.began


def _held(pid: int | None) -> int:
    """Bytes of memory that a process holds; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0
