"""Modulated networks against the network that they change, written out, and in stacks."""

from collections.abc import Callable
from typing import TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.testing import assert_close

from metawright.models.backbones import MLP, ConvNet
from metawright.models.modulation import (
    ContextFiLM,
    ContextInput,
    FiLM,
    context_network,
    film_network,
    sites,
)
from metawright.params import Params, params_of
from metawright.rng import stream
from metawright.tasks.task import Kind, TaskSpec

DOUBLE = torch.float64
Net = TypeVar("Net", bound=nn.Module)


def _convolutions() -> ConvNet:
    return ConvNet(2, (8, 8), 3, rng=stream(0), filters=4, blocks=2, head="mean")


def _perceptron(inputs: int = 3) -> MLP:
    return MLP(inputs, 2, rng=stream(0), hidden=(5, 4))


def _shaken(net: Net) -> Net:
    """In float64, with no parameter at a value (0, 1) that would hide a mistake."""
    net = net.to(DOUBLE)
    for name, value in net.named_parameters():
        value.data += 0.3 * torch.randn(value.shape, generator=stream(1, name), dtype=DOUBLE)
    return net


NETS: dict[str, Callable[[], ContextInput | ContextFiLM | FiLM]] = {
    "context input": lambda: ContextInput(_perceptron(5), 2),
    "context, MLP": lambda: ContextFiLM(_perceptron(), 2, rng=stream(2)),
    "context, ConvNet": lambda: ContextFiLM(_convolutions(), 3, rng=stream(2), at=(1,)),
    "film, MLP": lambda: FiLM(_perceptron()),
    "film, ConvNet": lambda: FiLM(_convolutions()),
}


def _examples(name: str, *lead: int) -> Tensor:
    features = (2, 8, 8) if "ConvNet" in name else (3,)
    return torch.randn(*lead, *features, generator=stream(3), dtype=DOUBLE)


def test_a_context_is_further_entries_of_every_example() -> None:
    net = _shaken(ContextInput(_perceptron(5), 2))
    x = _examples("", 4)
    expected = net.net(torch.cat([x, net.context.expand(4, 2)], 1))
    assert_close(net(x), expected, rtol=1e-12, atol=1e-12)


def test_film_scales_and_shifts_hidden_units_before_the_relu() -> None:
    net, x = _shaken(FiLM(_perceptron())), _examples("", 6)
    own = params_of(net)
    expected = x
    for layer in range(3):
        expected = functional.linear(expected, own[f"net.weight{layer}"], own[f"net.bias{layer}"])
        if layer < 2:
            scale, shift = own[f"modulation.scale{layer}"], own[f"modulation.shift{layer}"]
            expected = functional.relu(expected * scale + shift)
    assert_close(net(x), expected, rtol=1e-12, atol=1e-12)


def test_a_context_scales_and_shifts_channels_after_the_normalisation() -> None:
    net = _shaken(ContextFiLM(_convolutions(), 3, rng=stream(2), at=(1,)))
    x = _examples("ConvNet", 5)
    own = params_of(net)
    expected = x
    for block in range(2):
        expected = functional.conv2d(expected, own[f"net.conv{block}"], stride=2, padding=1)
        expected = functional.batch_norm(
            expected, None, None, own[f"net.scale{block}"], own[f"net.shift{block}"], training=True
        )
        if block == 1:
            scale, shift = (own[f"to_{part}1"] @ own["context"] for part in ("scale", "shift"))
            expected = expected * (1 + scale)[:, None, None] + shift[:, None, None]
        expected = functional.relu(expected)
    logits = functional.linear(expected.mean((2, 3)), own["net.weight"], own["net.bias"])
    assert_close(net(x), logits, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", NETS)
def test_many_tasks_at_once_are_the_same_as_one_by_one(name: str) -> None:
    net, x = _shaken(NETS[name]()), _examples(name, 3, 5)
    params = {
        n: v.detach() + 0.1 * torch.randn(3, *v.shape, generator=stream(4, n), dtype=DOUBLE)
        for n, v in net.named_parameters()
    }
    one_by_one = [
        torch.func.functional_call(net, {n: v[task] for n, v in params.items()}, (x[task],))
        for task in range(3)
    ]
    assert_close(net.forward_tasks(params, x), torch.stack(one_by_one), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", NETS)
def test_second_derivatives_are_right_under_vmap(name: str) -> None:
    net, x = _shaken(NETS[name]()), _examples(name, 2, 3, 6)
    start = {n: v.detach() for n, v in net.named_parameters()}

    def loss(params: Params, inputs: Tensor) -> Tensor:
        outputs: Tensor = torch.func.functional_call(net, params, (inputs,))
        return outputs.sigmoid().square().mean()

    def adapted(params: Params, support: Tensor, query: Tensor) -> Tensor:
        grads = torch.func.grad(loss)(params, support)
        return loss({n: v - 0.4 * grads[n] for n, v in params.items()}, query)

    def batched(params: Params) -> Tensor:
        return torch.func.vmap(adapted, (None, 0, 0))(params, x[0], x[1]).sum()

    leaves = {n: v.clone().requires_grad_() for n, v in start.items()}
    total = torch.zeros((), dtype=DOUBLE)
    for support, query in zip(x[0], x[1], strict=True):
        inner = torch.autograd.grad(
            loss(leaves, support), list(leaves.values()), create_graph=True
        )
        total = total + loss(
            {n: v - 0.4 * g for (n, v), g in zip(leaves.items(), inner, strict=True)}, query
        )
    expected = dict(zip(leaves, torch.autograd.grad(total, list(leaves.values())), strict=True))
    assert_close(torch.func.grad(batched)(start), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", NETS)
def test_at_first_the_network_is_the_plain_one(name: str) -> None:
    net, x = NETS[name]().to(DOUBLE), _examples(name, 4)
    plain = torch.cat([x, torch.zeros(4, 2, dtype=DOUBLE)], 1) if name == "context input" else x
    assert_close(net(x), net.net(plain), rtol=1e-12, atol=1e-12)


def test_sites_are_blocks_and_hidden_layers() -> None:
    assert sites(_perceptron()) == (5, 4)
    assert sites(_convolutions()) == (4, 4)


def test_networks_follow_the_spec() -> None:
    images = TaskSpec(Kind.CLASSIFICATION, (1, 28, 28), 5)
    numbers = TaskSpec(Kind.REGRESSION, (1,), 1)
    context = context_network(images, stream(0))
    assert context(torch.zeros(2, 1, 28, 28)).shape == (2, 5)
    assert context.context.shape == (100,)
    waves = context_network(numbers, stream(0))
    assert waves(torch.zeros(3, 1)).shape == (3, 1)
    assert waves.context.shape == (5,)
    assert params_of(waves)["net.weight0"].shape == (40, 6)
    film = film_network(images, stream(0))
    assert film(torch.zeros(2, 1, 28, 28)).shape == (2, 5)
    assert sum(v.numel() for v in film.modulation.values()) == 2 * 4 * 64


def test_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="it takes 2 entries and the context has 2"):
        ContextInput(_perceptron(2), 2)
    with pytest.raises(ValueError, match="`context >= 1` must hold, but got 0"):
        ContextFiLM(_perceptron(), 0, rng=stream(0))
    with pytest.raises(ValueError, match=r"sites of 0\.\.1, but got \[2\]"):
        ContextFiLM(_perceptron(), 2, rng=stream(0), at=[2])


def test_texts_and_signals_are_refused_in_a_sentence() -> None:
    texts = TaskSpec(Kind.CLASSIFICATION, (12,), 3, vocabulary=50)
    with pytest.raises(ValueError, match="must stand beside numbers, but the examples are tokens"):
        context_network(texts, stream(0))
    with pytest.raises(ValueError, match="but that of these tasks is TextEncoder"):
        film_network(texts, stream(0))
