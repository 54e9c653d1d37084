"""One writer a folder, told by its process id, and never a lock that outlives its process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metawright.engine import FolderLock
from metawright.errors import BusyError, InputError

HOLDER = """
import sys
from metawright.engine.lock import FolderLock

with FolderLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.readline()
"""


def start_holder(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the folder until it is told to let go."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.mark.parametrize("end", ["kill", "leave"])
def test_second_process_is_told_until_the_first_ends(tmp_path: Path, end: str) -> None:
    holder = start_holder(tmp_path / "run")
    with (
        pytest.raises(
            BusyError,
            match=rf"^Another process \(pid {holder.pid}\) is writing .*run: "
            "wait for it, or choose another --out.$",
        ),
        FolderLock(tmp_path / "run"),
    ):
        pass
    if end == "kill":
        holder.send_signal(signal.SIGKILL)
    holder.communicate("\n")
    with FolderLock(tmp_path / "run"):
        assert (tmp_path / "run" / ".lock").read_text() == str(os.getpid())


def test_same_process_is_kept_out_too(tmp_path: Path) -> None:
    with FolderLock(tmp_path), pytest.raises(BusyError, match=f"pid {os.getpid()}"):
        FolderLock(tmp_path).__enter__()
    with FolderLock(tmp_path), FolderLock(tmp_path / "inside"):
        pass


def test_lock_can_be_taken_again_but_not_twice_at_once(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with lock, pytest.raises(RuntimeError, match=r"holds .* already"):
        lock.__enter__()
    with lock:
        pass


def test_longer_process_id_of_a_killed_holder_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("12345678901234")
    with FolderLock(tmp_path), pytest.raises(BusyError, match=rf"\(pid {os.getpid()}\)"):
        FolderLock(tmp_path).__enter__()


def test_error_inside_lets_go(tmp_path: Path) -> None:
    with pytest.raises(KeyError), FolderLock(tmp_path):
        raise KeyError("stop")
    with FolderLock(tmp_path):
        pass


def test_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    with FolderLock(tmp_path) as lock:
        # It inherits the descriptor, as a forked worker does.
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"],
            stdin=subprocess.PIPE,
            pass_fds=[lock._descriptor or 0],
        )
    with FolderLock(tmp_path):
        pass
    child.communicate(b"\n")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="a file stands where a folder is needed"),
        FolderLock(tmp_path / "file"),
    ):
        pass
