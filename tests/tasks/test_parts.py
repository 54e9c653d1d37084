"""Which classes are in which part, by name."""

import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.classes import ImageClasses
from metawright.tasks.episode import Episode, draw_episode
from metawright.tasks.parts import Parts, assign_classes, in_thirds, without_small
from metawright.tasks.task import Split

NAMES = tuple("abcdefghij")


def test_ten_classes_in_three_parts() -> None:
    parts = in_thirds(NAMES)
    assert ["".join(parts[split]) for split in Split] == ["abcd", "efg", "hij"]


def test_classes_are_where_they_are_put() -> None:
    parts = assign_classes(NAMES, {"train": "cab", "test": ["j"]})
    assert {str(split): part.tolist() for split, part in parts.items()} == {
        "train": [2, 0, 1],
        "validation": [],
        "test": [9],
    }
    unseen = assign_classes(NAMES, "test")
    assert [len(unseen[split]) for split in Split] == [0, 0, 10]
    assert assign_classes(NAMES, {Split.TEST: NAMES})[Split.TEST].tolist() == list(range(10))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ("exam", "`splits` must be one of train, validation, test .* got 'exam'"),
        ({"trian": "ab"}, "got 'trian'"),
        ({"train": ["a", "z"]}, "out of a, b, .* got 'z', that does not exist"),
        ({"train": "ab", "test": "bc"}, "got 'b', twice"),
    ],
)
def test_what_is_refused(parts: Parts, message: str) -> None:
    with pytest.raises(InputError, match=message):
        assign_classes(NAMES, parts)


def test_small_classes_are_left_out_with_their_drawings() -> None:
    images = torch.arange(12, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 2, 2)
    table = ImageClasses(
        images.contiguous(),
        (2, 4, 1, 5),
        tuple("abcd"),
        {Split.TRAIN: torch.tensor([3, 0]), Split.TEST: torch.tensor([1, 2])},
        groups=torch.tensor([0, 1, 0, 1, 2, 3, 0, 0, 0, 1, 1, 2]),
    )
    assert table.room == (2, 4, 1, 4)  # two of the last class's drawings are of one group
    kept = without_small(table, 4)
    assert (kept.names, kept.counts) == (("b", "d"), (4, 5))
    assert kept.images[:, 0, 0, 0].tolist() == [2, 3, 4, 5, 7, 8, 9, 10, 11]
    assert {split: part.tolist() for split, part in kept.splits.items()} == {
        Split.TRAIN: [1],
        Split.TEST: [0],
    }
    task = draw_episode(kept, Episode(1, 2, 2), Split.TRAIN, stream(0))
    assert task.spec.classes == ("d",)
    assert without_small(table, 9).names == ()
