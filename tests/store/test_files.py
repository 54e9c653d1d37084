"""Files are whole or not there, and every refusal is one clear sentence."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest

from metawright.errors import InputError
from metawright.store.files import json_text, read_json, write_bytes, write_json, write_text


def refuse(code: int) -> Any:
    """A stand-in for a call of the operating system that fails."""

    def call(*args: object, **keywords: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return call


def test_writes_in_new_folders_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "first" / "note.txt"
    write_text(path, "gl\u00fcck")
    write_text(path, "\u0967")
    assert path.read_bytes() == "\u0967".encode()
    assert [file.name for file in path.parent.iterdir()] == ["note.txt"]


def test_json_round_trip_is_strict_json(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    write_json(path, {"loss": float("inf"), "folds": (0.5, float("nan")), "name": "\u00e9"})
    assert read_json(path) == {"loss": None, "folds": [0.5, None], "name": "\u00e9"}
    json.loads(path.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))


def test_json_of_something_else_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        json_text({"path": Path("x")})


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_full_disk_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    path = tmp_path / "model.bin"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, call, refuse(code))
    with pytest.raises(
        InputError, match=r"^No space left on the disk of .*model\.bin: free some and run the same"
    ):
        write_bytes(path, b"new and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_while_writing(tmp_path: Path) -> None:
    """A limit on the size of files is the nearest thing to a full disk that every system has."""
    path = tmp_path / "model.bin"
    write_bytes(path, b"old")
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from metawright.store.files import write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "write_bytes(Path(sys.argv[1]), b'x' * 100_000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=False
    )
    assert "InputError" in done.stderr
    assert "model.bin cannot be written (File too large)" in done.stderr
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_other_refusals_say_what_and_why(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(InputError, match=r"cannot be written .*file stands where a folder"):
        write_text(file / "inside", "x")
    with pytest.raises(InputError, match=r"cannot be written .*folder stands where a file"):
        write_text(tmp_path, "x")
    assert list(tmp_path.iterdir()) == [file]


def test_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(descriptor: int) -> NoReturn:
        raise KeyboardInterrupt

    path = tmp_path / "state.json"
    write_json(path, 1)
    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, 2)
    assert read_json(path) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_reading_what_is_missing_damaged_or_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"There is no file .*gone\.json"):
        read_json(tmp_path / "gone.json")
    half = tmp_path / "half.json"
    half.write_text('{"a": 1')
    with pytest.raises(InputError, match=r"half\.json is damaged or not a JSON file"):
        read_json(half)
    half.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"half\.json is damaged or not a JSON file"):
        read_json(half)
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory\)"):
        read_json(tmp_path)
