"""Three parts that share no example, in which every class has its share."""

import pytest
import torch

from metawright.errors import InputError
from metawright.rng import stream
from metawright.tasks.classes import ImageClasses
from metawright.tasks.division import divide, divide_task
from metawright.tasks.task import Batch, Kind, Task, TaskSpec


def table(counts: tuple[int, ...], groups: torch.Tensor | None = None) -> ImageClasses:
    """Drawing number n is n + 1 all over, so that a drawing tells which one it is."""
    total = sum(counts)
    images = (torch.arange(total, dtype=torch.uint8) + 1)[:, None, None, None].expand(-1, 1, 2, 2)
    names = tuple(f"class {number}" for number in range(len(counts)))
    return ImageClasses(images.clone(), counts, names, {}, groups=groups)


def numbers(batch: Batch) -> list[int]:
    return [round(float(value) * 255) - 1 for value in batch.x[:, 0, 0, 0]]


def test_every_example_is_in_one_part_and_every_class_has_its_share() -> None:
    made = divide(table((20, 10)), stream(0), validation=0.2, test=0.3, source="own")
    parts = [made.task.support, made.task.query, made.test]
    assert sorted(n for part in parts for n in numbers(part)) == list(range(30))
    assert [torch.bincount(part.labels).tolist() for part in parts] == [[10, 5], [4, 2], [6, 3]]
    for part in parts:
        assert [int(n >= 20) for n in numbers(part)] == part.labels.tolist()
    assert made.task.spec.features == (1, 2, 2) and made.task.spec.source == "own"


def test_small_classes_have_one_example_in_each_part_and_smaller_ones_are_named() -> None:
    made = divide(table((3, 4)), stream(1), validation=0.1, test=0.1)
    assert torch.bincount(made.test.labels).tolist() == [1, 1]
    assert torch.bincount(made.task.query.labels).tolist() == [1, 1]
    with pytest.raises(InputError, match="Class 'class 1' has 2 examples, but three are needed"):
        divide(table((9, 2)), stream(0))
    with pytest.raises(InputError, match="at least two classes"):
        divide(table((9,)), stream(0))
    with pytest.raises(InputError, match=r"but got \(validation=0.5, test=0.5\)"):
        divide(table((9, 9)), stream(0), validation=0.5, test=0.5)


def test_groups_stay_together() -> None:
    groups = torch.arange(40) // 4
    made = divide(table((40, 40), torch.cat([groups, groups])), stream(3))
    parts = [made.task.support, made.task.query, made.test]
    films = [{n // 4 for n in numbers(part)} for part in parts]
    assert not films[0] & films[1] and not films[1] & films[2] and not films[0] & films[2]
    assert sum(len(film) for film in films) == 20


def test_groups_of_any_size_stay_together_also_in_a_cut() -> None:
    groups = torch.tensor([0] * 11 + [1] * 7 + [2] * 5 + [3] * 4 + [4] * 2 + [5])
    whole = set()
    for seed in range(10):
        made = divide(table((30, 9), torch.cat([groups, torch.arange(9)])), stream(seed))
        parts = [made.task.support, made.task.query, made.test]
        held = [{int(groups[n]) for n in numbers(part) if n < 30} for part in parts]
        assert sum(map(len, held)) == 6, "each group in one part"
        cut = divide(table((30, 30), torch.cat([groups, groups])), stream(seed), most=20, test=0.3)
        some = [cut.task.support, cut.task.query, cut.test]
        assert sum(len(part.x) for part in some) == 20
        kinds = [{100 * (n // 30) + int(groups[n % 30]) for n in numbers(part)} for part in some]
        assert sum(map(len, kinds)) == len(set[int]().union(*kinds))
        whole |= {tuple(map(len, kinds))}
    assert len(whole) > 1
    with pytest.raises(InputError, match="'class 0' has 30 examples in 2 groups, but three are"):
        divide(table((30, 30), torch.arange(60) % 2), stream(0))


def test_a_cut_keeps_the_shares_of_classes() -> None:
    made = divide(table((100, 50)), stream(0), most=30)
    parts = [made.task.support, made.task.query, made.test]
    assert sum(len(part.x) for part in parts) == 30
    assert torch.bincount(torch.cat([part.labels for part in parts])).tolist() == [20, 10]


def test_a_task_keeps_its_query_for_the_end() -> None:
    spec = TaskSpec(Kind.CLASSIFICATION, (1,), 2)
    x, y = torch.arange(20.0)[:, None], torch.arange(20) % 2
    query = Batch(torch.full((5, 1), -1.0), torch.zeros(5, dtype=torch.int64))
    made = divide_task(Task(Batch(x, y), query, spec), stream(0))
    assert made.test is query
    assert torch.bincount(made.task.query.labels).tolist() == [2, 2]
    alone = divide_task(Task(Batch(x, y), Batch(x[:0], y[:0]), spec), stream(0))
    seen = torch.cat([alone.task.support.x, alone.task.query.x, alone.test.x])
    assert sorted(seen[:, 0].tolist()) == list(range(20))
    assert len(alone.test.x) == 4


def test_a_task_with_a_class_too_small_for_the_parts_is_refused() -> None:
    spec = TaskSpec(Kind.CLASSIFICATION, (1,), 2, ("many", "few"))
    y = torch.tensor([0] * 10 + [1] * 2)
    x = torch.arange(12.0)[:, None]
    with pytest.raises(InputError, match="Class 'few' has 2 examples, but 3 are needed"):
        divide_task(Task(Batch(x, y), Batch(x[:0], y[:0]), spec), stream(0))


def test_targets_are_divided_at_random() -> None:
    spec = TaskSpec(Kind.REGRESSION, (1,), 1)
    x = torch.arange(10.0)[:, None]
    made = divide_task(Task(Batch(x, x), Batch(x[:0], x[:0]), spec), stream(0))
    assert [len(made.task.support.x), len(made.task.query.x), len(made.test.x)] == [6, 2, 2]
