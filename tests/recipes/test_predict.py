"""Predictions: in order, the same in any batch, with a sentence for what cannot be read."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from metawright.errors import InputError
from metawright.models.saved import load_model
from metawright.recipes.predict import predict_images, predict_paths
from metawright.tasks.folder import read_image


def test_files_in_order_and_problems_beside(small_run: Path, pictures: Path) -> None:
    found = predict_paths(small_run, [pictures / "more", pictures])
    names = [str(Path(name).relative_to(pictures)) for name in found.inputs]
    assert names == ["more/d.jpg", "a.png", "b.png", "more/d.jpg"]
    assert len(found.problems) == 1 and "c.png' cannot be read" in found.problems[0]
    assert found.classes == ("one, two", "ü", "three")
    assert found.probabilities.shape == (4, 3)
    np.testing.assert_allclose(found.probabilities.sum(1), 1, atol=1e-6)
    assert found.labels == [found.classes[best] for best in found.probabilities.argmax(1)]
    assert found.confidences == [float(row.max()) for row in found.probabilities]
    np.testing.assert_array_equal(found.probabilities[0], found.probabilities[3])


def test_it_is_what_the_model_says(small_run: Path, pictures: Path) -> None:
    image = torch.from_numpy(read_image(pictures / "a.png", channels=1, size=12))
    expected = load_model(small_run).module(image[None]).softmax(1)
    found = predict_paths(small_run, [pictures / "a.png"]).probabilities
    torch.testing.assert_close(torch.from_numpy(found), expected)
    again = predict_images(small_run, image[None].numpy())
    np.testing.assert_array_equal(again.probabilities, found)
    assert again.inputs == ["0"]


def test_any_batch_gives_the_same(small_run: Path, pictures: Path) -> None:
    counts: list[int] = []
    one = predict_paths(small_run, [pictures], batch=1, progress=counts.append)
    all_at_once = predict_paths(small_run, [pictures])
    assert counts == [1, 1, 1, 1], "damaged ones count as done"
    assert one.inputs == all_at_once.inputs
    np.testing.assert_allclose(one.probabilities, all_at_once.probabilities, atol=1e-5)


def test_nothing_readable(small_run: Path, pictures: Path) -> None:
    found = predict_paths(small_run, [pictures / "c.png"])
    assert not (found.inputs or found.labels or found.confidences)
    assert found.probabilities.shape == (0, 3) and len(found.problems) == 1


def test_arrays_that_are_no_images(small_run: Path) -> None:
    model = load_model(small_run)
    with pytest.raises(
        InputError, match=r"finite floats of shape .*uint8 of shape \(1, 1, 4, 4\)"
    ):
        predict_images(model, np.zeros((1, 1, 4, 4), np.uint8))
    with pytest.raises(InputError, match=r"shape \(4, 4\)"):
        predict_images(model, np.zeros((4, 4), np.float32))
    with pytest.raises(InputError, match="finite"):
        predict_images(model, torch.full((1, 1, 4, 4), torch.nan))
    assert predict_images(model, torch.zeros(0, 1, 4, 4)).probabilities.shape == (0, 3)
    assert predict_images(model, torch.zeros(2, 3, 9, 5, dtype=torch.float64)).inputs == ["0", "1"]


def test_a_batch_of_nothing(small_run: Path, pictures: Path) -> None:
    with pytest.raises(ValueError, match=r"`batch >= 1` must hold, but got \(batch=0\)"):
        predict_paths(small_run, [pictures], batch=0)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_a_name_that_is_no_text(small_run: Path, tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    Image.new("L", (9, 9)).save(path)
    found = predict_paths(small_run, [path])
    assert found.inputs[0].endswith("\\udcff.png")
    found.inputs[0].encode()
