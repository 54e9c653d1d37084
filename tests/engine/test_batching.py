"""One function runs tasks in any way: the same gradients in all, and the fastest where asked."""

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from metawright.engine.batching import How, Way, run_tasks
from metawright.learners import MAML, PrototypicalNetwork, Reptile
from metawright.models.backbones import MLP, ConvNet
from metawright.params import Params
from metawright.rng import stream
from metawright.tasks import Sinusoid, Split
from metawright.tasks.task import Batch, Task

DrawTasks = Callable[..., list[Task]]


def _conv_net() -> ConvNet:
    """With batch normalisation, whose scale and shift are not ones and zeros."""
    net = ConvNet(1, (8, 8), 3, rng=stream(0), filters=4, blocks=2).to(torch.float64)
    for name, value in net.named_parameters():
        noise = torch.randn(value.shape, generator=stream(1, name), dtype=torch.float64)
        value.data += 0.2 * noise
    return net


def _users_net() -> nn.Module:
    """Batch normalisation as a user writes it: the second derivative of torch's own is wrong
    under vmap (pytorch/functorch#534)."""
    layers = [nn.Conv2d(1, 4, 3, dtype=torch.float64), nn.BatchNorm2d(4, dtype=torch.float64)]
    net = nn.Sequential(*layers, nn.SiLU(), nn.Flatten(), nn.LazyLinear(3, dtype=torch.float64))
    net(torch.zeros(2, 1, 8, 8, dtype=torch.float64))
    for name, value in net.named_parameters():
        noise = torch.randn(value.shape, generator=stream(1, name), dtype=torch.float64)
        value.data = 0.4 * noise + (name == "1.weight")
    return net


def _grads(learner: MAML, how: How, tasks: list[Task]) -> Params:
    with run_tasks(learner, how) as runner:
        return runner.gradients(tasks, stream(2)).grads


@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("steps", [1, 2])
def test_ways_agree(draw_tasks: DrawTasks, second_order: bool, steps: int) -> None:
    learner = MAML(_conv_net(), inner_steps=steps, second_order=second_order)
    loop, stack, vmap = (_grads(learner, how, draw_tasks(3)) for how in ("loop", "stack", "vmap"))
    assert_close(stack, loop, rtol=1e-9, atol=1e-12)
    assert_close(vmap, loop, rtol=1e-9, atol=1e-12)


def test_vmap_agrees_on_a_users_batch_norm(draw_tasks: DrawTasks) -> None:
    learner = MAML(_users_net(), inner_lr=0.1)
    loop, vmap = (_grads(learner, how, draw_tasks(3)) for how in ("loop", "vmap"))
    assert_close(vmap, loop, rtol=1e-9, atol=1e-12)


def test_processes_agree_and_are_chosen_among(draw_tasks: DrawTasks) -> None:
    learner = MAML(_conv_net())
    tasks = draw_tasks(5)
    with run_tasks(learner, "processes", workers=2) as runner:
        found = runner.gradients(tasks, stream(2)).grads
        assert set(runner.seconds) == {Way("loop", single=True), Way("stack", single=True)}
        assert [way.processes for way in runner.chosen.values()] == [True]
    assert_close(found, _grads(learner, "loop", tasks), rtol=1e-9, atol=1e-12)


def test_auto_stacks_perceptrons_and_tries_once_a_size() -> None:
    waves = [Sinusoid().draw(Split.TRAIN, stream(0, number)) for number in range(16)]
    learner = MAML(MLP(1, 1, rng=stream(0)), inner_lr=0.01)
    with run_tasks(learner, workers=1) as runner:
        runner.gradients(waves, stream(1))
        assert [way.batching for way in runner.chosen.values()] == ["stack"]
        seconds = runner.seconds
        assert seconds[Way("stack", single=True)] < seconds[Way("loop", single=True)]
        runner.gradients(waves[:15], stream(1))
        runner.gradients(waves, stream(1))
        assert runner.seconds is seconds or len(runner.chosen) == 2
    assert learner.batching == "auto"


def test_trials_leave_the_learner_as_it_was(draw_tasks: DrawTasks) -> None:
    tasks = draw_tasks(3)
    tried, named = (Reptile(_conv_net(), inner_steps=2) for _ in range(2))
    found = run_tasks(tried, "auto", workers=1).gradients(tasks, stream(1)).grads
    expected = run_tasks(named, "loop").gradients(tasks, stream(1)).grads
    assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert_close(dict(tried.named_buffers()), dict(named.named_buffers()))


def test_what_is_drawn_does_not_depend_on_the_way(draw_tasks: DrawTasks) -> None:
    after = set()
    ways: tuple[How, ...] = ("loop", "stack", "auto")
    for how in ways:
        rng, before = stream(3), torch.get_rng_state()
        run_tasks(Reptile(_conv_net()), how, workers=1).gradients(draw_tasks(2), rng)
        after.add(torch.rand((), generator=rng).item())
        assert torch.equal(torch.get_rng_state(), before)
    assert len(after) == 1


def test_a_learner_without_a_choice_runs_as_it_does(draw_tasks: DrawTasks) -> None:
    tasks = [
        Task(Batch(support.x.float(), support.y), Batch(query.x.float(), query.y), spec)
        for support, query, spec in draw_tasks(2)
    ]
    learner = PrototypicalNetwork(ConvNet(1, (8, 8), 0, rng=stream(0), filters=4, blocks=2))
    runner = run_tasks(learner, workers=1)
    expected = learner.gradients(tasks, stream(0)).grads
    assert_close(runner.gradients(tasks, stream(0)).grads, expected)
    # Whether with one thread is a matter of the machine.
    (way,) = runner.chosen.values()
    assert str(way).startswith("as the learner does")
    with pytest.raises(ValueError, match="how='stack' is not for this PrototypicalNetwork"):
        run_tasks(learner, "stack")


def test_refuses_ways_that_cannot_be_gone() -> None:
    with pytest.raises(ValueError, match=r"`how` must be one of .* but got 'fast'"):
        run_tasks(MAML(nn.Linear(1, 1)), "fast")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="how='stack' is not for this MAML"):
        run_tasks(MAML(nn.Linear(1, 1)), "stack")
    norm = nn.Sequential(nn.Linear(1, 4), nn.LayerNorm(4), nn.Linear(4, 1))
    with pytest.raises(ValueError, match=r"cannot be run under vmap .*LayerNorm"):
        run_tasks(MAML(norm), "vmap")
    assert set(get_args(How)) == {"auto", "loop", "stack", "vmap", "processes"}
