"""`generate` on a table is stopped, in whatever way and at whatever moment: the same command goes
on, nothing is lost, and what is there predicts."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.engine.inline import Inline
from metawright.recipes.tables.model import load_table_model
from metawright.store.database import Store
from metawright.tasks.tables import read_table

PROGRAM = str(Path(sys.executable).parent / "metawright")
ROWS = 60
LAST = 3

pytestmark = pytest.mark.slow


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), [str(argument) for argument in arguments])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 2))
    y = x[:, 0] ** 2 + x[:, 1]
    rows = [f"{a:.3f},{b:.3f},{c:.3f}" for (a, b), c in zip(x, y, strict=True)]
    path = tmp_path / "data.csv"
    path.write_text("\n".join(["a,b,y", *rows, ""]), "utf-8")
    return path


def trials(out: Path) -> list[str]:
    if not (out / "store" / "store.sqlite").exists():
        return []
    with Store(out / "store") as store:
        return [trial.id for trial in store.trials()]


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "reading": lambda out: out.exists(),
    "first model": lambda out: (out / "table.json").exists(),
    "searching": lambda out: len(trials(out)) >= 2,
    "finishing": lambda out: len(trials(out)) == LAST,
}


def stopped(asked: list[str], moment: str, out: Path, how: signal.Signals) -> tuple[int, str]:
    """Exit code and stderr of the command that was stopped at a moment."""
    process = subprocess.Popen(
        [PROGRAM, *asked], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while not MOMENTS[moment](out) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(how)
    _, error = process.communicate(timeout=120)
    return process.returncode, error


CASES = [(signal.SIGKILL, moment) for moment in MOMENTS] + [(signal.SIGINT, "searching")]


@pytest.mark.parametrize(("how", "moment"), CASES)
def test_the_same_command_goes_on(
    data: Path, tmp_path: Path, moment: str, how: signal.Signals,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    out = tmp_path / "run"
    count = LAST if moment == "finishing" else 500
    asked = ["generate", str(data), "--target", "y", "--out", str(out), "--no-report"]
    code, error = stopped([*asked, "--trials", str(count), "--workers", "1"], moment, out, how)
    if how is signal.SIGINT:
        assert code == 130, error
        assert error.splitlines()[-1] == "Interrupted; run the same command to go on."
        assert "Traceback" not in error
    kept = trials(out)
    if moment != "reading":
        assert metawright("predict", out, data, "--format", "csv") == 0
        assert len(capsys.readouterr().out.splitlines()) == ROWS + 1
    if how is signal.SIGINT:
        assert json.loads((out / "run.json").read_text("utf-8"))["status"] == "interrupted"
    # Going on in this process: that children work is known by now.
    monkeypatch.setattr("metawright.recipes.tables.run.Workers", lambda work, **_: Inline(work))
    last = LAST if moment == "finishing" else len(kept) + 1
    assert metawright(*asked, "--trials", max(last, 1), "--workers", 1) == 0
    assert trials(out)[: len(kept)] == kept and len(trials(out)) == max(last, 1)
    told = json.loads((out / "run.json").read_text("utf-8"))
    assert told["status"] == "done" and set(told["best"]["members"]) <= set(trials(out))
    assert len(load_table_model(out).predict(read_table(data)).answers) == ROWS
