"""MNIST: handwritten digits at 28 x 28 pixels, from the data folder."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from metawright.tasks.classes import ImageClasses
from metawright.tasks.data_folder import data_file, read_arrays
from metawright.tasks.episode import Distort, Episode, draw_episode
from metawright.tasks.imbalance import Shots
from metawright.tasks.parts import Parts, assign_classes, in_thirds
from metawright.tasks.resize import check_form, resized
from metawright.tasks.task import Split, Task

__all__ = ["MNIST", "mnist_classes"]

_FILE = "mnist_28x28_15k_4k.npz"
_DIGITS = tuple("0123456789")


class MNIST:
    """Tasks of telling handwritten digits apart, out of 10 classes.

    Arguments:
        root: folder with `mnist_28x28_15k_4k.npz` (arrays `train_images`, `train_labels`,
            `test_images`, `test_labels`); default: `mnist` in the folder METAWRIGHT_DATA.
        ways, shots, queries, balanced: see `Episode`.
        splits: digits of each part, such as {"train": "01234", "test": "56789"}, or one part for
            all ten: "test" makes the source unseen. Default 0 to 3 for training, 4 to 6 for
            validation, 7 to 9 for test, so that a task has at most three ways.
        size, channels: of the images; they are drawn at 28 and grey.
        distort: distortion of the drawn images (default none).
        device: where images are held.

    Raises:
        InputError: the file is missing or damaged, or `splits` names no digits.

    References:
        Gradient-Based Learning Applied to Document Recognition, LeCun, Bottou, Bengio and Haffner,
        1998, https://doi.org/10.1109/5.726791
    """

    name = "mnist"

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        ways: int | tuple[int, int] = 3,
        shots: Shots = 1,
        queries: int = 15,
        balanced: bool = True,
        splits: Parts | None = None,
        size: int = 28,
        channels: int = 1,
        distort: Distort | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.episode = Episode(ways, shots, queries, balanced)
        check_form(size, channels)
        parts = assign_classes(_DIGITS, in_thirds(_DIGITS) if splits is None else splits)
        images, counts = mnist_classes(data_file(root, "mnist", _FILE))
        images = resized(images, channels=channels, size=size)
        self.table = ImageClasses(images, counts, _DIGITS, parts, native_size=28).to(device)
        self.distort = distort

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of digits of `split`."""
        return draw_episode(
            self.table, self.episode, split, rng, distort=self.distort, source=self.name
        )


@lru_cache(maxsize=1)
def mnist_classes(path: Path) -> tuple[torch.Tensor, tuple[int, ...]]:
    """All images by digit, (images, 1, 28, 28) uint8, ink = 255, and how many each digit has."""
    arrays = read_arrays(path, ("train_images", "test_images", "train_labels", "test_labels"))
    images, labels = np.concatenate(arrays[:2]), np.concatenate(arrays[2:])
    order = np.argsort(labels, kind="stable")
    counts = np.bincount(labels, minlength=len(_DIGITS))
    return torch.from_numpy(images[order])[:, None], tuple(counts.tolist())
