"""Worker processes that share the tasks of a batch: one thread each, one core each.

A network that is adapted works on few examples at a time, too few for the threads of one process
to share. Tasks are independent, so processes share them instead: each computes the gradients of
its tasks, and their mean is the gradient of the batch.
"""

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import torch
from torch import Tensor, nn

from metawright.engine.child import packed
from metawright.engine.shared_memory import allocate
from metawright.engine.task_link import Died, Link, Part, answering
from metawright.engine.task_worker import Board, Ready
from metawright.errors import MetawrightError
from metawright.learners.learner import Learner, Predictor
from metawright.params import Params
from metawright.rng import integer
from metawright.tasks.task import Batch, Task
from metawright.training.checkpoint import buffers_of
from metawright.training.trainable import Step

__all__ = ["TaskProcesses", "cores"]


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
        self._crew: list[Link] = []

    def __enter__(self) -> Self:
        if self._crew:
            raise ValueError("These worker processes run already: make another TaskProcesses.")
        data = packed(self.learner)
        _, size = Board.places(self.learner)
        try:
            for number in range(1, self.workers + 1):
                self._crew.append(Link.started(number, self.learner, data, allocate(size)))
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
        except Died as death:
            self.close()
            raise MetawrightError(str(death)) from None
        failed = [worker.failed for worker in self._crew if worker.failed is not None]
        if failed:
            raise failed[0]
        return self._gathered(len(batch))

    def _run(self, parts: "Sequence[Sequence[Part]]", seed: int) -> None:
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
            for worker in answering(busy):
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


def _cut(batch: Sequence[Task], workers: int, at_once: int) -> list[list[Part]]:
    """The parts of each worker: shares of equal size (by one), in the order of the batch."""
    shares, first = [], 0
    for number in range(workers):
        size = len(batch) // workers + (number < len(batch) % workers)
        places = range(first, first + size, at_once)
        own = [Part(batch[at : min(at + at_once, first + size)], at) for at in places]
        shares.append(own)
        first += size
    return shares


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
