"""The values that a task is made of."""

import pytest
import torch

from metawright.tasks.task import Batch, Kind, Split, Task, TaskSpec


def test_missing_answers_are_named() -> None:
    assert Batch(torch.zeros(1, 2), torch.tensor([0])).labels.tolist() == [0]
    with pytest.raises(ValueError, match="The batch has no answers"):
        _ = Batch(torch.zeros(1, 2), None).labels


def test_moving_keeps_what_is_unknown() -> None:
    spec = TaskSpec(Kind.CLASSIFICATION, (2,), 1)
    task = Task(
        Batch(torch.zeros(1, 2), torch.tensor([0])), Batch(torch.zeros(1, 2), None), spec
    ).to("meta")
    assert task.support.labels.device.type == task.query.x.device.type == "meta"
    assert task.query.y is None
    assert task.spec is spec


def test_spec_is_a_value() -> None:
    first = TaskSpec(Kind.CLASSIFICATION, (1, 8, 8), 2, ("a,b", "ü"), 8, "x")
    assert first == TaskSpec.from_json(first.to_json())
    assert hash(first) == hash(TaskSpec.from_json(first.to_json()))
    assert first.to_json()["kind"] == "classification"


def test_specs_of_texts_and_those_written_before_there_were_any() -> None:
    text = TaskSpec(Kind.CLASSIFICATION, (64,), 5, vocabulary=4096)
    assert TaskSpec.from_json(text.to_json()) == text
    old = {key: value for key, value in text.to_json().items() if key != "vocabulary"}
    assert TaskSpec.from_json(old).vocabulary == 0


def test_kinds_and_splits_are_their_names() -> None:
    assert [str(split) for split in Split] == ["train", "validation", "test"]
    assert Kind("regression") is Kind.REGRESSION
