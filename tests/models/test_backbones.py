"""The classic networks: against torch's own layers, many tasks at once, and under vmap."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.models.backbones import MLP, ConvNet, Head, Reduction, backbone, fitting_blocks
from metawright.params import Params, params_of
from metawright.rng import stream
from metawright.tasks.task import Kind, TaskSpec

DOUBLE = torch.float64


def _net(reduction: Reduction = "stride", head: Head = "flat", outputs: int = 3) -> ConvNet:
    net = ConvNet(
        2, (9, 8), outputs, rng=stream(0), filters=4, blocks=2, reduction=reduction, head=head
    ).to(DOUBLE)
    for name, value in net.named_parameters():  # ones and zeros would hide a swap
        value.data += 0.3 * torch.randn(value.shape, generator=stream(1, name), dtype=DOUBLE)
    return net


@pytest.mark.parametrize("reduction", ["stride", "pool"])
@pytest.mark.parametrize("head", ["flat", "mean"])
def test_forward_is_that_of_torchs_layers(reduction: Reduction, head: Head) -> None:
    net, x = _net(reduction, head), torch.randn(5, 2, 9, 8, dtype=DOUBLE)
    weights = params_of(net)
    expected = x
    for block in range(2):
        stride = 2 if reduction == "stride" else 1
        expected = functional.conv2d(expected, weights[f"conv{block}"], stride=stride, padding=1)
        scale, shift = weights[f"scale{block}"], weights[f"shift{block}"]
        expected = functional.batch_norm(expected, None, None, scale, shift, training=True)
        expected = functional.relu(expected)
        expected = functional.max_pool2d(expected, 2) if reduction == "pool" else expected
    expected = expected.mean((2, 3)) if head == "mean" else expected.flatten(1)
    assert_close(net(x), functional.linear(expected, weights["weight"], weights["bias"]))


def test_running_statistics_are_those_of_torchs_layer() -> None:
    net = ConvNet(1, (4, 4), 0, rng=stream(0), filters=3, blocks=1, statistics="running")
    norm, conv = nn.BatchNorm2d(3), params_of(net)["conv0"]
    for _ in range(3):
        x = torch.randn(6, 1, 4, 4)
        norm(functional.conv2d(x, conv, stride=2, padding=1))
        net(x)
    x = torch.randn(2, 1, 4, 4)
    expected = norm.eval()(functional.conv2d(x, conv, stride=2, padding=1))
    assert_close(net.eval()(x), functional.relu(expected).flatten(1))


def _tasks(net: nn.Module, tasks: int) -> Params:
    return {
        name: value.detach() + 0.1 * torch.randn(tasks, *value.shape, dtype=DOUBLE)
        for name, value in net.named_parameters()
    }


@pytest.mark.parametrize("reduction", ["stride", "pool"])
@pytest.mark.parametrize("head", ["flat", "mean"])
def test_many_tasks_at_once_are_the_same_as_one_by_one(reduction: Reduction, head: Head) -> None:
    net = _net(reduction, head)
    params, x = _tasks(net, 3), torch.randn(3, 5, 2, 9, 8, dtype=DOUBLE)
    one_by_one = [
        torch.func.functional_call(net, {n: v[task] for n, v in params.items()}, (x[task],))
        for task in range(3)
    ]
    assert_close(net.forward_tasks(params, x), torch.stack(one_by_one), rtol=1e-12, atol=1e-12)


def test_many_perceptrons_at_once_are_the_same_as_one_by_one() -> None:
    net = MLP(3, 2, rng=stream(0), hidden=(4,)).to(DOUBLE)
    params, x = _tasks(net, 3), torch.randn(3, 5, 3, dtype=DOUBLE)
    one_by_one = [
        torch.func.functional_call(net, {n: v[task] for n, v in params.items()}, (x[task],))
        for task in range(3)
    ]
    assert_close(net.forward_tasks(params, x), torch.stack(one_by_one), rtol=1e-12, atol=1e-12)


def test_second_derivatives_are_right_under_vmap() -> None:
    """Fails with the fused affine layer: pytorch/functorch#534."""
    net = _net()
    start = {name: value.detach() for name, value in net.named_parameters()}
    x, y = torch.randn(2, 3, 6, 2, 9, 8, dtype=DOUBLE), torch.arange(6) % 3

    def loss(params: Params, inputs: Tensor) -> Tensor:
        return functional.cross_entropy(torch.func.functional_call(net, params, (inputs,)), y)

    def adapted(params: Params, support: Tensor, query: Tensor) -> Tensor:
        grads = torch.func.grad(loss)(params, support)
        return loss({n: v - 0.4 * grads[n] for n, v in params.items()}, query)

    def batched(params: Params) -> Tensor:
        return torch.func.vmap(adapted, (None, 0, 0))(params, x[0], x[1]).sum()

    leaves = {name: value.clone().requires_grad_() for name, value in start.items()}
    total = torch.zeros((), dtype=DOUBLE)
    for support, query in zip(x[0], x[1], strict=True):
        inner = torch.autograd.grad(
            loss(leaves, support), list(leaves.values()), create_graph=True
        )
        moved = {n: v - 0.4 * g for (n, v), g in zip(leaves.items(), inner, strict=True)}
        total = total + loss(moved, query)
    expected = dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
    assert_close(torch.func.grad(batched)(start), expected, rtol=1e-9, atol=1e-11)


def test_one_example_at_one_by_one_still_has_numbers() -> None:
    net = ConvNet(1, (4, 4), 2, rng=stream(0), filters=3, blocks=2)
    assert bool(net(torch.randn(1, 1, 4, 4)).isfinite().all())


def test_first_weights_come_from_the_generator() -> None:
    before = torch.get_rng_state()
    first, same, other = (ConvNet(1, (8, 8), 2, rng=stream(seed), blocks=1) for seed in (0, 0, 1))
    assert torch.equal(params_of(first)["conv0"], params_of(same)["conv0"])
    assert not torch.equal(params_of(first)["conv0"], params_of(other)["conv0"])
    assert torch.equal(torch.get_rng_state(), before)


def test_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="survive 4 halvings, but shrinks to"):
        ConvNet(1, (8, 8), 2, rng=stream(0), reduction="pool")
    net = ConvNet(1, (8, 8), 0, rng=stream(0), filters=2, blocks=1, statistics="running")
    stack = {name: value.expand(2, *value.shape) for name, value in params_of(net).items()}
    with pytest.raises(ValueError, match="statistics must be 'batch'"):
        net.forward_tasks(stack, torch.zeros(2, 3, 1, 8, 8))


@pytest.mark.parametrize("side", [2, 3, 5, 8, 16, 28])
@pytest.mark.parametrize("reduction", ["stride", "pool"])
def test_fitting_blocks_fit(side: int, reduction: Reduction) -> None:
    blocks = fitting_blocks((side, side + 3))
    net = ConvNet(
        1, (side, side + 3), 2, rng=stream(0), filters=2, blocks=blocks, reduction=reduction
    )
    assert net(torch.zeros(2, 1, side, side + 3)).shape == (2, 2)


def test_backbone_follows_the_spec() -> None:
    images = backbone(TaskSpec(Kind.CLASSIFICATION, (1, 28, 28), 5), stream(0))
    assert images(torch.zeros(2, 1, 28, 28)).shape == (2, 5)
    assert isinstance(images, ConvNet)
    assert images.blocks == 4
    numbers = backbone(TaskSpec(Kind.REGRESSION, (3,), 2), stream(0))
    assert numbers(torch.zeros(4, 3)).shape == (4, 2)
