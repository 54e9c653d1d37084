"""CIFAR-10 and the traffic signs, from small files of their form and from the real ones."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.photos import CIFAR10, TrafficSigns
from metawright.tasks.task import Split


def test_photographs_are_decoded_under_their_class(cifar10_root: Path) -> None:
    table = CIFAR10(cifar10_root).table
    assert table.images.shape == (250, 3, 32, 32) and table.counts == (25,) * 10
    red = table.images[:, 0, 5, 5].float().reshape(10, 25)
    assert float((red - 20 * torch.arange(10)[:, None]).abs().max()) <= 6  # JPEG loses a little
    assert table.names[3] == "thing 3"


def test_grey_and_small(cifar10_root: Path) -> None:
    task = CIFAR10(cifar10_root, size=28, channels=1, queries=2).draw(Split.TRAIN, stream(0))
    assert task.query.x.shape == (6, 1, 28, 28)
    assert task.spec.native_size == 32


def test_a_damaged_photograph_is_said(cifar10_root: Path, tmp_path: Path) -> None:
    with np.load(cifar10_root / "cifar10_subset_jpeg.npz", allow_pickle=False) as arrays:
        content = dict(arrays)
    content["train_jpeg"][100:400] = 0
    np.savez(tmp_path / "cifar10_subset_jpeg.npz", allow_pickle=False, **content)
    with pytest.raises(InputError, match=r"npz' holds a damaged photograph"):
        CIFAR10(tmp_path)


def _frames(x: torch.Tensor) -> list[tuple[int, int]]:
    """Class and track of each image."""
    return [(round(255 * float(a)), round(255 * float(b))) for a, b in x[:, :2, 0, 0]]


def test_no_track_is_on_both_sides_of_a_task(gtsrb_root: Path) -> None:
    source = TrafficSigns(gtsrb_root, ways=4, shots=3, queries=4)
    seen = 0
    for seed in range(30):
        task = source.draw(Split.TRAIN, stream(seed))
        support, query = _frames(task.support.x), _frames(task.query.x)
        names = [str(label) for label, _ in support]
        assert names == [task.spec.classes[k] for k in task.support.labels.tolist()]
        assert not {*support} & {*query}
        seen += len(support) - len({*support})
    assert seen > 0  # two frames of a track on one side are allowed


def test_classes_with_too_few_signs_are_left_out(gtsrb_root: Path) -> None:
    assert len(TrafficSigns(gtsrb_root, shots=1, queries=5).table.names) == 43
    kept = TrafficSigns(gtsrb_root, shots=5, queries=15).table  # 11 tracks and more
    assert kept.names == tuple(str(label) for label in range(43) if label % 11 >= 6)
    unseen = TrafficSigns(gtsrb_root, shots=1, queries=2, splits="test").table
    assert [unseen.size(split) for split in Split] == [0, 0, 43]


def test_the_real_signs(data: Callable[[str], Path]) -> None:
    table = TrafficSigns(data("gtsrb"), shots=1, queries=2).table
    assert len(table.images) == 1776 and len(table.names) == 43
    assert [table.size(split) for split in Split] == [21, 9, 13]
    assert min(table.room) == 9  # ten frames of five tracks


def test_the_real_objects(data: Callable[[str], Path]) -> None:
    table = CIFAR10(data("cifar10")).table
    assert table.counts == (1200,) * 10 and table.names[2] == "bird"
    ships, frogs = table.images[9600:10800].float(), table.images[7200:8400].float()
    assert float((ships[:, 2] - ships[:, 0]).mean()) > 5  # the sea is blue
    assert float((frogs[:, 2] - frogs[:, 0]).mean()) < -5
