"""A table's model in a folder of its own says the same without metawright, and holds no rows."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import metawright
from metawright.engine.inline import Inline
from metawright.errors import InputError
from metawright.evaluate.tables import fit_final
from metawright.recipes.tables.export import without_rows
from metawright.recipes.tables.model import TableModel, load_table_model
from metawright.spaces.tables import first_designs
from metawright.tasks.tables import pose_table, read_table

ROWS = 90
WITHOUT = """
import importlib.abc, runpy, sys

class Without(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("metawright", "torch"):
            raise ImportError(f"{name} is not here")

sys.meta_path.insert(0, Without())
sys.path.insert(0, sys.argv[1])
sys.argv = [sys.argv[1] + "/predict.py", sys.argv[2]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def frame() -> pd.DataFrame:
    """All kinds of columns, with holes."""
    rng = np.random.default_rng(0)
    size, city = rng.uniform(20, 200, ROWS), rng.choice(["Bonn", "Köln", "Ulm"], ROWS)
    words = rng.choice(["near the old river", "under tall green trees", "by a loud street"], ROWS)
    told = pd.DataFrame(
        {
            "size": size.round(1),
            "city": city,
            "built": pd.date_range("2001-01-01", periods=ROWS, freq="W").astype(str),
            "about": [f"{text} number {i}" for i, text in enumerate(words)],
            "dear": np.where(size + 40 * (city == "Bonn") > 120, "yes", "no"),
        }
    )
    told.loc[[3, 50], "size"] = np.nan
    return told


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metawright.recipes.tables.run.Workers", lambda work, **_: Inline(work))
        out = tmp_path_factory.mktemp("export") / "run"
        metawright.generate_from_table(frame(), "dear", trials=2, out=out)
        yield out


def test_it_says_the_same_without_metawright(made: Path, tmp_path: Path) -> None:
    folder = metawright.export(made, tmp_path / "out")
    new = tmp_path / "new.csv"
    frame().drop(columns="dear").assign(more=1).to_csv(new, index=False)
    done = subprocess.run(
        [sys.executable, "-I", "-c", WITHOUT, str(folder), str(new)],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONUTF8": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Columns that the model does not know are ignored: 'more'." in done.stderr
    lines = done.stdout.splitlines()
    expected = metawright.predict_table(made, new)
    assert lines[0] == "input,prediction,p_no,p_yes" and len(lines) == ROWS + 1
    assert [line.split(",")[1] for line in lines[1:]] == expected.labels
    given = np.array([[float(cell) for cell in line.split(",")[2:]] for line in lines[1:]])
    np.testing.assert_allclose(given, expected.answers, rtol=1e-4, atol=1e-6)


def test_the_folder_is_small_and_without_rows(made: Path) -> None:
    folder = metawright.export(made)
    assert folder == made / "export"
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 1e6
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib", ".npy")]
    texts = [path.read_text("utf-8") for path in files if path.suffix in (".md", ".json", ".py")]
    assert not [text for text in texts if "number 17" in text], "no cell of the table"
    lines = [line for text in texts for line in text.splitlines()]
    assert not [line for line in lines if line.startswith(("from metawright", "import metaw"))]
    assert "`size`: numbers" in (folder / "README.md").read_text("utf-8")
    assert json.loads((folder / "table.json").read_text("utf-8"))["target"] == "dear"


def test_members_that_hold_rows_are_left_out_or_refused(made: Path) -> None:
    task = pose_table(read_table(frame()), "dear")
    kinds = {str(d["model"]["kind"]): d for d in first_designs("classification")}
    fitted = [fit_final(task, kinds[kind]) for kind in ("logistic", "neighbours")]
    whole = replace(load_table_model(made), members=tuple(fitted), weights=(0.7, 0.3))
    less, (note,) = without_rows(whole)
    assert [m.design["model"]["kind"] for m in less.members] == ["logistic"]
    assert less.weights == (1.0,) and "neighbours 30%" in note
    plain: TableModel = replace(whole, members=(fitted[0],), weights=(1.0,))
    assert without_rows(plain) == (plain, [])
    with pytest.raises(InputError, match=r"neighbours 70% .* \(--keep-rows"):
        without_rows(replace(whole, weights=(0.3, 0.7)))


def test_what_cannot_be_exported_or_predicted_is_one_sentence(made: Path) -> None:
    with pytest.raises(InputError, match="ONNX is for networks, and the run is on a table"):
        metawright.export(made, onnx=True)
    with pytest.raises(InputError, match=r"is a run on a table: .*`metawright.predict_table`"):
        metawright.predict(made, ["new.png"])
    (made / "table.json").rename(made / "gone.json")
    try:
        with pytest.raises(InputError, match="has no model yet"):
            metawright.predict_table(made, frame())
        with pytest.raises(InputError, match="holds no model of a table"):
            metawright.export(made)
    finally:
        (made / "gone.json").rename(made / "table.json")
