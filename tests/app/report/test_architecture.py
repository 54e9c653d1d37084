"""The picture of a model says what the model is: its layers, their shapes and parameters."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metawright.app.report.architecture import architecture
from metawright.app.report.drawing import Rect, Text
from metawright.app.report.flow import flow_of, member_blueprints
from metawright.models.saved import load_model
from metawright.params import count, params_of
from metawright.tasks.task import Kind, TaskSpec

CLASSES = tuple("abcd")


@pytest.fixture
def blueprint(made_runs: Callable[..., Path]) -> dict[str, Any]:
    return load_model(made_runs(classes=CLASSES)).blueprint


SPEC = TaskSpec(Kind.CLASSIFICATION, (1, 28, 28), 4, CLASSES)


def test_layers_shapes_and_parameters(blueprint: dict[str, Any]) -> None:
    flow = flow_of(blueprint, SPEC)
    assert [layer.title for layer in flow.before] == ["Image", "Prepare"]
    network, pixels = flow.branches
    assert [layer.title for layer in network] == [
        "Block 1: 8 filters 3 × 3", "Block 2: 16 filters 3 × 3", "Block 3: 16 filters 3 × 3",
        "Read-out",
    ]  # fmt: skip
    assert [layer.shape for layer in network] == [(8, 14, 14), (16, 7, 7), (16, 3, 3), (144,)]
    assert network[0].parameters == 8 * 9 + 2 * 8
    assert network[0].details == "max pool, group norm"
    assert network[1].details == "max pool, group norm, skip"
    assert [layer.shape for layer in pixels] == [(64,)]
    assert [layer.title for layer in flow.after] == ["Join", "Kernel ridge", "Class"]
    assert [layer.shape for layer in flow.after] == [(208,), (4,), (4,)]
    assert flow.after[0].details == "shares 70 % and 30 %"


@pytest.mark.parametrize("members", [1, 3])
def test_all_parameters_are_counted(made_runs: Callable[..., Path], members: int) -> None:
    model = load_model(made_runs(classes=CLASSES, members=members))
    parts = member_blueprints(model.blueprint)
    assert [share for _, share in parts] == pytest.approx([1 / members] * members)
    total = sum(flow_of(part, model.spec).parameters for part, _ in parts)
    assert total == count(params_of(model.module))


@pytest.mark.parametrize("stacked", [False, True])
def test_the_picture_holds_every_box_inside_its_frame(
    blueprint: dict[str, Any], stacked: bool
) -> None:
    flow = flow_of(blueprint, SPEC)
    picture = architecture(flow, title="a model", stacked=stacked)
    boxes = [shape for shape in picture.shapes if isinstance(shape, Rect)]
    titles = [shape.text for shape in picture.shapes if isinstance(shape, Text) and shape.bold]
    layers = (*flow.before, *flow.branches[0], *flow.branches[1], *flow.after)
    assert sorted(titles) == sorted(layer.title for layer in layers)
    assert len(boxes) == len(layers)
    for box in boxes:
        assert 0 <= box.x and box.x + box.width <= picture.width
        assert 0 <= box.y and box.y + box.height <= picture.height
    corners = {(box.x, box.y) for box in boxes}
    assert len(corners) == len(boxes) and len({x for x, _ in corners}) == (1 if stacked else 3)


def test_a_layer_that_is_new_to_the_report() -> None:
    pixels = {"layer": "PixelFeatures", "side": 4}
    flow = flow_of(pixels, TaskSpec(Kind.CLASSIFICATION, (3, 8, 8), 48))
    assert [layer.title for layer in flow.after] == ["Pixels", "Class"]
    assert architecture(flow, title="x").height > 0
