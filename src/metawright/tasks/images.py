"""A folder of images with one sub-folder a class, as a source of tasks."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.classes import ImageClasses, split_classes
from metawright.tasks.episode import Distort, Episode, draw_episode
from metawright.tasks.folder import ClassFolder, native_size, read_image, scan_classes
from metawright.tasks.imbalance import Shots
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec

__all__ = ["ImageFolder", "read_classes", "whole_task"]


class ImageFolder:
    """Tasks drawn from a folder with one sub-folder of images a class (any format of Pillow).

    Arguments:
        root: the folder.
        ways, shots, queries, balanced: see `Episode`.
        size: side in pixels to which images are resized; channels: 1 grey, 3 colour.
        validation, test: shares of the classes held out (drawn at random by `seed`).
        distort: distortion of the drawn images (default none).

    Raises:
        InputError: the folder is missing, empty or has fewer than two classes.
    """

    name = "images"

    def __init__(
        self,
        root: Path | str,
        *,
        ways: int | tuple[int, int] = 5,
        shots: Shots = 1,
        queries: int = 15,
        balanced: bool = True,
        size: int = 28,
        channels: int = 1,
        validation: float = 0.15,
        test: float = 0.15,
        seed: int = 0,
        distort: Distort | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        _check_form(size, channels)
        self.episode = Episode(ways, shots, queries, balanced)
        self.distort = distort
        folder = scan_classes(Path(root))
        splits = split_classes(
            len(folder.classes), stream(seed, "images", "split"), validation=validation, test=test
        )
        table = read_classes(folder, size=size, channels=channels, splits=splits).to(device)
        # A class with few images gives a task more than one differently distorted copy of some.
        few = distort is not None and min(table.counts) < self.episode.wanted
        self.table = replace(table, reuse=few)

    def draw(self, split: Split, rng: torch.Generator) -> Task:
        """One task of classes of `split`."""
        return draw_episode(
            self.table, self.episode, split, rng, distort=self.distort, source=self.name
        )


def read_classes(
    folder: ClassFolder, *, size: int, channels: int, splits: dict[Split, torch.Tensor]
) -> ImageClasses:
    """All images of a folder in one table."""
    files = [path for members in folder.files.values() for path in members]
    images = np.stack([read_image(path, channels=channels, size=size) for path in files])
    return ImageClasses(
        torch.from_numpy(np.round(images * 255).astype(np.uint8)),
        tuple(len(members) for members in folder.files.values()),
        folder.classes,
        splits,
        native_size=native_size(files),
    )


def whole_task(folder: ClassFolder, *, size: int, channels: int) -> Task:
    """One task with every image of the folder as support and an empty query.

    Raises:
        InputError: an image could not be read, or the folder has fewer than two classes.
    """
    _check_form(size, channels)
    if len(folder.files) < 2:
        raise InputError(f"'{folder.path}' has fewer than two classes.")
    files = [path for members in folder.files.values() for path in members]
    x = torch.from_numpy(
        np.stack([read_image(path, channels=channels, size=size) for path in files])
    )
    y = torch.repeat_interleave(
        torch.arange(len(folder.files)),
        torch.tensor([len(members) for members in folder.files.values()]),
    )
    spec = TaskSpec(
        Kind.CLASSIFICATION,
        (channels, size, size),
        len(folder.files),
        folder.classes,
        native_size(files),
        ImageFolder.name,
    )
    return Task(Batch(x, y), Batch(x[:0], y[:0]), spec)


def _check_form(size: int, channels: int) -> None:
    if size < 1 or channels not in (1, 3):
        raise InputError(
            "`size >= 1` and `channels` of 1 (grey) or 3 (colour) must hold, but got "
            f"(size={size}, channels={channels})."
        )
