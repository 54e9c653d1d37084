"""`generate` and `predict` on tables, from the command line."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.tasks.tables.files import is_table

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
    assert "What it looks at" in page and "Is it as sure as it is right" in page
    assert "Cost against score" in page and "The separator is the semicolon." in page
    assert {path.name for path in (out / "pictures").iterdir()} >= {
        "beside.png", "columns.png", "confusion.png", "dependence.png", "front-latency.png",
        "front-seconds.png", "reliability.png",
    }  # fmt: skip
    assert any(line.startswith("It looks most at 'a'") for line in lines)
    check_predictions(out, tmp_path, capsys)
    check_refusals(out, data, capsys)
    assert metawright("export", out, "--keep-rows", "--out", tmp_path / "plain") == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'plain'}\n" and "predict.py new.csv" in said.err


def check_predictions(out: Path, folder: Path, capsys: Capture) -> None:
    """In every form, and for rows that are odd."""
    new = write(folder / "new.csv", target=False)
    assert metawright("predict", out, new, "--format", "csv", "--probabilities") == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0] == "input,prediction,p_down,p_up" and len(rows) == 61
    assert rows[1].split(",")[0] == "1" and rows[1].split(",")[1] in ("up", "down")
    assert metawright("predict", out, new, "--format", "jsonl") == 0
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert list(first) == ["input", "prediction"]
    assert metawright("predict", out, new) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["Row", "Prediction", "Confidence"] and "\t" not in shown[0]
    place = shown[0].index("Prediction")
    assert all(line[place:].startswith(("up", "down")) for line in shown[1:])
    assert all(line.endswith(" %") for line in shown[1:]) and len(shown) == 61
    new.write_text("a;more\n1,5;x\nsoon;y\n", "utf-8")
    assert metawright("predict", out, new) == 2
    error = capsys.readouterr().err
    assert "new.csv lacks 1 column that the model needs ('b') and has 'a', 'more'" in error
    assert error.count("\n") == 1
    assert metawright("predict", out, new, "--fill", "--format", "csv") == 0
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 3 and told.err.splitlines()[-3:] == [
        f"{new}: Taken as missing in all rows, because they are not there: 'b'.",
        f"{new}: Columns that the model does not know are ignored: 'more'.",
        f"{new}: Column 'a' must be numbers: 1 cell such as 'soon' counts as missing.",
    ]


def check_refusals(out: Path, data: Path, capsys: Capture) -> None:
    """Flags that mean nothing for a table, and verbs on its run that are meant for images."""
    asked = ("generate", data, "--target", "kind", "--out", out, "--trials", 2)
    for flags, sentence in (
        (("--shots", 3), "--shots is for images, and "),
        (("--ways", 3, "--queries", 9), "--ways and --queries are for images"),
        (("--budget", "5s"), "--budget is for a time, and --trials counts designs: leave it out"),
        (("--sheet", "one"), "is no Excel file, so it has no sheet 'one': leave it out."),
        (("--keep", "q"), "There is no column 'q' for the columns to keep"),
        (("--workers", 0), "--workers must be at least 1, but got 0."),
        (("--max-bytes", "much"), "--max-bytes must be a number such as"),
        (("--max-latency", "-1us"), "--max-latency must be a number such as 2ms or 40us"),
    ):
        assert metawright(*asked, *flags) == 2
        error = capsys.readouterr().err
        assert sentence in error and error.count("\n") == 1
    assert metawright("export", out, "--onnx") == 2
    assert "--onnx is for networks" in capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--target", "--kind", "--group", "--time", "--drop", "--keep",
                                  "--sheet", "--workers", "--max-bytes",
                                  "--max-latency"])  # fmt: skip
def test_flags_of_tables_are_refused_for_images(
    flag: str, tmp_path: Path, capsys: Capture
) -> None:
    assert metawright("generate", "digits", flag, 1, "--out", tmp_path / "run") == 2
    assert f"{flag} is for tables, and 'digits' is none: leave it out." in capsys.readouterr().err


def test_flags_of_sources_are_refused_for_folders(tmp_path: Path, capsys: Capture) -> None:
    for name in ("one", "two"):
        (tmp_path / "drawings" / name).mkdir(parents=True)
        for index in range(2):
            Image.new("L", (8, 8)).save(tmp_path / "drawings" / name / f"{index}.png")
    asked = ("generate", tmp_path / "drawings", "--out", tmp_path / "run")
    assert metawright(*asked, "--shots", 3) == 2
    assert "--shots is for a source, and " in capsys.readouterr().err


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


def test_a_run_says_that_it_is_remembered(tmp_path: Path, capsys: Capture) -> None:
    data, store = write(tmp_path / "data.csv"), tmp_path / "store"
    line = ("generate", data, "--target", "kind", "--trials", "1", "--no-explain", "--no-report")
    assert metawright(*line, "--out", tmp_path / "one", "--store", store) == 0
    assert f"no rows, in {store}" in capsys.readouterr().err
    assert metawright("store", "--store", store) == 0
    assert "1 runs" in capsys.readouterr().out
    assert metawright(*line, "--out", tmp_path / "two", "--store", "none") == 0
    assert "Remembered" not in capsys.readouterr().err
