"""Numbers and designs in words."""

import math

import pytest

from metawright.app.plain import plain
from metawright.app.report.words import amount, design_words, number, percent, seconds, short
from metawright.rng import stream
from metawright.spaces.convolutional import convolutional
from metawright.spaces.design import Design
from metawright.spaces.draw import sample


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_what_is_not_known_is_a_dash(value: float | None) -> None:
    assert percent(value) == number(value) == amount(value) == seconds(value) == "–"


def test_numbers() -> None:
    assert percent(0.9995, 0) == "100 %" and percent(0) == "0.0 %"
    assert number(0.000123456) == "0.000123" and number(12345.6) == "12346" and number(2.0) == "2"
    assert amount(9999) == "9999" and amount(10_000) == "10.0 k" and amount(3e9) == "3.00 G"
    assert seconds(0.04) == "0.0 s" and seconds(99.9) == "99.9 s" and seconds(3600) == "60.0 min"


def test_texts() -> None:
    assert plain("a\nb\x00\udcff\u202e") == "a b\\x00\\udcff\\u202e"
    assert short("abcdef", 6) == "abcdef" and short("abcdefg", 6) == "abcde…"


def test_a_design_of_the_convolutional_space() -> None:
    network = {"depth": 3, "width": 48, "kernel": 5, "normalisation": "group", "pool": "max"}
    design = Design(
        {
            "features": {
                "kind": "both",
                "network": network | {"skip": True},
                "adaptation": {"kind": "descent", "steps": 5, "lr": 0.123456},
                "side": 14,
                "pixel_share": 0.256,
            },
            "head": {"kind": "kernel", "gamma": 1.5, "penalty": 0.03},
            "augmentation": {"copies": 8, "strength": 0.6},
        }
    )
    assert design_words(design) == (
        "3 blocks of 48, 5 × 5, group norm, max pool, skip · adapted 5 steps at 0.12 · "
        "pixels 14 × 14 (26 %) · kernel ridge, γ 1.5, penalty 0.03 · 8 copies, distorted by 0.6"
    )


def test_every_design_of_the_space_has_words() -> None:
    rng = stream(0, "designs")
    phrases = {design_words(sample(convolutional(), rng)) for _ in range(50)}
    assert len(phrases) == 50 and not any("?" in phrase for phrase in phrases)


def test_a_design_of_another_space() -> None:
    design = Design({"widths": [8, 16], "lr": 0.123456, "cell": {"op": "conv"}})
    assert design_words(design) == "widths [8 16], lr 0.123, cell (op conv)"
