"""The classifier in scikit-learn's manner: its rules, and that it learns."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError

from metawright import InputError, MetaClassifier

Arrays = tuple[NDArray[Any], NDArray[Any]]


@pytest.fixture(scope="module")
def digits() -> Arrays:
    images, labels = load_digits(return_X_y=True)
    return images, np.array(["zero", "one", "two", *"3456789"])[labels]


@pytest.fixture(scope="module")
def fitted(digits: Arrays) -> MetaClassifier:
    images, labels = digits
    return MetaClassifier(trials=1, seed=3).fit(images[:80], labels[:80])


def test_it_learns_and_gives_calibrated_probabilities(
    fitted: MetaClassifier, digits: Arrays
) -> None:
    images, labels = (part[200:400] for part in digits)
    assert fitted.score(images, labels) > 0.85
    probabilities = fitted.predict_proba(images)
    assert probabilities.shape == (200, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    np.testing.assert_array_equal(fitted.classes_[probabilities.argmax(1)], fitted.predict(images))
    assert list(fitted.classes_) == sorted(set(digits[1]))
    assert isinstance(fitted.module_, torch.nn.Module)


def test_images_may_come_in_any_order_and_shape(fitted: MetaClassifier, digits: Arrays) -> None:
    images, labels = (part[:80] for part in digits)
    order = np.random.default_rng(0).permutation(80)
    cubes = images[order].reshape(-1, 8, 8)
    again = MetaClassifier(trials=1, seed=3).fit(cubes, labels[order])
    assert again.score(digits[0][200:300].reshape(-1, 8, 8), digits[1][200:300]) > 0.85


def test_it_is_cloned_by_its_arguments(fitted: MetaClassifier) -> None:
    copy = clone(fitted)
    assert (
        copy.get_params()
        == fitted.get_params()
        == {
            "budget": "10s",
            "trials": 1,
            "bundle": None,
            "seed": 3,
        }
    )
    with pytest.raises(NotFittedError):
        copy.predict(np.zeros((1, 64)))


def test_the_same_seed_gives_the_same_answers(fitted: MetaClassifier, digits: Arrays) -> None:
    again = clone(fitted).fit(digits[0][:80], digits[1][:80])
    np.testing.assert_array_equal(
        again.predict_proba(digits[0][300:320]), fitted.predict_proba(digits[0][300:320])
    )


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        (np.zeros((4, 64)), ["a"] * 4, "at least two classes, but got 1"),
        (np.full((4, 64), np.nan), list("aabb"), "finite numbers"),
        (np.zeros((4, 63)), list("aabb"), "square number of pixels"),
        (np.zeros((4, 64)), list("aab"), "one label an example"),
        (np.zeros((0, 64)), [], "must hold images"),
        (np.zeros((4, 2, 8, 8)), list("aabb"), "1 or 3 channels"),
    ],
)
def test_what_cannot_be_learned_is_refused(
    images: NDArray[Any], labels: list[str], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        MetaClassifier(trials=1).fit(images, labels)


def test_other_shapes_than_fitted_are_refused(fitted: MetaClassifier) -> None:
    with pytest.raises(InputError, match=r"shape \(64,\) as in `fit`, but got \(49,\)"):
        fitted.predict(np.zeros((2, 49)))
