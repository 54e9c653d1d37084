"""The verb `fewshot`: its table, its report, its refusals."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.app.report.fewshot.page import write_fewshot_report
from metawright.errors import InputError

Capture = pytest.CaptureFixture[str]
QUICK = ("--ways", 2, "--queries", 2, "--steps", 3, "--tasks", 4)
PROTOTYPES = ("--learner", "prototypical-network", "--source", "digits")


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), ["fewshot", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of the command, with its report."""
    out = tmp_path_factory.mktemp("fewshot") / "run"
    maml = ("--learner", "maml", "--source", "digits", "--tasks-per-step", 2)
    assert metawright(*maml, *QUICK, "--out", out) == 0
    return out


def test_the_table_and_the_report(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    assert metawright(*PROTOTYPES, *QUICK, "--out", out) == 0
    told, err = capsys.readouterr()
    lines = told.splitlines()
    assert lines[0] == "Accuracy on 4 test tasks of digits, 2-way 1-shot (95 %):"
    names = [line.strip().split("  ")[0] for line in lines[1:5]]
    assert names == ["prototypical-network, each query alone (inductive)", "chance",
                     "nearest mean of raw inputs", "before meta-training"]  # fmt: skip
    assert "50.00 %" in lines[2]
    assert lines[5].startswith("Calibration: expected error ")
    assert lines[-2:] == [f"Learner: {out}", f"Report:  {out / 'report.html'}"]
    assert "Meta-training ..." in err and "Test tasks: done in" in err and "\x1b" not in err
    assert metawright(*PROTOTYPES, *QUICK, "--out", out) == 0
    assert capsys.readouterr().out == told, "a finished run is read, not made again"


def test_both_figures_of_a_learner_that_looks_around(finished: Path, capsys: Capture) -> None:
    maml = ("--learner", "maml", "--source", "digits", "--tasks-per-step", 2)
    assert metawright(*maml, *QUICK, "--out", finished) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].strip().startswith("maml, each query alone (inductive)")
    assert lines[2].strip().startswith("maml, queries together (transductive)")


def test_a_comparison(tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "run"
    asked = ("--compare", "prototypical-network,first-order-maml", "--source", "digits")
    assert metawright(*asked, *QUICK, "--out", out) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Accuracy on the same 4 test tasks, each query alone (95 %):"
    names = {line.split("  ")[1].strip() for line in lines[1:5]}
    assert names == {"prototypical-network", "first-order-maml", "chance",
                     "nearest mean of raw inputs"}  # fmt: skip
    page = (out / "report.html").read_text()
    assert "is the best of 2 learners on the same 4 test tasks" in page
    assert page.count("<svg") >= 2 and "<script" not in page
    assert metawright(*PROTOTYPES, *QUICK, "--out", out) == 2
    assert "holds a run of `metawright fewshot --compare`" in capsys.readouterr().err


def test_the_page_needs_no_other_file(finished: Path) -> None:
    page = (finished / "report.html").read_text()
    assert "default-src 'none'" in page and "img-src data:" in page
    assert page.count('src="data:image/png;base64,') > 10
    assert "<script" not in page and "http" not in page.replace("http-equiv", "")
    for words in ("What meta-training adds", "Step by step", "Does it know what it knows",
                  "Sample tasks", "Training", "How it was made", "load_fewshot",
                  "each query predicted alone", "before meta-training",
                  "2-way 1-shot"):  # fmt: skip
        assert words in page, words


def test_a_page_about_numbers(tmp_path: Path, capsys: Capture) -> None:
    asked = ("--learner", "maml", "--source", "sinusoid", "--tasks-per-step", 2)
    assert metawright(*asked, *QUICK, "--out", tmp_path / "run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Mean squared error on 4 test tasks of sinusoid, 10-shot (95 %):"
    assert lines[2].strip().startswith("mean of the support") and "median" in lines[2]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "mean squared error" in page and "after 1 step" in page and "Reliability" not in page


def test_names_from_outside_are_text(finished: Path, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    told = json.loads((finished / "run.json").read_text())
    told["data"] = {"name": evil, "notes": [evil]}
    told["asked"]["learner"] = evil
    samples = json.loads((finished / "samples.json").read_text())
    for task in samples:
        task["classes"] = [evil] * len(task["classes"])
        task["query"][0]["image"] = '"><script>'
    (tmp_path / "run.json").write_text(json.dumps(told))
    (tmp_path / "samples.json").write_text(json.dumps(samples))
    page = write_fewshot_report(tmp_path).read_text()
    assert "<script" not in page and "&lt;script&gt;" in page


def test_a_report_needs_a_finished_run(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"kind": "fewshot", "format": 1}')
    with pytest.raises(InputError, match="holds no finished few-shot run"):
        write_fewshot_report(tmp_path)


REFUSED: list[tuple[tuple[object, ...], str]] = [
    (("--learner", "mamal"), "There is no learner 'mamal': did you mean 'maml'?"),
    (("--compare", "maml,mamal"), "There is no learner 'mamal': did you mean 'maml'?"),
    (("--compare", "maml"), "A comparison needs two or more different learners"),
    (("--ways", 1), "--ways must be at least 2, but got 1."),
    (("--ways", 30), "A task of 30 classes was asked for, but the train part of 'digits' has 10"),
    (("--budget", "0s"), "--budget must be more than zero"),
    (("--budget", "soon"), "--budget must be a duration"),
    (("--budget", "5m", "--steps", 3), "Give --steps or --budget, not both"),
    (("--tasks", 1), "--tasks must be at least 2"),
    (
        ("--source", "digts"),
        "There is no source or folder 'digts': did you mean 'digits'?",
    ),
    (("--inner-lr", 0), "--inner-lr must be more than 0, but got 0.0."),
    (("--source", "sinusoid"), "Sources that are mixed must give alike tasks"),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_bad_input(
    arguments: tuple[object, ...], sentence: str, tmp_path: Path, capsys: Capture
) -> None:
    out = tmp_path / "run"
    assert metawright("--source", "digits", "--out", out, *arguments) == 2
    told, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.endswith(" ...")]
    assert told == "" and len(lines) == 1 and sentence in lines[0]
    assert not out.exists()


def test_a_folder_that_cannot_give_such_tasks(
    tmp_path: Path, capsys: Capture, draw_shapes_in: Callable[..., Path]
) -> None:
    folder = draw_shapes_in(tmp_path / "shapes", {f"bar{n}": 4 for n in range(7)})
    asked = ("--source", folder, "--out", tmp_path / "run", "--steps", 2)
    assert metawright(*asked, "--ways", 3) == 2
    sentence = capsys.readouterr().err
    assert "Tasks of 3 ways need 9 classes (3 each" in sentence and "has 7: lower --ways to 2" in (
        sentence
    )
    assert metawright(*asked, "--ways", 2) == 2
    assert "Class 'bar0' of" in (sentence := capsys.readouterr().err)
    assert "has 4 images, but 1 shots and 15 queries need 16: lower --shots" in sentence
    few = (*PROTOTYPES[:2], "--ways", 2, "--queries", 2, "--tasks", 2, "--size", 8)
    assert metawright(*asked, *few) == 0


PROMPT = [
    ("--source", "digits", "--ways", "1"),
    ("--source", "digts"),
    ("--source", "digits", "--budget", "0"),
]


@pytest.mark.parametrize("arguments", PROMPT)
def test_refusals_load_no_torch(arguments: tuple[str, ...], tmp_path: Path) -> None:
    line = ["metawright", "fewshot", "--out", str(tmp_path / "run"), *arguments]
    program = f"""
import sys
from metawright.app import cli
sys.argv = {line!r}
try:
    cli.main()
except SystemExit as end:
    heavy = {{"torch", "numpy", "sklearn", "matplotlib", "sqlalchemy"}} & sys.modules.keys()
    sys.stderr.write(f"code {{end.code}}, loaded {{sorted(heavy)}}")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.endswith("code 2, loaded []"), done.stderr


@pytest.mark.slow
def test_a_process_that_was_killed_goes_on(tmp_path: Path) -> None:
    """Killed by the system in the middle of training, the same command ends with the same
    learner as one that never stopped."""
    asked: list[Any] = [*PROTOTYPES, "--ways", 2, "--queries", 2, "--steps", 80, "--tasks", 4]
    command = [sys.executable, "-m", "metawright.app.cli", "fewshot", *map(str, asked), "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    process = subprocess.Popen(
        [*command, str(tmp_path / "run")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    curves = tmp_path / "run" / "curves.jsonl"
    while process.poll() is None and not (curves.exists() and curves.stat().st_size > 2000):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    subprocess.run([*command, str(tmp_path / "run")], check=True, capture_output=True)
    for name in ("last.safetensors", "weights.safetensors", "samples.json"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_verbs_of_generated_models_know_it(finished: Path, capsys: Capture) -> None:
    (finished / "report.html").unlink()
    app = build(COMMANDS)
    assert run(app, ["report", str(finished)]) == 0
    assert capsys.readouterr().out == f"{finished / 'report.html'}\n"
    assert (finished / "report.html").is_file()
    assert run(app, ["export", str(finished)]) == 2
    assert "is a few-shot run" in capsys.readouterr().err
