"""Every layer of a generated model: invariances, closed forms, and plain data that builds them."""

import ast
import importlib.util
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional
from torch.testing import assert_close

from metawright.models.adversarial import ADVERSARIAL
from metawright.models.blocks import BLOCKS
from metawright.models.carried import layer_source
from metawright.models.layers import (
    LAYERS,
    Block,
    Classifier,
    ConvFeatures,
    Ensemble,
    Join,
    KernelHead,
    LinearHead,
    Norm,
    PixelFeatures,
    PrototypeHead,
    assemble,
)
from metawright.models.prepare import Prepare
from metawright.models.sequences import SEQUENCES
from metawright.params import Params
from metawright.rng import stream

DOUBLE = torch.float64


def _letter(
    height: int, width: int, *, ink: float, centre: tuple[float, float] = (0.5, 0.5)
) -> Tensor:
    """A soft upright T, `ink` pixels high, its place (row, column) as shares of the image."""
    rows = (torch.arange(height, dtype=DOUBLE) + 0.5 - centre[0] * height) / ink
    columns = (torch.arange(width, dtype=DOUBLE) + 0.5 - centre[1] * width) / ink
    y, x = torch.meshgrid(rows, columns, indexing="ij")

    def box(across: Tensor, half: float) -> Tensor:
        return torch.sigmoid((half - across.abs()) * 40)

    stem = box(x, 0.08) * box(y, 0.5)
    bar = box(x, 0.35) * box(y + 0.42, 0.08)
    return torch.maximum(stem, bar)[None, None]


def _correlation(first: Tensor, second: Tensor) -> float:
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])


# --- preparation ---


@pytest.mark.parametrize("ink", [30.0, 40.0, 60.0])
@pytest.mark.parametrize("centre", [(0.5, 0.5), (0.4, 0.6), (0.35, 0.45)])
def test_prepared_image_knows_neither_place_nor_size(
    ink: float, centre: tuple[float, float]
) -> None:
    prepare = Prepare(1, 28, frame=True)
    expected = prepare(_letter(100, 100, ink=50))
    moved = _letter(100, 100, ink=ink, centre=centre)
    assert _correlation(prepare(moved), expected) > 0.985


@pytest.mark.parametrize("size", [(16, 16), (28, 28), (105, 105), (60, 120), (200, 90)])
def test_any_size_gives_the_same_picture(size: tuple[int, int]) -> None:
    prepare = Prepare(1, 28, frame=True)
    framed = prepare(_letter(*size, ink=0.6 * min(size)))
    assert framed.shape == (1, 1, 28, 28)
    assert _correlation(framed, prepare(_letter(100, 100, ink=60))) > 0.96


def test_ink_is_centred_and_has_the_spread_asked_for() -> None:
    for spread in (0.35, 0.5):
        framed = Prepare(1, 64, True, spread)(_letter(80, 80, ink=30, centre=(0.4, 0.6)))[0, 0]
        at = (torch.arange(64, dtype=DOUBLE) + 0.5) / 32 - 1
        ink = framed / framed.sum()
        row, column = float((ink.sum(1) * at).sum()), float((ink.sum(0) * at).sum())
        assert abs(row) < 0.02
        assert abs(column) < 0.02
        square = (ink.sum(1) * (at - row) ** 2 + ink.sum(0) * (at - column) ** 2).sum()
        assert abs(math.sqrt(square) - spread) < 0.03


def test_dark_on_light_is_light_on_dark() -> None:
    prepare = Prepare(1, 28, frame=True)
    x = _letter(40, 40, ink=20)
    assert_close(prepare(1 - x), prepare(x))
    both = torch.cat([x, 1 - x])
    assert_close(prepare(both)[0], prepare(both)[1])


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
def test_blank_images_stay_finite(value: float) -> None:
    made = Prepare(1, 28, frame=True)(torch.full((2, 1, 20, 20), value))
    assert made.shape == (2, 1, 28, 28)
    assert bool(made.isfinite().all())
    if value != 0.3:
        assert float(made.abs().max()) == 0


def test_one_image_is_prepared_as_in_a_batch_and_stays_in_range() -> None:
    x = torch.rand(7, 1, 30, 30, generator=stream(0))
    prepare = Prepare(1, 28, frame=True)
    made = prepare(x)
    assert_close(torch.cat([prepare(one) for one in torch.split(x, 1)]), made)
    assert 0 <= float(made.min()) < float(made.max()) <= 1


def test_channels_are_brought_to_what_is_wanted() -> None:
    colour = torch.rand(2, 3, 28, 28, generator=stream(0))
    grey = Prepare(1, 28, frame=False)(colour)
    assert_close(grey, colour.mean(1, keepdim=True))
    assert_close(Prepare(3, 28, frame=False)(grey), grey.expand(2, 3, 28, 28))
    assert Prepare(3, 16, frame=False)(colour).shape == (2, 3, 16, 16)
    assert Prepare(1, 28, frame=True)(colour).shape == (2, 1, 28, 28)


def test_without_a_frame_the_right_size_passes_untouched() -> None:
    x = torch.rand(2, 3, 28, 28, generator=stream(0))
    assert_close(Prepare(3, 28, frame=False)(x), x, rtol=0, atol=0)


# --- normalisation ---


@pytest.mark.parametrize("kind", ["group", "instance", "layer"])
def test_norm_is_that_of_each_image_alone(kind: str) -> None:
    norm = Norm(kind, 16).to(DOUBLE)
    norm.weight.data.uniform_(0.5, 2, generator=stream(0))
    norm.bias.data.uniform_(-1, 1, generator=stream(1))
    x = torch.randn(6, 16, 5, 5, dtype=DOUBLE, generator=stream(2))
    whole = norm(x)
    assert_close(torch.cat([norm(one) for one in torch.split(x, 1)]), whole)
    assert_close(whole, _slow_norm(x, kind, norm.weight, norm.bias))


def _slow_norm(x: Tensor, kind: str, weight: Tensor, bias: Tensor) -> Tensor:
    """Normalisation in primitives: mean and variance over a group's channels and all places."""
    groups = {"group": x.shape[1] // 8, "instance": x.shape[1], "layer": 1}[kind]
    parts = x.reshape(len(x), groups, -1, *x.shape[2:])
    mean = parts.mean((2, 3, 4), keepdim=True)
    variance = (parts - mean).square().mean((2, 3, 4), keepdim=True)
    flat: Tensor = ((parts - mean) / (variance + 1e-5).sqrt()).flatten(1, 2)
    return flat * weight[:, None, None] + bias[:, None, None]


@pytest.mark.parametrize("kind", ["group", "instance", "layer"])
def test_second_order_meta_gradient_under_vmap_is_that_of_plain_autograd(kind: str) -> None:
    # Fused layers with scale and shift are silently wrong here (pytorch/functorch#534).
    net = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), Norm(kind, 8), nn.SiLU(), nn.AvgPool2d(2))
    rng = stream(0)
    start: Params = {
        name: 0.5 * torch.randn(value.shape, generator=rng, dtype=DOUBLE) + ("1.weight" in name)
        for name, value in net.named_parameters()
    }
    start["head"] = 0.3 * torch.randn(5, 8, generator=rng, dtype=DOUBLE)
    x = torch.randn(3, 20, 1, 8, 8, generator=rng, dtype=DOUBLE)
    y = torch.arange(5).repeat(4).expand(3, 20)
    leaves = {name: value.requires_grad_() for name, value in start.items()}
    expected = torch.autograd.grad(
        sum((_adapted_loss(kind, leaves, own, y[0]) for own in x), torch.zeros((), dtype=DOUBLE)),
        list(leaves.values()),
    )

    def query_loss(params: Params, own: Tensor, labels: Tensor) -> Tensor:
        def loss(weights: Params, images: Tensor, answers: Tensor) -> Tensor:
            body = {name: value for name, value in weights.items() if name != "head"}
            features = functional_call(net, body, (images,)).mean((2, 3))
            return functional.cross_entropy(features @ weights["head"].T, answers)

        inner = grad(loss)(params, own[:5], labels[:5])
        adapted = {name: value - 0.4 * inner[name] for name, value in params.items()}
        return loss(adapted, own[5:], labels[5:])

    total = vmap(query_loss, in_dims=(None, 0, 0))(leaves, x, y).sum()
    found = torch.autograd.grad(total, list(leaves.values()))
    assert_close(found, expected, rtol=1e-8, atol=1e-12)


def _adapted_loss(kind: str, params: Params, x: Tensor, y: Tensor) -> Tensor:
    """The same objective in plain autograd, its normalisation in primitives."""

    def loss(weights: Params, images: Tensor, answers: Tensor) -> Tensor:
        z = functional.conv2d(images, weights["0.weight"], weights["0.bias"], padding=1)
        z = functional.silu(_slow_norm(z, kind, weights["1.weight"], weights["1.bias"]))
        features = functional.avg_pool2d(z, 2).mean((2, 3))
        return functional.cross_entropy(features @ weights["head"].T, answers)

    grads = torch.autograd.grad(
        loss(params, x[:5], y[:5]), list(params.values()), create_graph=True
    )
    adapted = {
        name: value - 0.4 * one for (name, value), one in zip(params.items(), grads, strict=True)
    }
    return loss(adapted, x[5:], y[5:])


# --- features and heads ---


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("pool", ["max", "average"])
def test_convolutional_features_are_unit_vectors(depth: int, skip: bool, pool: str) -> None:
    net = ConvFeatures(1, depth, 16, 3, "group", pool, skip)
    x = torch.rand(5, 1, 28, 28, generator=stream(0))
    made = net(x)
    assert made.shape == (5, 9 * 16)
    assert_close(made.norm(dim=1), torch.ones(5))
    assert_close(net(x[2:3]), made[2:3], rtol=1e-4, atol=1e-6)
    assert len(net.blocks) == depth


def test_block_with_skip_adds_a_residual() -> None:
    block = Block(3, 8, 3, "group", "none", skip=True)
    x = torch.rand(2, 3, 6, 6, generator=stream(0))
    assert isinstance(block.norm_skip, Norm)
    block.norm_skip.bias.data.fill_(-100)  # the residual convolution is switched off
    plain = functional.relu(block.norm(block.conv(x)))
    assert_close(block(x), plain)
    block.norm_skip.bias.data.fill_(1)
    assert bool((block(x) >= plain).all())
    assert not torch.allclose(block(x), plain)


@pytest.mark.parametrize("side", [8, 14, 28])
def test_pixel_features(side: int) -> None:
    x = torch.rand(4, 1, 28, 28, generator=stream(0))
    made = PixelFeatures(side)(x)
    assert made.shape == (4, side**2)
    assert_close(made.norm(dim=1), torch.ones(4))
    flat = PixelFeatures(side)(torch.full((1, 1, 28, 28), 0.4))
    assert_close(flat, torch.full((1, side**2), 1 / side))  # no dark seam at the border


def test_joined_features_have_their_shares_of_the_length() -> None:
    x = torch.rand(3, 1, 28, 28, generator=stream(0))
    parts: list[nn.Module] = [ConvFeatures(1, 2, 16, 3, "group", "max", False), PixelFeatures(8)]
    made = Join(parts, [0.7, 0.3])(x)
    assert made.shape == (3, 144 + 64)
    assert_close(made.norm(dim=1), torch.ones(3))
    assert_close(made[:, 144:].square().sum(1), torch.full((3,), 0.3))


def test_heads_are_their_formulas() -> None:
    rng = stream(0)
    z = torch.randn(6, 4, generator=rng, dtype=DOUBLE)
    near = PrototypeHead(4, 3).to(DOUBLE)
    near.prototypes.data = torch.randn(3, 4, generator=rng, dtype=DOUBLE)
    slow = torch.stack([-10 * (z - p).square().sum(1) for p in near.prototypes], 1)
    assert_close(near(z), slow)
    linear = LinearHead(4, 3).to(DOUBLE)
    linear.weight.data = torch.randn(3, 4, generator=rng, dtype=DOUBLE)
    linear.bias.data = torch.randn(3, generator=rng, dtype=DOUBLE)
    assert_close(linear(z), z @ linear.weight.T + linear.bias)
    kernel = KernelHead(4, 3, 5, gamma=0.7).to(DOUBLE)
    for value in kernel.parameters():
        value.data = torch.randn(value.shape, generator=rng, dtype=DOUBLE)
    slow = sum(
        (
            torch.exp(-0.7 * (z - anchor).square().sum(1))[:, None] * weight
            for anchor, weight in zip(kernel.anchors, kernel.weight, strict=True)
        ),
        torch.zeros(6, 3, dtype=DOUBLE),
    )
    assert_close(kernel(z), kernel.scale * (slow + kernel.bias))


def test_ensemble_is_the_log_of_the_weighted_mean() -> None:
    class Fixed(nn.Module):
        def __init__(self, seed: int) -> None:
            super().__init__()
            self.logits = torch.randn(4, 3, generator=stream(seed))

        def forward(self, x: Tensor) -> Tensor:
            return self.logits

    members: list[nn.Module] = [Fixed(0), Fixed(1)]
    made = Ensemble(members, [0.25, 0.75])(torch.zeros(4))
    expected = sum(
        weight * member(made).softmax(1)
        for member, weight in zip(members, (0.25, 0.75), strict=True)
    )
    assert_close(made.exp(), expected)
    assert_close(made.exp().sum(1), torch.ones(4))


# --- blueprints ---

NETWORK = {
    "layer": "ConvFeatures",
    "channels": 1,
    "depth": 2,
    "width": 16,
    "kernel": 5,
    "normalisation": "instance",
    "pool": "average",
    "skip": True,
}
PIXELS = {"layer": "PixelFeatures", "side": 8}
PREPARE = {"layer": "Prepare", "channels": 1, "size": 28, "frame": True}
BLUEPRINTS: dict[str, dict[str, Any]] = {
    "network": {
        "layer": "Classifier",
        "prepare": PREPARE,
        "features": NETWORK,
        "head": {"layer": "PrototypeHead", "features": 144, "classes": 3},
    },
    "both": {
        "layer": "Classifier",
        "prepare": PREPARE,
        "features": {"layer": "Join", "parts": [NETWORK, PIXELS], "weights": [0.5, 0.5]},
        "head": {"layer": "KernelHead", "features": 208, "classes": 3, "anchors": 7, "gamma": 1.5},
    },
    "pixels": {
        "layer": "Classifier",
        "prepare": PREPARE | {"frame": False},
        "features": PIXELS,
        "head": {"layer": "LinearHead", "features": 64, "classes": 3},
    },
}
BLUEPRINTS["ensemble"] = {
    "layer": "Ensemble",
    "members": [BLUEPRINTS["network"], BLUEPRINTS["both"], BLUEPRINTS["pixels"]],
    "weights": [0.5, 0.25, 0.25],
}


def _filled(module: nn.Module) -> nn.Module:
    rng = stream(0)
    for value in module.parameters():
        value.data = torch.randn(value.shape, generator=rng)
    return module


@pytest.mark.parametrize("name", sorted(BLUEPRINTS))
def test_blueprint_survives_json_and_gives_logits(name: str) -> None:
    blueprint = BLUEPRINTS[name]
    module = _filled(assemble(json.loads(json.dumps(blueprint))))
    twin = assemble(blueprint)
    twin.load_state_dict(module.state_dict())
    x = torch.rand(4, 1, 20, 20, generator=stream(1))
    logits = module(x)
    assert logits.shape == (4, 3)
    assert bool(logits.isfinite().all())
    assert_close(twin(x), logits, rtol=0, atol=0)
    assert_close(module(x[1:2]), logits[1:2], rtol=1e-4, atol=1e-4)
    assert not list(module.buffers())


def test_every_layer_is_in_a_blueprint() -> None:
    used = set()

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            used.update([value["layer"]] if "layer" in value else [])
            for part in value.values():
                walk(part)
        elif isinstance(value, list):
            for part in value:
                walk(part)

    walk(BLUEPRINTS)
    assert used == set(LAYERS) - {*BLOCKS, *SEQUENCES, *ADVERSARIAL}
    assert isinstance(assemble(BLUEPRINTS["network"]), Classifier)


def test_the_text_needs_torch_alone() -> None:
    tree = ast.parse(layer_source())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level]
    roots = {alias.name for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names}
    roots |= {n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {root.partition(".")[0] for root in roots} <= {"torch", *sys.stdlib_module_names}


def test_no_file_of_layers_hides_a_name_of_another() -> None:
    body = ast.parse(layer_source()).body
    names = [node.name for node in body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert len(set(names)) == len(names) > 30


def test_the_text_runs_elsewhere(tmp_path: Path) -> None:
    copy = tmp_path / "model_layers.py"
    copy.write_text(layer_source(), "utf-8")
    spec = importlib.util.spec_from_file_location("model_layers", copy)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    build: Callable[[dict[str, Any]], nn.Module] = module.assemble
    here, there = _filled(assemble(BLUEPRINTS["both"])), _filled(build(BLUEPRINTS["both"]))
    assert type(there).__module__ == "model_layers"
    x = torch.rand(2, 1, 28, 28, generator=stream(1))
    assert_close(there(x), here(x), rtol=0, atol=0)
