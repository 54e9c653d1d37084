"""Modules of a user's own: adapted as they are, mended, or refused by the name of a layer."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations
from torch.testing import assert_close

from metawright.learners import MAML, Reptile
from metawright.learners.implicit import ImplicitMAML
from metawright.models.normalisation import Policy
from metawright.params import params_of
from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training import fit

MakeTask = Callable[..., Task]
DOUBLE = torch.float64


def _drawn(module: nn.Module) -> nn.Module:
    """The module in float64 with weights that owe nothing to torch's global generator."""
    for name, value in module.to(DOUBLE).named_parameters():
        value.data = 0.3 * torch.randn(value.shape, generator=stream(0, name), dtype=DOUBLE)
    return module


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1), nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, 2), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(inner + self.shortcut(x))


class _ResNet(nn.Module):
    def __init__(self, ways: int) -> None:
        super().__init__()
        widths = (1, 4, 6)
        self.blocks = nn.Sequential(*(_Block(*pair) for pair in pairwise(widths)))
        self.fc = nn.Linear(widths[-1], ways)

    def forward(self, x: Tensor) -> Tensor:
        outputs: Tensor = self.fc(self.blocks(x).mean((2, 3)))
        return outputs


class _Words(nn.Module):
    """A classifier of texts (examples, words) int64 over one of several encoders."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.words, self.encoder, self.head = nn.Embedding(20, 6), encoder, nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = self.encoder(self.words(x))
        found = found[0] if isinstance(found, tuple) else found
        outputs: Tensor = self.head(found.mean(1))
        return outputs


class _Tied(nn.Module):
    """Two layers with one weight, and one layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.again = nn.Linear(64, 64), nn.Linear(64, 64)
        self.again.weight = self.encoder.weight
        self.first = self.second = nn.Linear(64, 64)
        self.head = nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.again(torch.tanh(self.encoder(x.flatten(1)))))
        x = torch.tanh(self.second(torch.tanh(self.first(x))))
        outputs: Tensor = self.head(x)
        return outputs


def _texts(seed: int) -> Task:
    rng = stream(seed, "texts")

    def batch() -> Batch:
        labels = torch.arange(3).repeat_interleave(4)
        noise = torch.randint(6, (12, 5), generator=rng)
        return Batch(6 * labels[:, None] + noise, labels)

    return Task(batch(), batch(), TaskSpec(Kind.CLASSIFICATION, (5,), 3))


def _slow(net: nn.Module, tasks: list[Task], lr: float, *, second_order: bool) -> list[Tensor]:
    """MAML's meta-gradient with one inner step, the module in training mode."""
    start = dict(net.named_parameters())
    total = torch.zeros((), dtype=DOUBLE)
    for task in tasks:
        loss = functional.cross_entropy(net(task.support.x), task.support.labels)
        grads = torch.autograd.grad(loss, list(start.values()), create_graph=second_order)
        moved = {n: w - lr * g for (n, w), g in zip(start.items(), grads, strict=True)}
        outputs = torch.func.functional_call(net, moved, (task.query.x,))
        total = total + functional.cross_entropy(outputs, task.query.labels)
    return list(torch.autograd.grad(total / len(tasks), list(start.values())))


def _finite(build: Callable[[], nn.Module], tasks: list[Task]) -> float:
    """The slope of the adapted loss along all ones, by differences."""

    def moved(share: float) -> float:
        net = build()
        for value in net.parameters():
            value.data += share
        return MAML(net, inner_lr=0.1).gradients(tasks, stream(0)).metrics["loss"]

    return (moved(1e-6) - moved(-1e-6)) / 2e-6


@pytest.mark.parametrize("second_order", [True, False])
@pytest.mark.parametrize("batching", ["auto", "vmap"])
def test_a_resnet_with_batch_norm(second_order: bool, batching: str, make_task: MakeTask) -> None:
    tasks, net = [make_task(seed, dtype=DOUBLE) for seed in range(3)], _drawn(_ResNet(3))
    before = {name: value.clone() for name, value in net.named_buffers()}
    learner = MAML(net, inner_lr=0.1, second_order=second_order, batching=batching)  # type: ignore[arg-type]
    found = learner.gradients(tasks, stream(0)).grads
    assert_close(dict(net.named_buffers()), before, rtol=0, atol=0)
    assert list(found) == list(params_of(net))
    expected = _slow(net, tasks, 0.1, second_order=second_order)
    # A bias before normalisation has no effect: its gradient is rounding.
    assert_close(list(found.values()), expected, rtol=1e-8, atol=1e-12)


def test_training_the_wrapped_module_trains_the_users(make_task: MakeTask) -> None:
    net = _drawn(_ResNet(3))
    before = net.fc.weight.detach().clone() if isinstance(net, _ResNet) else None
    fit(MAML(net), lambda rng: [make_task(dtype=DOUBLE)], steps=1, rng=stream(0))
    assert isinstance(net, _ResNet) and before is not None
    assert not torch.equal(net.fc.weight, before)


@pytest.mark.parametrize("policy", ["transductive", "support", "per-step", "running"])
def test_every_policy_works_for_a_users_layers(policy: Policy, make_task: MakeTask) -> None:
    tasks = [make_task(seed, dtype=DOUBLE) for seed in range(2)]
    for learner in (
        MAML(_drawn(_ResNet(3)), inner_lr=0.1, inner_steps=2, normalisation=policy),
        Reptile(_drawn(_ResNet(3)), normalisation=policy) if policy != "per-step" else None,
    ):
        if learner is None:
            continue
        learner.gradients(tasks, stream(0))
        with torch.no_grad():
            predict = learner.adapt(tasks[0].support, stream(0))
            x = tasks[0].query.x
            together, alone = predict(x), torch.cat([predict(one) for one in torch.split(x, 1)])
        assert torch.allclose(together, alone) == (policy != "transductive")


def test_shared_parameters_stay_shared(make_task: MakeTask) -> None:
    net = _drawn(_Tied())
    own = [value for _, value in net.named_parameters(remove_duplicate=False)]
    tasks = [make_task(seed, dtype=DOUBLE) for seed in range(2)]
    found = MAML(net, inner_lr=0.1).gradients(tasks, stream(0)).grads
    assert not {"second.weight", "again.weight"} & set(found)
    after = [value for _, value in net.named_parameters(remove_duplicate=False)]
    assert all(one is other for one, other in zip(own, after, strict=True))
    expected = _finite(lambda: _drawn(_Tied()), tasks)
    slope = sum(float(grad.sum()) for grad in found.values())
    assert slope == pytest.approx(expected, rel=1e-6)


ENCODERS: list[tuple[str, Callable[[], nn.Module]]] = [
    ("mean", nn.Identity),
    ("gru", lambda: nn.GRU(6, 6, batch_first=True)),
    ("lstm", lambda: nn.LSTM(6, 6, batch_first=True)),
    ("attention", lambda: nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0, batch_first=True)),
]


@pytest.mark.parametrize(("name", "encoder"), ENCODERS, ids=[name for name, _ in ENCODERS])
@pytest.mark.parametrize("second_order", [True, False])
def test_text_classifiers_learn(
    name: str, encoder: Callable[[], nn.Module], second_order: bool
) -> None:
    net = _drawn(_Words(encoder()))
    learner = MAML(net, inner_lr=0.5, second_order=second_order)
    tasks = [_texts(seed) for seed in range(2)]
    start = learner.gradients(tasks, stream(0))
    assert all(bool(g.abs().sum() > 0) for n, g in start.grads.items() if "words" not in n)
    fit(learner, lambda rng: tasks, steps=15, rng=stream(0), lr=0.05)
    assert learner.gradients(tasks, stream(0)).metrics["loss"] < 0.7 * start.metrics["loss"]


def test_a_gradient_through_attention_is_that_of_differences() -> None:
    """The fused kernel has no second derivative; the plain one must have the right one."""
    tasks = [_texts(0)]
    net = _drawn(_Words(ENCODERS[-1][1]()))
    grads = MAML(net, inner_lr=0.5).gradients(tasks, stream(0)).grads
    name = "encoder.self_attn.in_proj_weight"
    ahead = torch.randn(grads[name].shape, generator=stream(1), dtype=DOUBLE)

    def moved(share: float) -> float:
        other = _drawn(_Words(ENCODERS[-1][1]()))
        other.get_parameter(name).data += share * ahead
        return MAML(other, inner_lr=0.5).gradients(tasks, stream(0)).metrics["loss"]

    slope = (moved(1e-5) - moved(-1e-5)) / 2e-5
    assert slope == pytest.approx(float((grads[name] * ahead).sum()), rel=1e-6)


def test_frozen_parameters_take_no_part(make_task: MakeTask) -> None:
    net = _drawn(nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Tanh(), nn.Linear(4, 3)))
    net.get_submodule("1").requires_grad_(False)
    task = make_task(dtype=DOUBLE)
    for learner in (MAML(net), ImplicitMAML(net)):
        assert set(learner.gradients([task], stream(0)).grads) == {"3.weight", "3.bias"}
        with torch.no_grad():
            adapted = learner.adapt(task.support, stream(0))
        if "1.weight" in adapted.params:
            assert_close(adapted.params["1.weight"], net.get_parameter("1.weight").detach())


class _Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 3)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.get_buffer("calls").add_(1)
        outputs: Tensor = self.linear(x.flatten(1))
        return outputs


def test_names_the_buffers_that_a_call_changes(make_task: MakeTask) -> None:
    task, net = make_task(), _Counting()
    for learner in (MAML(net), Reptile(net), ImplicitMAML(net)):
        with pytest.raises(ValueError, match=r"changes its buffers \['calls'\]"):
            learner.gradients([task], stream(0))
        with pytest.raises(ValueError, match=r"changes its buffers \['calls'\]"):
            learner.adapt(task.support, stream(0))
    assert float(net.get_buffer("calls")) == 0
    spectral = nn.Sequential(nn.Flatten(), parametrizations.spectral_norm(nn.Linear(64, 3)))
    with pytest.raises(ValueError, match=r"1\.parametrizations\.weight"):
        MAML(spectral).gradients([task], stream(0))
    MAML(spectral.eval()).gradients([task], stream(0))


def test_names_what_cannot_be_adapted() -> None:
    whole = nn.Sequential(nn.Linear(2, 2))
    whole.register_parameter("table", nn.Parameter(torch.arange(3), requires_grad=False))
    with pytest.raises(ValueError, match=r"'table' is torch\.int64: make it a buffer"):
        MAML(whole)
    with pytest.raises(ValueError, match=r"'0\.weight' has no shape yet"):
        MAML(nn.Sequential(nn.LazyLinear(2)))
    with pytest.raises(ValueError, match="no parameter that requires a gradient"):
        MAML(nn.Linear(2, 2).requires_grad_(False))
    with pytest.raises(ValueError, match=r"'1' \(LayerNorm .* batching='loop'"):
        MAML(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), batching="vmap")
    MAML(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), batching="vmap", second_order=False)
    own = nn.Sequential(nn.InstanceNorm1d(2, affine=True, track_running_stats=True))
    with pytest.raises(ValueError, match="'0' keeps running statistics"):
        Reptile(own)
