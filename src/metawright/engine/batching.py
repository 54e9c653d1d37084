"""How a batch of tasks is run: in a loop, as a stack, under vmap, or by worker processes.

The gradients are the same in all of them; which is fastest depends on the network, the tasks and
the machine, and is found by trying: a few of the user's own tasks, for about a second.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, cast, get_args

import torch
from torch import Tensor, nn

from metawright.engine.task_processes import TaskProcesses, cores
from metawright.errors import MetawrightError
from metawright.learners.adaptable import check_adaptable
from metawright.learners.learner import Learner, Predictor
from metawright.learners.maml import MAML
from metawright.models.backbones import TaskBatched
from metawright.rng import fork, stream
from metawright.tasks.task import Batch, Task
from metawright.training.checkpoint import buffers_of
from metawright.training.trainable import Step

__all__ = ["How", "TaskRunner", "Way", "run_tasks"]

How = Literal["auto", "loop", "stack", "vmap", "processes"]
"""`loop`: one task after the other. `stack`: tasks of one shape at once, for models that can
(`TaskBatched`). `vmap`: tasks of one shape at once by `torch.func.vmap`. `processes`: worker
processes, each by the fastest of the others. `auto`: the fastest of all."""

_ENOUGH = 0.1  # seconds that a trial should take
_DEAR = 1.1  # how many times as fast processes must be
_WORTH = 0.03  # seconds of a batch from which processes may pay for their messages
_SHARE = 8  # tasks a worker, on which processes are tried


class Way(NamedTuple):
    """How tasks are run: the learner's `batching` (None: it knows only one); by worker processes
    or by this one; and, in this one, whether by a single thread or by as many as torch has."""

    batching: str | None
    processes: bool = False
    single: bool = False

    def __str__(self) -> str:
        name = self.batching or "as the learner does"
        where = "in processes" if self.processes else "with one thread" if self.single else ""
        return f"{name}, {where}" if where else name


def run_tasks(learner: Learner, how: How = "auto", *, workers: int | None = None) -> "TaskRunner":
    """The learner with its batches of tasks run in the way `how`, to be handed to `fit`.

    Arguments:
        learner: what is trained.
        how: the way; "auto" tries them on the first batch of each size.
        workers: number of worker processes; None for as many as there are cores.

    Raises:
        ValueError: the way is unknown, or the learner cannot go it.

    Example:
        >>> import torch
        >>> from metawright.engine.batching import run_tasks
        >>> from metawright.learners import MAML
        >>> from metawright.models.backbones import MLP
        >>> from metawright.rng import stream
        >>> from metawright.tasks import Sinusoid, Split
        >>> tasks = [Sinusoid().draw(Split.TRAIN, stream(0, n)) for n in range(4)]
        >>> with run_tasks(MAML(MLP(1, 1, rng=stream(0)), inner_lr=0.01), "stack") as learner:
        ...     sorted(learner.gradients(tasks, stream(1)).metrics)
        ['loss']
    """
    if how not in get_args(How):
        raise ValueError(f"`how` must be one of {get_args(How)}, but got {how!r}.")
    return TaskRunner(learner, how, cores() if workers is None else workers)


class TaskRunner:
    """A learner whose batches of tasks are run in a chosen way: see `run_tasks`.

    Worker processes start when they are needed, and end with `close` or a `with` block. Where a
    way is chosen by time, two runs may choose differently and then differ by rounding; name the
    way where runs must agree to the last bit. What a learner draws does not depend on the way,
    except in worker processes, each of which has streams of its own.

    Attributes:
        chosen: the way for each size of batch that was met.
        seconds: seconds a task that the latest trial measured, by way.
        failed: why a way is out.
    """

    def __init__(self, learner: Learner, how: How, workers: int) -> None:
        self.learner = learner
        self.how = how
        self.workers = workers
        self.chosen: dict[tuple[int, ...], Way] = {}
        self.seconds: dict[Way, float] = {}
        self.failed: dict[Way, Exception] = {}
        self._batchings = _batchings_for(learner, how)
        self._processes: TaskProcesses | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the worker processes; they start again when they are needed."""
        if self._processes is not None:
            self._processes.close()
            self._processes = None

    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]:
        """The learner's own."""
        return self.learner.named_parameters()

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """The learner's own, if it has any."""
        return iter(buffers_of(self.learner).items())

    def adapt(self, support: Batch, rng: torch.Generator) -> Predictor:
        """As the learner does."""
        return self.learner.adapt(support, rng)

    def gradients(self, batch: Sequence[Task], rng: torch.Generator) -> Step:
        """The learner's gradients on the batch, mean over its tasks."""
        size = _size(batch)
        if size not in self.chosen:
            self.chosen[size] = self._fastest(batch)
            if not any(way.processes for way in self.chosen.values()):
                self.close()
        return self._run(self.chosen[size], batch, fork(rng))

    def _run(self, way: Way, batch: Sequence[Task], rng: torch.Generator) -> Step:
        with _set(self.learner, way):
            if not way.processes:
                return self.learner.gradients(batch, rng)
            if self._processes is None or not self._processes.running:
                self._processes = TaskProcesses(self.learner, workers=self.workers).__enter__()
            return self._processes.gradients(batch, rng)

    def _fastest(self, batch: Sequence[Task]) -> Way:
        """The way in which the batch takes the least time."""
        if self.how not in ("auto", "processes"):
            return Way(self.how)
        self.seconds = {}
        # What is best with one thread is best in a worker, which has one.
        tried = [Way(batching, single=self._on_cpu) for batching in self._batchings]
        if self.how == "processes" and len(tried) == 1:
            return Way(tried[0].batching, processes=True)
        best = self._best(tried, batch)
        if self.how == "processes":
            return Way(best.batching, processes=True)
        if best.single and torch.get_num_threads() > 1:
            best = self._best([best, Way(best.batching)], batch)
        if self._worth_processes(batch):
            # A batch costs processes a message each, which a few tasks would not repay.
            rivals = [best, Way(best.batching, processes=True)]
            self.seconds.pop(best)
            best = self._best(rivals, batch, least=_SHARE * self.workers)
        return best

    def _best(self, ways: Sequence[Way], batch: Sequence[Task], *, least: int = 0) -> Way:
        """The fastest of some ways, timed on `least` tasks or more; those that fail are out,
        unless all do."""
        for way in ways:
            if way in self.seconds:
                continue
            try:
                self.seconds[way] = self._try(way, batch, least)
            except (RuntimeError, MetawrightError) as error:
                self.failed[way] = error
        done = [way for way in ways if way in self.seconds]
        if not done:
            raise self.failed[ways[0]]
        # Other processes take memory: they must be worth it.
        return min(done, key=lambda way: self.seconds[way] * (_DEAR if way.processes else 1))

    @property
    def _on_cpu(self) -> bool:
        return all(value.device.type == "cpu" for _, value in self.named_parameters())

    def _worth_processes(self, batch: Sequence[Task]) -> bool:
        enough = self.workers > 1 and len(batch) > 1 and self._on_cpu
        # A trial of processes is a long one: they take seconds to start.
        return enough and min(self.seconds.values()) * len(batch) > _WORTH

    def _try(self, way: Way, batch: Sequence[Task], least: int = 0) -> float:
        """Seconds a task; the learner stays as it was."""
        buffers = {name: value.clone() for name, value in self.named_buffers()}
        few = min(len(batch), max(least, 2 * self.workers))
        try:
            with torch.random.fork_rng():
                self._timed(way, batch[:few])  # the first time everything takes longer
                rounds = 2 if least else 1
                seconds = min(self._timed(way, batch[:few]) for _ in range(rounds)) / few
                if seconds * few >= _ENOUGH:
                    return seconds
                many = batch[: max(few, int(_ENOUGH / max(seconds, 1e-6)))]
                return min(self._timed(way, many) for _ in range(3)) / len(many)
        finally:
            with torch.no_grad():
                for name, value in self.named_buffers():
                    value.copy_(buffers[name])

    def _timed(self, way: Way, batch: Sequence[Task]) -> float:
        began = time.perf_counter()
        step = self._run(way, batch, stream(0, "trial of a way to run tasks"))
        for value in step.grads.values():
            if value.is_cuda:
                torch.cuda.synchronize(value.device)
            break
        return time.perf_counter() - began


def _batchings_for(learner: Learner, how: How) -> list[str | None]:
    """What `learner.batching` is to be, or is to be chosen from."""
    own = _batchings(learner)
    if how in ("loop", "stack", "vmap"):
        if how not in own:
            reason = _against_vmap(learner) if how == "vmap" else "has no choice of it"
            raise ValueError(
                f"how={how!r} is not for this {type(learner).__name__}: its model or it {reason}; "
                "use 'auto'."
            )
        return [how]
    # A model that can be stacked is slower under vmap; a trial would only take time.
    tried: list[str | None] = [way for way in own if way != "vmap" or "stack" not in own]
    return tried or [None]


def _batchings(learner: Learner) -> list[str]:
    """What `learner.batching` may be, beside "auto"; nothing where it has no such choice."""
    if not hasattr(learner, "batching"):
        return []
    found = ["loop"]
    if isinstance(getattr(learner, "model", None), TaskBatched):
        found.append("stack")
    if not _against_vmap(learner):
        found.append("vmap")
    return found


def _against_vmap(learner: Learner) -> str:
    """Why tasks cannot run under vmap; empty where they can."""
    if not isinstance(learner, MAML):
        return "does not know vmap"
    if learner.inner.checkpointed or learner.statistics.running is not None:
        return "checkpoints steps or keeps running statistics"
    try:
        check_adaptable(learner.model, second_order=learner.second_order, vmapped=True)
    except ValueError as error:
        return f"cannot be run under vmap ({error})"
    return ""


@contextmanager
def _set(learner: Learner, way: Way) -> Iterator[None]:
    """The learner, and torch's threads, as a way wants them."""
    changed, threads = cast(Any, learner), torch.get_num_threads()
    before = changed.batching if way.batching is not None else None
    try:
        if way.batching is not None:
            changed.batching = way.batching
        if way.single:
            torch.set_num_threads(1)
        yield
    finally:
        if way.batching is not None:
            changed.batching = before
        if way.single:
            torch.set_num_threads(threads)


def _size(batch: Sequence[Task]) -> tuple[int, ...]:
    """Number of tasks, and numbers a task in supports and queries, up to a power of two: mixed
    tasks have as many shapes as batches, and a new trial for each would never end."""
    numbers = (
        sum(task.support.x.numel() for task in batch) // len(batch),
        sum(task.query.x.numel() for task in batch) // len(batch),
    )
    return tuple(value.bit_length() for value in (len(batch), *numbers))
