"""Existing networks as spaces: what varies, what stays, and what is refused."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from metawright.errors import InputError
from metawright.models.layers import assemble
from metawright.models.variants import own_design, space_of
from metawright.rng import global_draws, stream
from metawright.spaces import Design, Either, Record, contains, decisions
from metawright.spaces.draw import sample
from metawright.spaces.training import training_space
from metawright.tasks.task import Kind, TaskSpec

SPEC = TaskSpec(Kind.CLASSIFICATION, (1, 8, 8), 10)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.Conv2d(8, 12, 3, stride=2), nn.GELU(),
        ),
        nn.Flatten(),
        nn.Linear(12, 20), nn.LayerNorm(20), nn.Tanh(), nn.Dropout(0.25),
        nn.Linear(20, 10),
    )  # fmt: skip


def architecture() -> Record:
    found = space_of(network()).space.fields["architecture"]
    assert isinstance(found, Record)
    return found


def test_what_varies() -> None:
    units = architecture().fields
    assert list(units) == ["1 Conv2d", "2 Conv2d", "3 Conv2d", "4 Linear"]
    second, third, fourth = units["2 Conv2d"], units["3 Conv2d"], units["4 Linear"]
    assert isinstance(second, Either), "it keeps the shape, so it may be left out"
    assert list(second.cases["kept"].fields) == ["width", "kernel", "activation"]
    assert isinstance(third, Record) and isinstance(fourth, Record)
    assert list(third.fields) == ["width", "activation"], "its size hangs on its kernel"
    assert list(fourth.fields) == ["width", "activation", "dropout"]


def test_the_own_design_is_the_network_itself() -> None:
    original = network()
    space, build = space_of(original)
    design = own_design(original, sample(training_space(), stream(0)))
    assert contains(space, design)
    copy = build(design, SPEC)
    assert sum(p.numel() for p in copy.parameters()) == sum(
        p.numel() for p in original.parameters()
    )
    weights = zip(original.state_dict().values(), copy.state_dict(), strict=True)
    copy.load_state_dict({name: value for value, name in weights})
    x = torch.rand(4, 1, 8, 8, generator=stream(1))
    assert_close(copy.eval()(x), original.eval()(x))


def test_every_variant_runs_and_one_that_is_left_out_has_no_weights() -> None:
    space, build = space_of(network())
    x, shares = torch.rand(4, 1, 8, 8, generator=stream(1)), set()
    for seed in range(40):
        design = sample(space, stream(seed))
        with global_draws(stream(seed, "weights")):
            module = build(design, SPEC)
        assert module(x).shape == (4, 10)
        convolutions = sum(isinstance(part, nn.Conv2d) for part in module.modules())
        kept = design["architecture"]["2 Conv2d"]["kind"] == "kept"
        assert convolutions == 2 + kept
        shares.add(design["architecture"]["1 Conv2d"]["width"])
    assert len(shares) == 5


def test_widths_are_multiplied() -> None:
    original = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 3))
    _, build = space_of(original)
    unit = {"width": 1.5, "activation": "SiLU"}
    module = assemble(build.blueprint(Design({"architecture": {"1 Linear": unit}})))
    shapes = [tuple(p.shape) for p in module.parameters()]
    assert shapes == [(15, 6), (15,), (3, 15), (3,)]
    assert isinstance(module[1], nn.SiLU)  # type: ignore[index]


def test_decisions_have_plain_names() -> None:
    names = [decision.name for decision in decisions(space_of(network()).space)]
    assert names[:3] == [
        "architecture.1 Conv2d.width",
        "architecture.1 Conv2d.kernel",
        "architecture.1 Conv2d.activation",
    ]


class Own(nn.Module):
    """A layer that nobody knows."""


@pytest.mark.parametrize(
    ("module", "sentence"),
    [
        (nn.Sequential(nn.Linear(2, 3), nn.Sequential(Own())), r"layer '1\.0' \(Own\) cannot"),
        (Own(), r"The network \(Own\) cannot be varied"),
        (nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)), r"'0' \(Conv2d\) .* has groups"),
        (nn.Sequential(nn.ReLU()), r"must have a linear .* but this one has ReLU"),
        (nn.Sequential(nn.Linear(2, 3)), "Nothing of this network can vary"),
    ],
    ids=["unknown", "alone", "groups", "nothing", "answers"],
)
def test_what_cannot_be_varied_is_named(module: nn.Module, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        space_of(module)
