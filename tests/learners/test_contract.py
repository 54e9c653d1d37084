"""What every row of `LEARNERS` keeps, tested by being there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from metawright.learners import LEARNERS, Learner
from metawright.rng import stream
from metawright.tasks.task import Task
from metawright.training import fit
from metawright.training.checkpoint import buffers_of

MakeTask = Callable[..., Task]

# Parameters that serve training alone, by the beginning of their names: no prediction needs them.
TRAINING_ONLY = {"platipus": ("posterior_log_sd.", "posterior_rate.")}

pytestmark = pytest.mark.parametrize("name", sorted(LEARNERS))


def _learner(name: str, task: Task, dtype: torch.dtype = torch.float32) -> Learner:
    learner = LEARNERS[name](task.spec, stream(0, "weights"))
    for value in (*(p for _, p in learner.named_parameters()), *buffers_of(learner).values()):
        value.data = value.data.to(dtype) if value.is_floating_point() else value.data
    return learner


def _state(learner: Learner) -> dict[str, Any]:
    tensors = dict(learner.named_parameters()) | buffers_of(learner)
    return {name: value.detach().clone() for name, value in tensors.items()}


def test_gradients_reach_every_parameter_and_step_none(name: str, make_task: MakeTask) -> None:
    tasks = [make_task(seed) for seed in range(3)]
    learner = _learner(name, tasks[0])
    before = {n: p.detach().clone() for n, p in learner.named_parameters()}
    step = learner.gradients(tasks, stream(1))
    assert set(step.grads) == set(before)
    for key, grad in step.grads.items():
        assert grad.shape == before[key].shape
        assert bool(grad.abs().sum() > 0), key
        assert not grad.requires_grad
    assert_close({n: p.detach() for n, p in learner.named_parameters()}, before, rtol=0, atol=0)
    assert all(p.grad is None for _, p in learner.named_parameters())
    assert all(isinstance(value, float) for value in step.metrics.values())


def test_same_generator_same_result(name: str, make_task: MakeTask) -> None:
    tasks = [make_task(seed, shots=4) for seed in range(2)]
    results = []
    for _ in range(2):
        learner = _learner(name, tasks[0])
        step = learner.gradients(tasks, stream(1))
        outputs = learner.adapt(tasks[0].support, stream(2))(tasks[0].query.x)
        results.append((step.grads, outputs.detach()))
    assert_close(results[0], results[1], rtol=0, atol=0)


def test_adapting_leaves_the_learner_unchanged(name: str, make_task: MakeTask) -> None:
    task = make_task()
    learner = _learner(name, task)
    before, others = _state(learner), torch.get_rng_state()
    predict = learner.adapt(task.support, stream(1))
    first = predict(task.query.x).detach()
    learner.adapt(make_task(5).support, stream(1))(task.query.x)
    assert_close(_state(learner), before, rtol=0, atol=0)
    assert_close(predict(task.query.x).detach(), first, rtol=0, atol=0)
    assert_close(torch.get_rng_state(), others)


def test_adapting_learns_the_support(name: str, make_task: MakeTask) -> None:
    task = make_task(shots=5)
    learner = _learner(name, task)
    fit(
        learner,
        lambda rng: [make_task(int(torch.randint(99, (), generator=rng)))] * 2,
        steps=3,
        rng=stream(0),
        lr=1e-3,
    )
    with torch.no_grad():
        outputs = learner.adapt(task.support, stream(1))(task.support.x)
    assert float((outputs.argmax(1) == task.support.labels).double().mean()) > 0.6


def test_no_graph_at_inference_and_one_when_asked(name: str, make_task: MakeTask) -> None:
    task = make_task()
    learner = _learner(name, task)
    with torch.no_grad():
        free = learner.adapt(task.support, stream(1))
    assert not free(task.query.x).requires_grad
    tied = learner.adapt(task.support, stream(1))
    unused = TRAINING_ONLY.get(name, ())
    used = {n for n, _ in learner.named_parameters() if not n.startswith(unused)}
    assert _reaches(learner, tied, task) == used
    with torch.no_grad():
        expected = free(task.query.x)
    assert_close(tied(task.query.x).detach(), expected, rtol=1e-5, atol=1e-6)


def _reaches(
    learner: Learner, predict: Callable[[torch.Tensor], torch.Tensor], task: Task
) -> set[str]:
    """Names of the parameters that the prediction's gradient reaches."""
    names, values = zip(*learner.named_parameters(), strict=True)
    total = nn.functional.cross_entropy(predict(task.query.x), task.query.labels)
    if not total.requires_grad:
        return set()
    grads = torch.autograd.grad(total, values, allow_unused=True)
    return {
        n for n, g in zip(names, grads, strict=True) if g is not None and bool(g.abs().sum() > 0)
    }


def test_a_predictor_stays_when_its_learner_learns_on(name: str, make_task: MakeTask) -> None:
    task = make_task()
    learner = _learner(name, task)
    with torch.no_grad():
        predict = learner.adapt(task.support, stream(1))
    before = predict(task.query.x)
    fit(learner, lambda rng: [make_task(3)], steps=2, rng=stream(0), lr=0.1)
    assert_close(predict(task.query.x), before, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_and_device_are_kept(name: str, dtype: torch.dtype, make_task: MakeTask) -> None:
    task = make_task(dtype=dtype)
    learner = _learner(name, task, dtype)
    step = learner.gradients([task, make_task(1, dtype=dtype)], stream(1))
    assert {(g.dtype, g.device.type) for g in step.grads.values()} == {(dtype, "cpu")}
    assert learner.adapt(task.support, stream(1))(task.query.x).dtype == dtype


def test_loads_what_it_saved(name: str, make_task: MakeTask, tmp_path: Path) -> None:
    task = make_task()

    def trained(steps: int) -> Learner:
        learner = _learner(name, task)
        fit(learner, lambda rng: [task], steps=steps, rng=stream(0), checkpoint=tmp_path / "c")
        return learner

    first, second = trained(2), trained(2)  # the second finds the checkpoint at its end
    assert_close(_state(first), _state(second), rtol=0, atol=0)
    outputs = [
        one.adapt(task.support, stream(1))(task.query.x).detach() for one in (first, second)
    ]
    assert_close(outputs[0], outputs[1], rtol=0, atol=0)


@pytest.mark.parametrize(
    ("ways", "shots"),
    [(1, 1), (1, 3), (3, 1), (3, (1, 4, 2))],
    ids=["1-1", "1-3", "3-1", "uneven"],
)
def test_small_and_uneven_tasks(
    name: str, ways: int, shots: int | tuple[int, ...], make_task: MakeTask
) -> None:
    task = make_task(ways=ways, shots=shots, queries=1)
    learner = _learner(name, task)
    step = learner.gradients([task], stream(1))
    assert all(bool(grad.isfinite().all()) for grad in step.grads.values())
    with torch.no_grad():
        outputs = learner.adapt(task.support, stream(1))(task.query.x[:1])
    assert outputs.shape == (1, ways)
    assert bool(outputs.isfinite().all())


def test_tasks_of_different_shapes_share_a_batch(name: str, make_task: MakeTask) -> None:
    tasks = [make_task(0, shots=1), make_task(1, shots=3)]
    learner = _learner(name, tasks[0])
    step = learner.gradients(tasks, stream(1))
    assert all(bool(grad.isfinite().all()) for grad in step.grads.values())


def test_numbers_as_answers_work_or_are_refused(name: str, make_wave: MakeTask) -> None:
    task = make_wave()
    if "prototypical" in name:
        with pytest.raises(ValueError, match="need classes"):
            LEARNERS[name](task.spec, stream(0))
        return
    learner = _learner(name, task)
    step = learner.gradients([task, make_wave(1)], stream(1))
    assert all(bool(grad.isfinite().all()) for grad in step.grads.values())
    assert learner.adapt(task.support, stream(1))(task.query.x).shape == (10, 1)
