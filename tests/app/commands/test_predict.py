"""The verb `predict`: results on stdout in three forms, a sentence for whatever cannot be used."""

import csv
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.recipes.predict import predict_paths

CLASSES = ["one, two", 'th"ree', "<ö>"]


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), [str(argument) for argument in arguments])


@pytest.fixture
def damaged(images: Path) -> Path:
    whole = (images / "a.png").read_bytes()
    (images / "half\x1b[31m.png").write_bytes(whole[: len(whole) // 2])
    return images


def test_csv(finished: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert metawright("predict", finished, images, "--format", "csv") == 0
    out, err = capsys.readouterr()
    rows = list(csv.reader(io.StringIO(out)))
    expected = predict_paths(finished, [images])
    assert rows[0] == ["input", "prediction"] and "\r" not in out and err == ""
    assert rows[1:] == [list(pair) for pair in zip(expected.inputs, expected.labels, strict=True)]
    assert rows[2][0].endswith("b, c.png")


def test_csv_with_probabilities(
    finished: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert metawright("predict", finished, images, "--probabilities", "--format", "csv") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    columns = [f"p_{name}" for name in CLASSES]
    assert list(rows[0]) == ["input", "prediction", *columns]
    found = np.array([[float(row[column]) for column in columns] for row in rows])
    expected = predict_paths(finished, [images]).probabilities
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert [CLASSES[best] for best in found.argmax(1)] == [row["prediction"] for row in rows]


def test_jsonl(finished: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("predict", finished, images / "a.png", images, "--format", "jsonl")
    assert metawright(*arguments, "--probabilities") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == 4 and rows[0] == rows[1]
    assert list(rows[0]) == ["input", "prediction", "probabilities"]
    assert list(rows[0]["probabilities"]) == CLASSES
    assert sum(rows[0]["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert metawright(*arguments) == 0
    assert list(json.loads(capsys.readouterr().out.splitlines()[0])) == ["input", "prediction"]


def test_table(finished: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert metawright("predict", finished, images, "--probabilities") == 0
    out, err = capsys.readouterr()
    head, *rows = [line.rstrip() for line in out.splitlines()]
    expected = predict_paths(finished, [images])
    assert head.split() == ["Image", "Prediction", "Confidence", "Probabilities"] and err == ""
    assert len(rows) == 3, "in a pipe no row is wrapped"
    for row, name, label, sure in zip(
        rows, expected.inputs, expected.labels, expected.confidences, strict=True
    ):
        assert row.startswith(name) and f"{label}  " in row and f"{100 * sure:.1f} %" in row


@pytest.mark.parametrize("form", ["csv", "jsonl", "table"])
def test_to_a_file(
    finished: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    assert metawright("predict", finished, images, "--format", form) == 0
    expected = capsys.readouterr().out
    out = tmp_path / "new" / "answers"
    assert metawright("predict", finished, images, "--format", form, "--out", out) == 0
    shown = capsys.readouterr()
    assert shown.out == "" and str(out) in shown.err
    assert out.read_text("utf-8") == expected


@pytest.mark.parametrize("form", ["csv", "jsonl", "table"])
def test_a_damaged_image_is_told_and_the_others_are_predicted(
    finished: Path, damaged: Path, capsys: pytest.CaptureFixture[str], form: str
) -> None:
    assert metawright("predict", finished, damaged, "--format", form) == 2
    out, err = capsys.readouterr()
    assert sum(name in out for name in ("a.png", "b, c.png", "d.jpg")) == 3
    assert "half" not in out and "half" in err and "cannot be read" in err
    assert err.count("\n") == 1 and "\x1b" not in err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["{run}x", "{images}"], "There is no run"),
        (["{images}", "{images}"], "is not the folder of a run"),
        (["{run}", "{images}/gone.png"], "There is no image or folder"),
        (["{run}", "{run}/store"], "holds no images"),
    ],
)
def test_wrong_paths(
    finished: Path,
    images: Path,
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [argument.format(run=finished, images=images) for argument in arguments]
    assert metawright("predict", *given) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Error: ") and sentence in err and err.count("\n") == 1


def test_a_moved_run(
    finished: Path, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert metawright("predict", finished, images, "--format", "csv") == 0
    expected = capsys.readouterr().out
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(finished, moved)
    shutil.rmtree(finished)
    assert metawright("predict", moved, images, "--format", "csv") == 0
    assert capsys.readouterr().out == expected


def test_unknown_form(finished: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert metawright("predict", finished, images, "--format", "xml") == 2
    err = capsys.readouterr().err
    assert "xml" in err and "jsonl" in err
