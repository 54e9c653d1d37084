"""The relatives and options of MAML, each against its own truth in float64."""

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.errors import MetawrightError
from metawright.learners import MAML
from metawright.learners.batching import Batching
from metawright.learners.multi_step import step_weights
from metawright.learners.relatives import build_maml_plus_plus
from metawright.models.backbones import MLP, ConvNet
from metawright.models.normalisation import Policy
from metawright.params import Params, params_of
from metawright.rng import stream
from metawright.tasks.task import Task
from metawright.training import fit
from metawright.training.checkpoint import buffers_of

MakeTask = Callable[..., Task]
DOUBLE = torch.float64


def _net(ways: int = 3) -> ConvNet:
    return ConvNet(1, (8, 8), ways, rng=stream(0), filters=4, blocks=2, head="mean").to(DOUBLE)


def _tasks(make_task: MakeTask, count: int = 3) -> list[Task]:
    return [make_task(seed, dtype=DOUBLE) for seed in range(count)]


def _grads(tasks: Sequence[Task], model: nn.Module | None = None, **options: Any) -> Params:
    learner = MAML(model or _net(), **options)
    return learner.gradients(tasks, stream(0)).grads


# --- learned rates -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["per-entry", "per-step"])
@pytest.mark.parametrize("second_order", [True, False])
def test_gradients_of_learned_rates_are_slopes(
    kind: Any, second_order: bool, make_task: MakeTask
) -> None:
    tasks = _tasks(make_task, 2)

    def learner() -> MAML:
        net = nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 3)).to(DOUBLE)
        for name, value in net.named_parameters():
            value.data = 0.3 * torch.randn(value.shape, generator=stream(0, name), dtype=DOUBLE)
        # With one step the rates' gradient is the same in both orders, and exact in both.
        steps = 2 if second_order else 1
        return MAML(net, inner_lr=0.1, inner_steps=steps, rates=kind, second_order=second_order)

    grads = learner().gradients(tasks, stream(0)).grads
    names = [name for name in grads if name.startswith("inner_lr.")]
    assert len(names) == 4
    ahead = {
        name: torch.randn(grads[name].shape, generator=stream(1, name), dtype=DOUBLE)
        for name in names
    }

    def moved(share: float) -> float:
        other = learner()
        for name, value in other.named_parameters():
            if name in ahead:
                value.data += share * ahead[name]
        return other.gradients(tasks, stream(0)).metrics["loss"]

    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    expected = math.fsum(float((grads[name] * ahead[name]).sum()) for name in names)
    assert slope == pytest.approx(expected, rel=1e-6)


def test_steps_beyond_training_take_the_last_rate(make_task: MakeTask) -> None:
    task, net = make_task(dtype=DOUBLE), _net()
    longer = MAML(net, inner_lr=0.1, inner_steps=2, rates="per-step", evaluation_steps=4)
    with torch.no_grad():
        for value in longer.rates.parameters.values() if longer.rates else ():
            value[1] = 0.3
        found = longer.adapt(task.support, stream(0))
    fixed: dict[str, Any] = {"inner_lr": 0.1, "inner_steps": 1}
    with torch.no_grad():
        once = MAML(net, **fixed).adapt(task.support, stream(0))
        rest = MAML(net, inner_lr=0.3, evaluation_steps=3)
        expected = rest.inner.adapted(once, 3)
    assert_close(found.params, expected.params)


# --- MAML++ --------------------------------------------------------------------------------------


def test_multi_step_loss_is_the_weighted_sum_of_single_ones(make_task: MakeTask) -> None:
    tasks, net = _tasks(make_task), _net()
    learner = MAML(net, inner_steps=3, fading=4)
    for made in range(6):
        found = learner.gradients(tasks, stream(0)).grads
        weights = step_weights(made, steps=3, fading=4)
        single = [_grads(tasks, net, inner_steps=steps) for steps in (1, 2, 3)]
        expected = {
            name: sum((w * g[name] for w, g in zip(weights, single, strict=True)), Tensor([0.0]))
            for name in found
        }
        assert_close(found, expected, rtol=1e-8, atol=1e-11)


def test_weights_of_the_multi_step_loss() -> None:
    for meta_step in range(0, 120, 7):
        weights = step_weights(meta_step, steps=5, fading=100)
        assert sum(weights) == pytest.approx(1.0)
        assert len(set(weights[:-1])) == 1
    assert step_weights(99, steps=5, fading=100)[0] == pytest.approx(0.03 / 5)
    assert step_weights(0, steps=5, fading=0) == (0.0, 0.0, 0.0, 0.0, 1.0)
    assert step_weights(7, steps=1, fading=100) == (1.0,)


def test_first_order_at_first_and_second_order_after(make_task: MakeTask) -> None:
    tasks, net = _tasks(make_task), _net()
    learner = MAML(net, first_order_steps=2)
    first = _grads(tasks, net, second_order=False)
    second = _grads(tasks, net, second_order=True)
    assert not torch.allclose(first["conv0"], second["conv0"], rtol=1e-3)
    for expected in (first, first, second, second):
        assert_close(learner.gradients(tasks, stream(0)).grads, expected, rtol=1e-9, atol=1e-12)


def test_a_resumed_run_counts_on(make_task: MakeTask, tmp_path: Any) -> None:
    tasks = [make_task(seed) for seed in range(2)]

    def run(steps: list[int], name: str) -> dict[str, Tensor]:
        for upto in steps:
            learner = build_maml_plus_plus(tasks[0].spec, stream(0), fading=4, first_order_steps=3)
            learner = _with_policy(learner, "per-step")
            with suppress(_Stopped):
                fit(
                    learner,
                    lambda rng: tasks,
                    steps=5,
                    rng=stream(0),
                    checkpoint=tmp_path / name,
                    checkpoint_every=upto,
                    on_step=_stop_at(upto),
                )
        return dict(learner.named_parameters()) | buffers_of(learner)

    whole, parted = run([5], "whole"), run([2, 5], "parted")
    assert_close(parted, whole, rtol=0, atol=0)
    assert int(whole["meta_steps"]) == 5


def _with_policy(learner: MAML, policy: Policy) -> MAML:
    return MAML(
        learner.model,
        inner_lr=learner.inner_lr,
        inner_steps=learner.inner_steps,
        rates="per-step",
        fading=learner.fading,
        first_order_steps=learner.first_order_steps,
        normalisation=policy,
    )


class _Stopped(Exception):
    pass


def _stop_at(step: int) -> Callable[[Any], None]:
    def stop(progress: Any) -> None:
        if progress.step == step < progress.steps:
            raise _Stopped

    return stop


# --- memory, precision, numbers that break -------------------------------------------------------


@pytest.mark.parametrize("batching", ["loop", "stack"])
@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
def test_checkpointed_gradients_are_the_same(
    batching: Batching, optimiser: str, make_task: MakeTask
) -> None:
    options: dict[str, Any] = {"inner_lr": 0.05, "inner_steps": 4, "optimiser": optimiser}
    options |= {"batching": batching, "normalisation": "per-step", "rates": "per-entry"}
    tasks = _tasks(make_task)
    learners = [
        MAML(_net(), checkpointed=checkpointed, **options) for checkpointed in (True, False)
    ]
    found, expected = (one.gradients(tasks, stream(0)).grads for one in learners)
    assert_close(found, expected, rtol=1e-12, atol=1e-14)
    assert_close(*(buffers_of(one) for one in learners), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("batching", ["loop", "stack", "vmap"])
def test_half_precision_is_near_the_whole(batching: Batching, make_task: MakeTask) -> None:
    tasks = [make_task(seed) for seed in range(3)]
    net = _net().float()
    whole = _grads(tasks, net, batching=batching, inner_lr=0.1)
    seen: list[torch.dtype] = []

    def loss(outputs: Tensor, answers: Tensor) -> Tensor:
        seen.append(outputs.dtype)
        return functional.cross_entropy(outputs, answers)

    half = _grads(tasks, net, batching=batching, inner_lr=0.1, autocast=torch.bfloat16, loss=loss)
    flat, other = (torch.cat([v.flatten() for v in g.values()]) for g in (whole, half))
    assert set(seen) == {torch.float32}
    assert other.dtype == torch.float32
    assert 1e-4 < float((flat - other).norm() / flat.norm()) < 0.1


def test_a_broken_loss_says_where(make_task: MakeTask) -> None:
    tasks = [make_task(seed) for seed in range(3)]
    tasks[1].query.x[0, 0, 0, 0] = math.nan
    tasks[2].support.x[0, 0, 0, 0] = math.inf
    net = _net().float()
    before = {name: value.detach().clone() for name, value in params_of(net).items()}
    learner = MAML(net, inner_steps=2, normalisation="running")
    with pytest.raises(MetawrightError, match=r"Task 2 of the 3 .* is nan on its query"):
        fit(learner, lambda rng: tasks, steps=1, rng=stream(0))
    with pytest.raises(MetawrightError, match=r"Task 2 of the 2 .* support at inner step 1 of 2"):
        learner.gradients([tasks[0], tasks[2]], stream(0))
    assert_close({n: v.detach() for n, v in params_of(net).items()}, before, rtol=0, atol=0)
    assert all(bool(value.isfinite().all()) for value in buffers_of(learner).values())


def test_a_diverging_step_is_named(make_wave: MakeTask) -> None:
    learner = MAML(MLP(1, 1, rng=stream(0)), inner_lr=1e12, inner_steps=5)
    with pytest.raises(MetawrightError, match=r"Task 1 .* at inner step [2-5] of 5"):
        learner.gradients([make_wave(), make_wave(1)], stream(0))


def test_refuses_senseless_options() -> None:
    net = nn.Linear(2, 2)
    for options, message in (
        ({"fading": -1}, "`fading >= 0` must hold, but got -1"),
        ({"rates": "none"}, "`rates` must be one of"),
        ({"optimiser": "lion"}, "`optimiser` must be one of"),
        ({"adapts": lambda name: False}, "it holds for none"),
        ({"autocast": torch.int8}, "`autocast` must be None or one of"),
        ({"batching": "all"}, "`batching` must be one of"),
        ({"batching": "stack"}, "needs a model with `forward_tasks`"),
        ({"normalisation": "batch"}, "`normalisation` must be one of"),
    ):
        with pytest.raises(ValueError, match=message):
            MAML(net, **options)
