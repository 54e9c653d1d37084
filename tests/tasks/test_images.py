"""Image folders as tasks."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.folder import read_image, scan_classes
from metawright.tasks.images import ImageFolder, whole_task
from metawright.tasks.task import Split

SaveImage = Callable[..., Path]


def test_whole_task_is_every_image_under_its_class(images_root: Path) -> None:
    folder = scan_classes(images_root)
    task = whole_task(folder, size=14, channels=1)
    assert task.support.x.shape == (160, 1, 14, 14)
    assert task.query.x.shape == (0, 1, 14, 14)
    assert task.support.labels.tolist() == [k for k in range(20) for _ in range(8)]
    assert task.spec.classes == folder.classes
    assert task.spec.native_size == 20
    third = read_image(folder.files["class 02"][5], channels=1, size=14)
    assert torch.equal(task.support.x[2 * 8 + 5], torch.from_numpy(third))


def test_drawings_are_the_folders(images_root: Path) -> None:
    task = ImageFolder(images_root, ways=2, queries=1, size=20).draw(Split.TRAIN, stream(0))
    name = task.spec.classes[0]
    files = scan_classes(images_root).files[name]
    known = [torch.from_numpy(read_image(path, channels=1, size=20)) for path in files]
    assert any(torch.allclose(task.support.x[0], image, atol=0.003) for image in known)


def test_colour_and_mixed_sizes(tmp_path: Path, save: SaveImage) -> None:
    for name, mode, size in (("a", "RGB", (9, 30)), ("b", "L", (4, 4)), ("c", "RGBA", (50, 40))):
        save(tmp_path / name / "1.png", mode=mode, size=size)
        save(tmp_path / name / "2.png", mode=mode, size=size[::-1])
    source = ImageFolder(tmp_path, ways=1, queries=1, channels=3, size=16)
    for split in Split:
        assert source.draw(split, stream(0)).query.x.shape == (1, 3, 16, 16)


def test_a_class_with_one_image_works(tmp_path: Path, save: SaveImage) -> None:
    save(tmp_path / "a" / "1.png")
    save(tmp_path / "b" / "1.png")
    task = whole_task(scan_classes(tmp_path), size=8, channels=1)
    assert task.support.labels.tolist() == [0, 1]
    source = ImageFolder(tmp_path, ways=2, shots=1, queries=1)
    with pytest.raises(InputError, match="has 1 examples, but shots"):
        source.draw(Split.TRAIN, stream(0))


def test_two_classes_are_all_for_training(tmp_path: Path, save: SaveImage) -> None:
    save(tmp_path / "a" / "1.png")
    save(tmp_path / "b" / "1.png")
    with pytest.raises(InputError, match="the test part of 'images' has 0: draw from another"):
        ImageFolder(tmp_path, ways=2).draw(Split.TEST, stream(0))


def test_bad_arguments(tmp_path: Path, images_root: Path) -> None:
    with pytest.raises(InputError, match="There is no folder"):
        ImageFolder(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"`channels` of 1 \(grey\) or 3"):
        ImageFolder(images_root, channels=2)
    with pytest.raises(InputError, match=r"`size >= 1`.* got \(size=0"):
        whole_task(scan_classes(images_root), size=0, channels=1)
    with pytest.raises(InputError, match=r"validation \+ test < 1"):
        ImageFolder(images_root, validation=0.6, test=0.6)
    single = scan_classes(images_root)
    one = type(single)(single.path, {"class 00": single.files["class 00"]})
    with pytest.raises(InputError, match="fewer than two classes"):
        whole_task(one, size=8, channels=1)
