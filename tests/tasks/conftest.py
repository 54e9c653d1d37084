"""Pictures on disk as users have them: an image folder, and Omniglot's official files."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

SaveImage = Callable[..., Path]


def drawing(number: int, variant: int, *, side: int = 105) -> Image.Image:
    """Dark strokes on white: the same strokes for one number, moved a little by the variant."""
    strokes = np.random.default_rng(number).integers(15, 90, (3, 2, 2))
    moved = strokes + np.random.default_rng((number, variant)).integers(-3, 4, strokes.shape)
    image = Image.new("1", (105, 105), 1)
    for start, end in moved.tolist():
        ImageDraw.Draw(image).line([tuple(start), tuple(end)], fill=0, width=3)
    return image.resize((side, side))


def official_zip(top: str, alphabets: dict[str, int], *, drawers: int = 20) -> bytes:
    """A zip file built as Omniglot's: `top/Alphabet/character01/0001_01.png`."""
    target, number = io.BytesIO(), 0
    with zipfile.ZipFile(target, "w") as archive:
        for alphabet, characters in alphabets.items():
            for character in range(1, characters + 1):
                number += 1
                for drawer in range(1, drawers + 1):
                    png = io.BytesIO()
                    drawing(100 * len(top) + number, drawer).save(png, "PNG")
                    name = f"{top}/{alphabet}/character{character:02}/{number:04}_{drawer:02}.png"
                    archive.writestr(name, png.getvalue())
    return target.getvalue()


@pytest.fixture(scope="session")
def official_files() -> dict[str, bytes]:
    """The two zip files by name: 20 background and 6 evaluation characters."""
    return {
        "images_background.zip": official_zip("images_background", {"Greek": 12, "Latin": 8}),
        "images_evaluation.zip": official_zip("images_evaluation", {"Mongolian": 6}),
    }


@pytest.fixture(scope="session")
def omniglot_root(
    official_files: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A folder with the two zip files."""
    folder = tmp_path_factory.mktemp("omniglot")
    for name, content in official_files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope="session")
def images_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 20 classes of eight small PNG files."""
    root = tmp_path_factory.mktemp("images")
    for number in range(20):
        folder = root / f"class {number:02}"
        folder.mkdir()
        for variant in range(8):
            drawing(number, variant, side=20).save(folder / f"{variant}.png")
    return root


@pytest.fixture
def save() -> SaveImage:
    """`save(path, mode="L", size=(12, 10))` writes an image with some noise, folders and all."""

    def write(path: Path, *, mode: str = "L", size: tuple[int, int] = (12, 10)) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(noise).convert(mode).save(path)
        return path

    return write
