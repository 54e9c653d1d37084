"""Jobs in children: what they give, how they break, and where they are stopped."""

import os
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from metawright.engine.workers import Workers
from metawright.errors import InputError

# A job is an expression: children can import builtins, but not a test's module.
TORCH = "__import__('torch')"
TENSOR = f"{{'weight': {TORCH}.full((3,), 2.0), 'threads': {TORCH}.get_num_threads()}}"
SLEEP = "__import__('time').sleep(30)"
HOLD = "(__import__('os').urandom(600 * 2**20), __import__('time').sleep(30))"
DIE = "__import__('os').kill(__import__('os').getpid(), 9)"


def test_jobs_in_several_children_each_give_their_value() -> None:
    with closing(Workers(eval, count=2)) as workers:
        got: dict[int, int] = {}
        left = list(range(6))
        while left or workers.free < 2:
            while left and workers.free:
                number = left.pop()
                workers.submit(number, f"{number} ** 2")
            got |= {outcome.key: outcome.value for outcome in workers.wait()}
        assert got == {number: number * number for number in range(6)}
        assert workers.wait() == []


def test_a_broken_job_a_slow_one_and_a_dead_one_are_outcomes_and_the_work_goes_on() -> None:
    with closing(Workers(eval)) as workers:
        workers.submit("tensor", TENSOR)
        (made,) = workers.wait()
        assert_close(made.value["weight"], torch.full((3,), 2.0))
        assert made.value["threads"] == 1

        workers.submit("broken", "int('seven')")
        (broken,) = workers.wait()
        assert broken.how == "failed" and broken.message.startswith("ValueError: invalid literal")
        assert "Traceback" in broken.trace

        workers.submit("slow", SLEEP, seconds=0.3)
        assert workers.wait(0.05) == []
        (slow,) = workers.wait()
        assert slow.how == "time" and 0.3 <= slow.seconds < 5
        assert slow.message == "It was stopped at the limit of 0.3 s."

        workers.submit("dead", DIE)
        (dead,) = workers.wait()
        assert dead.how == "died"
        assert dead.message == "Its process was killed by SIGKILL (out of memory?)."

        workers.submit("after", "3 * 3")
        assert [outcome.value for outcome in workers.wait()] == [9]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system has no /proc")
def test_every_library_of_a_child_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    known = "__import__('threadpoolctl').threadpool_info()"
    with closing(Workers(eval)) as workers:
        workers.submit("threads", f"(__import__('sklearn.ensemble'), {known})[1]")
        (told,) = workers.wait()
    assert len(told.value) >= 2 and {one["num_threads"] for one in told.value} == {1}
    assert os.environ["OMP_NUM_THREADS"] == "2" and "OPENBLAS_NUM_THREADS" not in os.environ


def test_at_the_end_of_the_time_a_child_that_is_still_starting_is_stopped_too() -> None:
    with closing(Workers(eval)) as workers:
        began = time.monotonic()
        workers.submit("late", SLEEP, until=began + 0.05)
        (late,) = workers.wait()
        assert late.how == "time" and late.message == "It was stopped at the end of the time."
        assert time.monotonic() - began < 15, "not the thirty seconds of the job"
        workers.submit("after", "3 * 3", until=time.monotonic() + 600)
        assert [outcome.value for outcome in workers.wait()] == [9]


def test_memory_is_limited() -> None:
    with closing(Workers(eval, memory=500 * 2**20)) as workers:
        workers.submit("much", HOLD)
        (much,) = workers.wait(20)
    assert much.how == "memory" and much.message.endswith("the limit is 500 MiB.")


def test_what_cannot_be_sent_or_counted_is_refused() -> None:
    with pytest.raises(InputError, match="function cannot be sent to worker processes"):
        Workers(lambda: None)
    with pytest.raises(InputError, match=r"`count >= 1` must hold, but got \(count=0\)"):
        Workers(eval, count=0)


CHILD = """
import time
from metawright.engine.workers import Workers
if __name__ == "__main__":
    workers = Workers(time.sleep)
    workers.submit("long", 60)
    workers.wait(4)
    print(workers._children[0].process.pid, flush=True)
    time.sleep(60)
"""


def test_children_end_with_a_killed_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(CHILD)
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        run.kill()
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(f"/proc/{pid}").exists()


INTERRUPTED = """
import os, signal, threading
from contextlib import closing
from metawright.engine.workers import Workers
if __name__ == "__main__":
    with closing(Workers(eval)) as workers:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            workers.submit("long", "__import__('time').sleep(60)")
            workers.wait(60)
        except KeyboardInterrupt:
            print("interrupted")
"""


def test_an_interrupt_while_a_child_starts_is_not_lost(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(INTERRUPTED)
    began = time.monotonic()
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True)
    assert done.stdout == "interrupted\n" and time.monotonic() - began < 50
