"""What a model can be generated for, and what is refused in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from metawright.errors import InputError
from metawright.recipes.data import array_task, folder_task, images_of, resized, source_task
from metawright.tasks.folder import scan_classes
from metawright.tasks.task import Batch, Kind, Task, TaskSpec


def test_a_folder(shapes: Path) -> None:
    task, notes = folder_task(shapes, channels=3, size=16)
    assert task.support.x.shape == (12, 3, 16, 16) and len(task.query.x) == 0
    assert task.support.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert task.spec.classes == ("bar", "ring", "slope") and task.spec.native_size == 20
    assert notes == ()
    again, _ = folder_task(scan_classes(shapes), channels=3, size=16)
    assert torch.equal(again.support.x, task.support.x)


def test_notes_on_lone_and_damaged_images(
    shapes: Path, draw_shapes_in: Callable[..., Path]
) -> None:
    draw_shapes_in(shapes, {"cross": 1})
    (shapes / "bar" / "bad.png").write_bytes(b"no image")
    task, notes = folder_task(shapes, channels=1, size=28)
    assert len(notes) == 2
    assert "1 image could not be read and is left out" in notes[0] and "bad.png" in notes[0]
    assert "1 of 4 classes have one image only (cross)" in notes[1]
    assert len(task.support.x) == 13


def test_one_image_of_every_class_needs_no_note(
    tmp_path: Path, draw_shapes_in: Callable[..., Path]
) -> None:
    _, notes = folder_task(
        draw_shapes_in(tmp_path / "one", {"bar": 1, "ring": 1}), channels=1, size=28
    )
    assert notes == ()


def test_a_source() -> None:
    task = source_task("digits", ways=4, shots=2, queries=3, seed=1)
    assert task.support.x.shape == (8, 1, 8, 8) and task.query.x.shape == (12, 1, 8, 8)
    same = source_task("digits", ways=4, shots=2, queries=3, seed=1)
    assert torch.equal(task.support.x, same.support.x)
    other = source_task("digits", ways=4, shots=2, queries=3, seed=2)
    assert not torch.equal(task.support.x, other.support.x)


@pytest.mark.parametrize("name", ["sinusoid", "images", "nonsense"])
def test_sources_without_images_to_classify(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' is neither a folder nor a source of images"):
        source_task(name, ways=2, shots=1, queries=0, seed=0)


def test_too_many_ways_or_shots() -> None:
    with pytest.raises(InputError, match="ask for at most 10 ways"):
        source_task("digits", ways=11, shots=1, queries=0, seed=0)
    with pytest.raises(InputError, match="lower the shots or queries"):
        source_task("digits", ways=10, shots=400, queries=0, seed=0)


# --- arrays --------------------------------------------------------------------------------------


def test_arrays_are_sorted_by_class() -> None:
    x = np.arange(5 * 4).reshape(5, 2, 2)
    task = array_task(x, ["b", "a", "b", "c", "a"])
    assert task.spec.classes == ("a", "b", "c")
    assert task.support.labels.tolist() == [0, 0, 1, 1, 2]
    assert_close(task.support.x[:, 0, 0, 0] * 19, torch.tensor([4.0, 16, 0, 8, 12]))
    assert (task.spec.features, task.spec.native_size) == ((1, 2, 2), 2)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((3, 16), (3, 1, 4, 4)), ((3, 4, 5), (3, 1, 4, 5)), ((3, 3, 4, 5), (3, 3, 4, 5))],
)
def test_forms_of_images(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 17, shape)
    found = images_of(x)
    assert found.shape == expected and found.dtype == torch.float32
    assert (float(found.min()), float(found.max())) == (0.0, 1.0)
    assert_close(images_of(torch.from_numpy(x)), found)


def test_the_scale_can_be_given() -> None:
    x = np.array([[[0, 51], [102, 255]]], np.uint8)
    assert_close(images_of(x, scale=(0, 255)).flatten(), torch.tensor([0, 0.2, 0.4, 1]))
    assert_close(images_of(x, scale=(0, 102)).flatten(), torch.tensor([0, 0.5, 1, 1]))
    assert images_of(np.full((2, 3, 3), 7)).abs().max() == 0, "a flat image is no error"


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (np.zeros((2, 3)), [0, 1], r"square number of pixels, but got shape \(2, 3\)"),
        (np.zeros(4), [0, 1], r"must hold images, but got shape \(4,\)"),
        (np.zeros((0, 4, 4)), [], r"must hold images, but got shape \(0, 1, 4, 4\)"),
        (np.zeros((2, 4, 4, 3)), [0, 1], "1 or 3 channels in its second axis"),
        (np.full((2, 2, 2), np.nan), [0, 1], "must be finite"),
        (np.zeros((2, 2, 2)), [0, 1, 1], r"one label an example, but got \(3,\) for 2"),
        (np.zeros((2, 2, 2)), [[0], [1]], r"one label an example, but got \(2, 1\) for 2"),
        (np.zeros((2, 2, 2)), [5, 5], "at least two classes, but got 1"),
    ],
)
def test_wrong_arrays(x: Any, y: Any, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        array_task(x, y)


# --- the form of a bundle ------------------------------------------------------------------------


def test_resizing_keeps_the_native_size() -> None:
    x = torch.rand(4, 3, 10, 12, generator=torch.Generator())
    spec = TaskSpec(Kind.CLASSIFICATION, (3, 10, 12), 2, ("a", "b"), 0, "arrays")
    labels = torch.tensor([0, 0, 1, 1])
    task = resized(Task(Batch(x, labels), Batch(x[:0], labels[:0]), spec), channels=1, size=28)
    assert task.support.x.shape == (4, 1, 28, 28) and task.query.x.shape == (0, 1, 28, 28)
    assert (task.spec.features, task.spec.native_size) == ((1, 28, 28), 12)
    assert_close(task.support.x.mean((1, 2, 3)), x.mean((1, 2, 3)), atol=0.02, rtol=0)
    colour = resized(task, channels=3, size=28)
    assert_close(colour.support.x[:, 2], task.support.x[:, 0])
    assert colour.spec.native_size == 12
    same = resized(task, channels=1, size=28)
    assert torch.equal(same.support.x, task.support.x)
