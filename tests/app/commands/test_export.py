"""The verb `export`."""

import sys
from pathlib import Path

import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS


def test_export(finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, folder in (([], finished / "export"), (["--out", "x"], Path("x"))):
        given = ["export", str(finished), *arguments]
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            assert run(build(COMMANDS), given) == 0
            names = {path.name for path in folder.iterdir()}
        assert names == {"model.safetensors", "model.json", "model.py", "README.md"}
        out, err = capsys.readouterr()
        assert out == f"{folder}\n" and "model.py IMAGE" in err


def test_errors(
    finished: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(build(COMMANDS), ["export", str(tmp_path / "gone")]) == 2
    assert "Error: There is no run" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert run(build(COMMANDS), ["export", str(finished), "--onnx"]) == 2
    assert "pip install 'metawright[onnx]'" in capsys.readouterr().err
