"""Costs counted from decisions against the parameters and operations of the real network."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from metawright.evaluate.cost import network_cost
from metawright.models.layers import ConvFeatures
from metawright.models.shared import largest_network
from metawright.spaces import Design, grid
from metawright.spaces.convolutional import network_space

NETWORKS = [*list(grid(network_space()))[::13], Design(largest_network())]


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 33)])
def test_it_is_what_the_network_holds_and_does(channels: int, size: int) -> None:
    for network in NETWORKS:
        module = ConvFeatures(channels, **network.to_json())
        cost = network_cost(network, channels=channels, size=size)
        assert cost.parameters == sum(value.numel() for value in module.parameters())
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            module(torch.zeros(1, channels, size, size))
        assert counter.get_total_flops() == 2 * cost.multiply_adds
