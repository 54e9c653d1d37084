"""Each corruption does what its name says, and accuracy is counted under it."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from metawright.errors import InputError
from metawright.evaluate.robustness import corruptions, robustness
from metawright.rng import stream
from metawright.tasks.task import Batch, Kind, TaskSpec

IMAGES = TaskSpec(Kind.CLASSIFICATION, (2, 9, 9), 2)
TEXTS = TaskSpec(Kind.CLASSIFICATION, (8,), 2, vocabulary=50)
VECTORS = TaskSpec(Kind.CLASSIFICATION, (4,), 2)


@pytest.mark.parametrize("spec", [IMAGES, VECTORS], ids=["images", "vectors"])
def test_corruptions_keep_shape_and_range_and_leave_the_given_examples(spec: TaskSpec) -> None:
    x = torch.rand(6, *spec.features, generator=stream(0))
    before = x.clone()
    for corrupt in corruptions(spec).values():
        spoilt = corrupt(x, stream(1))
        assert spoilt.shape == x.shape and spoilt.dtype == x.dtype
        assert not torch.equal(spoilt, x)
        if spec is IMAGES:
            assert spoilt.min() >= 0 and spoilt.max() <= 1
        assert_close(x, before)


def test_images_are_shifted_by_one_pixel_blurred_and_covered() -> None:
    x = torch.zeros(40, 2, 9, 9)
    x[:, :, 4, 4] = 1
    kinds = corruptions(IMAGES)
    shifted = kinds["shifted by 1 pixel"](x, stream(0))
    at = torch.nonzero(shifted[:, 0])[:, 1:] - 4
    assert_close(at.abs().sum(1), torch.ones(40, dtype=torch.int64))
    assert {tuple(move) for move in at.tolist()} == {(0, 1), (0, -1), (1, 0), (-1, 0)}
    assert_close(kinds["blurred"](x, stream(0))[0, 0, 3:6, 3:6].sum(), torch.tensor(1.0))
    assert float(kinds["blurred"](x, stream(0))[0, 1, 4, 4]) == 4 / 16
    bright = torch.ones(5, 2, 9, 9)
    bright[:, :, :, 0] = 0
    mean = 72 / 81
    covered = kinds["a ninth covered"](bright, stream(0))
    assert_close((covered == torch.tensor(mean)).flatten(1).sum(1), torch.full((5,), 2 * 9))


def test_words_are_left_out_and_the_rest_moves_up() -> None:
    x = torch.arange(1, 9).expand(300, 8).clone()
    x[:, 6:] = 0
    spoilt = corruptions(TEXTS)["3 words in 10 missing"](x, stream(0))
    left = (spoilt > 0).sum(1)
    assert_close(float(left.float().mean()), 1 + 5 * 0.7, rtol=0.05, atol=0)
    for text, count in zip(spoilt[:20].tolist(), left[:20].tolist(), strict=True):
        assert text[:count] == sorted(set(text[:count])) and text[count:] == [0] * (8 - count)


def test_accuracy_is_counted_as_it_is_and_under_each_corruption() -> None:
    labels = torch.arange(400) % 2
    x = labels[:, None].float() * torch.ones(4) + 0.01

    def predict(given: Tensor) -> Tensor:
        return functional.one_hot((given.mean(1) > 0.5).long(), 2).float()

    found = robustness(predict, Batch(x, labels), VECTORS, stream(0))
    assert found["clean"] == 1 and set(found) == {"clean", *corruptions(VECTORS)}
    assert found["noise of 0.1 sd"] == 1

    def guess(given: Tensor) -> Tensor:
        return functional.one_hot(((given * 997).sum(1).long() % 2), 2).float()

    assert robustness(guess, Batch(x, labels), VECTORS, stream(0))["noise of 0.3 sd"] < 0.7
    with pytest.raises(InputError, match="accuracy, but the task is regression"):
        robustness(predict, Batch(x, labels), TaskSpec(Kind.REGRESSION, (4,), 1), stream(0))
