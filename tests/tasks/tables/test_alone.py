"""How well a column alone tells the target, against slow counts and by hand."""

import numpy as np
import pandas
import pytest

from metawright.tasks.tables.alone import is_target, tells


def slow_recall(words: list[str], y: np.ndarray) -> float:
    """Row by row: the most frequent class of the other rows with the same word."""
    right = np.zeros(len(y))
    for row, word in enumerate(words):
        others = [y[i] for i in range(len(y)) if i != row and words[i] == word]
        counts = np.bincount(others, minlength=2) if others else np.zeros(2)
        right[row] = counts.sum() > 0 and counts.argmax() == y[row]
    recall = np.mean([right[y == label].mean() for label in (0, 1)])
    return float(max(0.0, 2 * recall - 1))


@pytest.mark.parametrize("levels", [3, 10, 50])
def test_words_are_judged_by_the_other_rows_of_their_level(levels: int) -> None:
    draw = np.random.default_rng(levels)
    y = draw.integers(0, 2, 80)
    drawn = draw.integers(0, levels, 80)
    words = [f"{drawn[i]}{'x' if y[i] and i % 3 else ''}" for i in range(80)]
    got = tells(pandas.Series(words), "category", y, 2)
    assert got == pytest.approx(slow_recall(words, y))


def test_a_word_for_each_row_tells_nothing() -> None:
    y = np.arange(60) % 2
    words = pandas.Series([f"w{i}" for i in range(60)])
    assert tells(words, "category", y, 2) == 0.0
    assert tells(words, "category", y.astype(float), 0) < 0.1


def test_numbers_by_the_changes_of_the_class_along_them() -> None:
    y = (np.arange(100) >= 80).astype(int)
    x = np.arange(100.0)
    assert tells(pandas.Series(x), "number", y, 2) == 1.0
    x[99] = -1  # one of 20 stands among the others: one change more of 2 * 20
    assert tells(pandas.Series(x), "number", y, 2) == 1 - 1 / 40
    x[99] = 0  # or shares its number with one: an error counts as two changes
    assert tells(pandas.Series(x), "number", y, 2) == 1 - 2 / 40
    missing = pandas.Series(np.where(y == 1, x, np.nan))
    assert tells(missing, "number", y, 2) == 0.0, "too few are known"


def test_numbers_for_numbers() -> None:
    draw = np.random.default_rng(0)
    x = pandas.Series(draw.permutation(500) / 100)
    assert tells(x, "number", np.sin(x.to_numpy()), 0) > 0.999
    assert tells(x, "number", draw.normal(size=500), 0) == 0.0


def test_the_target_itself() -> None:
    y = np.arange(60) % 3
    assert is_target(pandas.Series(np.array(["u", "v", "w"])[y]), "category", y, 3)
    assert not is_target(pandas.Series(y // 2), "number", y, 3)
    assert not is_target(pandas.Series((y + (np.arange(60) == 7)) % 3), "number", y, 3)
    numbers = np.random.default_rng(0).normal(size=60)
    assert is_target(pandas.Series(3 - 2 * numbers), "number", numbers, 0)
    assert not is_target(pandas.Series(numbers**3), "number", numbers, 0)
