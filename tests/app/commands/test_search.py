"""The verb `search`: what it prints, refuses, survives, and hands on to the other verbs."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.store import Store

Capture = pytest.CaptureFixture[str]

MINE = """
import time
from metawright.spaces import Integer, Record
space = Record({"x": Integer(0, 99), "y": Integer(0, 99)})
def evaluate(design):
    time.sleep(0.02)
    if design["x"] == 13:
        raise ValueError("unlucky")
    return 1 - (abs(design["x"] - 70) + abs(design["y"] - 20)) / 200
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), [str(argument) for argument in arguments])


def test_an_own_evaluator_from_a_file(mine: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    asked = ("search", "--space", mine, "--objective", "score", "--trials", 24, "--workers", 0)
    assert metawright(*asked, "--out", out) == 0
    told, err = capsys.readouterr()
    lines = told.splitlines()
    assert lines[0].startswith("evolution over ") and "score 0." in lines[0]
    assert any("expected best of random search" in line for line in lines)
    assert lines[-2:] == [f"Run:     {out}", f"Report:  {out / 'report.html'}"]
    assert "Searching" in err and "\x1b" not in err
    assert metawright("report", out) == 0
    assert metawright("predict", out, tmp_path) == 2
    assert "has no network to use" in capsys.readouterr().err


def test_a_folder_of_images_becomes_a_network_that_predicts_and_is_exported(
    tmp_path: Path, capsys: Capture
) -> None:
    rng = np.random.default_rng(0)
    for name, bright in (("dark", 60), ("light", 190)):
        (tmp_path / "data" / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.clip(rng.normal(bright, 25, (10, 10)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{number}.png")
    out = tmp_path / "run"
    asked = ("search", tmp_path / "data", "--space", "dense", "--epochs", 20, "--trials", 4)
    assert metawright(*asked, "--workers", 0, "--out", out) == 0
    capsys.readouterr()
    some = tmp_path / "data" / "light" / "3.png"
    assert metawright("predict", out, some, "--format", "csv") == 0
    assert capsys.readouterr().out.splitlines()[1].split(",")[1] == "light"
    assert metawright("export", out) == 0
    script = str(out / "export" / "model.py")
    done = subprocess.run([sys.executable, script, str(some)], capture_output=True, text=True)
    assert done.returncode == 0 and "light" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give DATA to search on"),
        (("digits", "--space", "cell"), "did you mean 'cells'?"),
        (("digits", "--trials", 3, "--budget", "3s"), "not both"),
        (("digits", "--max-params", "few"), "--max-params must be a number such as 100k"),
        (("nowhere",), "There is no source, folder or file 'nowhere'"),
        (("digits", "--budget", "soon"), "--budget must be a duration"),
        (
            ("nasbench201/cifar10", "--epochs", 3),
            "--epochs would change nothing, because 'nasbench201/cifar10' is a table",
        ),
        (("nasbench201/cifar10", "--space", "dense"), "--space would change nothing"),
        (
            ("digits", "--space", "pipelines", "--epochs", 3),
            "--epochs would change nothing, because pipelines are fitted",
        ),
        (("digits", "--size", 16), "because only images of a folder are read at a size"),
        (("digits", "--workers", 0, "--memory", "2G"), "--memory needs --workers of at least 1"),
    ],
    ids=[
        "nothing",
        "space",
        "limits",
        "amount",
        "data",
        "budget",
        "table",
        "space of a table",
        "pipelines",
        "size",
        "memory",
    ],
)
def test_wrong_arguments_are_one_sentence(
    arguments: tuple[object, ...], message: str, tmp_path: Path, capsys: Capture
) -> None:
    assert metawright("search", *arguments, "--out", tmp_path / "run") == 2
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on_with_the_same_designs(
    mine: Path, tmp_path: Path
) -> None:
    asked = ["--space", str(mine), "--objective", "score", "--trials", "40", "--workers", "1"]
    command = [sys.executable, "-m", "metawright.app.cli", "search", *asked, "--no-report"]
    subprocess.run([*command, "--out", str(tmp_path / "whole")], check=True, capture_output=True)
    out = tmp_path / "run"
    process = subprocess.Popen(
        [*command, "--out", str(out)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while process.poll() is None and _count(out) < 12:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    subprocess.run([*command, "--out", str(out)], check=True, capture_output=True)
    designs = [_designs(folder) for folder in (tmp_path / "whole", out)]
    assert designs[0] == designs[1]


def _count(out: Path) -> int:
    return len(_designs(out)) if (out / "store" / "store.sqlite").exists() else 0


def _designs(out: Path) -> list[str]:
    with Store(out / "store") as store:
        return [json.dumps(trial.design.to_json()) for trial in store.trials()]
