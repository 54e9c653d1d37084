"""Characters from fonts: many, distinct, and no digit of any script among them."""

import unicodedata

import numpy as np
import pytest
import torch

from metawright.rng import stream
from metawright.tasks.classes import ImageClasses
from metawright.tasks.distort import Distortion
from metawright.tasks.glyphs import ALIKE, Glyphs, glyph_classes, is_digit
from metawright.tasks.task import Split


@pytest.fixture(scope="module")
def table() -> ImageClasses:
    return glyph_classes()


def test_thousands_of_characters_each_named_once(table: ImageClasses) -> None:
    assert len(table.names) == len(set(table.names)) > 2000
    assert len(table.images) > 15_000
    assert {"A", "g", "ß", "Ж", "λ", "ש", "€"} <= set(table.names)
    assert min(table.counts) >= 1
    assert sum(count > 1 for count in table.counts) > 800


def test_no_digit_of_any_script(table: ImageClasses) -> None:
    # Said by Unicode in three ways, of the characters and of everything they may be made of.
    for name in table.names:
        for form in (name, *(unicodedata.normalize(f, name) for f in ("NFD", "NFKD", "NFKC"))):
            for part in form:
                assert unicodedata.category(part) not in ("Nd", "Nl", "No"), name
                assert "DIGIT" not in unicodedata.name(part, ""), name
                assert unicodedata.numeric(part, None) is None, name


@pytest.mark.parametrize("character", "3٣३３³₃①⓷½Ⅷⅷ๓໓༣௩૩౩೩൩๙〇三𝟛⑳㊂㍙㏢")
def test_digits_are_known(character: str) -> None:
    assert is_digit(character)


@pytest.mark.parametrize("character", "AaÉßЖλשعअあ漢+€∑ﬁℕ")
def test_letters_and_signs_are_no_digits(character: str) -> None:
    assert not is_digit(character)


def test_drawings_are_ink_on_an_empty_border(table: ImageClasses) -> None:
    assert table.images.dtype == torch.uint8
    assert table.images.shape[1:] == (1, 40, 40)
    assert bool((table.images.flatten(1).amax(1) > 100).all())
    border = torch.cat([table.images[..., 0].flatten(1), table.images[..., -1].flatten(1)], 1)
    assert int(border.max()) < 30


def _unit(images: torch.Tensor) -> np.ndarray:
    """Centred vectors of length one, each the image smoothed to 20 x 20."""
    small = torch.nn.functional.avg_pool2d(images.float(), 2).flatten(1).double().numpy()
    small = small - small.mean(1, keepdims=True)
    unit: np.ndarray = small / np.linalg.norm(small, axis=1, keepdims=True)
    return unit


def test_fonts_of_one_character_are_more_alike_than_two_characters(table: ImageClasses) -> None:
    several = [k for k, count in enumerate(table.counts) if count > 3][:400]
    first = _unit(table.images[[table.starts[k] for k in several]])
    last = _unit(table.images[[table.starts[k] + 2 for k in several]])
    alike = (first * last).sum(1)
    others = (first * np.roll(last, 1, 0)).sum(1)
    assert np.mean(alike > others) > 0.9
    assert np.mean(alike) > np.mean(others) + 0.2


def test_no_two_classes_have_one_shape(table: ImageClasses) -> None:
    shapes = _unit(table.images[list(table.starts)])
    alike = shapes @ shapes.T - np.eye(len(shapes))
    assert alike.max() <= ALIKE + 1e-6
    # Latin, Greek and Cyrillic share this shape; one of them stays.
    assert len({"A", "Α", "А"} & set(table.names)) == 1


def test_split_is_fixed_and_by_class(table: ImageClasses) -> None:
    parts = torch.cat([table.splits[split] for split in Split])
    assert sorted(parts.tolist()) == list(range(len(table.names)))
    assert 0.08 < len(table.splits[Split.TEST]) / len(table.names) < 0.12


def test_each_draw_is_another_image_of_the_size_asked_for() -> None:
    task = Glyphs(ways=2, shots=4, size=20).draw(Split.TRAIN, stream(0))
    assert task.spec.features == (1, 20, 20)
    x = task.support.x[:4].flatten(1)
    assert all(not torch.equal(x[0], x[k]) for k in range(1, 4))
    plain = Glyphs(ways=2, distortion=Distortion(size=12)).draw(Split.TRAIN, stream(0))
    assert plain.spec.features == (1, 12, 12)
