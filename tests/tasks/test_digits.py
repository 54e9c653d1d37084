"""The digits against scikit-learn's own arrays."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.testing import assert_close

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.digits import Digits, digit_classes
from metawright.tasks.task import Split


def test_all_drawings_are_there_under_their_digit() -> None:
    table, data = digit_classes(), load_digits()
    assert table.counts == tuple(int((data.target == k).sum()) for k in range(10))
    for digit in range(10):
        start = table.starts[digit]
        own = table.images[start : start + table.counts[digit], 0].numpy() / 255
        theirs = data.images[data.target == digit] / 16
        assert np.abs(own - theirs).max() <= 0.5 / 255 + 1e-9


def test_every_split_has_all_ten() -> None:
    source = Digits(shots=1, queries=1)
    for split in Split:
        task = source.draw(split, stream(0))
        assert sorted(task.spec.classes) == list("0123456789")
        assert task.spec.native_size == 8


def test_another_size_is_the_same_task_resized() -> None:
    task, large = (Digits(size=size, queries=2).draw(Split.TEST, stream(0)) for size in (8, 16))
    assert large.spec.features == (1, 16, 16)
    assert large.query.x.shape == (20, 1, 16, 16)
    back = torch.nn.functional.avg_pool2d(large.support.x, 2)
    pair = torch.stack([back.flatten(), task.support.x.flatten()])
    assert float(torch.corrcoef(pair)[0, 1]) > 0.95
    assert_close(large.support.labels, task.support.labels)


def test_size_is_checked() -> None:
    with pytest.raises(InputError, match="`size >= 1` must hold, but got 0"):
        Digits(size=0)
