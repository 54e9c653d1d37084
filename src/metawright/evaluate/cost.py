"""What a network costs: parameters and multiply-adds, counted from its decisions."""

from collections.abc import Mapping
from typing import Any, NamedTuple

__all__ = ["NetworkCost", "network_cost"]


class NetworkCost(NamedTuple):
    """`parameters`: numbers held; `multiply_adds`: for one image (half of its FLOPs)."""

    parameters: int
    multiply_adds: int


def network_cost(network: Mapping[str, Any], *, channels: int, size: int) -> NetworkCost:
    """Cost of a network of the convolutional space on images (channels, size, size)."""
    parameters = multiply_adds = 0
    before, side = channels, size
    for block in range(network["depth"]):
        width = network["width"] if block else network["width"] // 2
        weights = before * width * network["kernel"] ** 2
        parameters += weights + 2 * width
        multiply_adds += weights * side**2
        side = side // 2 if block < 3 else side
        if network["skip"] and block:
            weights = width * width * network["kernel"] ** 2
            parameters += weights + 2 * width
            multiply_adds += weights * side**2
        before = width
    return NetworkCost(parameters, multiply_adds)
