"""The layers of every kind of network: none is left out, whatever data it reads."""

from typing import Any

import pytest

from metawright.app.report.architecture import architecture
from metawright.app.report.flow import flow_of
from metawright.app.report.layers import layer_words
from metawright.app.space_words import DATA
from metawright.models.architectures import ARCHITECTURES, network_blueprint
from metawright.models.layers import assemble
from metawright.rng import stream
from metawright.spaces import SPACES, Design
from metawright.spaces.draw import sample
from metawright.tasks.task import Kind, TaskSpec

SPECS = {
    "images": TaskSpec(Kind.CLASSIFICATION, (1, 20, 20), 3),
    "signals": TaskSpec(Kind.CLASSIFICATION, (12, 30), 3),
    "feature vectors": TaskSpec(Kind.REGRESSION, (12,), 2),
    "texts": TaskSpec(Kind.CLASSIFICATION, (9,), 3, vocabulary=40),
}
STARTS = dict(zip(SPECS, ("Image", "Signal", "Features", "Text"), strict=True))
NETWORKS = [name for name in ARCHITECTURES if name != "generator"]  # which reads noise
PAIRS = [(name, form) for name in NETWORKS for form in SPECS if form in DATA[name]]


@pytest.mark.parametrize(("space", "form"), PAIRS)
def test_all_parameters_are_in_some_box(space: str, form: str) -> None:
    for seed in range(3):
        design = sample(SPACES[space](), stream(seed, "flow"))
        blueprint = network_blueprint(space, design, SPECS[form])
        flow = flow_of(blueprint, SPECS[form])
        held = sum(p.numel() for p in assemble(blueprint).parameters())
        assert flow.parameters == held
        assert flow.before[0].title == STARTS[form] and flow.before[0].outside
        assert flow.after[-1].title == ("Answer" if form == "feature vectors" else "Class")
        assert architecture(flow, title="x").height == pytest.approx(
            12 + 62 * (len(flow.before) + 1) + 24 * len(flow.before)
        )


def test_small_layers_stand_with_the_one_before() -> None:
    layer = {"width": 7, "activation": "gelu", "dropout": 0.1, "normalisation": "layer"}
    design = Design({"architecture": {"layers": [layer]}})
    flow = flow_of(
        network_blueprint("dense", design, SPECS["feature vectors"]), SPECS["feature vectors"]
    )
    assert [(box.title, box.details) for box in flow.before[3:]] == [
        ("Linear 7", "of 12, layer norm, gelu, dropout 0.1"),
        ("Linear 2", "of 7, in the data's unit"),
    ]
    assert flow.before[3].parameters == 12 * 7 + 7 + 2 * 7


def test_cells_that_halve_are_told_from_others() -> None:
    node = {"sources": [0, 1], "operations": ["sep3", "skip"]}
    cells = {"normal": [node] * 3, "reduction": [node] * 3}
    design = Design({"architecture": cells | {"stages": 2, "cells": 1, "width": 6}})
    flow = flow_of(network_blueprint("darts", design, SPECS["images"]), SPECS["images"])
    assert [box.title for box in flow.before[3:-1]] == [
        "Normal cell", "Reduction cell", "Normal cell",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"layer": "MaxPool2d", "kernel_size": 2, "ceil_mode": True},
         ("Maximum pooling 2 × 2", "halves")),
        ({"layer": "AvgPool2d", "kernel_size": 3, "stride": 1},
         ("Average pooling 3 × 3", "")),
        ({"layer": "Residual", "part": {"layer": "Convolution", "inputs": 8, "outputs": 8}},
         ("Convolution 3 × 3", "group norm, relu, skip")),
        ({"layer": "New", "size": 3, "rate": 0.25, "parts": []},
         ("New", "size 3, rate 0.25, parts …")),
    ],
)  # fmt: skip
def test_layers_in_words(told: dict[str, Any], words: tuple[str, str]) -> None:
    assert layer_words(told) == words
