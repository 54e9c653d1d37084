"""MNIST from a small file of its form, and from the real one."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.mnist import MNIST
from metawright.tasks.task import Split


def test_every_image_is_under_its_digit(mnist_root: Path) -> None:
    table = MNIST(mnist_root).table
    assert table.counts == (25,) * 10  # training and test images
    digits = table.images[:, 0, 0, 0].reshape(10, 25)
    assert torch.equal(digits, 10 * torch.arange(10, dtype=torch.uint8)[:, None].expand(-1, 25))


def test_parts_are_three_or_as_asked(mnist_root: Path) -> None:
    source = MNIST(mnist_root)
    assert [source.table.size(split) for split in Split] == [4, 3, 3]
    halves = MNIST(mnist_root, ways=5, queries=1, splits={"train": "01234", "test": "56789"})
    assert sorted(halves.draw(Split.TEST, stream(0)).spec.classes) == list("56789")
    unseen = MNIST(mnist_root, ways=10, queries=1, splits="test")
    assert sorted(unseen.draw(Split.TEST, stream(0)).spec.classes) == list("0123456789")
    with pytest.raises(InputError, match="train part of 'mnist' has 0"):
        unseen.draw(Split.TRAIN, stream(0))


def test_other_forms_keep_the_native_size(mnist_root: Path) -> None:
    task = MNIST(mnist_root, size=32, channels=3, queries=1).draw(Split.TEST, stream(0))
    assert task.support.x.shape == (3, 3, 32, 32)
    assert task.spec.native_size == 28


def test_missing_and_damaged_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("METAWRIGHT_DATA", raising=False)
    with pytest.raises(
        InputError, match=r"mnist/mnist_28x28_15k_4k.npz is needed, but METAWRIGHT"
    ):
        MNIST()
    (tmp_path / "mnist_28x28_15k_4k.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"mnist_28x28_15k_4k.npz' is damaged"):
        MNIST(tmp_path)


def test_the_real_digits(data: Callable[[str], Path]) -> None:
    source = MNIST(data("mnist"), ways=10, splits="test")
    assert source.table.counts == (1900,) * 10
    ones, zeros = source.table.images[1900:3800], source.table.images[:1900]
    assert float(zeros[:, 0, 14, 14].float().mean()) < 40  # a zero is hollow, a one is not
    assert float(ones[:, 0, 14, 14].float().mean()) > 150
