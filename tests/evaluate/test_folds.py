"""Folds of tables: every row once, classes even, groups whole, time in order."""

from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from metawright.errors import InputError
from metawright.evaluate.folds import folds_of, share_of
from metawright.rng import stream


def test_every_row_is_judged_once_and_classes_are_even() -> None:
    labels = np.repeat([0, 1, 2], [50, 13, 3])
    folds = folds_of(labels, 5, stream(0), classes=True)
    assert_array_equal(np.sort(np.concatenate([f.judge for f in folds])), np.arange(66))
    for learn, judge in folds:
        assert not set(learn) & set(judge) and len(learn) + len(judge) == 66
        counts = np.bincount(labels[judge], minlength=3)
        assert counts[0] == 10 and counts[1] in (2, 3) and counts[2] in (0, 1)
        assert len(np.unique(labels[learn])) == 3


def test_low_and_high_numbers_are_even() -> None:
    y = np.random.default_rng(0).exponential(size=200)
    means = [y[f.judge].mean() for f in folds_of(y, 5, stream(0), classes=False)]
    spread = [y[np.arange(i, 200, 5)].mean() for i in range(5)]
    assert np.std(means) < np.std(spread) / 2


def test_the_seed_alone_decides() -> None:
    y = np.arange(40) % 2
    first, same, other = (folds_of(y, 4, stream(s), classes=True) for s in (0, 0, 1))
    assert all(np.array_equal(a.judge, b.judge) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a.judge, b.judge) for a, b in zip(first, other, strict=True))


def test_rows_alike_are_dealt_at_random() -> None:
    """Neither the order of the file nor the order of numbers says which fold a row is in."""
    ones = np.zeros(100, dtype=int)
    for y, classes in ((ones, True), (np.arange(100.0), False)):
        places = np.empty(100, dtype=int)
        for number, fold in enumerate(folds_of(y, 5, stream(0), classes=classes)):
            places[fold.judge] = number
        assert (places[5:] == places[:-5]).mean() < 0.5


def test_more_folds_than_rows_are_as_many_as_rows() -> None:
    for classes in (True, False):
        folds = folds_of(np.arange(4) % 2, 10, stream(1), classes=classes)
        assert [len(f.judge) for f in folds] == [1] * 4


def test_no_fold_of_groups_is_empty() -> None:
    """Groups of one class each cost nothing side by side: they must be apart all the same."""
    y = np.repeat([0, 1, 2], 4)
    for seed in range(20):
        folds = folds_of(y, 3, stream(seed), classes=True, groups=y)
        assert sorted(len(f.judge) for f in folds) == [4, 4, 4]


def test_a_long_first_moment_is_learned_from_and_not_judged() -> None:
    times = np.r_[np.zeros(80), 1 + np.arange(20)]
    folds = folds_of(np.zeros(100), 4, stream(0), classes=False, times=times)
    assert all(len(f.learn) >= 80 and len(f.judge) for f in folds)


def test_groups_stay_whole_and_classes_near_even() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 40, 400)
    labels = (groups % 4 == 0).astype(int)
    folds = folds_of(labels, 4, stream(0), classes=True, groups=groups)
    assert len(folds) == 4
    for learn, judge in folds:
        assert not set(groups[learn]) & set(groups[judge])
        assert 0.1 < labels[judge].mean() < 0.45
    few = folds_of(labels, 5, stream(0), classes=True, groups=groups % 3)
    assert len(few) == 3 and all(len(f.judge) for f in few)


def test_no_row_is_judged_by_later_ones() -> None:
    times = np.random.default_rng(0).integers(0, 50, 120)
    folds = folds_of(np.zeros(120), 4, stream(0), classes=False, times=times)
    assert len(folds) == 4
    for learn, judge in folds:
        assert times[learn].max() < times[judge].min()
    for before, after in pairwise(folds):
        assert_array_equal(np.sort(np.r_[before.learn, before.judge]), after.learn)


def test_what_cannot_be_split_is_told() -> None:
    y = np.zeros(6)
    with pytest.raises(InputError, match=r"`folds >= 2` .* got \(folds=1, rows=6\)"):
        folds_of(y, 1, stream(0), classes=True)
    with pytest.raises(InputError, match=r"at least 2 groups"):
        folds_of(y, 3, stream(0), classes=True, groups=y)
    with pytest.raises(InputError, match=r"at least 2 moments"):
        folds_of(y, 3, stream(0), classes=True, times=y)
    assert len(folds_of(np.zeros(3), 5, stream(0), classes=True)) == 3


def test_a_share_keeps_all_classes_and_lies_within_a_larger_one() -> None:
    labels = np.repeat([0, 1], [99, 1])
    tenth = share_of(labels, 0.1, stream(0), classes=True)
    half = share_of(labels, 0.5, stream(0), classes=True)
    assert len(tenth) == 11 and 99 in tenth
    assert set(tenth) <= set(half)
    assert_array_equal(share_of(labels, 1.0, stream(0), classes=True), np.arange(100))
    assert len(share_of(labels * 0.5, 0.001, stream(0), classes=False)) == 2
