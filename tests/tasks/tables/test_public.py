"""Tables that others made: read and posed as their origins say, with few false alarms."""

import csv
import io
import os
import zipfile
from pathlib import Path

import pytest
from sklearn import datasets

from metawright.tasks.kind import Kind
from metawright.tasks.tables import pose_table, read_table

PROJECT = Path(__file__).resolve().parents[3]
QUIET = {"repeated", "unbalanced", "kind", "reading"}
SEPARABLE = {"abalone-3_vs_11", "shuttle-2_vs_5", "shuttle-6_vs_2-3", "shuttle-c0-vs-c4",
             "shuttle-c2-vs-c4"}  # fmt: skip
"""One measured column does separate the classes there; it is told, and used all the same."""


@pytest.fixture(scope="module")
def keel() -> Path:
    data = Path(os.environ.get("METAWRIGHT_DATA") or PROJECT.parent / "shared" / "data")
    if not (data / "tabular_keel").is_dir():
        pytest.skip("the tables are not here: set METAWRIGHT_DATA")
    return data / "tabular_keel"


@pytest.mark.slow
def test_keel(keel: Path, tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO((keel / "index.csv").read_text())))
    alarms: dict[str, set[str]] = {}
    with zipfile.ZipFile(keel / "keel_tables.zip") as tables:
        for row in rows:
            path = tmp_path / f"{row['name']}.csv"
            path.write_bytes(tables.read(path.name))
            task = pose_table(read_table(path), "last")
            words = sum(column.kind != "number" for column in task.columns)
            got = (len(task.y), len(task.columns), words, len(task.classes))
            known = tuple(int(row[key]) for key in ("rows", "features", "nominal", "classes"))
            assert got == known and task.kind is Kind.CLASSIFICATION, row["name"]
            for finding in task.findings:
                if finding.code not in QUIET:
                    alarms.setdefault(finding.code, set()).add(row["name"])
    assert len(rows) == 73
    assert alarms.pop("leak") | alarms.pop("easy") == SEPARABLE
    assert alarms.pop("mixed") == {"car-good", "car-vgood"}  # "5more" doors
    assert alarms.pop("constant") == {"mushroom", "optdigits", "segment", "segment0"}
    assert not alarms


@pytest.mark.parametrize(
    ("name", "kind", "classes", "unused"),
    [
        ("iris", "classification", 3, 0),
        ("wine", "classification", 3, 0),
        ("breast_cancer", "classification", 2, 0),
        ("digits", "classification", 10, 3),  # three pixels are always white
        ("diabetes", "regression", 0, 0),
    ],
)
def test_sklearn(name: str, kind: str, classes: int, unused: int) -> None:
    frame = getattr(datasets, f"load_{name}")(as_frame=True).frame
    task = pose_table(read_table(frame), "target")
    assert (task.kind, len(task.classes)) == (kind, classes) and len(task.y) == len(frame)
    assert len(task.columns) - len(task.used) == unused
    assert {finding.code for finding in task.findings} <= QUIET | {"constant"}
    assert (task.x.iloc[:, 1] == frame.iloc[:, 1]).all()
