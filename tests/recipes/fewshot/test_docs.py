"""What docs/fewshot.md shows works as it stands there."""

import re
from pathlib import Path

import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS

PAGE = Path(__file__).parents[3] / "docs" / "fewshot.md"


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(block.replace("steps=20, tasks=20", "steps=2, tasks=2"), str(PAGE), "exec"), {})
    told = capsys.readouterr().out
    assert told.startswith("first-order-maml on digits: ") and "tensor([" in told
    assert len([line for line in block.splitlines() if line.strip()]) <= 12


def test_every_flag_on_the_page_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(build(COMMANDS), ["fewshot", "--help"]) == 0
    known = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    assert set(re.findall(r"--[a-z][a-z-]+", PAGE.read_text("utf-8"))) <= known
