"""scikit-learn's handwritten digits: 1,797 drawings at 8 x 8 pixels, offline.

References:
    Optical recognition of handwritten digits, Alpaydin and Kaynak 1998,
    https://doi.org/10.24432/C50P49
"""

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from metawright.errors import InputError
from metawright.lazy import load
from metawright.tasks.classes import ImageClasses
from metawright.tasks.episode import Episode, draw_episode
from metawright.tasks.imbalance import Shots
from metawright.tasks.task import Split, Task

__all__ = ["Digits", "digit_classes"]


class Digits:
    """Tasks of telling the ten digits apart; all ten classes belong to every split.

    The digits are one task rather than many, so the splits do not divide its classes: a source of
    this kind is for generating and judging, not for meta-training.

    Arguments:
        ways, shots, queries, balanced: see `Episode`.
        size: side of the images in pixels (the drawings have 8).
    """

    name = "digits"

    def __init__(
        self,
        *,
        ways: int | tuple[int, int] = 10,
        shots: Shots = 5,
        queries: int = 50,
        balanced: bool = True,
        size: int = 8,
        device: torch.device | str = "cpu",
    ) -> None:
        if size < 1:
            raise InputError(f"`size >= 1` must hold, but got {size}.")
        self.episode = Episode(ways, shots, queries, balanced)
        self.size = size
        self.table = digit_classes().to(device)

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of digits."""
        return draw_episode(
            self.table,
            self.episode,
            split,
            rng,
            distort=None if self.size == 8 else self._resized,
            source=self.name,
        )

    def _resized(self, images: Tensor, rng: torch.Generator) -> Tensor:
        return F.interpolate(images, (self.size, self.size), mode="bilinear", antialias=True)


@lru_cache(maxsize=1)
def digit_classes() -> ImageClasses:
    """All drawings by class: images (1797, 1, 8, 8) uint8, ink = 255."""
    values, labels = _digits()
    order = np.argsort(labels, kind="stable")
    images = np.round(values[order].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    everything = torch.arange(10)
    return ImageClasses(
        torch.from_numpy(images)[:, None],
        tuple(np.bincount(labels).tolist()),
        tuple("0123456789"),
        dict.fromkeys(Split, everything),
        native_size=8,
    )


def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (1797, 64) in 0..16 and labels (1797,), out of scikit-learn's own file.

    Importing scikit-learn takes longer than making a first model of its digits, so the file is
    read without it; where it is not in its usual place, scikit-learn is asked.
    """
    package = find_spec("sklearn")
    if package is not None and package.origin is not None:
        path = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            table = np.loadtxt(path, delimiter=",")
            return table[:, :-1], table[:, -1].astype(np.int64)
    data = load("sklearn.datasets:load_digits")()
    return data.data, data.target
