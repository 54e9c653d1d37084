"""Several processes in one store, and a kill in the middle: nothing acknowledged is lost."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from metawright.store import Store

WRITER = """
import itertools, sys
from metawright.spaces.design import Design
from metawright.store import Store, Trial

folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
design = Design({"depth": 2})
print("ready", flush=True)
sys.stdin.readline()
with Store(folder) as store:
    for number in itertools.count() if count < 0 else range(count):
        store.add_trial(Trial(f"{name}-{number}", "digits", design, {"accuracy": 0.5}, run=name))
        print(f"{name}-{number}", flush=True)
"""


def start_writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    """A process that adds `count` trials (-1: without end) and prints each one that is in."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", WRITER, str(folder), name, str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def go(writer: subprocess.Popen[str]) -> None:
    """Lets the writer begin, once it has loaded everything."""
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == "ready\n"
    writer.stdin.write("\n")
    writer.stdin.flush()


def test_two_writers_and_a_reader_from_the_first_moment(tmp_path: Path) -> None:
    """Both also make the store: neither the folder nor its tables are there when they begin."""
    writers = {name: start_writer(tmp_path / "new", name, 100) for name in ("left", "right")}
    for writer in writers.values():
        go(writer)
    seen = 0
    with Store(tmp_path / "new") as store:
        while any(writer.poll() is None for writer in writers.values()):
            now = len(store.trials())
            assert now >= seen
            seen = now
        for name, writer in writers.items():
            _, errors = writer.communicate()
            assert (writer.returncode, errors) == (0, "")
            expected = [f"{name}-{number}" for number in range(100)]
            assert [trial.id for trial in store.trials(run=name)] == expected
        assert len(store.trials()) == 200


@pytest.mark.parametrize("after", [1, 40])
def test_kill_keeps_every_acknowledged_trial(tmp_path: Path, after: int) -> None:
    with start_writer(tmp_path, "killed", -1) as writer:
        go(writer)
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline().strip() for _ in range(after)]
        writer.send_signal(signal.SIGKILL)
        # Not communicate(): it passes over what readline() has buffered. A kill may cut the last
        # line short: only whole lines are promises.
        acknowledged += writer.stdout.read().split("\n")[:-1]
    assert writer.returncode == -signal.SIGKILL
    with Store(tmp_path) as store:
        stored = [trial.id for trial in store.trials()]
    assert stored[: len(acknowledged)] == acknowledged
    assert len(stored) <= len(acknowledged) + 1


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("metawright.store", ("torch", "sqlalchemy", "numpy")),
        ("metawright.store.files", ("torch", "sqlalchemy", "numpy")),
        ("metawright.store.database", ("torch",)),
        ("metawright.engine.lock", ("torch", "sqlalchemy")),
        ("metawright.engine.budget", ("torch", "sqlalchemy")),
    ],
)
def test_light_modules_stay_light(module: str, forbidden: tuple[str, ...]) -> None:
    code = f"import {module}, sys; print([name for name in {forbidden} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
