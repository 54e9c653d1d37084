"""Descent with its options, against the same written out, and the memory of checkpointed steps."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.learners.inner import Forward, descend, forward_of, gradient, summed
from metawright.learners.learner import Loss, task_loss
from metawright.models.backbones import MLP
from metawright.params import Params, detached, params_of
from metawright.rng import stream
from metawright.tasks.task import Batch
from metawright.training.optimisers import INNER_OPTIMISERS, Adam, Momentum, State

DOUBLE = torch.float64


def _net() -> nn.Module:
    net = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)).to(DOUBLE)
    for name, value in net.named_parameters():
        value.data = 0.5 * torch.randn(value.shape, generator=stream(0, name), dtype=DOUBLE)
    return net


def _support(examples: int = 5) -> Batch:
    rng = stream(1, "support")
    x = torch.randn(examples, 3, generator=rng, dtype=DOUBLE)
    return Batch(x, torch.randn(examples, 2, generator=rng, dtype=DOUBLE))


def _outcome(net: nn.Module, steps: int, **options: object) -> Params:
    """The gradient of a loss after descent by where it started."""
    start = params_of(net)
    settings = {"loss": task_loss, "lr": 0.1, "steps": steps, "second_order": True} | options
    end = descend(forward_of(net), start, _support(), **settings)  # type: ignore[arg-type]
    x = torch.ones(4, 3, dtype=DOUBLE)
    return gradient(forward_of(net)(end, x).square().sum(), start)


@pytest.mark.parametrize("name", sorted(INNER_OPTIMISERS))
@pytest.mark.parametrize("second_order", [True, False])
def test_checkpointed_and_functional_descent_give_the_same_gradients(
    name: str, second_order: bool
) -> None:
    net, rule = _net(), INNER_OPTIMISERS[name]()
    run = partial(_outcome, net, 4, optimiser=rule, second_order=second_order)
    expected = run()
    assert_close(run(checkpointed=True), expected, rtol=1e-12, atol=1e-14)
    assert_close(run(functional=True), expected, rtol=1e-9, atol=1e-12)


def _kept(steps: int, *, checkpointed: bool) -> int:
    """Bytes of all tensors that the graph holds after descent, each storage once."""
    net, held = _net(), list[Tensor]()  # held: what is alive cannot share an address

    def pack(value: Tensor) -> Tensor:
        held.append(value)
        return value

    with torch.autograd.graph.saved_tensors_hooks(pack, _same):
        end = descend(
            forward_of(net),
            params_of(net),
            _support(400),
            loss=task_loss,
            lr=0.1,
            steps=steps,
            second_order=True,
            checkpointed=checkpointed,
        )
    assert end["0.weight"].requires_grad
    sizes = {v.untyped_storage().data_ptr(): v.untyped_storage().nbytes() for v in held}
    return sum(sizes.values())


def _same(value: Tensor) -> Tensor:
    return value


def test_memory_of_checkpointed_steps_is_about_flat() -> None:
    plain = [_kept(steps, checkpointed=False) for steps in (2, 10)]
    flat = [_kept(steps, checkpointed=True) for steps in (2, 10)]
    assert plain[1] > 4 * plain[0]
    assert flat[1] < 0.05 * plain[1]


def test_rates_by_step_and_by_name() -> None:
    net, seen = _net(), list[int]()
    start = params_of(net)
    names = list(start)

    def rate(step: int) -> dict[str, Tensor]:
        seen.append(step)
        return {
            name: torch.tensor(0.1 * (step + at), dtype=DOUBLE) for at, name in enumerate(names)
        }

    found = descend(
        forward_of(net), start, _support(), loss=task_loss, lr=rate, steps=2, second_order=True
    )
    current: Params = dict(start)
    for step in range(2):
        grads = gradient(
            task_loss(forward_of(net)(current, _support().x), _support().labels), current
        )
        current = {
            n: w - 0.1 * (step + at) * grads[n] for at, (n, w) in enumerate(current.items())
        }
    assert_close(found, current)
    assert seen == [0, 1]


def test_only_what_adapts_moves_and_all_have_their_derivative() -> None:
    net = _net()
    start = params_of(net)
    found = descend(
        forward_of(net),
        start,
        _support(),
        loss=task_loss,
        lr=0.1,
        steps=2,
        second_order=True,
        adapts=lambda name: name.startswith("2."),
    )
    assert found["0.weight"] is start["0.weight"]
    assert not torch.equal(found["2.weight"], start["2.weight"])
    grads = gradient(found["2.weight"].sum(), start)
    assert all(bool(grad.abs().sum() > 0) for grad in grads.values())


@pytest.mark.parametrize("rule", [Momentum(), Adam()])
def test_a_state_goes_on_where_it_stood(rule: Momentum | Adam) -> None:
    net, states = _net(), list[State]()
    run = partial(
        descend,
        forward_of(net),
        support=_support(),
        loss=task_loss,
        lr=0.1,
        second_order=False,
        optimiser=rule,
    )
    half = run(params_of(net), steps=2, each=lambda _, state: states.append(state))
    found = run(half, steps=3, state=states[-1])
    assert_close(found, run(params_of(net), steps=5), rtol=1e-14, atol=1e-14)
    assert states[-1].steps == 2


def test_each_step_is_shown() -> None:
    net, shown = _net(), list[Params]()
    run = partial(
        descend,
        forward_of(net),
        params_of(net),
        _support(),
        loss=task_loss,
        lr=0.1,
        second_order=False,
    )
    run(steps=3, each=lambda params, _: shown.append(params))
    for steps, params in enumerate(shown, 1):
        assert_close(params, run(steps=steps))


def test_refuses_checkpoints_under_vmap() -> None:
    with pytest.raises(ValueError, match="cannot be checkpointed"):
        _outcome(_net(), 1, checkpointed=True, functional=True)


def _focal(outputs: Tensor, answers: Tensor) -> Tensor:
    right = outputs.log_softmax(-1).gather(-1, answers[:, None])
    return -((1 - right.exp()) * right).mean()


def _looking(outputs: Tensor, answers: Tensor) -> Tensor:
    """A loss that looks at its numbers: vmap refuses it."""
    weight = 2.0 if float(outputs.detach().max()) > 0 else 1.0
    return weight * functional.cross_entropy(outputs, answers)


LOSSES: list[tuple[Loss, bool]] = [
    (task_loss, True),
    (task_loss, False),
    (functional.cross_entropy, True),
    (functional.mse_loss, False),
    (functional.l1_loss, False),
    (functional.smooth_l1_loss, False),
    (_focal, True),
    (_looking, True),
]


@pytest.mark.parametrize(("loss", "classes"), LOSSES)
def test_summed_is_the_sum_over_tasks(loss: Loss, classes: bool) -> None:
    rng = stream(0)
    outputs = torch.randn(3, 5, 4, generator=rng, dtype=DOUBLE, requires_grad=True)
    answers = torch.randn(3, 5, 4, generator=rng, dtype=DOUBLE)
    if classes:
        answers = torch.randint(4, (3, 5), generator=rng)
    expected = torch.stack([loss(o, a) for o, a in zip(outputs, answers, strict=True)]).sum()
    found = summed(loss)(outputs, answers)
    assert_close(found, expected)
    assert_close(torch.autograd.grad(found, outputs), torch.autograd.grad(expected, outputs))


def test_a_standard_loss_of_a_stack_is_not_a_loop_over_tasks() -> None:
    """Python's part of a step must not grow with the tasks: calls of torch are counted."""
    net = MLP(1, 1, rng=stream(0))
    counts = [_calls(net, tasks) for tasks in (2, 16)]
    assert counts[0] == counts[1]


class _Counter(torch.overrides.TorchFunctionMode):
    """Counts the calls of torch's functions."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def _calls(net: MLP, tasks: int) -> int:
    params: Params = {n: v.expand(tasks, *v.shape) for n, v in detached(params_of(net)).items()}
    params = {n: v.clone().requires_grad_() for n, v in params.items()}
    stack = Batch(torch.ones(tasks, 4, 1), torch.ones(tasks, 4, 1))
    forward: Forward = net.forward_tasks
    with _Counter() as counter:
        descend(forward, params, stack, loss=summed(task_loss), lr=0.1, steps=1, second_order=True)
    return int(counter.count)
