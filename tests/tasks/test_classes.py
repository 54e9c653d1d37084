"""Episodes drawn from a table in which every drawing can be told by its pixels."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.classes import ImageClasses, split_classes
from metawright.tasks.episode import Episode, draw_episode
from metawright.tasks.task import Split

COUNTS = (3, 7, 4, 5)


def _table(rotations: int = 1, reuse: bool = False) -> ImageClasses:
    """Drawing number i has the value i in one corner and ink below it."""
    images = torch.zeros(sum(COUNTS), 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0] = torch.arange(len(images))
    images[:, 0, 1, 0] = 255
    return ImageClasses(
        images,
        COUNTS,
        tuple("abcd"),
        {
            Split.TRAIN: torch.tensor([0, 1, 2]),
            Split.TEST: torch.tensor([3]),
            Split.VALIDATION: torch.tensor([], dtype=torch.int64),
        },
        rotations=rotations,
        reuse=reuse,
        native_size=9,
    )


def _numbers(x: Tensor) -> list[int]:
    return [round(255 * float(value)) for value in x[:, 0, 0, 0]]


def _class_of(number: int) -> str:
    return "aaabbbbbbbccccddddd"[number]


def test_labels_names_and_drawings_belong_together() -> None:
    for seed in range(20):
        task = draw_episode(_table(), Episode(3, (1, 2), 1), Split.TRAIN, stream(seed), source="s")
        for batch in (task.support, task.query):
            drawn = [_class_of(number) for number in _numbers(batch.x)]
            assert drawn == [task.spec.classes[label] for label in batch.labels.tolist()]
        assert (task.spec.native_size, task.spec.source) == (9, "s")


def test_support_and_query_share_no_drawing() -> None:
    seen = set()
    for seed in range(20):
        task = draw_episode(_table(), Episode(2, 2, 1), Split.TRAIN, stream(seed))
        support, query = _numbers(task.support.x), _numbers(task.query.x)
        assert len({*support, *query}) == len(support) + len(query) == 6
        seen |= {*support, *query}
    assert seen == set(range(14))


def test_drawings_are_used_again_only_where_allowed() -> None:
    episode = Episode(1, 5, 5)
    with pytest.raises(InputError, match=r"Class 'd' in the test part of '' has 5 examples, but "):
        draw_episode(_table(), episode, Split.TEST, stream(0))
    task = draw_episode(_table(reuse=True), episode, Split.TEST, stream(0))
    assert {_class_of(number) for number in _numbers(task.support.x)} == {"d"}
    assert len(task.support.x) == len(task.query.x) == 5
    for seed in range(20):
        task = draw_episode(_table(reuse=True), episode, Split.TEST, stream(seed))
        assert not {*_numbers(task.support.x)} & {*_numbers(task.query.x)}, "the query is known"


def test_rotations_are_further_classes_of_turned_drawings() -> None:
    table = _table(rotations=4)
    assert (table.size(Split.TRAIN), table.size(Split.TEST)) == (12, 4)
    task = draw_episode(table, Episode(4, 1, 1), Split.TEST, stream(0))
    assert set(task.spec.classes) == {"d", "d (90 deg)", "d (180 deg)", "d (270 deg)"}
    for image, label in zip(task.support.x, task.support.labels.tolist(), strict=True):
        name = task.spec.classes[label]
        turns = int(name[3:-5]) // 90 if "(" in name else 0
        upright = torch.rot90(image, -turns, (1, 2))
        assert float(upright[0, 1, 0]) == 1
        assert 14 <= round(255 * float(upright[0, 0, 0])) < 19


def test_the_distortion_gets_all_images_and_a_generator_of_its_own() -> None:
    draws = []

    def distort(images: Tensor, rng: torch.Generator) -> Tensor:
        draws.append(rng)
        torch.rand(len(images), generator=rng)
        return images + 0.25

    rng, plain = stream(0), stream(0)
    task = draw_episode(_table(), Episode(2, 1, 1), Split.TRAIN, rng, distort=distort)
    bare = draw_episode(_table(), Episode(2, 1, 1), Split.TRAIN, plain)
    assert_close(task.support.x, bare.support.x + 0.25)
    assert_close(task.query.x, bare.query.x + 0.25)
    assert draws[0] is not rng


def test_too_many_ways_and_an_empty_part() -> None:
    with pytest.raises(InputError, match=r"A task of 4 classes .* train part of 's' has 3"):
        draw_episode(_table(), Episode(4), Split.TRAIN, stream(0), source="s")
    with pytest.raises(InputError, match="has 0: draw from another part"):
        draw_episode(_table(), Episode(1), Split.VALIDATION, stream(0))


def test_table_is_checked() -> None:
    with pytest.raises(ValueError, match=r"names=2, counts=1, drawings=3, images=3"):
        ImageClasses(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), (3,), ("a", "b"), {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ways": 0}, r"`1 <= ways` \(low <= high\) must hold, but got 0"),
        ({"shots": (3, 2)}, r"`1 <= shots` .* but got \(3, 2\)"),
        ({"shots": (0, 2)}, "`1 <= shots`"),
        ({"ways": 2.5}, "`ways` must be an integer or a pair .* but got 2.5"),
        ({"ways": (1, 2, 3)}, "`ways` must be an integer or a pair"),
        ({"queries": -1}, "`queries` must be an integer >= 0, but got -1"),
    ],
)
def test_episode_is_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Episode(**arguments)


@pytest.mark.parametrize("total", [1, 2, 3, 4, 10, 97])
def test_split_holds_every_class_once(total: int) -> None:
    parts = split_classes(total, stream(0), validation=0.1, test=0.3)
    assert sorted(torch.cat(list(parts.values())).tolist()) == list(range(total))
    if total > 2:
        assert all(len(part) > 0 for part in parts.values())
    if total == 97:
        sizes = {split: len(part) for split, part in parts.items()}
        assert sizes == {Split.VALIDATION: 10, Split.TEST: 29, Split.TRAIN: 58}


def test_split_is_random_and_repeatable() -> None:
    first, again, other = (split_classes(50, stream(seed))[Split.TRAIN] for seed in (0, 0, 1))
    assert first.tolist() == again.tolist()
    assert set(first.tolist()) != set(other.tolist())


@pytest.mark.parametrize("shares", [(0.5, 0.5), (-0.1, 0.2), (float("nan"), 0.1)])
def test_split_shares_are_checked(shares: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=r"`validation \+ test < 1` must hold"):
        split_classes(10, stream(0), validation=shares[0], test=shares[1])
