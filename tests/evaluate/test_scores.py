"""Scores by hand."""

import math

import pytest
import torch

from metawright.errors import MetawrightError
from metawright.evaluate.scores import scores_of
from metawright.tasks.task import Kind, TaskSpec

CLASSES = TaskSpec(Kind.CLASSIFICATION, (1,), 2)
NUMBERS = TaskSpec(Kind.REGRESSION, (1,), 2)


def test_classes() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [math.log(4), 0.0], [0.0, 0.0]])
    found = scores_of(logits, torch.tensor([1, 1, 0]), CLASSES)
    assert found["accuracy"] == pytest.approx(2 / 3)
    expected = -(math.log(0.75) + math.log(0.2) + math.log(0.5)) / 3
    assert found["log_loss"] == pytest.approx(expected)


def test_numbers() -> None:
    labels = torch.tensor([[0.0, 5.0], [2.0, 5.0]])
    found = scores_of(torch.tensor([[0.0, 5.0], [1.0, 7.0]]), labels, NUMBERS)
    assert found["rmse"] == pytest.approx(math.sqrt((0.5 + 2.0) / 2))
    assert found["r2"] == pytest.approx(1 - 0.5 / 1.0), "the second target does not vary"
    still = scores_of(torch.ones(2, 2), torch.ones(2, 2), NUMBERS)
    assert still == {"rmse": 0.0}


def test_infinite_answers_are_no_score() -> None:
    with pytest.raises(MetawrightError, match="1 of 2 answers of the trained model"):
        scores_of(torch.tensor([[1.0, math.inf], [1.0, 2.0]]), torch.tensor([0, 1]), CLASSES)
