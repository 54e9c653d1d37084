"""Worker processes that share the tasks of a batch: one thread each, one core each.

A network that is adapted works on few examples at a time, too few for the threads of one process
to share. Tasks are independent, so processes share them instead: each computes the gradients of
its tasks, and their mean is the gradient of the batch.
"""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from metawright.engine.shared_memory import allocate, place_tasks
from metawright.engine.task_worker import Board, Done, Failed, Order, Ready, packed, work
from metawright.errors import MetawrightError
from metawright.learners.learner import Learner, Predictor
from metawright.params import Params
from metawright.rng import integer
from metawright.tasks.task import Batch, Task
from metawright.training.checkpoint import buffers_of
from metawright.training.trainable import Step

__all__ = ["TaskProcesses", "cores"]

_PATIENCE = 2.0  # seconds for a worker to end by itself


class TaskProcesses:
    """A learner whose batches of tasks are computed by worker processes.

    The gradients are those of `learner` itself, up to rounding, and the same for the same
    generator. A learner that draws gets other numbers than without processes: each worker has
    streams of its own. Buffers (running averages) become the mean over the tasks. Tasks travel a
    few at a time, so that memory does not grow with the batch.

    Use it as a context manager: the processes start when it is entered and end when it is left.
    A program that does so must be importable (`if __name__ == "__main__":` around what it runs),
    because each worker is a fresh interpreter.

    Arguments:
        learner: what is trained, on the CPU. Its weights and buffers are sent anew with every
            batch; its settings are those at the start, but for `batching`.
        workers: number of processes; None for as many as there are cores.
        at_once: tasks that a worker is given at a time.

    Raises:
        ValueError: a setting makes no sense, or the learner is not on the CPU.

    Example:
        >>> from metawright.engine.task_processes import TaskProcesses
        >>> from metawright.learners import MAML
        >>> from metawright.models.backbones import MLP
        >>> from metawright.rng import stream
        >>> processes = TaskProcesses(MAML(MLP(1, 1, rng=stream(0))), workers=2)
        >>> # with processes as learner: fit(learner, draw, steps=1000, rng=stream(1))
    """

    def __init__(self, learner: Learner, *, workers: int | None = None, at_once: int = 16) -> None:
        workers = cores() if workers is None else workers
        for name, value in (("workers", workers), ("at_once", at_once)):
            if value < 1:
                raise ValueError(f"`{name} >= 1` must hold, but got {value}.")
        for name, parameter in learner.named_parameters():
            if parameter.device.type != "cpu":
                raise ValueError(
                    f"Worker processes need weights on the CPU, but '{name}' is on "
                    f"{parameter.device}: run the tasks in this process."
                )
        self.learner = learner
        self.workers = workers
        self.at_once = at_once
        self._crew: list[_Worker] = []

    def __enter__(self) -> Self:
        if self._crew:
            raise ValueError("These worker processes run already: make another TaskProcesses.")
        data = packed(self.learner)
        _, size = Board.places(self.learner)
        try:
            for number in range(1, self.workers + 1):
                self._crew.append(_Worker.started(number, self.learner, data, allocate(size)))
            for worker in self._crew:
                worker.expect(Ready)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def running(self) -> bool:
        """Whether the processes are there."""
        return bool(self._crew)

    def close(self) -> None:
        """Ends the processes; a busy one is not waited for."""
        crew, self._crew = self._crew, []
        for worker in crew:
            worker.leave()
        for worker in crew:
            worker.end()

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The learner's own."""
        return self.learner.named_parameters()

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The learner's own, if it has any."""
        return iter(buffers_of(self.learner).items())

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        """As the learner does, in this process."""
        return self.learner.adapt(support, rng)

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """The learner's gradients on the batch, mean over its tasks.

        Raises:
            MetawrightError: a worker failed or died; says which, at which tasks, and why. After
                a death all processes are ended.
        """
        if not self._crew:
            raise ValueError("No worker process runs: use `with TaskProcesses(...) as learner:`.")
        seed = integer(rng)
        try:
            for worker in self._crew:
                worker.settle()  # a batch that was interrupted may still be under way
                worker.begin(self.learner)
            parts = _cut(batch, len(self._crew), self.at_once)
            self._run(parts, seed)
        except _Died as death:
            self.close()
            raise MetawrightError(str(death)) from None
        failed = [worker.failed for worker in self._crew if worker.failed is not None]
        if failed:
            raise failed[0]
        return self._gathered(len(batch))

    def _run(self, parts: "Sequence[Sequence[_Part]]", seed: int) -> None:
        """Each worker gets its parts one after the other."""
        queues = {worker: list(own) for worker, own in zip(self._crew, parts, strict=True)}
        batching = getattr(self.learner, "batching", None)
        while True:
            for worker, queue in queues.items():
                if not worker.busy and queue and worker.failed is None:
                    part = queue.pop(0)
                    worker.send(part, (seed + part.first) % 2**31, batching)
            busy = [worker for worker in self._crew if worker.busy]
            if not busy:
                return
            for worker in _answering(busy):
                worker.receive()

    def _gathered(self, tasks: int) -> Step:
        """Sums over the workers, in their order, over the number of tasks."""
        grads: Params = {}
        metrics: dict[str, float] = {}
        active = [worker for worker in self._crew if worker.tasks]
        for worker in active:
            for name in worker.names:
                total = worker.board.grads[name]
                grads[name] = grads[name].add_(total) if name in grads else total.clone()
            for name, value in worker.metrics.items():
                metrics[name] = metrics.get(name, 0.0) + value
        with torch.no_grad():
            for name, buffer in buffers_of(self.learner).items():
                sums = [worker.board.sums[name] for worker in active]
                if buffer.is_floating_point():
                    buffer.copy_(torch.stack(sums).sum(0) / tasks)
                else:
                    buffer.copy_(sums[0])
        return Step(
            {name: value.div_(tasks) for name, value in grads.items()},
            {name: value / tasks for name, value in metrics.items()},
        )


class _Died(Exception):
    """A worker is gone."""


@dataclass(frozen=True)
class _Part:
    """Tasks that are sent together; `first`: the place of the first in the batch."""

    tasks: Sequence[Task]
    first: int


@dataclass(eq=False)
class _Worker:
    """A process as its parent sees it, and what it has given for the batch at hand."""

    number: int
    process: SpawnProcess
    connection: Connection
    board: Board
    memory: Tensor
    busy: bool = False
    part: _Part | None = None
    tasks: int = 0
    names: tuple[str, ...] = ()
    failed: MetawrightError | None = None

    def __post_init__(self) -> None:
        self.metrics: dict[str, float] = {}

    @staticmethod
    def started(number: int, learner: Learner, data: bytes, memory: Tensor) -> "_Worker":
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        # Fork would be quicker, but threads of OpenMP do not survive it: the child hangs.
        process = context.Process(
            target=work, args=(theirs, data, memory), name=f"tasks-{number}", daemon=True
        )
        with _no_interrupt():
            process.start()
        theirs.close()
        board = Board.of(learner, memory)
        return _Worker(number, process, ours, board, torch.empty(0, dtype=torch.uint8))

    def begin(self, learner: Learner) -> None:
        """Weights and buffers for a new batch."""
        self.tasks, self.names, self.failed, self.metrics = 0, (), None, {}
        with torch.no_grad():
            for name, parameter in learner.named_parameters():
                self.board.params[name].copy_(parameter)
            for name, buffer in buffers_of(learner).items():
                self.board.buffers[name].copy_(buffer)

    def send(self, part: _Part, seed: int, batching: str | None) -> None:
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
        except _Died as death:
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

    def _death(self) -> _Died:
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        hint = " (out of memory?)" if code == -signal.SIGKILL else ""
        advice = "start again, with fewer workers or in this process (how='loop') if it recurs"
        if self.part is None:
            advice = 'put what your program runs under `if __name__ == "__main__":`'
        return _Died(
            f"Worker process {self.number} (pid {self.process.pid}){self._of_part()} {how}{hint}: "
            f"{advice}."
        )

    def _of_part(self) -> str:
        if self.part is None:
            return ""
        first, last = self.part.first + 1, self.part.first + len(self.part.tasks)
        return f", at tasks {first} to {last} of the batch,"


def _answering(workers: Sequence[_Worker]) -> list[_Worker]:
    """Those that have an answer or are gone; waits for the first."""
    ends: list[Any] = [end for w in workers for end in (w.connection, w.process.sentinel)]
    ready = set(wait(ends))
    return [w for w in workers if w.connection in ready or w.process.sentinel in ready]


def _cut(batch: Sequence[Task], workers: int, at_once: int) -> list[list[_Part]]:
    """The parts of each worker: shares of equal size (by one), in the order of the batch."""
    shares, first = [], 0
    for number in range(workers):
        size = len(batch) // workers + (number < len(batch) % workers)
        places = range(first, first + size, at_once)
        own = [_Part(batch[at : min(at + at_once, first + size)], at) for at in places]
        shares.append(own)
        first += size
    return shares


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """A process that is started in here ignores Ctrl-C from its first moment on."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's to set
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
