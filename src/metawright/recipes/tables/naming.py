"""A pipeline in words."""

from collections.abc import Mapping
from typing import Any

from metawright.spaces.design import Design

__all__ = ["pipeline_words"]


def pipeline_words(design: Design) -> str:
    """A pipeline in a few words: its model and its settings.

    Example:
        >>> from metawright.spaces.tables import first_designs
        >>> pipeline_words(first_designs("classification")[0])
        'logistic (strength 1) on standard scaling'
    """
    model = design["model"]
    settings = [_setting(name, value) for name, value in model.items() if name != "kind"]
    told = f" ({', '.join(settings)})" if settings else ""
    scaling = design["preparation"]["scaling"]
    return f"{model['kind'].replace('_', ' ')}{told} on " + (
        "unscaled columns" if scaling == "none" else f"{scaling} scaling"
    )


def _setting(name: str, value: Any) -> str:
    if isinstance(value, Mapping):  # a choice with decisions of its own
        value = value["kind"]
    told = f"{value:.3g}" if isinstance(value, float) else str(value)
    return f"{name.replace('_', ' ')} {told}"
