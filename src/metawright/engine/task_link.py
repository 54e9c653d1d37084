"""A worker process as its parent sees it: what it is sent, what it answers, how it ends."""

import multiprocessing
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import torch
from torch import Tensor

from metawright.engine.child import no_interrupt, one_thread_each
from metawright.engine.shared_memory import allocate, place_tasks
from metawright.engine.task_worker import Board, Done, Failed, Order, work
from metawright.errors import MetawrightError
from metawright.learners.learner import Learner
from metawright.tasks.task import Task
from metawright.training.checkpoint import buffers_of

__all__ = ["Died", "Link", "Part", "answering"]

_PATIENCE = 2.0  # seconds for a worker to end by itself


class Died(Exception):
    """A worker is gone."""


@dataclass(frozen=True)
class Part:
    """Tasks that are sent together; `first`: the place of the first in the batch."""

    tasks: Sequence[Task]
    first: int


@dataclass(eq=False)
class Link:
    """A process as its parent sees it, and what it has given for the batch at hand."""

    number: int
    process: SpawnProcess
    connection: Connection
    board: Board
    memory: Tensor
    busy: bool = False
    part: Part | None = None
    tasks: int = 0
    names: tuple[str, ...] = ()
    failed: MetawrightError | None = None

    def __post_init__(self) -> None:
        self.metrics: dict[str, float] = {}

    @staticmethod
    def started(number: int, learner: Learner, data: bytes, memory: Tensor) -> "Link":
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        # Fork would be quicker, but threads of OpenMP do not survive it: the child hangs.
        process = context.Process(
            target=work, args=(theirs, data, memory), name=f"tasks-{number}", daemon=True
        )
        with no_interrupt(), one_thread_each():
            process.start()
        theirs.close()
        board = Board.of(learner, memory)
        return Link(number, process, ours, board, torch.empty(0, dtype=torch.uint8))

    def begin(self, learner: Learner) -> None:
        """Weights and buffers for a new batch."""
        self.tasks, self.names, self.failed, self.metrics = 0, (), None, {}
        with torch.no_grad():
            for name, parameter in learner.named_parameters():
                self.board.params[name].copy_(parameter)
            for name, buffer in buffers_of(learner).items():
                self.board.buffers[name].copy_(buffer)

    def send(self, part: Part, seed: int, batching: str | None) -> None:
        """Gives it tasks."""
        placed, size = place_tasks(part.tasks)
        if size > len(self.memory):
            self.memory = allocate(size + size // 4)
            self._tell(self.memory)
        for task, at in zip(part.tasks, placed, strict=True):
            there = at.of(self.memory)
            for ours, theirs in zip(task[:2], there[:2], strict=True):
                theirs.x.copy_(ours.x)
                if ours.y is not None:
                    theirs.labels.copy_(ours.y)
        self._tell(Order(placed, seed, batching, first=self.tasks == 0))
        self.busy, self.part, self.tasks = True, part, self.tasks + len(part.tasks)

    def receive(self) -> None:
        """Takes what it answers."""
        answer = self._answer()
        if isinstance(answer, Failed):
            self.failed = self._error(answer)
        elif isinstance(answer, Done):
            self.names = tuple(dict.fromkeys((*self.names, *answer.names)))
            for name, value in answer.metrics.items():
                self.metrics[name] = self.metrics.get(name, 0.0) + value

    def settle(self) -> None:
        """Waits until it has nothing to do."""
        if self.busy:
            self._answer()

    def expect(self, kind: type[Any]) -> None:
        """Waits for an answer that must be of a kind."""
        try:
            answer = self._answer()
        except Died as death:
            raise MetawrightError(str(death)) from None
        if not isinstance(answer, kind):
            raise self._error(answer)

    def leave(self) -> None:
        """Tells it to stop; it has nothing to tidy up."""
        self.connection.close()
        self.process.terminate()

    def end(self) -> None:
        """Makes sure that it is gone."""
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()

    def _tell(self, message: Any) -> None:
        try:
            self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._death() from error

    def _answer(self) -> Any:
        wait([self.connection, self.process.sentinel])
        try:
            answer = self.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._death() from error
        self.busy = False
        return answer

    def _error(self, failed: Failed) -> MetawrightError:
        where = f"Worker process {self.number}{self._of_part()}"
        if failed.told:
            return MetawrightError(f"{where}: {failed.message}")
        error = MetawrightError(f"{where} failed: {failed.message}")
        error.add_note(failed.trace)
        return error

    def _death(self) -> Died:
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        advice = "start again, with fewer workers or in this process (how='loop') if it recurs"
        if self.part is None:
            advice = 'put what your program runs under `if __name__ == "__main__":`'
        return Died(
            f"Worker process {self.number} (pid {self.process.pid}){self._of_part()} {how}{hint}: "
            f"{advice}."
        )

    def _of_part(self) -> str:
        if self.part is None:
            return ""
        first, last = self.part.first + 1, self.part.first + len(self.part.tasks)
        return f", at tasks {first} to {last} of the batch,"


def answering(workers: Sequence[Link]) -> list[Link]:
    """Those that have an answer or are gone; waits for the first."""
    ends: list[Any] = [end for w in workers for end in (w.connection, w.process.sentinel)]
    ready = set(wait(ends))
    return [w for w in workers if w.connection in ready or w.process.sentinel in ready]
