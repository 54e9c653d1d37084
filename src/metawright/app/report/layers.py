"""Layers in words: the title and the details of their boxes."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from metawright.app.report.words import number, percent

__all__ = ["SMALL", "block_words", "layer_words"]

Told = Mapping[str, Any]

SMALL: Mapping[str, Callable[[Told], str]] = {
    "LayerNorm": lambda told: "layer norm",
    "Dropout": lambda told: f"dropout {number(told['p'])}",
    **dict.fromkeys(
        ("ReLU", "LeakyReLU", "SiLU", "GELU", "Tanh", "Sigmoid", "ELU"),
        lambda told: str(told["layer"]).lower(),
    ),
    "Output": lambda told: "in the data's unit",
}
"""Layers that have no box of their own but stand with the one before, and what they are there."""


def block_words(told: Told, index: int, filters: int) -> tuple[str, str]:
    """Title and details of a block of the shared network."""
    title = f"Block {index + 1}: {filters} filters {told['kernel']} × {told['kernel']}"
    pool = f"{told['pool']} pool, " if index < 3 and told["pool"] != "none" else ""
    skip = ", skip" if told["skip"] and index else ""
    return title, f"{pool}{told['normalisation']} norm{skip}"


def layer_words(told: Told) -> tuple[str, str]:
    """Title and details of a layer; of one that is new to the report its name and settings.

    Example:
        >>> layer_words({"layer": "Convolution", "inputs": 1, "outputs": 8, "stride": 2})
        ('Convolution 3 × 3', 'halves, group norm, relu')
    """
    kind = str(told["layer"])
    if kind in _WORDS:
        return _WORDS[kind](told)
    settings = ", ".join(f"{key} {_setting(told[key])}" for key in told if key != "layer")
    return kind, settings


def _setting(value: Any) -> str:
    if isinstance(value, float) and math.isfinite(value):
        return number(value)
    return "…" if isinstance(value, dict | list) else str(value)


def _convolution(told: Told) -> tuple[str, str]:
    side = told.get("kernel", 3)
    alone = "each channel alone" if told.get("groups", 1) > 1 else ""
    return f"Convolution {side} × {side}", _listed(_halves(told), alone, *_shape(told))


def _halves(told: Told) -> str:
    return "halves" if told.get("stride", 1) == 2 else ""


def _shape(told: Told) -> tuple[str, str]:
    norm, activation = told.get("normalisation", "group"), told.get("activation", "relu")
    return (
        f"{norm} norm" if norm != "none" else "",
        str(activation) if activation != "identity" else "",
    )


def _listed(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _chain(told: Told) -> tuple[str, str]:
    """A chain inside another: the inverted bottleneck of the space "macro", or whatever it is."""
    parts = told["parts"]
    kinds = [part["layer"] for part in parts]
    if kinds == ["Convolution"] * 3 and parts[1].get("groups", 1) > 1:
        wide = f"widens to {parts[0]['outputs']}"
        side = parts[1].get("kernel", 3)
        return f"Bottleneck {side} × {side}", _listed(_halves(parts[1]), wide, *_shape(parts[0]))
    return "Chain", ", ".join(layer_words(part)[0] for part in parts)


def _residual(told: Told) -> tuple[str, str]:
    title, details = layer_words(told["part"])
    return title, _listed(details, "skip")


def _graph(told: Told) -> tuple[str, str]:
    edges = sum(len(node) for node in told["operations"])
    return "Cell", f"{edges} operations into {len(told['sources'])} nodes"


def _pool(word: str) -> Callable[[Told], tuple[str, str]]:
    def words(told: Told) -> tuple[str, str]:
        side = told["kernel_size"]
        halves = "halves" if told.get("stride", side) == 2 else ""
        return f"{word} pooling {side} × {side}", halves

    return words


def _recurrent(told: Told) -> tuple[str, str]:
    cell = told["cell"]
    names = {"gru": "GRU", "lstm": "LSTM", "rnn": "Recurrent", "searched": "Searched cell"}
    layers = f"{told['layers']} layers" if told["layers"] > 1 else ""
    ways = "both directions" if told["bidirectional"] else ""
    own = str(cell.get("activation", ""))
    pooled = {"last": "last state", "mean": "mean state", "max": "largest state"}
    return (
        f"{names.get(cell['kind'], cell['kind'])} of {told['width']}",
        _listed(own, layers, ways, pooled.get(told["pooling"], "")),
    )


def _prepare(told: Told) -> tuple[str, str]:
    return "Prepare", "ink bright, centred, same spread" if told["frame"] else "resized"


def _readout(told: Told) -> tuple[str, str]:
    grid = told.get("grid", 2)
    return "Read-out", f"mean on a {grid} × {grid} grid, linear"


_WORDS: Mapping[str, Callable[[Told], tuple[str, str]]] = {
    "Prepare": _prepare,
    "PixelFeatures": lambda told: (
        "Pixels",
        f"smoothed to {told['side']} × {told['side']}, unit length",
    ),
    "Join": lambda told: (
        "Join",
        "shares " + " and ".join(percent(w, 0) for w in told["weights"]),
    ),
    "PrototypeHead": lambda told: ("Nearest class mean", f"{told['classes']} prototypes"),
    "LinearHead": lambda told: ("Linear", f"{told['features']} features, ridge regression"),
    "KernelHead": lambda told: (
        "Kernel ridge",
        f"Gaussian, γ {number(told['gamma'], 3)}, {told['anchors']} anchors",
    ),
    "Input": lambda told: ("Input", "mean 0, deviation 1"),
    "AsImage": lambda told: ("As an image", "of one channel"),
    "Convolution": _convolution,
    "Chain": _chain,
    "Residual": _residual,
    "Graph": _graph,
    "MaxPool2d": _pool("Maximum"),
    "AvgPool2d": _pool("Average"),
    "Readout": _readout,
    "Flatten": lambda told: ("Flatten", "to a row of numbers"),
    "Linear": lambda told: (f"Linear {told['out_features']}", f"of {told['in_features']}"),
    "Bag": lambda told: ("Bag of tokens", f"mean of vectors of {told['width']}"),
    "Tokens": lambda told: ("Tokens", f"a vector of {told['width']} each"),
    "Rows": lambda told: ("Rows", "one after the other"),
    "Steps": lambda told: ("Steps", f"{told['patch']} at a time"),
    "Patches": lambda told: ("Patches", f"{told['height']} × {told['width']} pixels"),
    "Features": lambda told: ("Tokens", "a vector for each feature"),
    "Recurrent": _recurrent,
}
