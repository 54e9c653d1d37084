"""What holds for the networks of every named space; and the truth of single ones by hand."""

import copy
import importlib.util
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from metawright.errors import InputError
from metawright.evaluate.costs import costs
from metawright.models.architectures import ARCHITECTURES, build_network, network_blueprint
from metawright.models.blocks import Convolution
from metawright.models.saved import SavedModel, load_model, save_model
from metawright.models.task_inputs import set_scales
from metawright.recipes.export import export_saved
from metawright.rng import stream
from metawright.spaces import SPACES, Design
from metawright.spaces.draw import sample
from metawright.tasks.task import Batch, Kind, TaskSpec

CLASSES = Kind.CLASSIFICATION
SPECS = {
    "images": TaskSpec(CLASSES, (1, 8, 8), 10),
    "colours": TaskSpec(CLASSES, (3, 21, 18), 4),
    "numbers": TaskSpec(Kind.REGRESSION, (2, 12, 12), 3),
    "vectors": TaskSpec(Kind.REGRESSION, (13,), 2),
    "spectrograms": TaskSpec(CLASSES, (16, 40), 5),
    "waves": TaskSpec(CLASSES, (1, 801), 5),
    "texts": TaskSpec(CLASSES, (12,), 3, vocabulary=50),
}
READS = {
    "cells": ("images", "colours", "numbers", "spectrograms"),
    "darts": ("images", "colours", "numbers", "spectrograms"),
    "dense": tuple(SPECS),
    "discriminator": ("images", "colours", "numbers"),
    "generator": ("images", "colours", "numbers"),
    "macro": ("images", "colours", "numbers", "spectrograms"),
    "recurrent": ("images", "colours", "numbers", "spectrograms", "waves", "texts"),
    "transformer": tuple(SPECS),
}
PAIRS = [(space, data) for space in ARCHITECTURES for data in READS[space]]
IDS = [f"{space}-{data}" for space, data in PAIRS]


def design_of(space: str, seed: int = 0) -> Design:
    return sample(SPACES[space](), stream(seed, "design", space))


def examples(space: str, design: Design, spec: TaskSpec, count: int = 5) -> Tensor:
    rng = stream(1, "examples")
    if space == "generator":
        return torch.randn(count, design["architecture"]["noise"], generator=rng)
    if spec.vocabulary:
        ids = torch.randint(1, spec.vocabulary, (count, *spec.features), generator=rng)
        ids[0], ids[1, 4:] = 0, 0  # an empty text and a short one
        return ids
    return torch.rand(count, *spec.features, generator=rng)


def outputs(space: str, spec: TaskSpec) -> tuple[int, ...]:
    return {"generator": spec.features, "discriminator": (1,)}.get(space, (spec.outputs,))


@pytest.mark.parametrize(("space", "data"), PAIRS, ids=IDS)
def test_random_designs_predict_and_learn(space: str, data: str) -> None:
    spec = SPECS[data]
    for seed in range(4):
        design = design_of(space, seed)
        module = build_network(space, design, spec, stream(seed))
        x = examples(space, design, spec)
        answers = module(x)
        assert answers.shape == (5, *outputs(space, spec))
        assert answers.isfinite().all()
        # Distinct factors, so that no sum of gradients cancels.
        (answers * torch.rand(answers.shape, generator=stream(2))).sum().backward()
        for name, parameter in module.named_parameters():
            assert not parameter.requires_grad or parameter.grad is not None, name


@pytest.mark.parametrize(("space", "data"), PAIRS, ids=IDS)
def test_one_example_is_predicted_as_many_are(space: str, data: str) -> None:
    design = design_of(space, 4)
    module = build_network(space, design, SPECS[data], stream(4)).eval()
    x = examples(space, design, SPECS[data])
    with torch.inference_mode():
        alone = torch.cat([module(one) for one in torch.split(x, 1)])
        assert_close(alone, module(x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("space", ARCHITECTURES)
def test_same_generator_same_weights(space: str) -> None:
    spec, design = SPECS["images"], design_of(space)
    before = torch.get_rng_state()
    first, again, other = (
        build_network(space, design, spec, stream(seed)).state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(before, torch.get_rng_state()), "the global generator is left alone"
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def filled(module: nn.Module) -> nn.Module:
    """No parameter at a value that a wrong name could hide."""
    rng = stream(5)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.rand(parameter.shape, generator=rng))
    return module.eval()


@pytest.mark.parametrize(("space", "data"), PAIRS, ids=IDS)
def test_saving_and_loading_change_nothing(space: str, data: str, tmp_path: Path) -> None:
    module, loaded = kept(space, data, tmp_path)
    x = examples(space, design_of(space, 1), SPECS[data])
    with torch.inference_mode():
        assert_close(loaded.module(x), module(x), rtol=0, atol=1e-6)


EXPORTED = {space: READS[space][0] for space in ARCHITECTURES} | {
    "recurrent": "texts",
    "transformer": "vectors",
}


@pytest.mark.parametrize("space", EXPORTED)
def test_an_export_says_the_same(space: str, tmp_path: Path) -> None:
    _, loaded = kept(space, EXPORTED[space], tmp_path)
    x = examples(space, design_of(space, 1), SPECS[EXPORTED[space]])
    told = exported(loaded, tmp_path / "export")(x)
    assert_close(told, loaded.module(x), rtol=0, atol=1e-6)


def kept(space: str, data: str, folder: Path) -> tuple[nn.Module, SavedModel]:
    """A network, and what was saved and loaded of it."""
    spec, design = SPECS[data], design_of(space, 1)
    module = filled(build_network(space, design, spec, stream(0)))
    save_model(folder, network_blueprint(space, design, spec), module.state_dict(), spec)
    return module, load_model(folder)


def exported(model: SavedModel, folder: Path) -> nn.Module:
    """The module that an export's own script makes."""
    script = export_saved(model, folder, told={}) / "model.py"
    source = importlib.util.spec_from_file_location("exported_model", script)
    assert source is not None and source.loader is not None
    program = importlib.util.module_from_spec(source)
    source.loader.exec_module(program)
    module: nn.Module = program.load(folder)
    return module


@pytest.mark.parametrize("space", ARCHITECTURES)
def test_costs_are_those_of_the_module(space: str) -> None:
    spec, design = SPECS["images"], design_of(space)
    module = build_network(space, design, spec, stream(0))
    price = costs(module, spec, example=examples(space, design, spec, 1))
    assert price["parameters"] == sum(p.numel() for p in module.parameters()) > 0
    assert price["bytes"] == 4 * price["parameters"]
    assert price["flops"] > 0


@pytest.mark.parametrize("space", ARCHITECTURES)
def test_what_a_space_cannot_read_is_said_in_a_sentence(space: str) -> None:
    for data in set(SPECS) - set(READS[space]):
        with pytest.raises(InputError, match=f"The space '{space}' .* choose another space"):
            network_blueprint(space, design_of(space), SPECS[data])
    control = TaskSpec(Kind.CONTROL, (5, 2), 2)
    with pytest.raises(InputError, match="the task is one of control"):
        network_blueprint(space, design_of(space), control)


def test_a_space_without_networks_is_named() -> None:
    with pytest.raises(InputError, match=r"spaces cells, darts, .* but got 'pipelines'"):
        network_blueprint("pipelines", design_of("pipelines"), SPECS["vectors"])


def test_a_vector_of_too_many_features_is_no_sentence_of_tokens() -> None:
    with pytest.raises(InputError, match="at most 256 of them, but the examples have 300"):
        network_blueprint("transformer", design_of("transformer"), TaskSpec(CLASSES, (300,), 2))


def node(*operations: str) -> dict[str, object]:
    return {"sources": list(range(len(operations))), "operations": list(operations)}


def cell_design(*nodes: dict[str, object], width: int = 8) -> Design:
    architecture = {"cell": nodes, "stages": 2, "cells": 1, "width": width}
    return Design({"architecture": architecture})


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_parameters_of_a_cell_network_by_formula() -> None:
    spec = SPECS["images"]
    design = cell_design(
        node("conv3"), node("none", "conv1"), node("skip", "pool3", "conv3"), width=8
    )
    module = build_network("cells", design, spec, stream(0))

    def convolution(inputs: int, outputs: int, kernel: int) -> int:
        return inputs * outputs * kernel**2 + 2 * outputs  # group normalisation: scale and shift

    def cell(width: int) -> int:
        return 2 * convolution(width, width, 3) + convolution(width, width, 1)

    expected = 2 + convolution(1, 8, 3) + cell(8) + convolution(8, 16, 3) + cell(16)
    assert parameters(module) == expected + 16 * 4**2 * 10 + 10


def test_nodes_that_nobody_reads_have_no_weights() -> None:
    spec = SPECS["images"]
    dead = cell_design(node("conv3"), node("conv3", "conv3"), node("skip", "none", "none"))
    plain = cell_design(node("none"), node("none", "none"), node("skip", "none", "none"))
    first, second = (build_network("cells", d, spec, stream(0)) for d in (dead, plain))
    assert parameters(first) == parameters(second)
    x = torch.rand(3, 1, 8, 8, generator=stream(1))
    assert_close(first(x), second(x))


def test_a_dense_network_is_its_formula() -> None:
    layer = {"width": 20, "activation": "tanh", "dropout": 0.3, "normalisation": "none"}
    spec = TaskSpec(Kind.REGRESSION, (6,), 2)
    module = build_network("dense", Design({"architecture": {"layers": [layer]}}), spec, stream(0))
    support = Batch(
        3 + 5 * torch.randn(50, 6, generator=stream(1)), torch.randn(50, 2, generator=stream(2))
    )
    set_scales(module, support)
    first, head = (part for part in module if isinstance(part, nn.Linear))  # type: ignore[attr-defined]
    x = torch.randn(4, 6, generator=stream(3))
    scaled = (x - support.x.mean(0)) / support.x.std(0, correction=0)
    answers = head(torch.tanh(first(scaled)))
    expected = answers * support.labels.std(0, correction=0) + support.labels.mean(0)
    assert_close(module.eval()(x), expected)


def test_scales_are_set_by_channel_and_never_trained() -> None:
    spec = SPECS["colours"]
    module = build_network("macro", design_of("macro"), spec, stream(0))
    x = torch.rand(20, 3, 21, 18, generator=stream(1))
    x[:, 2] = 0.5
    set_scales(module, Batch(x, None))
    frozen = {n: p for n, p in module.named_parameters() if not p.requires_grad}
    assert list(frozen) == ["0.mean", "0.deviation"]
    assert_close(frozen["0.mean"].flatten(), x.mean((0, 2, 3)))
    assert float(frozen["0.deviation"][2]) == 1, "a channel that does not vary keeps its scale"


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("kind", ["gru", "lstm", "rnn"])
def test_padding_changes_no_answer(kind: str, pooling: str) -> None:
    cell = {"kind": kind} | ({"activation": "tanh"} if kind == "rnn" else {})
    architecture = {
        "cell": cell, "layers": 2, "width": 32, "bidirectional": True, "dropout": 0.0,
        "pooling": pooling,
    }  # fmt: skip
    design = Design({"architecture": architecture})
    module = build_network("recurrent", design, SPECS["texts"], stream(0)).eval()
    short = torch.randint(1, 50, (3, 7), generator=stream(1))
    long = nn.functional.pad(short, (0, 5))
    assert_close(module(long), module(short), rtol=1e-5, atol=1e-5)


def test_a_gru_in_both_directions_is_that_of_torch() -> None:
    architecture = {
        "cell": {"kind": "gru"}, "layers": 1, "width": 32, "bidirectional": True, "dropout": 0.0,
        "pooling": "max",
    }  # fmt: skip
    module = build_network(
        "recurrent", Design({"architecture": architecture}), SPECS["images"], stream(0)
    )
    whole = nn.GRU(8, 32, bidirectional=True, batch_first=True)
    ways = dict(module.named_modules())["2.layers.0"]
    for suffix, way in zip(("", "_reverse"), ways.children(), strict=True):
        for name, value in way.named_parameters():
            getattr(whole, name + suffix).data.copy_(value)
    x = torch.rand(4, 1, 8, 8, generator=stream(1))
    states = whole(x[:, 0])[0]
    head = dict(module.named_modules())["3"]
    assert_close(module(x), head(states.amax(1)))


def test_a_searched_cell_is_its_formula() -> None:
    decided = [
        {"sources": [0], "operations": ["relu"]},
        {"sources": [1], "operations": ["identity"]},
        {"sources": [0], "operations": ["sigmoid"]},
    ]
    architecture = {
        "cell": {"kind": "searched", "nodes": decided}, "layers": 1, "width": 32,
        "bidirectional": False, "dropout": 0.0, "pooling": "last",
    }  # fmt: skip
    module = build_network(
        "recurrent", Design({"architecture": architecture}), SPECS["images"], stream(0)
    )
    parts = dict(module.named_modules())
    start, first = parts["2.layers.0.0.start"], parts["2.layers.0.0.state"]
    nodes = [first, *parts["2.layers.0.0.nodes"].children()]
    x = torch.rand(4, 1, 8, 8, generator=stream(1))
    state = torch.zeros(4, 32)
    for row in x[:, 0].unbind(1):
        states = [state]
        for index in range(4):
            source = state if index == 0 else states[1 + (0, 1, 0)[index - 1]]
            linear = nodes[index](source) + (start(row) if index == 0 else 0)
            gate, change = linear[:, :32].sigmoid(), linear[:, 32:]
            function = (torch.tanh, torch.relu, lambda h: h, torch.sigmoid)[index]
            states.append(source + gate * (function(change) - source))
        state = torch.stack(states[1:]).mean(0)
    assert_close(module(x), parts["3"](state))


def test_the_encoder_layer_is_that_of_torch() -> None:
    architecture = {
        "layers": 1, "heads": 2, "width": 32, "ratio": 2, "patches": 4, "activation": "gelu",
        "dropout": 0.1, "pooling": "mean",
    }  # fmt: skip
    module = build_network(
        "transformer", Design({"architecture": architecture}), SPECS["images"], stream(0)
    ).eval()
    own = dict(module.named_modules())["2.layers.0"]
    theirs = nn.TransformerEncoderLayer(
        32, 2, 64, activation="gelu", batch_first=True, norm_first=True
    ).eval()
    names = {
        "self_attn.in_proj_": "read.", "self_attn.out_proj.": "write.", "linear1.": "widen.",
        "linear2.": "narrow.", "norm1.": "norm_attention.", "norm2.": "norm_forward.",
    }  # fmt: skip
    weights = own.state_dict()
    theirs.load_state_dict(
        {there + kind: weights[here + kind] for there, here in names.items()
         for kind in ("weight", "bias")}
    )  # fmt: skip
    x = torch.randn(3, 6, 32, generator=stream(1))
    mask = torch.ones(3, 6, dtype=torch.bool)
    mask[0, 4:] = False
    expected = theirs(x, src_key_padding_mask=~mask)
    assert_close(own(x, mask)[mask], expected[mask], rtol=1e-4, atol=1e-5)


def test_spectral_weights_have_singular_value_one() -> None:
    architecture = {
        "width": 16, "normalisation": "spectral", "activation": "relu",
        "cells": [{"downsampling": "none", "shortcut": False, "kernel": 3}] * 2,
    }  # fmt: skip
    design = Design({"architecture": architecture})
    module = build_network("discriminator", design, SPECS["images"], stream(0))
    scaled = copy.deepcopy(module)
    for name, parameter in scaled.named_parameters():
        if name.endswith("conv.weight"):
            parameter.data *= 7.0
    x = torch.rand(3, 1, 8, 8, generator=stream(1))
    assert_close(module(x), scaled(x), rtol=1e-4, atol=1e-5)


def test_spectral_weights_keep_groups_and_dilation() -> None:
    layer = Convolution(4, 4, 3, groups=2, dilation=2, normalisation="spectral")
    x = torch.rand(2, 4, 9, 9, generator=stream(0))
    largest = torch.linalg.svdvals(layer.conv.weight.flatten(1))[0]
    bias = layer.conv.bias
    assert bias is not None
    without = layer.conv(x) - bias[:, None, None]
    assert_close(layer(x), (without / largest + bias[:, None, None]).relu())


def test_a_generator_paints_pixels() -> None:
    design = design_of("generator", 2)
    module = build_network("generator", design, SPECS["colours"], stream(0))
    with torch.inference_mode():
        images = module(examples("generator", design, SPECS["colours"]))
    assert images.shape == (5, 3, 21, 18)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
