"""Predictions of a generated model for image files or arrays."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from metawright.errors import InputError
from metawright.models.saved import SavedModel, load_model
from metawright.recipes.inputs import image_files, read_run
from metawright.tasks.folder import read_image

__all__ = ["Predictions", "predict_images", "predict_paths"]


@dataclass(frozen=True)
class Predictions:
    """What a model says of some images.

    Arguments:
        classes: names of the classes, in the order of the columns of `probabilities`.
        inputs: name of each image (its path as given).
        probabilities: (images, classes) float32, each row with sum 1.
        problems: a sentence for each image that could not be used; those are not in `inputs`.
    """

    classes: tuple[str, ...]
    inputs: list[str]
    probabilities: np.ndarray
    problems: list[str] = field(default_factory=list)

    @property
    def labels(self) -> list[str]:
        """The most probable class of each image."""
        return [self.classes[best] for best in self.probabilities.argmax(1)]

    @property
    def confidences(self) -> list[float]:
        """The probability of the most probable class of each image."""
        return [float(value) for value in self.probabilities.max(1)]


def predict_paths(
    run: Path | str,
    paths: Sequence[Path | str],
    *,
    batch: int = 256,
    progress: Callable[[int], None] | None = None,
) -> Predictions:
    """Predicts image files; a folder means every image in it, files keep the order given.

    Arguments:
        run: folder of a run of `generate`.
        batch: images in memory at once.
        progress: told after each batch how many images it had.

    Raises:
        InputError: the run or a path cannot be used. A single damaged image is no error: it
            becomes one of the `problems`.
    """
    if batch < 1:
        raise ValueError(f"`batch >= 1` must hold, but got (batch={batch}).")
    read_run(Path(run))
    files = image_files([Path(path) for path in paths])
    model = load_model(Path(run))
    if len(model.spec.features) != 3:
        raise InputError(
            f"The model of '{run}' takes examples of shape {model.spec.features}, not images: use "
            "it from Python (`metawright.load_found`)."
        )
    inputs: list[str] = []
    problems: list[str] = []
    parts: list[np.ndarray] = []
    for part in _chunks(files, batch):
        names, images = _read(part, model, problems)
        inputs += names
        if images:
            parts.append(predict_images(model, np.stack(images), batch=batch).probabilities)
        if progress is not None:
            progress(len(part))
    classes = _classes(model)
    found = np.concatenate(parts) if parts else np.zeros((0, len(classes)), np.float32)
    return Predictions(classes, inputs, found, problems)


def predict_images(
    model: SavedModel | Path | str, images: np.ndarray | Tensor, *, batch: int = 256
) -> Predictions:
    """Predicts images (images, channels, height, width) in 0..1; "0", "1", ... are their names.

    Arguments:
        model: a loaded model, or the folder of a run.
    """
    if not isinstance(model, SavedModel):
        read_run(Path(model))
        model = load_model(Path(model))
    x = torch.as_tensor(images)
    if x.ndim != 4 or not (x.is_floating_point() and x.isfinite().all()):
        raise InputError(
            "Images must be finite floats of shape (images, channels, height, width), but got "
            f"{x.dtype} of shape {tuple(x.shape)}."
        )
    kinds = {parameter.dtype for parameter in model.module.parameters()}
    x = x.to(kinds.pop() if len(kinds) == 1 else torch.float32)
    with torch.inference_mode():
        parts = (
            [model.module(part).softmax(1).float() for part in torch.split(x, batch)]
            if len(x)
            else []
        )
    classes = _classes(model)
    found = torch.cat(parts).numpy() if parts else np.zeros((0, len(classes)), np.float32)
    return Predictions(classes, [str(index) for index in range(len(x))], found)


def _read(
    files: Sequence[Path], model: SavedModel, problems: list[str]
) -> tuple[list[str], list[np.ndarray]]:
    """Names and images of the readable ones; the others add a sentence to `problems`."""
    channels, size = model.spec.features[0], model.spec.features[-1]
    names, images = [], []
    for path in files:
        try:
            images.append(read_image(path, channels=channels, size=size))
        except InputError as error:
            problems.append(str(error))
        else:
            # A file's name may hold bytes that are no text: shown as \udc.., never a crash later.
            names.append(os.fspath(path).encode("utf-8", "backslashreplace").decode())
    return names, images


def _classes(model: SavedModel) -> tuple[str, ...]:
    """Names of the classes; their numbers where they have none."""
    return model.spec.classes or tuple(str(label) for label in range(model.spec.outputs))


def _chunks(files: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]
