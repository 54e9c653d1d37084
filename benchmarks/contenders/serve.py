"""One contender in a process of its own: it does what its standard input says.

    python benchmarks/contenders/serve.py NAME

Each line is a JSON object {"do": ...}, and so is each answer. A process of its own for each keeps
threads, memory and imports apart; peers need packages that metawright does not have.
"""

import ctypes
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from contenders.cells import Cell, plain_net
from contenders.course import Course
from metawright.engine.batching import How, TaskRunner, run_tasks
from metawright.learners import MAML
from metawright.params import Params
from metawright.rng import stream
from metawright.tasks.task import Task

Gradients = Callable[[Sequence[Task]], Params]
"""Mean meta-gradient of some tasks, by metawright's names."""

_LONG_ENOUGH = 0.3  # seconds of one measurement
_CHECKED = 2  # tasks on which gradients are compared


def _loss(outputs: Tensor, answers: Tensor) -> Tensor:
    if answers.is_floating_point():
        return functional.mse_loss(outputs, answers)
    return functional.cross_entropy(outputs, answers)


def by_hand(cell: Cell, net: nn.Module, names: dict[str, str]) -> Gradients:
    """A loop over the tasks with `torch.autograd.grad`."""
    start = dict(net.named_parameters())

    def of_task(task: Task) -> Sequence[Tensor]:
        weights: Params = dict(start)
        for _ in range(cell.steps):
            loss = _loss(_call(net, weights, task.support.x), task.support.labels)
            grads = torch.autograd.grad(
                loss, list(weights.values()), create_graph=cell.second_order
            )
            pairs = zip(weights.items(), grads, strict=True)
            weights = {name: value - cell.inner_lr * grad for (name, value), grad in pairs}
        loss = _loss(_call(net, weights, task.query.x), task.query.labels)
        return torch.autograd.grad(loss, list(start.values()))

    return _mean_of(of_task, names)


def _call(net: nn.Module, weights: Params, x: Tensor) -> Tensor:
    outputs: Tensor = torch.func.functional_call(net, weights, (x,))
    return outputs


def with_higher(cell: Cell, net: nn.Module, names: dict[str, str]) -> Gradients:
    """higher's stateless copies; in first order its copies do not track higher gradients, and the
    query's gradient is taken at the adapted weights."""
    import higher  # type: ignore[import-not-found,unused-ignore]

    optimiser = torch.optim.SGD(net.parameters(), lr=cell.inner_lr)
    start = list(net.parameters())

    def of_task(task: Task) -> Sequence[Tensor]:
        with higher.innerloop_ctx(
            net, optimiser, copy_initial_weights=False, track_higher_grads=cell.second_order
        ) as (copy, steps):
            for _ in range(cell.steps):
                steps.step(_loss(copy(task.support.x), task.support.labels))
            loss = _loss(copy(task.query.x), task.query.labels)
            ends = start if cell.second_order else list(copy.parameters())
            return torch.autograd.grad(loss, ends)

    return _mean_of(of_task, names)


def with_torchopt(cell: Cell, net: nn.Module, names: dict[str, str]) -> Gradients:
    """TorchOpt's differentiable optimiser, which has no switch to first order."""
    import torchopt  # type: ignore[import-not-found,unused-ignore]

    if not cell.second_order:
        raise NotImplementedError("no switch to first order")
    start = list(net.parameters())
    optimiser = torchopt.MetaSGD(net, lr=cell.inner_lr)
    states = [torchopt.extract_state_dict(part, by="reference") for part in (net, optimiser)]

    def of_task(task: Task) -> Sequence[Tensor]:
        for _ in range(cell.steps):
            optimiser.step(_loss(net(task.support.x), task.support.labels))
        grads = torch.autograd.grad(_loss(net(task.query.x), task.query.labels), start)
        for part, state in zip((net, optimiser), states, strict=True):
            torchopt.recover_state_dict(part, state)
        return grads

    return _mean_of(of_task, names)


def with_learn2learn(cell: Cell, net: nn.Module, names: dict[str, str]) -> Gradients:
    """learn2learn's cloned modules."""
    import learn2learn  # type: ignore[import-not-found,unused-ignore]

    start = list(net.parameters())
    maml = learn2learn.algorithms.MAML(net, lr=cell.inner_lr, first_order=not cell.second_order)

    def of_task(task: Task) -> Sequence[Tensor]:
        copy = maml.clone()
        for _ in range(cell.steps):
            copy.adapt(_loss(copy(task.support.x), task.support.labels))
        return torch.autograd.grad(_loss(copy(task.query.x), task.query.labels), start)

    return _mean_of(of_task, names)


def _mean_of(of_task: Callable[[Task], Sequence[Tensor]], names: dict[str, str]) -> Gradients:
    def gradients(tasks: Sequence[Task]) -> Params:
        total = of_task(tasks[0])
        for task in tasks[1:]:
            total = [old + new for old, new in zip(total, of_task(task), strict=True)]
        return {own: value / len(tasks) for own, value in zip(names.values(), total, strict=True)}

    return gradients


PEERS: dict[str, Callable[[Cell, nn.Module, dict[str, str]], Gradients]] = {
    "loop": by_hand,
    "higher": with_higher,
    "TorchOpt": with_torchopt,
    "learn2learn": with_learn2learn,
}


class Peer:
    """A contender that is a function of the tasks."""

    course: Course | None = None

    def __init__(self, name: str) -> None:
        self.make = PEERS[name]

    def open(self, cell: Cell, how: How, workers: int) -> None:
        """Gets ready for a cell."""
        del how, workers
        self.cell = cell
        self.tasks = cell.draw(torch.float32)
        self.net, self.names = plain_net(cell, torch.float32)
        self.gradients = self.make(cell, self.net, self.names)

    def run(self, tasks: int) -> None:
        """One meta-gradient of the first `tasks` tasks."""
        self.gradients(self.tasks[:tasks])

    def exact(self, how: How, workers: int) -> Params:
        """The meta-gradient of a few tasks in float64."""
        del how, workers
        gradients = self.make(self.cell, *plain_net(self.cell, torch.float64))
        return gradients(self.cell.draw(torch.float64)[:_CHECKED])

    def weights(self) -> dict[str, nn.Parameter]:
        """What is trained, by metawright's names."""
        return {self.names[name]: value for name, value in self.net.named_parameters()}

    def way(self) -> str:
        """How tasks are run."""
        return "loop"


class Ours:
    """metawright, in whatever way `run_tasks` finds best."""

    runner: TaskRunner | None = None
    course: Course | None = None

    def open(self, cell: Cell, how: How, workers: int) -> None:
        """Gets ready for a cell."""
        self.close()
        self.cell = cell
        self.tasks = cell.draw(torch.float32)
        self.runner = run_tasks(_maml(cell, torch.float32), how, workers=workers)

    def gradients(self, tasks: Sequence[Task]) -> Params:
        """Mean meta-gradient of the tasks."""
        assert self.runner is not None
        return self.runner.gradients(tasks, stream(0)).grads

    def weights(self) -> dict[str, nn.Parameter]:
        """What is trained."""
        assert self.runner is not None
        return dict(self.runner.named_parameters())

    def run(self, tasks: int) -> None:
        """One meta-gradient of the first `tasks` tasks."""
        self.gradients(self.tasks[:tasks])

    def exact(self, how: How, workers: int) -> Params:
        """The meta-gradient of a few tasks in float64."""
        with run_tasks(_maml(self.cell, torch.float64), how, workers=workers) as runner:
            return runner.gradients(self.cell.draw(torch.float64)[:_CHECKED], stream(0)).grads

    def way(self) -> str:
        """How tasks are run."""
        assert self.runner is not None
        return ", ".join(sorted({str(way) for way in self.runner.chosen.values()}))

    def close(self) -> None:
        """Ends worker processes."""
        if self.runner is not None:
            self.runner.close()


def _maml(cell: Cell, dtype: torch.dtype) -> MAML:
    return MAML(
        cell.net(dtype),
        inner_lr=cell.inner_lr,
        inner_steps=cell.steps,
        second_order=cell.second_order,
    )


def _seconds(contender: Peer | Ours, tasks: int) -> float:
    """Seconds of one meta-gradient; short ones are repeated."""
    count, began = 0, time.perf_counter()
    while True:
        contender.run(tasks)
        count += 1
        spent = time.perf_counter() - began
        if spent > _LONG_ENOUGH:
            return spent / count


def _family() -> list[int]:
    """This process and its workers."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    if not children.exists():
        return []
    found = [int(process) for process in children.read_text().split()]
    # Python starts one more with them, which keeps no tensors.
    lines = {process: Path(f"/proc/{process}/cmdline").read_bytes() for process in found}
    return [os.getpid(), *(p for p in found if b"resource_tracker" not in lines[p])]


def _forget_peaks() -> None:
    """From here on peaks of memory count anew."""
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> dict[str, Any]:
    """Peak memory of this process and its children together, MiB."""
    total, family = 0, _family()
    for process in family:
        for line in Path(f"/proc/{process}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1])
    return {"mib": round(total / 1024), "processes": len(family)}


def _answer(contender: Peer | Ours, asked: dict[str, Any]) -> dict[str, Any]:
    how, workers = asked.get("how", "auto"), asked.get("workers", 2)
    if asked["do"] == "open":
        _forget_peaks()
        contender.open(Cell(**asked["cell"]), how, workers)
        return {"mib": _peak()["mib"]}
    if asked["do"] == "time":
        if asked.get("threads"):
            torch.set_num_threads(asked["threads"])
        if asked.get("warm"):
            contender.run(min(2, asked["tasks"]))
        return {"seconds": _seconds(contender, asked["tasks"])}
    if asked["do"] == "choose":
        contender.run(asked["tasks"])
        return {"way": contender.way()}
    if asked["do"] == "exact":
        grads = {
            name: g.detach().contiguous() for name, g in contender.exact(how, workers).items()
        }
        save_file(grads, asked["path"])
        return {}
    if asked["do"] == "peak":
        return _peak()
    if asked["do"] == "start":
        torch.set_num_threads(1)
        contender.open(Cell(**asked["cell"]), how, 1)
        course = Course(contender.gradients, contender.weights(), asked["seconds"])
        contender.course = course
        return {}
    if asked["do"] == "learn":
        assert contender.course is not None
        steps = contender.course.learn(asked["until"])
        save_file(
            {n: w.detach().contiguous() for n, w in contender.weights().items()}, asked["path"]
        )
        return {"steps": steps, "seconds": contender.course.spent}
    raise ValueError(f"Nothing is known of {asked['do']!r}.")


def main(name: str) -> None:
    """Answers until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a package prints is no answer
    contender = Ours() if name == "metawright" else Peer(name)
    for line in sys.stdin:
        try:
            answer = _answer(contender, json.loads(line))
        except Exception as error:  # noqa: BLE001 (the benchmark records it)
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    if isinstance(contender, Ours):
        contender.close()


if __name__ == "__main__":
    main(sys.argv[1])
