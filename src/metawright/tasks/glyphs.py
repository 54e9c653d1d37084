"""Characters of many scripts, rendered from the fonts that matplotlib ships: no download.

A class is one character; its drawings are the fonts that have it, distorted anew at every draw.
Digits of every script are left out, so that digits stay a task that was never seen.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from matplotlib import get_data_path
from matplotlib.ft2font import FT2Font
from PIL import Image, ImageDraw, ImageFont

from metawright.rng import stream
from metawright.tasks.classes import ImageClasses, split_classes
from metawright.tasks.distort import Distortion
from metawright.tasks.episode import Episode, draw_episode
from metawright.tasks.imbalance import Shots
from metawright.tasks.task import Split, Task

__all__ = ["Glyphs", "glyph_classes", "is_digit"]

SIDE = 40  # pixels of a rendered glyph: room to distort before it is brought to the final size
ALIKE = 0.93  # correlation above which two characters count as one shape (A, Alpha, Cyrillic A)
_LATIN_ONLY = ("cmr10", "cmss10", "cmtt10", "cmb10")  # elsewhere their code points are symbols


class Glyphs:
    """Tasks of telling characters apart that are rendered from fonts.

    Arguments:
        ways, shots, queries, balanced: see `Episode`.
        size: side of the images in pixels.
        distortion: how each drawn image is distorted (default: like quick handwriting).
        device: where images are made.
    """

    name = "glyphs"

    def __init__(
        self,
        *,
        ways: int | tuple[int, int] = 5,
        shots: Shots = 1,
        queries: int = 15,
        balanced: bool = True,
        size: int = 28,
        distortion: Distortion | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.episode = Episode(ways, shots, queries, balanced)
        self.distortion = distortion or Distortion(
            rotation=12, shear=0.3, stretch=0.2, elastic=0.04, thickness=1.0, size=size
        )
        self.table = glyph_classes().to(device)

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of characters of `split`."""
        return draw_episode(
            self.table, self.episode, split, rng, distort=self.distortion, source=self.name
        )


def is_digit(character: str) -> bool:
    """Whether a character is, or is made of, a digit of any script (3, ٣, ३, ³, ①, ½, Ⅷ ...)."""
    return any(
        unicodedata.numeric(part, None) is not None
        for part in character + unicodedata.normalize("NFKD", character)
    )


@lru_cache(maxsize=1)
def glyph_classes() -> ImageClasses:
    """All characters of matplotlib's text fonts, by shape, with a fixed split by class."""
    drawings: dict[str, list[np.ndarray]] = {}
    for path in _fonts():
        font = ImageFont.truetype(str(path), 48)
        for character in _characters(path):
            image = _render(font, character)
            if image is not None:
                # Mathematical bold A and A are one character in two fonts.
                drawings.setdefault(unicodedata.normalize("NFKC", character), []).append(image)
    kept = _distinct(drawings)
    images = np.stack([image for name in kept for image in drawings[name]])
    return ImageClasses(
        torch.from_numpy(images)[:, None],
        tuple(len(drawings[name]) for name in kept),
        tuple(kept),
        split_classes(len(kept), stream(0, "glyphs", "split")),
        reuse=True,
    )


def _fonts() -> list[Path]:
    folder = Path(get_data_path()) / "fonts" / "ttf"
    names = [p for p in sorted(folder.glob("*.ttf")) if "Display" not in p.stem]
    return [p for p in names if p.stem.startswith(("DejaVu", "STIXGeneral", *_LATIN_ONLY))]


def _characters(path: Path) -> Iterator[str]:
    latin_only = path.stem in _LATIN_ONLY
    for code in sorted(FT2Font(str(path)).get_charmap()):
        character = chr(code)
        kind = unicodedata.category(character)
        if latin_only and not (character.isascii() and character.isalpha()):
            continue
        # Accented letters (canonically decomposable) would be near-copies of their base.
        plain = not unicodedata.decomposition(character) or unicodedata.decomposition(
            character
        ).startswith("<")
        if kind in ("Lu", "Ll", "Lo", "Sm", "Sc") and plain and not is_digit(character):
            yield character


def _render(font: ImageFont.FreeTypeFont, character: str) -> np.ndarray | None:
    """The character centred on a square of `SIDE` pixels, ink = 255; None where it is blank."""
    canvas = Image.new("L", (128, 128))
    ImageDraw.Draw(canvas).text((36, 24), character, fill=255, font=font)
    box = canvas.getbbox()
    if box is None or max(box[2] - box[0], box[3] - box[1]) < 6:
        return None
    ink = canvas.crop(box)
    side = round(max(ink.size) * 1.4)
    square = Image.new("L", (side, side))
    square.paste(ink, ((side - ink.width) // 2, (side - ink.height) // 2))
    return np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def _distinct(drawings: dict[str, list[np.ndarray]]) -> list[str]:
    """Characters of which no earlier one has the same shape in its first font."""
    names = sorted(drawings)
    small = np.stack(
        [drawings[n][0].reshape(SIDE // 2, 2, SIDE // 2, 2).mean((1, 3)).ravel() for n in names]
    )
    small = small - small.mean(1, keepdims=True)
    small /= np.linalg.norm(small, axis=1, keepdims=True)
    alike = small @ small.T > ALIKE
    kept: list[int] = []
    for index in range(len(names)):
        if not alike[index, kept].any():
            kept.append(index)
    return [names[index] for index in kept]
