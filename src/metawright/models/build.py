"""From a design to a model: the one place that knows which layers a decision means.

`build` gives a blueprint (plain data) and parameters; `module_of` turns both into a module.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from metawright.models.heads import (
    balanced_rows,
    gaussian_kernel,
    prototypes,
    solve_ridge,
    solve_ridge_by_features,
)
from metawright.models.layers import assemble
from metawright.params import Params
from metawright.spaces.design import Design
from metawright.tasks.task import TaskSpec

__all__ = [
    "Blueprint",
    "Built",
    "build",
    "ensemble",
    "features_blueprint",
    "fit_head",
    "module_of",
]

Blueprint = dict[str, Any]

KERNEL_EXAMPLES = 2000  # a kernel head holds at most


class Built(NamedTuple):
    """A model as data: what `module_of` makes a module of."""

    blueprint: Blueprint
    params: Params


def features_blueprint(features: Mapping[str, Any], channels: int) -> Blueprint:
    """The feature extractor of a design (its "features" part)."""
    kind = features["kind"]
    pixels = {"layer": "PixelFeatures", "side": features.get("side")}
    if kind == "pixels":
        return pixels
    network = {"layer": "ConvFeatures", "channels": channels, **features["network"].to_json()}
    if kind == "network":
        return network
    share = features["pixel_share"]
    return {"layer": "Join", "parts": [network, pixels], "weights": [1 - share, share]}


def fit_head(head: Mapping[str, Any], features: Tensor, labels: Tensor, classes: int) -> Built:
    """The head of a design (its "head" part), solved on the support's features in closed form.

    A kernel head learns from `KERNEL_EXAMPLES` at most, as many of each class as there are.

    Arguments:
        features: (examples, features) unit vectors; labels: (examples,).
    """
    kind, length = head["kind"], features.shape[1]
    shape: Blueprint = {"features": length, "classes": classes}
    if kind == "prototypes":
        means = prototypes(features, labels, classes)
        params = {"prototypes": means, "scale": torch.tensor(10.0)}
        return Built({"layer": "PrototypeHead", **shape}, params)
    if kind == "ridge":
        if len(features) > length:
            weight, bias = solve_ridge_by_features(features, labels, classes, head["penalty"])
        else:
            dual, bias = solve_ridge(features @ features.T, labels, classes, head["penalty"])
            weight = features.T @ dual
        params = {"weight": weight.T.contiguous(), "bias": bias}
        return Built({"layer": "LinearHead", **shape}, params)
    if kind == "kernel":
        # The system is (examples, examples), and the model keeps every example that is in it.
        rows = balanced_rows(labels, KERNEL_EXAMPLES)
        features, labels = features[rows], labels[rows]
        kernel = gaussian_kernel(features, features, head["gamma"])
        solved = solve_ridge(kernel, labels, classes, head["penalty"])
        own = {"anchors": len(features), "gamma": head["gamma"]}
        params = {
            "anchors": features,
            "weight": solved.weight,
            "bias": solved.bias,
            "scale": torch.tensor(1.0),
        }
        return Built({"layer": "KernelHead", **shape, **own}, params)
    raise ValueError(f"`head` must be prototypes, ridge or kernel, but got {kind!r}.")


def sharpen(head: Built, factor: float) -> Built:
    """The head with its logits multiplied by `factor`, which calibrates its probabilities."""
    params = dict(head.params)
    for name in ("scale",) if "scale" in params else ("weight", "bias"):
        params[name] = params[name] * factor
    return Built(head.blueprint, params)


def build(
    design: Design, spec: TaskSpec, *, prepare: Blueprint, network: Params, head: Built
) -> Built:
    """The whole classifier of a design.

    Arguments:
        design: a design of the convolutional space.
        spec: of the task; its first feature axis counts the channels.
        prepare: blueprint of the preparation of images.
        network: the network's own weights (empty for a design on pixels alone).
        head: solved and calibrated.
    """
    features = features_blueprint(design["features"], spec.features[0])
    prefix = "features.parts.0." if features["layer"] == "Join" else "features."
    params = {prefix + name: value for name, value in network.items()}
    params |= {f"head.{name}": value for name, value in head.params.items()}
    blueprint = {
        "layer": "Classifier",
        "prepare": prepare,
        "features": features,
        "head": head.blueprint,
    }
    return Built(blueprint, params)


def ensemble(members: Sequence[Built], weights: Sequence[float]) -> Built:
    """Several classifiers whose probabilities are averaged."""
    if len(members) == 1:
        return members[0]
    blueprint = {
        "layer": "Ensemble",
        "members": [member.blueprint for member in members],
        "weights": list(weights),
    }
    params = {
        f"members.{index}.{name}": value
        for index, member in enumerate(members)
        for name, value in member.params.items()
    }
    return Built(blueprint, params)


def module_of(built: Built) -> nn.Module:
    """The module with its parameters, in evaluation mode."""
    module = assemble(built.blueprint)
    module.load_state_dict(built.params)
    return module.eval().requires_grad_(False)
