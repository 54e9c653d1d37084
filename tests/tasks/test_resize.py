"""Images of other sizes and channels against Pillow."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.testing import assert_close

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.resize import resized


def _image() -> torch.Tensor:
    return torch.randint(256, (1, 3, 20, 20), generator=stream(0), dtype=torch.uint8)


def _pillow(image: torch.Tensor) -> Image.Image:
    return Image.fromarray(image[0].permute(1, 2, 0).numpy())


def test_grey_is_pillows() -> None:
    grey = resized(_image(), channels=1, size=20)
    theirs = torch.from_numpy(np.array(_pillow(_image()).convert("L")))
    assert grey.dtype == torch.uint8
    assert int((grey[0, 0].int() - theirs.int()).abs().max()) <= 1


@pytest.mark.parametrize("size", [7, 12, 33])
def test_sides_are_pillows(size: int) -> None:
    made = resized(_image(), channels=3, size=size)
    scaled = _pillow(_image()).resize((size, size), Image.Resampling.BILINEAR)
    theirs = torch.from_numpy(np.array(scaled)).permute(2, 0, 1)
    assert int((made[0].int() - theirs.int()).abs().max()) <= 1


def test_grey_to_colour_repeats_and_numbers_stay_numbers() -> None:
    image = torch.rand(2, 1, 5, 5, generator=stream(0))
    colour = resized(image, channels=3, size=5)
    assert_close(colour, image.expand(-1, 3, -1, -1))
    assert resized(image, channels=1, size=5) is image
    assert resized(image[:0], channels=3, size=9).shape == (0, 3, 9, 9)


def test_form_is_checked() -> None:
    with pytest.raises(InputError, match=r"\(size=0, channels=1\)"):
        resized(_image(), channels=1, size=0)
    with pytest.raises(InputError, match=r"\(size=4, channels=2\)"):
        resized(_image(), channels=2, size=4)
