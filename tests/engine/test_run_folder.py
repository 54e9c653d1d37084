"""The folder of a run: told apart from anything else; only the same run goes on in it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from metawright import __version__
from metawright.engine.run_folder import RunFolder, check_free
from metawright.errors import InputError, VersionError

ASKED: dict[str, Any] = {
    "data": {"name": "letters", "fingerprint": "abc"},
    "seed": 0,
    "bundle": {"name": "strokes", "digest": "def"},
    "budget": {"seconds": 5.0, "trials": None},
}


def told(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "run.json").read_text())
    return found


def test_a_new_run(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "deep" / "run", ASKED)
    assert not folder.resumed
    folder.save(status="done", best={"members": ["a"], "weights": [1.0]})
    found = told(folder.path)
    assert (found["format"], found["metawright"], found["status"]) == (1, __version__, "done")
    assert found["created"].endswith("+00:00") and found["test"] is None
    assert found["best"] == {"members": ["a"], "weights": [1.0]}
    assert ASKED.items() <= found.items()


def test_going_on_keeps_what_was_and_counts_its_time(tmp_path: Path) -> None:
    first = RunFolder(tmp_path, ASKED)
    first.started_before(100.0)
    first.save(first={"trial": "a", "accuracy": 0.5}, history=[1])
    more = {"budget": {"seconds": 300.0, "trials": None}}
    second = RunFolder(tmp_path, ASKED | more)
    assert second.resumed
    assert 100.0 <= second.seconds < 110.0
    second.save()
    found = told(tmp_path)
    assert found["history"] == [1] and found["created"] == first.record["created"]
    assert found["budget"] == more["budget"]


def test_time_between_two_sessions_does_not_count(tmp_path: Path) -> None:
    RunFolder(tmp_path, ASKED).save()
    time.sleep(0.2)
    assert RunFolder(tmp_path, ASKED).seconds < 0.2


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("data", {"name": "letters", "fingerprint": "abd"}),
        ("seed", 1),
        ("bundle", {"name": "strokes", "digest": "dee"}),
    ],
)
def test_another_run_is_refused(tmp_path: Path, name: str, other: Any) -> None:
    RunFolder(tmp_path, ASKED).save()
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(InputError, match=f"holds a run with other {name}: choose another --out"):
        RunFolder(tmp_path, ASKED | {name: other})
    assert (tmp_path / "run.json").read_bytes() == before


def test_the_same_data_under_another_name_is_the_same(tmp_path: Path) -> None:
    RunFolder(tmp_path, ASKED).save()
    moved = {"data": {"name": "elsewhere/letters", "fingerprint": "abc"}}
    assert RunFolder(tmp_path, ASKED | moved).resumed


@pytest.mark.parametrize("text", ['{"format": 2}', "[]", "{}", "3"])
def test_another_version(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    for refuse in (check_free, lambda path: RunFolder(path, ASKED)):
        with pytest.raises(VersionError, match="holds a run of another version of metawright"):
            refuse(tmp_path)
    assert (tmp_path / "run.json").read_text() == text


def test_half_a_run_json(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"format": 1, "sta')
    with pytest.raises(InputError, match=r"run\.json is damaged or not a JSON file"):
        check_free(tmp_path)


def test_a_foreign_folder_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match=r"is not empty and holds no run: .*nothing of yours"):
        RunFolder(tmp_path, ASKED)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    for path in (tmp_path / "thesis.tex", tmp_path / "thesis.tex" / "deep" / "run"):
        with pytest.raises(InputError, match=r"thesis\.tex' is a file, but a run needs a folder"):
            RunFolder(path, ASKED)


def test_what_a_kill_leaves_before_the_first_line_is_free(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("17")
    (tmp_path / "store").mkdir()
    (tmp_path / ".run.json.17-abcd.tmp").write_text("{")
    check_free(tmp_path)
    check_free(tmp_path / "new")
    assert not RunFolder(tmp_path, ASKED).resumed
