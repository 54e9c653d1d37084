"""Numbers and designs in words, as a reader of the report wants them."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from metawright.app.plain import plain
from metawright.spaces.design import Design

__all__ = ["amount", "design_words", "number", "percent", "seconds", "short"]


def short(text: object, length: int) -> str:
    """At most `length` letters of a text.

    Example:
        >>> short("Devanagari", 6)
        'Devan…'
    """
    whole = plain(text)
    return whole if len(whole) <= length else whole[: length - 1] + "…"


def percent(share: float | None, digits: int = 1) -> str:
    """A share of one in per cent; a dash where it is not known.

    Example:
        >>> percent(0.914), percent(None)
        ('91.4 %', '–')
    """
    if share is None or not math.isfinite(share):
        return "–"
    return f"{100 * share:.{digits}f} %"


def number(value: float | None, digits: int = 3) -> str:
    """A number with so many significant digits; a dash where it is not known."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}g}" if abs(value) < 10**digits else f"{value:.0f}"


def amount(count: float | None) -> str:
    """A count that may be large.

    Example:
        >>> amount(512), amount(31_960), amount(2_400_000)
        ('512', '32.0 k', '2.40 M')
    """
    if count is None or not math.isfinite(count):
        return "–"
    for limit, scale, digits, sign in ((1e4, 1, 0, ""), (1e6, 1e3, 1, " k"), (1e9, 1e6, 2, " M")):
        if count < limit:
            return f"{count / scale:.{digits}f}{sign}"
    return f"{count / 1e9:.2f} G"


def seconds(value: float | None) -> str:
    """A length of time; a dash where it is not known.

    Example:
        >>> seconds(1.94), seconds(600)
        ('1.9 s', '10.0 min')
    """
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.1f} s" if value < 100 else f"{value / 60:.1f} min"


def design_words(design: Design) -> str:
    """A design of the convolutional space as a phrase; any other as its decisions.

    Example:
        >>> design_words(Design({"features": {"kind": "pixels", "side": 8},
        ...     "head": {"kind": "ridge", "penalty": 0.1}, "augmentation": {"copies": 0}}))
        'pixels 8 × 8 · ridge, penalty 0.1'
    """
    features, head = design.get("features"), design.get("head")
    if not isinstance(features, Design) or not isinstance(head, Design):
        return plain(_decisions(design))
    parts = [*_features(features), _head(head)]
    augmentation = design.get("augmentation")
    if isinstance(augmentation, Design) and augmentation.get("copies"):
        strength = augmentation.get("strength")
        bent = f", distorted by {number(strength, 2)}" if strength is not None else ""
        parts.append(f"{augmentation['copies']} copies{bent}")
    return plain(" · ".join(parts))


def _features(features: Mapping[str, Any]) -> list[str]:
    parts = []
    if isinstance(network := features.get("network"), Design):
        parts.append(_network(network))
    if isinstance(adaptation := features.get("adaptation"), Design):
        if steps := adaptation.get("steps"):
            parts.append(f"adapted {steps} steps at {number(adaptation.get('lr'), 2)}")
    if (side := features.get("side")) is not None:
        share = features.get("pixel_share")
        part = f" ({percent(share, 0)})" if share is not None else ""
        parts.append(f"pixels {side} × {side}{part}")
    return parts or [_decisions(features)]


def _network(network: Mapping[str, Any]) -> str:
    words = [f"{network.get('depth', '?')} blocks of {network.get('width', '?')}"]
    if (kernel := network.get("kernel")) is not None:
        words.append(f"{kernel} × {kernel}")
    words += [f"{network[key]} {noun}" for key, noun in _NOUNS if network.get(key)]
    return ", ".join(words + (["skip"] if network.get("skip") else []))


def _head(head: Mapping[str, Any]) -> str:
    kind = head.get("kind", "?")
    settings = [
        f"{'γ' if name == 'gamma' else name} {number(value, 2)}"
        for name, value in head.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    return ", ".join([_HEADS.get(kind, str(kind)), *settings])


def _decisions(tree: Mapping[str, Any] | Sequence[Any]) -> str:
    if isinstance(tree, Mapping):
        return ", ".join(f"{name} {_leaf(value)}" for name, value in tree.items())
    return " ".join(_leaf(value) for value in tree)


def _leaf(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({_decisions(value)})"
    if isinstance(value, (list, tuple)):
        return f"[{_decisions(value)}]"
    return number(value) if isinstance(value, float) else str(value)


_NOUNS = (("normalisation", "norm"), ("pool", "pool"))
_HEADS = {"prototypes": "nearest class mean", "ridge": "ridge", "kernel": "kernel ridge"}
