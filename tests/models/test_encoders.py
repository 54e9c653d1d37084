"""Encoders of texts and signals: against torch's own layers, many tasks at once, second order."""

from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.learners.maml import MAML
from metawright.learners.prototypes import PrototypicalNetwork
from metawright.models.backbones import TaskBatched, backbone
from metawright.models.encoders import (
    NormalisedOver,
    SignalEncoder,
    TextEncoder,
    sequence_model,
)
from metawright.params import Params, params_of
from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, Task, TaskSpec
from metawright.training import fit

DOUBLE = torch.float64
TEXT = TaskSpec(Kind.CLASSIFICATION, (6,), 3, vocabulary=40)
SIGNAL = TaskSpec(Kind.CLASSIFICATION, (4, 20), 3)
SPECS = {"text": TEXT, "signal": SIGNAL, "signal by example": SIGNAL}
NAMES = pytest.mark.parametrize("name", sorted(SPECS))


def _net(name: str, outputs: int = 3) -> nn.Module:
    rng = stream(0, "weights")
    net: nn.Module
    if name == "text":
        net = TextEncoder(40, outputs, rng=rng, width=6, layers=2)
    else:
        over: NormalisedOver = "batch" if name == "signal" else "example"
        net = SignalEncoder((4, 20), outputs, rng=rng, filters=5, over=over)
    net = net.to(DOUBLE)
    for key, value in net.named_parameters():  # ones and zeros would hide a swap
        value.data += 0.3 * torch.randn(value.shape, generator=stream(1, key), dtype=DOUBLE)
    return net


def _inputs(name: str, *lead: int, seed: int = 0) -> Tensor:
    rng = stream(seed, "inputs")
    if name != "text":
        return torch.randn(*lead, 4, 20, generator=rng, dtype=DOUBLE)
    ids = torch.randint(1, 40, (*lead, 6), generator=rng)
    return ids * (torch.arange(6) < torch.randint(1, 7, (*lead, 1), generator=rng))


def test_text_is_that_of_torchs_layers() -> None:
    net, ids = cast(TextEncoder, _net("text")), _inputs("text", 5)
    weights = params_of(net)
    for text, found in zip(ids, net(ids), strict=True):
        hidden = weights["embedding"][text[text > 0]].T[None]  # (1, width, tokens), no padding
        for layer in range(2):
            kernel = weights[f"mix{layer}"].reshape(6, 3, 6).transpose(1, 2)
            hidden = hidden + functional.conv1d(hidden, kernel, padding=1).relu()
        share = weights["importance"][text[text > 0], 0].softmax(0)
        mean = (hidden[0] * share).sum(1)
        features = weights["scale"] * mean / (mean.square().sum() + 1e-5).sqrt()
        expected = functional.linear(features, weights["weight"], weights["bias"])
        assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["signal", "signal by example"])
def test_signal_is_that_of_torchs_layers(name: str) -> None:
    net, x = cast(SignalEncoder, _net(name)), _inputs(name, 3)
    weights, expected = params_of(net), x
    assert net.blocks == 2
    for block in range(2):
        expected = functional.conv1d(expected, weights[f"conv{block}"], stride=2, padding=2)
        scale, shift = weights[f"scale{block}"], weights[f"shift{block}"]
        if name == "signal":
            expected = functional.batch_norm(expected, None, None, scale, shift, training=True)
        else:
            expected = functional.group_norm(expected, 1, scale, shift)
        expected = expected.relu()
    expected = functional.linear(expected.mean(2), weights["weight"], weights["bias"])
    assert_close(net(x), expected)


@pytest.mark.parametrize("name", ["text", "signal by example"])
def test_one_example_is_predicted_as_many_are(name: str) -> None:
    net, x = _net(name), _inputs(name, 7)
    assert_close(torch.cat([net(one[None]) for one in x]), net(x))


def test_padding_and_its_place_make_no_difference() -> None:
    net = TextEncoder(40, 0, rng=stream(0), width=6, layers=0)
    texts = torch.tensor([[3, 5, 9, 0, 0], [0, 3, 0, 5, 9]])
    first, second = net(texts)
    assert_close(first, second)
    longer = net(torch.tensor([[3, 5, 9, 0, 0, 0, 0, 0]]))
    assert_close(longer[0], first)


@NAMES
def test_many_tasks_at_once_are_the_same_as_one_by_one(name: str) -> None:
    net = _net(name)
    assert isinstance(net, TaskBatched)
    params = {
        key: value.detach() + 0.1 * torch.randn(3, *value.shape, dtype=DOUBLE)
        for key, value in net.named_parameters()
    }
    x = _inputs(name, 3, 5)
    one_by_one = [
        torch.func.functional_call(net, {n: v[task] for n, v in params.items()}, (x[task],))
        for task in range(3)
    ]
    assert_close(net.forward_tasks(params, x), torch.stack(one_by_one), rtol=1e-12, atol=1e-12)


@NAMES
def test_second_derivatives_are_those_of_finite_differences(name: str) -> None:
    """The gradient through one inner step, against differences of the loss after it."""
    net = _net(name)
    support, query, labels = _inputs(name, 6), _inputs(name, 6, seed=1), torch.arange(6) % 3
    start = {key: value.detach() for key, value in net.named_parameters()}

    def loss(params: Params, x: Tensor) -> Tensor:
        return functional.cross_entropy(torch.func.functional_call(net, params, (x,)), labels)

    def after(params: Params) -> Tensor:
        leaves = {key: value.requires_grad_() for key, value in params.items()}
        inner = torch.autograd.grad(
            loss(leaves, support), list(leaves.values()), create_graph=True
        )
        moved = {n: v - 0.3 * g for (n, v), g in zip(leaves.items(), inner, strict=True)}
        return loss(moved, query)

    leaves = {key: value.clone().requires_grad_() for key, value in start.items()}
    grads = torch.autograd.grad(after(leaves), list(leaves.values()))
    way = {key: torch.randn(value.shape, dtype=DOUBLE) for key, value in start.items()}
    step = 1e-6
    ends = [
        float(after({k: v + sign * step * way[k] for k, v in start.items()}).detach())
        for sign in (1, -1)
    ]
    expected = (ends[0] - ends[1]) / (2 * step)
    found = sum(float((g * way[key]).sum()) for key, g in zip(leaves, grads, strict=True))
    assert abs(found - expected) < 1e-6 * max(1, abs(expected))


@NAMES
def test_second_derivatives_are_right_under_vmap(name: str) -> None:
    net, labels = _net(name), torch.arange(6) % 3
    start = {key: value.detach() for key, value in net.named_parameters()}
    support, query = _inputs(name, 3, 6), _inputs(name, 3, 6, seed=1)

    def loss(params: Params, x: Tensor) -> Tensor:
        return functional.cross_entropy(torch.func.functional_call(net, params, (x,)), labels)

    def adapted(params: Params, one: Tensor, other: Tensor) -> Tensor:
        grads = torch.func.grad(loss)(params, one)
        return loss({n: v - 0.4 * grads[n] for n, v in params.items()}, other)

    def batched(params: Params) -> Tensor:
        return torch.func.vmap(adapted, (None, 0, 0))(params, support, query).sum()

    one_by_one = [torch.func.grad(adapted)(start, support[k], query[k]) for k in range(3)]
    expected = {key: torch.stack([one[key] for one in one_by_one]).sum(0) for key in start}
    assert_close(torch.func.grad(batched)(start), expected, rtol=1e-9, atol=1e-11)


def test_an_empty_text_has_features_and_derivatives() -> None:
    net = TextEncoder(9, 2, rng=stream(0), width=4).to(DOUBLE)
    outputs = net(torch.zeros(1, 5, dtype=torch.int64))
    grads = torch.autograd.grad(outputs.sum(), list(net.parameters()), create_graph=True)
    total = torch.stack([grad.square().sum() for grad in grads]).sum()
    second = torch.autograd.grad(total, list(net.parameters()), allow_unused=True)
    assert all(bool(g.isfinite().all()) for g in (outputs, *grads, *second) if g is not None)


def _task(name: str, seed: int) -> Task:
    """Classes that share tokens, or a band."""
    rng = stream(seed, "task")
    labels = torch.arange(9) % 3
    if name == "text":
        known = torch.randint(1, 40, (3, 6), generator=rng)
        noise = torch.randint(1, 40, (9, 6), generator=rng)
        x = torch.where(torch.rand(9, 6, generator=rng) < 0.5, known[labels], noise)
    else:
        x = torch.randn(9, 4, 20, generator=rng)
        x += 3 * torch.randn(3, 4, 1, generator=rng)[labels]
    return Task(Batch(x[:3], labels[:3]), Batch(x[3:], labels[3:]), SPECS[name])


@NAMES
def test_both_kinds_of_learner_can_use_them(name: str) -> None:
    spec = SPECS[name]
    encoder = sequence_model(spec, 0, stream(0))
    assert not isinstance(encoder, SignalEncoder) or encoder.normalised == ()
    model = sequence_model(spec, spec.outputs, stream(0))
    assert encoder is not None and model is not None
    tasks = [_task(name, seed) for seed in range(4)]
    for learner in (PrototypicalNetwork(encoder), MAML(model, inner_lr=0.1)):
        before = learner.gradients(tasks, stream(1))
        assert all(bool(grad.abs().sum() > 0) for grad in before.grads.values())
        fit(learner, lambda rng: tasks, steps=5, rng=stream(0), lr=3e-3)
        assert learner.gradients(tasks, stream(1)).metrics["loss"] < before.metrics["loss"]


def test_the_backbone_is_chosen_by_the_spec() -> None:
    assert isinstance(backbone(TEXT, stream(0)), TextEncoder)
    assert isinstance(backbone(SIGNAL, stream(0)), SignalEncoder)
    for spec in (
        TaskSpec(Kind.CLASSIFICATION, (1, 8, 8), 3),
        TaskSpec(Kind.REGRESSION, (1,), 1),
        TaskSpec(Kind.CONTROL, (10, 2), 2),
    ):
        assert sequence_model(spec, 3, stream(0)) is None


@pytest.mark.parametrize("steps", [1, 3, 4, 8, 100, 8000])
def test_signals_of_any_length(steps: int) -> None:
    net = SignalEncoder((2, steps), 0, rng=stream(0), filters=3)
    assert net(torch.randn(2, 2, steps)).shape == (2, 3)
    if steps >= 8:
        assert 4 <= steps / 2**net.blocks < 8


def test_what_is_refused() -> None:
    with pytest.raises(ValueError, match=r"`vocabulary >= 2`.* \(vocabulary=1, width=8"):
        TextEncoder(1, 2, rng=stream(0), width=8)
    with pytest.raises(ValueError, match=r"Positive `shape`.* \(shape=\(0, 5\)"):
        SignalEncoder((0, 5), 2, rng=stream(0))
