"""An existing network as a space: what may vary of it, and how a variant is built.

A network that is a row of known layers (`nn.Sequential`, nested or not) is cut into units: a layer
with a width and what follows it up to the next. Of each unit the width, kernel,
activation and dropout may vary, and whether it is there at all where that changes no shape.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, final

from torch import nn

from metawright.errors import InputError
from metawright.models.build import Blueprint
from metawright.models.layers import assemble
from metawright.spaces.design import Design
from metawright.spaces.space import Choice, Either, Record, Space
from metawright.spaces.training import trained
from metawright.tasks.task import TaskSpec

__all__ = ["Existing", "Variants", "own_design", "space_of"]

_WIDTHS = (0.5, 0.75, 1.0, 1.5, 2.0)
_DROPOUTS = (0.0, 0.1, 0.2, 0.3, 0.5)
_ACTIVATIONS = ("ReLU", "LeakyReLU", "SiLU", "GELU", "Tanh", "Sigmoid", "ELU")
_CONVOLUTIONS = ("Conv1d", "Conv2d")

_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "Linear": ("in_features", "out_features"),
    **dict.fromkeys(
        _CONVOLUTIONS,
        ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups"),
    ),
    **dict.fromkeys(("BatchNorm1d", "BatchNorm2d"), ("num_features", "eps", "momentum", "affine")),
    "GroupNorm": ("num_groups", "num_channels", "eps", "affine"),
    "LayerNorm": ("normalized_shape", "eps", "elementwise_affine"),
    **dict.fromkeys(
        ("MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d"),
        ("kernel_size", "stride", "padding", "ceil_mode"),
    ),
    **dict.fromkeys(("AdaptiveAvgPool1d", "AdaptiveAvgPool2d"), ("output_size",)),
    "Flatten": ("start_dim", "end_dim"),
    "Dropout": ("p",),
    "Identity": (),
    "LeakyReLU": ("negative_slope",),
    "GELU": ("approximate",),
    "ELU": ("alpha",),
    **dict.fromkeys(("ReLU", "SiLU", "Tanh", "Sigmoid"), ()),
}
"""Known layers, and what describes one."""

_IN = {"Linear": "in_features", "Conv1d": "in_channels", "Conv2d": "in_channels"}
_OUT = {"Linear": "out_features", "Conv1d": "out_channels", "Conv2d": "out_channels"}
_NORMS = {
    "BatchNorm1d": "num_features",
    "BatchNorm2d": "num_features",
    "GroupNorm": "num_channels",
}


class Existing(NamedTuple):
    """A network as a space: `build(design, spec)` gives the variant of a design."""

    space: Record
    build: "Variants"


@final
@dataclass(frozen=True)
class Variants:
    """Builds variants of one network, given as plain data.

    Arguments:
        before: layers before the first that has a width.
        units: rows of layers, each begun by one that has a width.
    """

    before: tuple[Design, ...]
    units: tuple[tuple[Design, ...], ...]

    def __call__(self, design: Design, spec: TaskSpec) -> nn.Module:
        """The variant, with first weights of its own."""
        del spec  # the network knows its own inputs and outputs
        return assemble(self.blueprint(design))

    def blueprint(self, design: Design) -> Blueprint:
        """The variant as plain data, which can be saved and exported."""
        units = design["architecture"]
        parts: list[Blueprint] = [layer.to_json() for layer in self.before]
        ratio = (1, 1)  # new and old channels of what comes in
        for number, unit in enumerate(self.units):
            chosen = units.get(_name(number, unit), {})
            if chosen.get("kind") == "left out":
                continue
            layers, ratio = _varied(unit, chosen, ratio)
            parts += layers
        return {"layer": "Chain", "parts": parts}


def space_of(module: nn.Module) -> Existing:
    """The space around an existing network, and what builds its designs.

    Its designs have an "architecture" with an entry for each unit (such as "2 Conv2d") and the
    usual "training"; `own_design` tells the one that is the network itself. The width of the last
    unit is that of the answers and stays.

    Arguments:
        module: an `nn.Sequential` of known layers and of such sequences.

    Raises:
        InputError: a layer is not known, or nothing can vary; the sentence names the layer.

    Example:
        >>> from torch import nn
        >>> from metawright.models.variants import space_of
        >>> network = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
        >>> space, build = space_of(network)
        >>> space.fields["architecture"].fields["1 Linear"].fields["width"].options
        (0.5, 0.75, 1.0, 1.5, 2.0)
    """
    layers = [_described(name, layer) for name, layer in _flat("", module)]
    starts = [place for place, layer in enumerate(layers) if layer["layer"] in _OUT]
    if not starts:
        raise InputError(
            "A network must have a linear or convolutional layer to vary, but this one has "
            f"{', '.join(layer['layer'] for layer in layers) or 'no layers'}."
        )
    ends = [*starts[1:], len(layers)]
    units = tuple(
        tuple(map(Design, layers[start:end])) for start, end in zip(starts, ends, strict=True)
    )
    spaces: dict[str, Space] = {}
    for number, unit in enumerate(units):
        varying = _unit_space(unit, last=number == len(units) - 1)
        if varying is not None:
            spaces[_name(number, unit)] = varying
    if not spaces:
        raise InputError(
            "Nothing of this network can vary: it has one layer with a width, that of its answers."
        )
    before = tuple(map(Design, layers[: starts[0]]))
    return Existing(trained(Record(spaces)), Variants(before, units))


def own_design(module: nn.Module, training: Mapping[str, Any]) -> Design:
    """The design of the unchanged network, in the space that `space_of` gives.

    Arguments:
        training: how it is trained, a design of `metawright.spaces.training.training_space`.
    """
    space, build = space_of(module)
    units = {}
    architecture = space.fields["architecture"]
    assert isinstance(architecture, Record)
    for number, unit in enumerate(build.units):
        varying = architecture.fields.get(_name(number, unit))
        if isinstance(varying, Either):
            units[_name(number, unit)] = {"kind": "kept", **_own(unit, varying.cases["kept"])}
        elif isinstance(varying, Record):
            units[_name(number, unit)] = _own(unit, varying)
    return Design({"architecture": units, "training": training})


def _own(unit: tuple[Design, ...], space: Record) -> dict[str, Any]:
    return {name: _OWN[name](unit) for name in space.fields}


def _flat(name: str, module: nn.Module) -> list[tuple[str, nn.Module]]:
    if type(module) is not nn.Sequential:
        return [(name, module)]
    parts = [(f"{name}.{key}".lstrip("."), part) for key, part in module.named_children()]
    return [layer for key, part in parts for layer in _flat(key, part)]


def _described(name: str, layer: nn.Module) -> dict[str, Any]:
    kind = type(layer).__name__
    place = f"The layer '{name}' ({kind})" if name else f"The network ({kind})"
    if kind not in _ARGUMENTS or not type(layer).__module__.startswith("torch.nn"):
        raise InputError(
            f"{place} cannot be varied: a network must be an nn.Sequential of "
            f"{', '.join(_ARGUMENTS)}. Write a space of your own for it."
        )
    if getattr(layer, "groups", 1) != 1 or getattr(layer, "padding_mode", "zeros") != "zeros":
        raise InputError(f"{place} cannot be varied: it has groups or a padding other than zeros.")
    found = {argument: getattr(layer, argument) for argument in _ARGUMENTS[kind]}
    if kind in _OUT:
        found["bias"] = layer.bias is not None
    return {"layer": kind, **found}


def _name(number: int, unit: tuple[Design, ...]) -> str:
    return f"{number + 1} {unit[0]['layer']}"


def _unit_space(unit: tuple[Design, ...], *, last: bool) -> Space | None:
    """What may vary of a unit; None where nothing may."""
    kinds = [layer["layer"] for layer in unit]
    fields: dict[str, Space] = {}
    if not last and not any(layer.get("num_groups") for layer in unit):
        fields["width"] = Choice(_WIDTHS)
    if (kernel := _kernel(unit)) is not None:
        fields["kernel"] = Choice(tuple(sorted({1, 3, 5, kernel})))
    if _activation(unit) is not None:
        fields["activation"] = Choice(_ACTIVATIONS)
    if (dropout := _dropout(unit)) is not None:
        fields["dropout"] = Choice(tuple(sorted({*_DROPOUTS, dropout})))
    if not fields:
        return None
    shapes = any("Pool" in kind or kind == "Flatten" for kind in kinds)
    if last or shapes or not _keeps_shape(unit[0]):
        return Record(fields)
    return Either({"kept": Record(fields), "left out": Record({})})


def _keeps_shape(layer: Design) -> bool:
    if layer[_IN[layer["layer"]]] != layer[_OUT[layer["layer"]]]:
        return False
    return layer["layer"] == "Linear" or _kernel((layer,)) is not None


def _kernel(unit: tuple[Design, ...]) -> int | None:
    """The side of a kernel whose output has the size of its input whatever that side is."""
    layer = unit[0]
    if layer["layer"] not in _CONVOLUTIONS or isinstance(layer["padding"], str):
        return None
    side = layer["kernel_size"][0]
    same = set(layer["kernel_size"]) == {side} and set(layer["padding"]) == {side // 2}
    plain = set(layer["stride"]) == set(layer["dilation"]) == {1}
    return side if same and plain and side % 2 else None


def _activation(unit: tuple[Design, ...]) -> str | None:
    found = [layer["layer"] for layer in unit if layer["layer"] in _ACTIVATIONS]
    return found[0] if found else None


def _dropout(unit: tuple[Design, ...]) -> float | None:
    found = [float(layer["p"]) for layer in unit if layer["layer"] == "Dropout"]
    return found[0] if found else None


_OWN: Mapping[str, Callable[[tuple[Design, ...]], Any]] = {
    "width": lambda unit: 1.0,
    "kernel": _kernel,
    "activation": _activation,
    "dropout": _dropout,
}
"""What each decision is in the network itself."""


def _varied(
    unit: tuple[Design, ...], chosen: Mapping[str, Any], ratio: tuple[int, int]
) -> tuple[list[Blueprint], tuple[int, int]]:
    """The layers of a unit as chosen, and new and old channels of what comes out."""
    first, *rest = (layer.to_json() for layer in unit)
    reads, gives = _IN[first["layer"]], _OUT[first["layer"]]
    # A flattened image has its channels times its places: the share of the channels stays.
    first[reads] = first[reads] * ratio[0] // ratio[1]
    old = first[gives]
    first[gives] = new = max(1, round(old * chosen.get("width", 1.0)))
    if "kernel" in chosen:
        sides = len(first["kernel_size"])
        first["kernel_size"] = [chosen["kernel"]] * sides
        first["padding"] = [chosen["kernel"] // 2] * sides
    layers = [first]
    for layer in rest:
        kind = layer["layer"]
        if kind in _NORMS:
            layer[_NORMS[kind]] = layer[_NORMS[kind]] * new // old
        elif kind == "LayerNorm":
            layer["normalized_shape"] = [*layer["normalized_shape"][:-1], new]
        elif kind in _ACTIVATIONS and "activation" in chosen and chosen["activation"] != kind:
            layer = {"layer": chosen["activation"]}
        elif kind == "Dropout" and "dropout" in chosen:
            layer["p"] = chosen["dropout"]
        layers.append(layer)
    return layers, (new, old)
