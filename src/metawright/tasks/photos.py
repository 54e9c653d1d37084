"""Colour photographs from the data folder: CIFAR-10's objects and the German traffic signs."""

import io
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.classes import ImageClasses, split_classes
from metawright.tasks.data_folder import data_file, read_arrays
from metawright.tasks.episode import Distort, Episode, draw_episode
from metawright.tasks.imbalance import Shots
from metawright.tasks.parts import Parts, assign_classes, in_thirds, without_small
from metawright.tasks.resize import check_form, resized
from metawright.tasks.task import Split, Task

__all__ = ["CIFAR10", "TrafficSigns", "cifar10_classes", "traffic_sign_classes"]

_CIFAR10 = "cifar10_subset_jpeg.npz"
_SIGNS = "gtsrb_32x32.npz"


class CIFAR10:
    """Tasks of telling photographed objects apart, out of 10 classes.

    Arguments:
        root: folder with `cifar10_subset_jpeg.npz` (JPEG bytes and offsets); default: `cifar10` in
            the folder METAWRIGHT_DATA. JPEG loses detail, so figures do not compare with papers.
        ways, shots, queries, balanced: see `Episode`.
        splits: names of the classes of each part, or one part for all ten: "test" makes the source
            unseen. Default airplane, automobile, bird and cat for training, deer, dog and frog for
            validation, horse, ship and truck for test, so that a task has at most three ways.
        size, channels: of the images; the photographs have 32 and 3.
        distort: distortion of the drawn images (default none).
        device: where images are held.

    Raises:
        InputError: the file is missing or damaged, or `splits` names other classes.

    References:
        Learning Multiple Layers of Features from Tiny Images, Krizhevsky, 2009,
        https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf
    """

    name = "cifar10"

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        ways: int | tuple[int, int] = 3,
        shots: Shots = 1,
        queries: int = 15,
        balanced: bool = True,
        splits: Parts | None = None,
        size: int = 32,
        channels: int = 3,
        distort: Distort | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.episode = Episode(ways, shots, queries, balanced)
        check_form(size, channels)
        images, counts, names = cifar10_classes(data_file(root, "cifar10", _CIFAR10))
        parts = assign_classes(names, in_thirds(names) if splits is None else splits)
        images = resized(images, channels=channels, size=size)
        self.table = ImageClasses(images, counts, names, parts, native_size=32).to(device)
        self.distort = distort

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of objects of `split`."""
        return draw_episode(
            self.table, self.episode, split, rng, distort=self.distort, source=self.name
        )


class TrafficSigns:
    """Tasks of telling German traffic signs apart, out of 43 classes.

    The photographs are frames of films of single signs. Two frames of one sign never lie on both
    sides of a task: they are so alike that the task would be no task. Classes with too few signs
    for the shots and queries asked for are left out.

    Arguments:
        root: folder with `gtsrb_32x32.npz` (arrays `images`, `labels`, `tracks`); default: `gtsrb`
            in the folder METAWRIGHT_DATA.
        ways, shots, queries, balanced: see `Episode`.
        splits: names of the classes ("0" to "42") of each part, or one part for all: "test" makes
            the source unseen. Default: a random split by `seed`, 9 for validation, 13 for test.
        size, channels: of the images; they come with 32 and 3.
        seed: of the random split.
        distort: distortion of the drawn images (default none).
        device: where images are held.

    Raises:
        InputError: the file is missing or damaged, or `splits` names other classes.

    References:
        Man vs. computer: Benchmarking machine learning algorithms for traffic sign recognition,
        Stallkamp, Schlipsing, Salmen and Igel, 2012, https://doi.org/10.1016/j.neunet.2012.02.016
    """

    name = "gtsrb"

    def __init__(
        self,
        root: Path | str | None = None,
        *,
        ways: int | tuple[int, int] = 5,
        shots: Shots = 1,
        queries: int = 15,
        balanced: bool = True,
        splits: Parts | None = None,
        size: int = 32,
        channels: int = 3,
        seed: int = 0,
        distort: Distort | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.episode = Episode(ways, shots, queries, balanced)
        check_form(size, channels)
        table = traffic_sign_classes(data_file(root, "gtsrb", _SIGNS), seed)
        if splits is not None:
            table = replace(table, splits=assign_classes(table.names, splits))
        table = without_small(table, self.episode.wanted)
        images = resized(table.images, channels=channels, size=size)
        self.table = replace(table, images=images).to(device)
        self.distort = distort

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of signs of `split`."""
        return draw_episode(
            self.table, self.episode, split, rng, distort=self.distort, source=self.name
        )


@lru_cache(maxsize=1)
def cifar10_classes(path: Path) -> tuple[torch.Tensor, tuple[int, ...], tuple[str, ...]]:
    """All photographs by class, (images, 3, 32, 32) uint8, how many each has, and their names."""
    names, *parts = read_arrays(
        path,
        (
            "class_names",
            "train_jpeg",
            "train_offsets",
            "train_labels",
            "test_jpeg",
            "test_offsets",
            "test_labels",
        ),
    )
    try:
        images = np.concatenate([_decoded(*parts[:2]), _decoded(*parts[3:5])])
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise InputError(f"'{path}' holds a damaged photograph: fetch it again.") from error
    labels = np.concatenate([parts[2], parts[5]])
    order = np.argsort(labels, kind="stable")
    x = torch.from_numpy(images[order]).permute(0, 3, 1, 2).contiguous()
    counts = np.bincount(labels, minlength=len(names))
    return x, tuple(counts.tolist()), tuple(str(name) for name in names)


@lru_cache(maxsize=2)
def traffic_sign_classes(path: Path, seed: int = 0) -> ImageClasses:
    """All frames by class, (frames, 3, 32, 32) uint8, with a random split by class."""
    images, labels, tracks = read_arrays(path, ("images", "labels", "tracks"))
    order = np.lexsort((tracks, labels))
    classes = int(labels.max()) + 1
    return ImageClasses(
        torch.from_numpy(images[order]).permute(0, 3, 1, 2).contiguous(),
        tuple(np.bincount(labels).tolist()),
        tuple(str(number) for number in range(classes)),
        split_classes(classes, stream(seed, "gtsrb", "split"), validation=0.2, test=0.3),
        native_size=32,
        groups=torch.from_numpy(tracks[order].astype(np.int64)),
    )


def _decoded(stored: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """JPEG files that lie one after the other, as (images, height, width, 3)."""
    images = []
    for start, end in pairwise(offsets):
        with Image.open(io.BytesIO(stored[start:end].tobytes())) as file:
            images.append(np.asarray(file.convert("RGB")))
    return np.stack(images)
