"""Designs and numbers in words."""

from typing import Any

import pytest

from metawright.recipes.words import in_words, percent
from metawright.rng import stream
from metawright.spaces import Design
from metawright.spaces.convolutional import convolutional
from metawright.spaces.draw import sample

NETWORK = {
    "depth": 3,
    "width": 48,
    "kernel": 5,
    "normalisation": "group",
    "pool": "max",
    "skip": True,
}
BOTH = {
    "kind": "both",
    "network": NETWORK,
    "adaptation": {"kind": "descent", "steps": 2, "lr": 0.1234},
    "side": 14,
    "pixel_share": 0.25,
}


def design(features: dict[str, Any], head: str, copies: int = 0) -> Design:
    augmentation = {"copies": copies, "strength": 0.6}
    return Design({"features": features, "head": {"kind": head}, "augmentation": augmentation})


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        (
            design({"kind": "pixels", "side": 8}, "prototypes"),
            "pixels at 8 x 8; nearest class mean",
        ),
        (
            design(BOTH, "kernel", 3),
            "3 blocks of 48 channels with skips, 5 x 5 kernels, group norm, max pooling; "
            "2 steps of descent at 0.12; pixels at 14 x 14 (25 %); kernel ridge regression; "
            "3 copies of each example (strength 0.6)",
        ),
        (
            design(
                {
                    "kind": "network",
                    "network": NETWORK | {"skip": False},
                    "adaptation": {"kind": "none"},
                },
                "ridge",
            ),
            "3 blocks of 48 channels, 5 x 5 kernels, group norm, max pooling; ridge regression",
        ),
    ],
)
def test_a_design_in_words(tried: Design, words: str) -> None:
    assert in_words(tried) == words


def test_every_design_of_the_space_has_words() -> None:
    for number in range(60):
        assert in_words(sample(convolutional(), stream(0, number)))


def test_percent() -> None:
    assert (percent(0.5), percent(-0.0123, signed=True), percent(1)) == ("50.0", "-1.2", "100.0")
