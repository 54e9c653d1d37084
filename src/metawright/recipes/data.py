"""What a model is to be generated for: a folder of images, a named source, arrays, or a task."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from metawright.errors import InputError
from metawright.lazy import load
from metawright.rng import stream
from metawright.tasks import SOURCES
from metawright.tasks.folder import ClassFolder, scan_classes
from metawright.tasks.images import whole_task
from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec

__all__ = ["array_task", "folder_task", "images_of", "resized", "source_task"]

GENERATED = ("digits", "glyphs", "omniglot")  # named sources that give classification of images


def folder_task(
    path: Path | ClassFolder, *, channels: int, size: int
) -> tuple[Task, tuple[str, ...]]:
    """Every image of a folder with one sub-folder a class, and notes on what was left out."""
    folder = path if isinstance(path, ClassFolder) else scan_classes(path)
    lone = [name for name, files in folder.files.items() if len(files) == 1]
    notes = list(folder.notes)
    if lone and len(lone) < len(folder.files):
        notes.append(
            f"{len(lone)} of {len(folder.files)} classes have one image only "
            f"({', '.join(lone[:5])}): they are learned, but cannot be checked."
        )
    return whole_task(folder, size=size, channels=channels), tuple(notes)


def source_task(name: str, *, ways: int, shots: int, queries: int, seed: int) -> Task:
    """A task drawn from a named source, with queries to judge the model on.

    Raises:
        InputError: an unknown source, or one that has no images to classify.
    """
    if name not in GENERATED:
        known = ", ".join(GENERATED)
        raise InputError(
            f"'{name}' is neither a folder nor a source of images: give a folder with one "
            f"sub-folder a class, or one of {known}."
        )
    source = load(SOURCES[name])(ways=ways, shots=shots, queries=queries)
    return _sorted(source.draw(Split.TEST, stream(seed, "task")))


def _sorted(task: Task) -> Task:
    """The task with its classes, and the examples in each batch, in the order of their names."""
    names = task.spec.classes
    order = sorted(range(len(names)), key=lambda label: names[label])
    place = torch.empty(len(names), dtype=torch.int64)
    place[torch.tensor(order)] = torch.arange(len(names))

    def sort(batch: Batch) -> Batch:
        labels = place[batch.labels]
        rows = torch.argsort(labels, stable=True)
        return Batch(batch.x[rows], labels[rows])

    spec = replace(task.spec, classes=tuple(names[label] for label in order))
    return Task(sort(task.support), sort(task.query), spec)


def array_task(x: Any, y: Sequence[Any], *, scale: tuple[float, float] | None = None) -> Task:
    """A task from arrays: every example is support, classes are the sorted labels.

    Arguments:
        x: (examples, height, width), (examples, channels, height, width), or (examples, pixels)
            with a square number of pixels.
        y: (examples,) labels.
        scale: the numbers in `x` that stand for 0 and 1 (default: its least and largest).

    Raises:
        InputError: wrong shapes, fewer than two classes, or numbers that are not finite.
    """
    images, labels = images_of(x, scale=scale), np.asarray(y)
    if labels.ndim != 1 or len(labels) != len(images):
        raise InputError(
            "`y` must hold one label an example, but got "
            f"{labels.shape} for {len(images)} examples."
        )
    names = np.unique(labels)
    if len(names) < 2:
        raise InputError(f"There must be at least two classes, but got {len(names)}.")
    numbers = torch.from_numpy(np.searchsorted(names, labels)).long()
    order = torch.argsort(numbers, stable=True)
    spec = TaskSpec(
        Kind.CLASSIFICATION,
        tuple(images.shape[1:]),
        len(names),
        tuple(str(name) for name in names),
        max(images.shape[-2:]),
        "arrays",
    )
    batch = Batch(images[order], numbers[order])
    return Task(batch, Batch(batch.x[:0], numbers[:0]), spec)


def images_of(x: Any, *, scale: tuple[float, float] | None = None) -> torch.Tensor:
    """Arrays as images (examples, channels, height, width) float32 in 0..1; see `array_task`."""
    array = np.asarray(x.numpy(force=True) if isinstance(x, torch.Tensor) else x)
    if array.ndim == 2:
        side = int(array.shape[1] ** 0.5)
        if side * side != array.shape[1]:
            raise InputError(
                "`x` must hold images: (examples, height, width), (examples, channels, height, "
                f"width) or a square number of pixels, but got shape {array.shape}."
            )
        array = array.reshape(-1, 1, side, side)
    elif array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or not len(array):
        raise InputError(f"`x` must hold images, but got shape {array.shape}.")
    if array.shape[1] not in (1, 3):
        raise InputError(
            f"`x` must have 1 or 3 channels in its second axis, but got shape {array.shape}."
        )
    images = torch.from_numpy(array.astype(np.float32))
    if not torch.isfinite(images).all():
        raise InputError("`x` must be finite, but it holds NaN or infinite numbers.")
    low, high = scale or (float(images.min()), float(images.max()))
    return ((images - low) / max(high - low, 1e-12)).clamp(0, 1)


def resized(task: Task, *, channels: int, size: int) -> Task:
    """The task with its images at the size and channels of a bundle."""

    def fit(batch: Batch) -> Batch:
        x = batch.x
        if x.shape[1] != channels:
            x = x.mean(1, keepdim=True).expand(-1, channels, -1, -1)
        if not len(x):
            x = x.new_zeros(0, channels, size, size)
        elif x.shape[-2:] != (size, size):
            x = F.interpolate(x, (size, size), mode="bilinear", antialias=True)
        return Batch(x, batch.y)

    spec = task.spec
    native = spec.native_size or max(spec.features[1:])
    return Task(
        fit(task.support),
        fit(task.query),
        TaskSpec(
            spec.kind, (channels, size, size), spec.outputs, spec.classes, native, spec.source
        ),
    )
