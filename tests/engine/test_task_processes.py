"""Worker processes: the gradients of one process, clear errors, and nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from metawright.engine.shared_memory import allocate
from metawright.engine.task_processes import TaskProcesses
from metawright.errors import InputError, MetawrightError
from metawright.learners import MAML, Reptile
from metawright.models.backbones import ConvNet
from metawright.rng import stream
from metawright.tasks.task import Batch, Task

DrawTasks = Callable[..., list[Task]]


def _net() -> ConvNet:
    net = ConvNet(1, (8, 8), 3, rng=stream(0), filters=4, blocks=2, head="mean")
    return net.to(torch.float64)


@pytest.fixture(scope="module")
def processes() -> Iterator[TaskProcesses]:
    """Two workers that are given two tasks at a time."""
    with TaskProcesses(MAML(_net()), workers=2, at_once=2) as learner:
        yield learner


@pytest.mark.parametrize("tasks", [7, 2, 1])
def test_gradients_are_those_of_one_process(
    processes: TaskProcesses, draw_tasks: DrawTasks, tasks: int
) -> None:
    batch = draw_tasks(tasks)
    expected = processes.learner.gradients(batch, stream(1))
    found = processes.gradients(batch, stream(1))
    assert_close(found.grads, expected.grads, rtol=1e-12, atol=1e-15)
    assert found.metrics == pytest.approx(expected.metrics)


def test_new_weights_and_larger_tasks_reach_the_workers(
    processes: TaskProcesses, draw_tasks: DrawTasks
) -> None:
    processes.gradients(draw_tasks(2), stream(1))
    with torch.no_grad():
        for _, value in processes.named_parameters():
            value.add_(0.1)
    batch = draw_tasks(3, size=16)
    expected = processes.learner.gradients(batch, stream(1)).grads
    assert_close(processes.gradients(batch, stream(1)).grads, expected, rtol=1e-12, atol=1e-15)


def test_same_generator_same_bits(processes: TaskProcesses, draw_tasks: DrawTasks) -> None:
    first, second = (processes.gradients(draw_tasks(5), stream(2)).grads for _ in range(2))
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_memory_does_not_grow_with_the_batch(
    processes: TaskProcesses, draw_tasks: DrawTasks
) -> None:
    processes.gradients(draw_tasks(4), stream(1))
    before = [len(worker.memory) for worker in processes._crew]
    processes.gradients(draw_tasks(60), stream(1))
    assert [len(worker.memory) for worker in processes._crew] == before


def test_a_failure_names_worker_and_tasks_and_the_next_batch_works(
    processes: TaskProcesses, draw_tasks: DrawTasks
) -> None:
    good = draw_tasks(4)
    support = good[3].support
    wrong = good[3]._replace(support=Batch(support.x, support.labels + 7))
    with pytest.raises(
        MetawrightError,
        match=r"^Worker process 2, at tasks 3 to 4 of the batch, failed: IndexError: Target 7 is",
    ):
        processes.gradients([*good[:3], wrong], stream(1))
    expected = processes.learner.gradients(good, stream(1)).grads
    assert_close(processes.gradients(good, stream(1)).grads, expected, rtol=1e-12, atol=1e-15)


def test_not_finite_is_told_as_the_learner_tells_it(
    processes: TaskProcesses, draw_tasks: DrawTasks
) -> None:
    good = draw_tasks(2)
    broken = good[1]._replace(support=Batch(good[1].support.x * torch.nan, good[1].support.y))
    with pytest.raises(MetawrightError, match=r"^Worker process 2, at tasks 2 to 2 of .* nan"):
        processes.gradients([good[0], broken], stream(1))


def test_moments_are_averaged_and_a_dead_worker_is_named(draw_tasks: DrawTasks) -> None:
    # Batches of all examples: what is drawn then makes no difference.
    batch = draw_tasks(5)
    alone = Reptile(_net(), inner_batch=9, inner_steps=2)
    shared = Reptile(_net(), inner_batch=9, inner_steps=2)
    with TaskProcesses(shared, workers=2, at_once=2) as processes:
        for _ in range(2):
            expected, found = (one.gradients(batch, stream(1)) for one in (alone, processes))
            assert_close(found.grads, expected.grads, rtol=1e-9, atol=1e-12)
        assert_close(dict(shared.named_buffers()), dict(alone.named_buffers()))
        killed = processes._crew[1].process
        assert killed.pid is not None
        os.kill(killed.pid, signal.SIGKILL)
        with pytest.raises(
            MetawrightError, match=rf"^Worker process 2 \(pid {killed.pid}\).* killed by SIGKILL"
        ):
            processes.gradients(batch, stream(1))
        with pytest.raises(ValueError, match="No worker process runs"):
            processes.gradients(batch, stream(1))


BUSY = """
import sys, time
from metawright.engine.task_processes import TaskProcesses
from metawright.learners import MAML
from metawright.models.backbones import MLP
from metawright.rng import stream
from metawright.tasks import Sinusoid, Split

class Slow(MAML):
    def gradients(self, batch, rng):
        time.sleep(100)

if __name__ == "__main__":
    task = Sinusoid().draw(Split.TRAIN, stream(0))
    with TaskProcesses(Slow(MLP(1, 1, rng=stream(0))), workers=1) as learner:
        print(learner._crew[0].process.pid, flush=True)
        learner.gradients([task], stream(0))
"""


def _is_there(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    try:
        return "State:\tZ" not in status.read_text()
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")
def test_no_worker_outlives_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "busy.py"
    script.write_text(BUSY)
    ends = (signal.SIGKILL, signal.SIGINT)
    parents = [
        subprocess.Popen(
            [sys.executable, str(script)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for _ in ends
    ]
    try:
        workers = []
        for parent in parents:
            assert parent.stdout is not None
            workers.append(int(parent.stdout.readline()))
        time.sleep(0.3)  # the worker is computing
        os.kill(parents[0].pid, signal.SIGKILL)
        os.killpg(parents[1].pid, signal.SIGINT)  # as a terminal does: the worker gets it too
        errors = [parent.communicate(timeout=20)[1] for parent in parents]
    finally:
        for parent in parents:
            parent.kill()
    assert "KeyboardInterrupt" in errors[1]
    assert "Process tasks-1" not in errors[1], "the worker told of its own interruption"
    deadline = time.monotonic() + 10
    while any(map(_is_there, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(_is_there, workers))


def test_refuses_what_cannot_be_sent() -> None:
    learner = MAML(_net(), loss=lambda outputs, answers: outputs.sum())
    with pytest.raises(InputError, match=r"cannot be sent to worker processes .* lambdas"):
        TaskProcesses(learner).__enter__()


def test_refuses_senseless_settings_and_use_outside_a_block(draw_tasks: DrawTasks) -> None:
    with pytest.raises(ValueError, match="`workers >= 1` must hold, but got 0"):
        TaskProcesses(MAML(_net()), workers=0)
    with pytest.raises(ValueError, match="`at_once >= 1` must hold, but got 0"):
        TaskProcesses(MAML(_net()), at_once=0)
    with pytest.raises(ValueError, match="No worker process runs"):
        TaskProcesses(MAML(_net())).gradients(draw_tasks(1), stream(0))


def test_too_little_shared_memory_is_said() -> None:
    with pytest.raises(MetawrightError, match=r"MiB of shared memory, but .* has .* MiB left"):
        allocate(2**60)
