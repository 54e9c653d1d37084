"""The verb `generate`: results on stdout, all else on stderr, everything in one folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.recipes.inputs import read_run
from metawright.store import Store


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), [str(argument) for argument in arguments])


@pytest.fixture
def generate(tmp_path: Path, tiny_bundle_folder: Path) -> Callable[..., dict[str, Any]]:
    """`generate(data, ...)`: what `run.json` holds after the command."""

    def go(data: object, *arguments: object) -> dict[str, Any]:
        out = tmp_path / "run"
        asked = ("--out", out, "--bundle", tiny_bundle_folder, *arguments)
        assert metawright("generate", data, *asked) == 0
        return read_run(out)

    return go


def test_a_folder(
    generate: Callable[..., dict[str, Any]],
    shapes: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = generate(shapes, "--trials", 2, "--store", tmp_path / "shared")
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0].startswith("Expected accuracy from the support alone: ")
    assert "by 4-fold cross-validation on 12 examples" in lines[0]
    assert lines[1].startswith("The design: ") and told["why"][0] == lines[1]
    assert lines[-2:] == [
        f"Model:  {tmp_path / 'run'}",
        f"Report: {tmp_path / 'run' / 'report.html'}",
    ]
    assert (tmp_path / "run" / "report.html").is_file()
    assert "Loading (budget 2 trials) ..." in err and "First usable model after" in err
    assert "2 designs, best" in err and "\x1b" not in err
    assert told["data"]["name"] == str(shapes)
    with Store(tmp_path / "shared") as store:
        assert len(store.trials()) == 2


def test_digits_are_judged_beside_the_baselines(
    generate: Callable[..., dict[str, Any]],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ("--trials", 1, "--ways", 3, "--shots", 2, "--queries", 4, "--seed", 5, "--no-report")
    told = generate("digits", *asked)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Accuracy on 12 new examples (95 % interval):"
    names = [line.split("  ")[1] for line in lines[1:5]]
    assert names == ["metawright", "logistic regression", "1-nearest neighbour", "SVM"]
    assert f"{100 * told['test']['accuracy']:5.1f} %" in lines[1]
    assert lines[-1] == f"Model:  {tmp_path / 'run'}"
    assert not (tmp_path / "run" / "report.html").exists()
    assert (told["seed"], len(told["data"]["classes"])) == (5, 3)


def test_a_folder_named_like_a_source_is_a_folder(
    generate: Callable[..., dict[str, Any]],
    tmp_path: Path,
    draw_shapes_in: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    draw_shapes_in(tmp_path / "digits", {"bar": 2, "ring": 2})
    monkeypatch.chdir(tmp_path)
    told = generate("digits", "--trials", 1, "--no-report")
    assert told["data"]["classes"] == ["bar", "ring"]


def test_a_budget_of_time(
    generate: Callable[..., dict[str, Any]], shapes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However little time there is, there is a model; the same command then has none left."""
    told = generate(shapes, "--budget", "0.01s", "--no-report")
    assert told["budget"] == {"seconds": 0.01, "trials": None} and len(told["history"]) == 1
    again = generate(shapes, "--budget", "0.01s", "--no-report")
    assert again["history"] == told["history"]
    assert "First usable model" in capsys.readouterr().err
