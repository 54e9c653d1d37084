"""What a search learns from: a source, a folder, texts, arrays or a task, in three parts."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from metawright.errors import InputError
from metawright.lazy import load
from metawright.recipes.data import images_of
from metawright.rng import stream
from metawright.tasks import SOURCES
from metawright.tasks.classes import ImageClasses
from metawright.tasks.contents import source_of
from metawright.tasks.division import Division, divide, divide_task
from metawright.tasks.folder import native_size, scan_classes
from metawright.tasks.images import read_classes
from metawright.tasks.task import Batch, Kind, Task, TaskSpec

__all__ = ["Data", "open_data"]

_LARGEST = 32  # pixels of a side to which images of folders are brought, where nothing was said
_CLASSES = 20  # whole floats of more values are no classes
_LOOKED_AT = 50  # images of a folder, for whether they have colour


class Data(NamedTuple):
    """The data of a search.

    Arguments:
        division: to learn from, to choose by, to judge by.
        name: for people.
        fingerprint: the same for the same examples in the same parts.
        notes: sentences about what was left out or assumed.
    """

    division: Division
    name: str
    fingerprint: str
    notes: tuple[str, ...] = ()


def open_data(
    data: Any,
    *,
    seed: int,
    examples: int | None = None,
    size: int | None = None,
    channels: int | None = None,
) -> Data:
    """The data in three parts.

    Arguments:
        data: a name of `SOURCES` with classes (see `check.check_problem`); a folder with one
            sub-folder of images, .txt or .wav files a class; a table of texts; a pair of arrays
            (x, y); or a `Task`.
        seed: of the division.
        examples: at most; None: all.
        size, channels: of images from folders; None: their own size up to 32 pixels, and colour
            where they have any.

    Raises:
        InputError: the data cannot be read, or gives no classification or regression.
    """
    rng = stream(seed, "division")
    notes: list[str] = []
    if isinstance(data, Task):
        division, name = divide_task(data, rng), data.spec.source or "task"
    elif isinstance(data, tuple) and len(data) == 2:
        division, name = divide_task(_arrays(*data), rng), "arrays"
    elif isinstance(data, str | Path):
        table, source = _table(data, size, channels, notes)
        division, name = divide(table, rng, most=examples, source=source), str(data)
    else:
        raise InputError(
            "`data` must be the name of a source, a folder, a table of texts, a pair of arrays "
            f"(x, y) or a Task, but got {type(data).__name__}."
        )
    parts = (division.task.support, division.task.query, division.test)
    notes.append(
        f"{len(parts[0].x)} examples to learn from, {len(parts[1].x)} to choose by, "
        f"{len(parts[2].x)} kept aside for the end."
    )
    return Data(division, name, _fingerprint(parts), tuple(notes))


def _table(
    data: str | Path, size: int | None, channels: int | None, notes: list[str]
) -> tuple[ImageClasses, str]:
    """All classes of a source or of a folder, and the source's name."""
    path = Path(data)
    if not path.exists():
        return _source(str(data)), str(data)
    kind = source_of(path)
    if kind != "images":
        source = load(SOURCES[kind])(path)
        return source.table, kind
    folder = scan_classes(path)
    notes += folder.notes
    files = [file for members in folder.files.values() for file in members]
    own = size or min(native_size(files), _LARGEST)
    colours = channels or (3 if any(map(_has_colour, _some(files))) else 1)
    notes.append(f"Images are read at {own} x {own}, {'grey' if colours == 1 else 'in colour'}.")
    return read_classes(folder, size=own, channels=colours, splits={}), kind


def _source(name: str) -> ImageClasses:
    table: ImageClasses = load(SOURCES[name])().table
    return replace(table, rotations=1)


def _arrays(x: Any, y: Any) -> Task:
    """Arrays as a task without queries, of classification or regression."""
    answers = np.asarray(y)
    given = np.asarray(x.numpy(force=True) if isinstance(x, torch.Tensor) else x)
    vectors = given.ndim == 2
    inputs = torch.as_tensor(given, dtype=torch.float32) if vectors else images_of(given)
    if len(answers) != len(inputs):
        raise InputError(
            f"`y` must hold one answer an example, but has {len(answers)} for {len(inputs)}."
        )
    if not torch.isfinite(inputs).all():
        raise InputError("`x` must be finite, but it holds NaN or infinite numbers.")
    if _are_quantities(answers):
        targets = torch.as_tensor(answers, dtype=torch.float32).reshape(len(answers), -1)
        spec = TaskSpec(
            Kind.REGRESSION, tuple(inputs.shape[1:]), targets.shape[1], source="arrays"
        )
        return Task(Batch(inputs, targets), Batch(inputs[:0], targets[:0]), spec)
    names, labels = np.unique(answers, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"There must be at least two classes, but got {len(names)}.")
    spec = TaskSpec(
        Kind.CLASSIFICATION,
        tuple(inputs.shape[1:]),
        len(names),
        tuple(str(name) for name in names),
        source="arrays",
    )
    numbers = torch.as_tensor(labels, dtype=torch.int64)
    return Task(Batch(inputs, numbers), Batch(inputs[:0], numbers[:0]), spec)


def _are_quantities(answers: np.ndarray) -> bool:
    """Floats with a fraction, or of more than twenty values, are numbers to predict."""
    if answers.dtype.kind != "f":
        return False
    return not np.all(answers == np.round(answers)) or len(np.unique(answers)) > _CLASSES


def _some(files: list[Path]) -> list[Path]:
    return files[:: max(len(files) // _LOOKED_AT, 1)]


def _has_colour(path: Path) -> bool:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), np.int16)
    return bool((pixels.max(2) - pixels.min(2)).max() > 8)


def _fingerprint(parts: tuple[Batch, ...]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.x.contiguous().numpy().tobytes())
        digest.update(part.labels.contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
