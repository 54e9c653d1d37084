"""The verb `report`, and that the verbs on a run refuse a wrong one without loading torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS


def test_report(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(build(COMMANDS), ["report", str(finished), "--no-pictures"]) == 0
    assert capsys.readouterr().out == f"{finished / 'report.html'}\n"
    assert (finished / "report.html").exists() and not (finished / "pictures").exists()


def test_not_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(build(COMMANDS), ["report", str(tmp_path)]) == 2
    assert "is not the folder of a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "{run}", "/no/such.png"],
        ["predict", "{empty}", "{empty}"],
        ["predict", "{run}", "{empty}"],
        ["report", "{empty}"],
        ["export", "/no/such"],
    ],
)
def test_a_wrong_path_is_answered_without_torch(
    finished: Path, tmp_path: Path, arguments: list[str]
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    given = [argument.format(run=finished, empty=empty) for argument in arguments]
    program = f"""
import sys
from metawright.app import cli
sys.argv = ["metawright", *{given!r}]
try:
    cli.main()
except SystemExit as end:
    heavy = {{"torch", "sklearn", "matplotlib", "sqlalchemy"}} & sys.modules.keys()
    sys.stderr.write(f"code {{end.code}}, loaded {{sorted(heavy)}}")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.startswith("Error: ") and done.stderr.endswith("code 2, loaded []")
