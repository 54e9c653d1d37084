"""From a design to a module: every kind of features with every head, as data and back."""

import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from metawright.models import build as build_module
from metawright.models.build import (
    Built,
    build,
    ensemble,
    features_blueprint,
    fit_head,
    module_of,
    sharpen,
)
from metawright.models.layers import PixelFeatures, assemble
from metawright.models.shared import features_of, shared_params, sub_params
from metawright.params import Params
from metawright.rng import stream
from metawright.spaces import Design
from metawright.tasks.task import Kind, TaskSpec

PREPARE = {"layer": "Prepare", "channels": 1, "size": 28, "frame": True}
SPEC = TaskSpec(Kind.CLASSIFICATION, (1, 28, 28), 3, ("a", "b", "c"))
NETWORK = {
    "depth": 3,
    "width": 32,
    "kernel": 3,
    "normalisation": "instance",
    "pool": "average",
    "skip": True,
}
FEATURES: dict[str, dict[str, Any]] = {
    "pixels": {"kind": "pixels", "side": 8},
    "network": {"kind": "network", "network": NETWORK, "adaptation": {"kind": "none"}},
    "both": {
        "kind": "both",
        "network": NETWORK,
        "adaptation": {"kind": "none"},
        "side": 14,
        "pixel_share": 0.3,
    },
}
HEADS: dict[str, dict[str, Any]] = {
    "prototypes": {"kind": "prototypes"},
    "ridge": {"kind": "ridge", "penalty": 0.1},
    "kernel": {"kind": "kernel", "gamma": 2.0, "penalty": 0.1},
}
LABELS = torch.arange(12) // 4


def images(name: str = "images") -> Tensor:
    """Four drawings of each of three classes: a bar, a beam, a slope; with noise."""
    x = 0.2 * torch.rand(12, 1, 28, 28, generator=stream(0, name))
    x[:4, :, 4:24, 12:16] += 0.8
    x[4:8, :, 12:16, 4:24] += 0.8
    x[8:] += 0.8 * torch.eye(28)
    return x


def design_of(features: str, head: str) -> Design:
    augmentation = {"copies": 0, "strength": 0.3}
    return Design(
        {"features": FEATURES[features], "head": HEADS[head], "augmentation": augmentation}
    )


def features_by_hand(kind: str, own: Params, x: Tensor) -> Tensor:
    prepared = assemble(PREPARE)(x)
    if kind == "pixels":
        pixels: Tensor = PixelFeatures(8)(prepared)
        return pixels
    learned = features_of(own, NETWORK, prepared)
    if kind == "network":
        return learned
    return torch.cat([learned * 0.7**0.5, PixelFeatures(14)(prepared) * 0.3**0.5], 1)


def whole(features: str, head: str) -> tuple[Built, Built, Params]:
    """A classifier of the design, its head, and its network's weights."""
    own = {} if features == "pixels" else sub_params(shared_params(1, stream(1)), NETWORK)
    design = design_of(features, head)
    solved = fit_head(design["head"], features_by_hand(features, own, images()), LABELS, 3)
    return build(design, SPEC, prepare=PREPARE, network=own, head=solved), solved, own


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("features", FEATURES)
def test_the_module_is_features_and_head_in_a_row(features: str, head: str) -> None:
    built, solved, own = whole(features, head)
    module, new = module_of(built), images("new")
    assert module(new).shape == (12, 3)
    assert not module.training and not any(p.requires_grad for p in module.parameters())
    alone = module_of(solved)
    assert_close(module(new), alone(features_by_hand(features, own, new)))
    right = (module(images()).argmax(1) == LABELS).double().mean()
    assert right == 1


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("features", FEATURES)
def test_json_and_back_changes_nothing(features: str, head: str) -> None:
    built, _, _ = whole(features, head)
    again = Built(json.loads(json.dumps(built.blueprint)), built.params)
    assert_close(module_of(again)(images()), module_of(built)(images()), rtol=0, atol=0)


@pytest.mark.parametrize("head", HEADS)
def test_sharpening_calibrates_without_changing_the_answer(head: str) -> None:
    _, solved, own = whole("both", head)
    features = features_by_hand("both", own, images("new"))
    before, after = (module_of(part)(features) for part in (solved, sharpen(solved, 3.0)))
    assert_close(after, 3 * before)
    assert torch.equal(after.argmax(1), before.argmax(1))
    assert float(F.softmax(after, 1).max(1).values.mean()) > float(
        F.softmax(before, 1).max(1).values.mean()
    )


def test_an_ensemble_is_the_mean_of_probabilities() -> None:
    members = [whole("pixels", "ridge")[0], whole("both", "kernel")[0]]
    weights = [0.25, 0.75]
    mixed = module_of(ensemble(members, weights))(images("new"))
    parts = [F.softmax(module_of(member)(images("new")), 1) for member in members]
    assert_close(mixed, torch.log(0.25 * parts[0] + 0.75 * parts[1]))
    assert ensemble(members[:1], [1.0]) is members[0]


def test_the_pixel_share_is_the_share_of_the_squared_length() -> None:
    _, _, own = whole("both", "ridge")
    x = assemble(PREPARE)(images())
    module = assemble(features_blueprint(design_of("both", "ridge")["features"], 1))
    module.load_state_dict({f"parts.0.{name}": value for name, value in own.items()})
    features = module(x)
    assert_close((features[:, -(14**2) :] ** 2).sum(1), torch.full((12,), 0.3))
    assert_close((features**2).sum(1), torch.ones(12))


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(ValueError, match="must be prototypes, ridge or kernel, but got 'forest'"):
        fit_head({"kind": "forest"}, torch.eye(3), torch.arange(3), 3)


def test_a_kernel_head_holds_a_bounded_number_of_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build_module, "KERNEL_EXAMPLES", 6)
    labels = torch.tensor([0] * 20 + [1] * 2 + [2] * 20)
    features = F.normalize(torch.randn(42, 5, generator=stream(0)), dim=1)
    head = fit_head({"kind": "kernel", "gamma": 2.0, "penalty": 0.1}, features, labels, 3)
    assert head.params["anchors"].tolist() == features[[0, 1, 20, 21, 22, 23]].tolist()
    assert head.blueprint["anchors"] == 6
