"""The loss over the classes of a task: against a narrower head, to the second derivative."""

import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from metawright.learners.learner import task_loss
from metawright.learners.maml import MAML
from metawright.learners.varying_ways import present_ways
from metawright.models.backbones import MLP
from metawright.params import params_of
from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, Task, TaskSpec

DOUBLE = torch.float64


def _task(ways: int, seed: int) -> Task:
    rng = stream(seed)
    x = torch.randn(4 * ways, 3, generator=rng, dtype=DOUBLE)
    y = torch.arange(4 * ways) % ways
    spec = TaskSpec(Kind.CLASSIFICATION, (3,), ways)
    return Task(Batch(x[: 2 * ways], y[: 2 * ways]), Batch(x[2 * ways :], y[2 * ways :]), spec)


def test_a_wide_head_trains_as_a_head_of_the_tasks_width() -> None:
    wide = MLP(3, 9, rng=stream(0), hidden=(5,)).to(DOUBLE)
    narrow = MLP(3, 4, rng=stream(1), hidden=(5,)).to(DOUBLE)
    for name, value in params_of(narrow).items():
        value.data = params_of(wide)[name].data[: len(value)].clone()
    task = _task(4, 0)
    grads = [
        MAML(model, inner_lr=0.3, inner_steps=2, loss=loss).gradients([task], stream(0)).grads
        for model, loss in ((wide, present_ways), (narrow, task_loss))
    ]
    for name, expected in grads[1].items():
        assert_close(grads[0][name][: len(expected)], expected)
        assert not bool(grads[0][name][len(expected) :].any())


def test_runs_under_vmap() -> None:
    outputs = torch.randn(2, 6, 5, generator=stream(0), dtype=DOUBLE)
    answers = torch.stack([torch.arange(6) % 3, torch.arange(6) % 5])

    def loss(one: Tensor, labels: Tensor) -> Tensor:
        return present_ways(one, labels)

    found = torch.func.vmap(torch.func.grad(loss))(outputs, answers)
    cut = outputs[0, :, :3].clone().requires_grad_()
    (expected,) = torch.autograd.grad(functional.cross_entropy(cut, answers[0]), [cut])
    assert_close(found[0, :, :3], expected)
    assert not bool(found[0, :, 3:].any())


def test_numbers_are_as_ever() -> None:
    outputs, answers = torch.tensor([[1.0]]), torch.tensor([[3.0]])
    assert float(present_ways(outputs, answers)) == 4
