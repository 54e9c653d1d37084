"""The verbs from Python: what `generate` accepts, and that the other verbs follow."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

import metawright
from metawright import InputError


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of real digits as image files, four of each, dark on white."""
    root = tmp_path_factory.mktemp("drawings")
    data = load_digits()
    for label in (0, 1, 7):
        (root / f"digit {label}").mkdir()
        for number, image in enumerate(data.images[data.target == label][:4]):
            paper = 255 - np.repeat(np.repeat(image * 255 / 16, 5, 0), 5, 1)
            Image.fromarray(paper.astype(np.uint8)).save(root / f"digit {label}" / f"{number}.png")
    return root


def test_all_verbs_on_a_folder_of_images(drawings: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    made = metawright.generate(str(drawings), trials=2, out=run)
    assert made.spec.classes == ("digit 0", "digit 1", "digit 7")
    assert made.record["status"] == "done" and len(made.trials) == 2
    assert made.module(torch.rand(2, 1, 40, 40)).shape == (2, 3)
    labels = metawright.predict(run, [drawings / "digit 7"]).labels
    assert labels == ["digit 7"] * 4
    assert metawright.report(run).read_text().startswith("<!")
    assert (metawright.export(run) / "model.py").is_file()


def test_arrays_and_tasks_stay_in_memory() -> None:
    data = load_digits()
    made = metawright.generate((data.images[:60], data.target[:60]), trials=1, seed=1)
    assert made.spec.classes == tuple("0123456789") and made.record == {}
    assert 0 <= made.answer.low <= made.answer.accuracy <= made.answer.high <= 1


@pytest.mark.parametrize(
    ("data", "options", "sentence"),
    [
        ("no/such", {}, "There is no folder"),
        ("no/such.csv", {}, "A table is for `metawright.generate_from_table`, with the name of"),
        (pd.DataFrame({"a": [1]}), {}, "A table is for `metawright.generate_from_table`"),
        (7, {}, "but got int"),
        ("digits", {"trials": 0}, "at least 1"),
        ("digits", {"budget": "0s"}, "more than zero"),
        ("digits", {"trials": 1, "store": "x"}, "`store` needs `out`"),
        ("digits", {"trials": 1, "bundle": "no/bundle"}, "no bundle"),
    ],
)
def test_what_cannot_be_used_is_refused(
    data: object, options: dict[str, object], sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        metawright.generate(data, **options)  # type: ignore[arg-type]


def test_every_public_name_loads() -> None:
    for name in metawright.__all__:
        assert getattr(metawright, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = metawright.no_such_name
