"""`generate` and `predict` on tables, from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.app.table_commands import is_table

Capture = pytest.CaptureFixture[str]


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), [str(argument) for argument in arguments])


def write(path: Path, *, target: bool = True) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    kinds = np.where(x[:, 0] + 0.1 * rng.normal(size=60) > 0, "up", "down")
    lines = ["a;b;kind" if target else "a;b"]
    for (a, b), kind in zip(x, kinds, strict=True):
        cells = [f"{a:.3f}".replace(".", ","), f"{b:.3f}".replace(".", ",")]
        lines.append(";".join([*cells, kind] if target else cells))
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


def test_a_table_becomes_a_model_that_predicts(tmp_path: Path, capsys: Capture) -> None:
    data, out = write(tmp_path / "data.csv"), tmp_path / "run"
    asked = ("generate", data, "--target", "kind", "--trials", 2, "--workers", 1)
    assert metawright(*asked, "--out", out) == 0
    told, err = capsys.readouterr()
    lines = told.splitlines()
    assert lines[0] == "Cross-validated (95 % interval):" and "accuracy" in lines[1]
    assert "guessing" in lines[1] and lines[-2:] == [
        f"Model:  {out}", f"Report: {out / 'report.html'}",
    ]  # fmt: skip
    page = (out / "report.html").read_text("utf-8")
    assert "<h1>kind in" in page and "Where it errs" in page and "left out" not in page
    assert metawright("report", out) == 0
    capsys.readouterr()
    assert "First model after" in err and "numbers" in err
    new = write(tmp_path / "new.csv", target=False)
    assert metawright("predict", out, new, "--format", "csv", "--probabilities") == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "input,prediction,p_down,p_up" and len(rows) == 61
    assert rows[1].split(",")[0] == "1" and rows[1].split(",")[1] in ("up", "down")
    assert metawright("predict", out, new, "--format", "jsonl") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert list(first) == ["input", "prediction"]


def test_what_is_wrong_is_one_sentence(tmp_path: Path, capsys: Capture) -> None:
    data = write(tmp_path / "data.csv")
    assert metawright("generate", data, "--out", tmp_path / "run") == 2
    assert "Give --target, the column to be predicted" in capsys.readouterr().err
    assert metawright("generate", data, "--target", "kinds", "--out", tmp_path / "run") == 2
    assert "kind" in capsys.readouterr().err
    assert (
        metawright("generate", tmp_path / "dta.csv", "--target", "a", "--out", tmp_path / "r") == 2
    )
    assert "There is no file" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_tables_are_known_by_their_endings() -> None:
    known = {"a.csv", "a.TSV", "b.csv.gz", "c.parquet", "d.jsonl"}
    assert all(is_table(name) for name in known) and not is_table("digits")
