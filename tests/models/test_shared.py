"""Sub-networks of the shared weights, for all networks of the space."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from metawright.models.layers import ConvFeatures
from metawright.models.shared import (
    KERNEL,
    NORMALISATIONS,
    features_of,
    largest_network,
    network_features,
    shared_params,
    sub_params,
)
from metawright.params import Params
from metawright.rng import stream
from metawright.spaces import Design, grid
from metawright.spaces.convolutional import network_space

NETWORKS = list(grid(network_space()))
SMALLEST = {
    "depth": 2,
    "width": 32,
    "kernel": 3,
    "normalisation": "instance",
    "pool": "max",
    "skip": False,
}


@pytest.fixture(scope="module")
def shared() -> Params:
    return shared_params(1, stream(0))


def test_the_space_is_what_the_weights_are_for() -> None:
    assert len(NETWORKS) == 144
    for name, high in (("depth", 4), ("width", 64), ("kernel", 5)):
        assert max(network[name] for network in NETWORKS) == largest_network()[name] == high
    assert {network["normalisation"] for network in NETWORKS} == set(NORMALISATIONS)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_network_gets_the_weights_that_its_layers_ask_for(channels: int) -> None:
    whole = shared_params(channels, stream(0))
    for network in NETWORKS:
        with torch.device("meta"):
            module = ConvFeatures(channels, **network)
        wanted = {name: value.shape for name, value in module.named_parameters()}
        assert {n: v.shape for n, v in sub_params(whole, network).items()} == wanted


def test_weights_are_views_of_the_first_channels_and_the_middle_of_kernels(
    shared: Params,
) -> None:
    own = sub_params(shared, SMALLEST)
    assert_close(
        own["blocks.1.conv.weight"],
        shared["blocks.1.conv.weight"][:32, :16, 1:-1, 1:-1],
        rtol=0,
        atol=0,
    )
    assert_close(
        own["blocks.0.norm.bias"], shared["blocks.0.norm.instance.bias"][:16], rtol=0, atol=0
    )
    assert all(
        value.untyped_storage().data_ptr()
        in {whole.untyped_storage().data_ptr() for whole in shared.values()}
        for value in own.values()
    )


def test_gradients_reach_exactly_what_a_network_uses(shared: Params) -> None:
    for network in NETWORKS[::13]:
        leaves = {name: value.clone().requires_grad_() for name, value in shared.items()}
        own = sub_params(leaves, network)
        total = torch.stack([value.sum() for value in own.values()]).sum()
        grads = torch.autograd.grad(total, list(leaves.values()), materialize_grads=True)
        reached = dict(zip(leaves, grads, strict=True))
        assert sum(float(grad.sum()) for grad in grads) == sum(v.numel() for v in own.values())
        assert all(set(grad.flatten().tolist()) <= {0.0, 1.0} for grad in grads)
        for name, grad in reached.items():
            assert _used(name, grad.shape, network).equal(grad.bool()), (name, network)


def _used(name: str, shape: torch.Size, network: Design) -> Tensor:
    """Which entries a network uses, told from the definition of the space."""
    mask = torch.zeros(shape, dtype=torch.bool)
    parts = name.split(".")
    block, width = int(parts[1]), network["width"]
    if block >= network["depth"] or ("skip" in name and not network["skip"]):
        return mask
    channels = width // 2 if block == 0 else width
    if "norm" in name:
        mask[:channels] = network["normalisation"] in parts
        return mask
    before = shape[1] if block == 0 else width // 2 if block == 1 and "skip" not in name else width
    ring = (KERNEL - network["kernel"]) // 2
    mask[:channels, :before, ring : KERNEL - ring, ring : KERNEL - ring] = True
    return mask


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_the_largest_network_uses_all_weights_of_its_kind(
    normalisation: str, shared: Params
) -> None:
    own = sub_params(shared, largest_network(normalisation))
    others = set(NORMALISATIONS) - {normalisation}
    kind = {name: value for name, value in shared.items() if not others & set(name.split("."))}
    assert sum(v.numel() for v in own.values()) == sum(v.numel() for v in kind.values())


def test_features_are_those_of_the_module(shared: Params) -> None:
    x = torch.rand(2, 1, 28, 28, generator=stream(1))
    for network in NETWORKS[::17]:
        own = sub_params(shared, network)
        module = ConvFeatures(1, **network)
        module.load_state_dict(own)
        found = features_of(own, network, x)
        assert found.shape == (2, network_features(network))
        assert_close(found, module(x), rtol=0, atol=0)


def test_first_weights_are_of_he_with_a_weak_ring_and_drawn_from_the_generator(
    shared: Params,
) -> None:
    weight = shared["blocks.3.conv.weight"]
    middle, ring = weight[..., 1:-1, 1:-1], weight[..., 0, :]
    assert_close(float(middle.std()), (2 / (64 * 9)) ** 0.5, rtol=0.03, atol=0)
    assert_close(float(ring.std() / middle.std()), 0.3, rtol=0.05, atol=0)
    assert_close(shared["blocks.2.norm.group.weight"], torch.ones(64))
    assert_close(shared_params(1, stream(0)), shared, rtol=0, atol=0)
    assert not torch.equal(shared_params(1, stream(1))["blocks.3.conv.weight"], weight)
    assert not any(value.requires_grad for value in shared.values())
