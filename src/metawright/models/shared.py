"""Weights shared by all networks of the convolutional space.

The largest network holds all weights; every smaller one is a view on them: its first channels, the
centres of its kernels, its first blocks. A network's output depends on the shared weights through
plain slicing, so gradients reach them from whichever network was trained.

References:
    Once-for-All: Train One Network and Specialize it for Efficient Deployment, Cai et al. 2020,
    https://arxiv.org/abs/1908.09791 (elastic depth, width and kernel; here without kernel
    transformation matrices and with normalisation that keeps no statistics).
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from metawright.models.layers import ConvFeatures
from metawright.params import Params

__all__ = ["features_of", "largest_network", "network_features", "shared_params", "sub_params"]

DEPTH, WIDTH, KERNEL = 4, 64, 5  # of the largest network
NORMALISATIONS = ("group", "instance")


def largest_network(normalisation: str = "group", pool: str = "max") -> dict[str, Any]:
    """The decisions of the network that holds all weights."""
    return {
        "depth": DEPTH,
        "width": WIDTH,
        "kernel": KERNEL,
        "normalisation": normalisation,
        "pool": pool,
        "skip": True,
    }


def shared_params(channels: int, rng: torch.Generator) -> Params:
    """Freshly drawn weights for all networks on images of `channels`.

    Convolutions are drawn as He et al. 2015 (https://arxiv.org/abs/1502.01852) for a 3 x 3 kernel;
    the outer ring of a larger kernel starts smaller, so that both kernels begin alike. Each kind
    of normalisation has a scale and shift of its own.
    """
    params: Params = {}
    module = ConvFeatures(channels, **largest_network())
    for name, value in module.named_parameters():
        if "norm" in name:
            block, leaf = name.rsplit(".", 1)
            for kind in NORMALISATIONS:
                params[f"{block}.{kind}.{leaf}"] = value.detach().clone()
        else:
            fan_in = value.shape[1] * 9
            drawn = torch.randn(value.shape, generator=rng) * (2 / fan_in) ** 0.5
            ring = torch.full((KERNEL, KERNEL), 0.3)
            ring[1:-1, 1:-1] = 1
            params[name] = drawn * ring
    return params


def sub_params(shared: Mapping[str, Tensor], network: Mapping[str, Any]) -> Params:
    """The part of the shared weights that `network` uses, under its own names."""
    width, kernel = network["width"], network["kernel"]
    cut = (KERNEL - kernel) // 2
    params: Params = {}
    for name in _names(network["depth"], network["skip"]):
        own = width // 2 if name.startswith("blocks.0.") else width
        if "norm" in name:
            block, leaf = name.rsplit(".", 1)
            params[name] = shared[f"{block}.{network['normalisation']}.{leaf}"][:own]
        else:
            whole = shared[name]
            before = width // 2 if name.startswith("blocks.1.conv.") else own
            part = whole[:own, : min(before, whole.shape[1])]
            params[name] = part[:, :, cut : KERNEL - cut, cut : KERNEL - cut]
    return params


def network_features(network: Mapping[str, Any]) -> int:
    """Length of the network's feature vector."""
    return 9 * int(network["width"])


def features_of(params: Mapping[str, Tensor], network: Mapping[str, Any], x: Tensor) -> Tensor:
    """Features (images, 9 * width) of prepared images x under the network's own weights."""
    skeleton = _skeleton(x.shape[1], *(network[key] for key in largest_network()))
    features: Tensor = functional_call(skeleton, dict(params), (x,))
    return features


@lru_cache(maxsize=256)
def _skeleton(channels: int, *decisions: Any) -> nn.Module:
    with torch.device("meta"):
        return ConvFeatures(channels, *decisions)


def _names(depth: int, skip: bool) -> Iterator[str]:
    for block in range(depth):
        yield f"blocks.{block}.conv.weight"
        yield from (f"blocks.{block}.norm.weight", f"blocks.{block}.norm.bias")
        if skip and block > 0:
            yield f"blocks.{block}.conv_skip.weight"
            yield from (f"blocks.{block}.norm_skip.weight", f"blocks.{block}.norm_skip.bias")
