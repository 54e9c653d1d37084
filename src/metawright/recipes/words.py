"""Designs and numbers in words, for people."""

from metawright.spaces.design import Design

__all__ = ["in_words", "percent"]


def percent(share: float, *, signed: bool = False) -> str:
    """A share of one as a number of percent with one digit.

    Example:
        >>> percent(0.935), percent(0.012, signed=True)
        ('93.5', '+1.2')
    """
    return f"{100 * share:+.1f}" if signed else f"{100 * share:.1f}"


def in_words(design: Design) -> str:
    """A design of the convolutional space in one line."""
    features, head, augmentation = design["features"], design["head"], design["augmentation"]
    parts = []
    if features["kind"] != "pixels":
        network = features["network"]
        skip = " with skips" if network["skip"] else ""
        parts.append(
            f"{network['depth']} blocks of {network['width']} channels{skip}, "
            f"{network['kernel']} x {network['kernel']} kernels, "
            f"{network['normalisation']} norm, {network['pool']} pooling"
        )
        if features["adaptation"]["kind"] == "descent":
            adaptation = features["adaptation"]
            parts.append(f"{adaptation['steps']} steps of descent at {adaptation['lr']:.2g}")
    if features["kind"] != "network":
        share = "" if features["kind"] == "pixels" else f" ({100 * features['pixel_share']:.0f} %)"
        parts.append(f"pixels at {features['side']} x {features['side']}{share}")
    parts.append(
        {
            "prototypes": "nearest class mean",
            "ridge": "ridge regression",
            "kernel": "kernel ridge regression",
        }[head["kind"]]
    )
    if augmentation["copies"]:
        parts.append(
            f"{augmentation['copies']} copies of each example (strength "
            f"{augmentation['strength']})"
        )
    return "; ".join(parts)
