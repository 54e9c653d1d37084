"""Data of every kind in three parts."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metawright.errors import InputError
from metawright.recipes.search.data import open_data
from metawright.tasks.task import Batch, Kind, Task, TaskSpec


def test_a_source_is_divided_and_the_same_seed_gives_the_same_parts() -> None:
    first, again, other = (open_data("digits", seed=seed, examples=200) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    parts = (first.division.task.support, first.division.task.query, first.division.test)
    assert [len(part.x) for part in parts] == [119, 40, 40]  # shares of each class are rounded
    assert "119 examples to learn from, 40 to choose by" in first.notes[-1]


def test_arrays_are_vectors_or_images_and_classes_or_numbers() -> None:
    x, y = np.random.default_rng(0).normal(size=(60, 5)), np.arange(60) % 3
    vectors = open_data((x, y), seed=0).division.task.spec
    assert (vectors.features, vectors.outputs, vectors.classes) == ((5,), 3, ("0", "1", "2"))
    images = open_data((x.reshape(60, 5, 1).repeat(5, 2), y), seed=0).division.task.spec
    assert images.features == (1, 5, 5)
    for target in (x[:, 0], np.arange(60.0)):
        numbers = open_data((x, target), seed=0).division.task.spec
        assert (numbers.kind, numbers.outputs) == (Kind.REGRESSION, 1)


def test_a_folder_of_images_keeps_its_size_up_to_a_limit_and_its_colour(tmp_path: Path) -> None:
    for name, colour in (("red", (200, 10, 10)), ("blue", (10, 10, 200))):
        (tmp_path / name).mkdir()
        for number in range(5):
            size = (20, 16) if number else (20, 20)
            Image.new("RGB", size, colour).save(tmp_path / name / f"{number}.png")
    opened = open_data(tmp_path, seed=0)
    assert opened.division.task.spec.features == (3, 20, 20)
    assert "20 x 20, in colour" in opened.notes[0]
    grey = open_data(tmp_path, seed=0, size=8, channels=1)
    assert grey.division.task.spec.features == (1, 8, 8)


def test_a_table_of_texts_is_data_too(tmp_path: Path) -> None:
    rows = [f"{word} thing number {n},{word}" for word in ("red", "blue") for n in range(6)]
    path = tmp_path / "texts.csv"
    path.write_text("text,label\n" + "\n".join(rows))
    spec = open_data(path, seed=0).division.task.spec
    assert spec.vocabulary > 0 and spec.classes == ("blue", "red")


def test_a_task_is_taken_with_its_query_as_the_test_part() -> None:
    x, y = torch.rand(40, 3), torch.arange(40) % 2
    task = Task(
        Batch(x[:30], y[:30]), Batch(x[30:], y[30:]), TaskSpec(Kind.CLASSIFICATION, (3,), 2)
    )
    division = open_data(task, seed=0).division
    assert len(division.test.x) == 10 and len(division.task.support.x) == 24


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (3, "but got int"),
        ((np.zeros((4, 2)), np.zeros(3)), "one answer an example, but has 3 for 4"),
        ((np.full((4, 2), np.nan), np.arange(4)), "must be finite"),
        ((np.zeros((4, 2)), np.zeros(4)), "at least two classes, but got 1"),
    ],
    ids=["type", "lengths", "nan", "one class"],
)
def test_data_that_cannot_be_searched_on_is_told(data: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        open_data(data, seed=0)
