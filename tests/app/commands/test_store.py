"""The verb `store`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.spaces.design import Design
from metawright.store import RunRecord, Store, Trial

Line = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Line:
    """Exit code, stdout and stderr of `metawright ARGUMENTS`."""

    def line(*arguments: object) -> tuple[int, str, str]:
        code = run(build(COMMANDS), [str(argument) for argument in arguments])
        return code, *capsys.readouterr()

    return line


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Store(tmp_path / "store") as store:
        info = {"name": "prices.csv", "kind": "regression", "measure": "rmse"}
        store.add_run(RunRecord("abc", "generate", status="done", info=info))
        store.add_trial(Trial("1", "t", Design({"x": 1}), {"rmse": 0.25}, run="abc"))
        store.add_trial(Trial("2", "t", Design({"x": 2}), {"rmse": 0.5}, run="abc"))
    return tmp_path / "store"


def test_a_store_is_listed_shown_taken_elsewhere_and_forgotten(
    folder: Path, tmp_path: Path, cli: Line
) -> None:
    code, out, _ = cli("store", "--store", folder)
    assert code == 0 and "1 runs" in out
    assert "abc" in out and "prices.csv" in out and "rmse 0.25" in out
    assert "rmse 0.5" in cli("store", "show", "prices.csv", "--store", folder)[1]
    file = tmp_path / "some.jsonl"
    assert cli("store", "export", file, "--store", folder)[1] == (
        f"Wrote 1 runs with 2 trials to {file}.\n"
    )
    new = tmp_path / "new"
    assert "Read 1 runs with 2 trials" in cli("store", "import", file, "--store", new)[1]
    assert cli("store", "forget", "abc", "--store", new)[1] == "Forgot 1 runs with 2 trials.\n"
    assert "0 runs" in cli("store", "list", "--store", new)[1]
    assert cli("store", "forget", "--all", "--store", folder)[1].startswith("Forgot 1 runs")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["forgt"], "did you mean 'forget'?"),
        (["forget"], "Say which runs to forget"),
        (["forget", "abc", "--all"], "without names"),
        (["list", "abc"], "takes no names"),
        (["export"], "Give one file"),
        (["show"], "Give one run"),
        (["list", "--run", "abc"], "--run goes with"),
        (["show", "prices.cs"], "did you mean 'prices.csv'?"),
        (["import", "nowhere.jsonl"], "There is no file 'nowhere.jsonl'"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    folder: Path,
    cli: Line,
    arguments: list[str],
    told: str,
) -> None:
    code, out, error = cli("store", *arguments, "--store", folder)
    assert (code, out) == (2, "") and told in error and error.count("\n") == 1


def test_nothing_remembered_is_no_error_but_a_missing_store_is(
    tmp_path: Path, cli: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAWRIGHT_STORE", str(tmp_path / "none yet"))
    assert cli("store")[1].startswith("Nothing is remembered yet")
    assert cli("store", "--store", tmp_path / "other")[0] == 2
    monkeypatch.setenv("METAWRIGHT_STORE", "none")
    assert "METAWRIGHT_STORE is 'none'" in cli("store")[2]
