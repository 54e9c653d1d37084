"""The exported script reads images exactly as metawright does."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metawright.models import standalone
from metawright.tasks.folder import read_image

DRAW = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return DRAW.integers(0, 255, shape, np.uint8)


def turned(path: Path) -> None:
    image = Image.fromarray(noise(12, 20, 3))
    exif = image.getexif()
    exif[0x0112] = 6  # lies on its side
    image.save(path, exif=exif)


IMAGES: dict[str, Callable[[Path], None]] = {
    "grey.png": lambda path: Image.fromarray(noise(9, 9)).save(path),
    "wide.png": lambda path: Image.fromarray(noise(7, 30, 3)).save(path),
    "high.jpg": lambda path: Image.fromarray(noise(31, 8, 3)).save(path),
    "clear.png": lambda path: Image.fromarray(noise(16, 12, 4)).save(path),
    "two.png": lambda path: Image.fromarray(noise(16, 12) > 128).save(path),
    "deep.png": lambda path: Image.fromarray(noise(10, 14).astype(np.uint16) * 200).save(path),
    "float.tif": lambda path: Image.fromarray(noise(10, 14) / np.float32(7)).save(path),
    "broken.tif": lambda path: Image.fromarray(np.array([[1, np.nan], [3, 4]], np.float32)).save(
        path
    ),
    "flat.tif": lambda path: Image.fromarray(np.full((5, 5), 3, np.int32)).save(path),
    "few.gif": lambda path: Image.fromarray(noise(20, 10)).convert("P").save(path),
    "turned.jpg": turned,
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("channels", [1, 3])
def test_same_pixels(tmp_path: Path, name: str, channels: int) -> None:
    path = tmp_path / name
    IMAGES[name](path)
    found = standalone.read_image(path, channels, 16)
    expected = torch.from_numpy(read_image(path, channels=channels, size=16))
    assert found.shape == (channels, 16, 16)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)
