"""A wrong run or path is refused in one sentence, and without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from metawright.errors import InputError, VersionError
from metawright.recipes.inputs import image_files, read_run


def test_a_run_is_read(small_run: Path) -> None:
    assert read_run(small_run)["status"] == "done"


def test_not_a_run(tmp_path: Path, small_run: Path) -> None:
    with pytest.raises(InputError, match=r"There is no run '.*gone': give the folder"):
        read_run(tmp_path / "gone")
    with pytest.raises(InputError, match="is not the folder of a run"):
        read_run(tmp_path)
    with pytest.raises(InputError, match=r"run\.json' is a file"):
        read_run(small_run / "run.json")


@pytest.mark.parametrize(
    ("text", "error", "sentence"),
    [
        ('{"format": 1, "status"', InputError, "damaged or not a JSON file"),
        ("[]", InputError, "does not describe a run"),
        ('{"format": 7}', VersionError, "has format 7, but this metawright reads format 1"),
    ],
)
def test_a_damaged_run(small_run: Path, text: str, error: type[Exception], sentence: str) -> None:
    (small_run / "run.json").write_text(text)
    with pytest.raises(error, match=sentence):
        read_run(small_run)


def test_a_run_without_a_model_yet(small_run: Path) -> None:
    (small_run / "model.json").unlink()
    with pytest.raises(InputError, match=r"no model yet .*its status is 'done'"):
        read_run(small_run)
    assert read_run(small_run, model=False)["status"] == "done"


def test_a_folder_means_every_image_in_it(pictures: Path) -> None:
    alone = pictures / "b.png"
    found = image_files([alone, pictures, alone])
    names = [str(path.relative_to(pictures)) for path in found]
    assert names == ["b.png", "a.png", "b.png", "c.png", "more/d.jpg", "b.png"]


def test_wrong_paths(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to predict"):
        image_files([])
    with pytest.raises(InputError, match=r"no image or folder '.*x\.png': check"):
        image_files([pictures, tmp_path / "x.png"])
    with pytest.raises(InputError, match=r"'.*x\.png' \(nor 1 other paths\)"):
        image_files([tmp_path / "x.png", tmp_path / "y.png"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty' holds no images"):
        image_files([pictures, tmp_path / "empty"])


def test_it_loads_no_torch() -> None:
    program = "import metawright.recipes.inputs, sys; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_few_shot_run_is_no_generated_model(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 1, "kind": "fewshot"}')
    assert read_run(tmp_path, model=False)["kind"] == "fewshot"
    with pytest.raises(InputError, match=r"is a few-shot run: .* `metawright\.load_fewshot`"):
        read_run(tmp_path)
