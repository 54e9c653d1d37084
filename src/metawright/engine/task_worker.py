"""The other side of `TaskProcesses`: a process that computes gradients of the tasks it is given.

It is told what to do through a pipe; all numbers lie in shared memory. It ends when its parent
closes the pipe, and also when the parent is killed while it computes.
"""

import traceback
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from metawright.engine.child import begin_child, unpacked
from metawright.engine.shared_memory import Place, PlacedTask, place
from metawright.errors import MetawrightError
from metawright.learners.learner import Learner
from metawright.params import Params
from metawright.rng import stream
from metawright.training.checkpoint import buffers_of

__all__ = ["Board", "Done", "Failed", "Order", "Ready", "work"]


class Order(NamedTuple):
    """What a worker is to do: the tasks, a seed for what it draws, how tasks are run (None: as
    the learner does), and whether these are its first tasks of the batch."""

    tasks: list[PlacedTask]
    seed: int
    batching: str | None
    first: bool


class Ready(NamedTuple):
    """The worker has its learner."""


class Done(NamedTuple):
    """The order is carried out. `names`: the parameters that got a gradient so far."""

    metrics: dict[str, float]
    names: tuple[str, ...]


class Failed(NamedTuple):
    """The order, or the start, broke. `told`: the error is meant to be read by the user."""

    message: str
    trace: str
    told: bool


class Board(NamedTuple):
    """What a worker and its parent share beside the tasks, by name: weights and buffers as the
    batch begins, and the sums over the worker's tasks of gradients and of buffers afterwards."""

    params: Params
    buffers: Params
    grads: Params
    sums: Params

    @staticmethod
    def places(learner: Learner) -> tuple[list[list[Place]], int]:
        """Where the four lie, and the size of the block."""
        params, buffers = _state(learner)
        several, size = [], 0
        for tensors in (params, buffers, params, buffers):
            places, size = place(list(tensors.values()), size)
            several.append(places)
        return several, size

    @staticmethod
    def of(learner: Learner, memory: Tensor) -> "Board":
        """The board in a block; both sides have the same learner, so they agree on it."""
        params, buffers = _state(learner)
        several, _ = Board.places(learner)
        return Board(
            *(
                {n: at.of(memory) for n, at in zip(names, places, strict=True)}
                for names, places in zip((params, buffers) * 2, several, strict=True)
            )
        )


def _state(learner: Learner) -> tuple[Params, Params]:
    params = {name: value.detach() for name, value in learner.named_parameters()}
    return params, buffers_of(learner)


def work(connection: Connection, data: bytes, memory: Tensor) -> None:
    """The whole life of a worker.

    Arguments:
        connection: the pipe to the parent.
        data: the learner, as `packed` gave it.
        memory: where the board lies.
    """
    begin_child()
    try:
        learner = cast(Learner, unpacked(data))
        board = Board.of(learner, memory)
        connection.send(Ready())
    except Exception as error:  # noqa: BLE001 (the parent raises it)
        connection.send(_failed(error))
        return
    tasks = torch.empty(0, dtype=torch.uint8)
    while True:
        try:
            message = connection.recv()
        except EOFError:
            return
        if isinstance(message, Tensor):
            tasks = message
            continue
        try:
            connection.send(_carry_out(message, learner, board, tasks))
        except Exception as error:  # noqa: BLE001 (the parent raises it)
            connection.send(_failed(error))


def _carry_out(order: Order, learner: Learner, board: Board, memory: Tensor) -> Done:
    """Adds gradients and buffers of the tasks to the board."""
    if order.batching is not None:
        cast(Any, learner).batching = order.batching
    with torch.no_grad():
        for name, value in learner.named_parameters():
            value.copy_(board.params[name])
        for name, buffer in buffers_of(learner).items():
            buffer.copy_(board.buffers[name])
        if order.first:
            for total in (*board.grads.values(), *board.sums.values()):
                total.zero_()
    tasks = [placed.of(memory) for placed in order.tasks]
    step = learner.gradients(tasks, stream(order.seed, "tasks of a worker"))
    with torch.no_grad():
        for name, grad in step.grads.items():
            board.grads[name].add_(grad, alpha=len(tasks))
        for name, buffer in buffers_of(learner).items():
            _add(board.sums[name], buffer, len(tasks))
    metrics = {name: value * len(tasks) for name, value in step.metrics.items()}
    return Done(metrics, tuple(step.grads))


def _add(total: Tensor, buffer: Tensor, tasks: int) -> None:
    """Numbers are averaged over the tasks; counts are the same after any of them."""
    if total.is_floating_point():
        total.add_(buffer, alpha=tasks)
    else:
        total.copy_(buffer)


def _failed(error: Exception) -> Failed:
    told = isinstance(error, MetawrightError)
    message = str(error) if told else f"{type(error).__name__}: {error}"
    return Failed(message, traceback.format_exc(), told)
