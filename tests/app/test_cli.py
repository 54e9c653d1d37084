"""The command line's skeleton: help, version, and every kind of error as one sentence."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest
import typer
from rich.console import Console

from metawright import __version__
from metawright.app import console
from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.app.errors import explain
from metawright.errors import InputError, MissingExtraError
from metawright.tasks import SOURCES


def generate(path: str = ".") -> None:
    """Makes a model."""
    typer.echo(f"made from {path}")


def answer(arguments: list[str], verb: Callable[..., None] = generate) -> int:
    return run(build({"generate": verb, "report": generate}), arguments)


def raising(error: BaseException) -> Callable[[], None]:
    def verb() -> None:
        raise error

    return verb


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(build(COMMANDS), ["--version"]) == 0
    assert capsys.readouterr() == (f"metawright {__version__}\n", "")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_the_verbs(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "generate" in out and "Makes a model." in out and "--debug" in out


def test_a_verb_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["generate", "--path", "x"]) == 0
    assert capsys.readouterr() == ("made from x\n", "")


def test_every_registered_verb_has_a_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb, function in COMMANDS.items():
        assert function.__doc__, f"the verb {verb} has no docstring"
        assert run(build(COMMANDS), [verb, "--help"]) == 0
        assert verb in capsys.readouterr().out


def test_sources_lists_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(build(COMMANDS), ["sources"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split()[0] for line in out.splitlines()] == list(SOURCES)
    assert all(line.endswith(".") for line in out.splitlines()), "each with its first sentence"


def test_a_foreseen_error_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    verb = raising(InputError("No folder 'a':\ngive one that exists."))
    assert answer(["generate"], verb) == 2
    assert capsys.readouterr() == ("", "Error: No folder 'a': give one that exists.\n")


@pytest.mark.parametrize("arguments", [["--debug", "generate"], ["generate", "--debug"]])
def test_debug_shows_where(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(arguments, raising(InputError("No folder 'a'."))) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err and "in verb" in err
    assert err.endswith("Error: No folder 'a'.\n")


def test_debug_after_two_dashes_is_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    def verb(path: str = typer.Argument()) -> None:
        typer.echo(path)

    assert answer(["generate", "--", "--debug"], verb) == 0
    assert capsys.readouterr().out == "--debug\n"


def test_a_bug_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["generate"], raising(KeyError("weights"))) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert "KeyError: 'weights'" in err and "this is a bug; run again with --debug" in err


def test_interrupt(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["generate"], raising(KeyboardInterrupt())) == 130
    assert capsys.readouterr() == ("", "Interrupted; run the same command to go on.\n")


def test_a_real_interrupt_in_a_real_process() -> None:
    code = """
import sys, time
from metawright.app.cli import build, run
def wait() -> None:
    "Waits."
    print("started", flush=True)
    time.sleep(60)
sys.exit(run(build({"wait": wait, "other": wait}), ["wait"]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert err == "Interrupted; run the same command to go on.\n"


def test_a_near_miss_of_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(["generat"]) == 2
    assert "Did you mean 'generate'?" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["nonsense"], ["generate", "--nonsense"], ["--nonsense"]])
def test_wrong_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert answer(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Error: No such" in err and "Traceback" not in err


@pytest.mark.parametrize(
    ("error", "sentence", "code"),
    [
        (OSError(errno.ENOSPC, "No space", "runs/a"), "disk is full at 'runs/a': free some", 2),
        (OSError(errno.ENOSPC, "No space"), "disk is full: free some", 2),
        (PermissionError(errno.EACCES, "denied", "/x"), "No permission at '/x': choose", 2),
        (FileNotFoundError(errno.ENOENT, "No such file", "/x"), "this is a bug", 1),
        (MissingExtraError("onnx", "onnx"), r"pip install 'metawright[onnx]'", 2),
        (MemoryError(), "Not enough memory", 2),
        (InputError("name 'a\x1b[31mb'"), r"name 'a\x1b[31mb'", 2),
    ],
)
def test_explained(error: BaseException, sentence: str, code: int) -> None:
    text, given = explain(error)
    assert sentence in text and given == code
    assert text.startswith("Error: ") and text.isprintable()


def test_progress_in_a_log_is_sparse_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    now = iter(range(0, 1000, 4))  # four seconds pass between two looks at the clock
    with console.progress("Counting", 10, clock=lambda: float(next(now))) as job:
        for i in range(10):
            job.advance(note=f"at {i}")
    out, err = capsys.readouterr()
    assert out == "" and "\x1b" not in err and "\r" not in err
    assert err.splitlines() == [
        "Counting ...",
        "Counting: 30 %, 28 s left (at 2)",
        "Counting: 60 %, 16 s left (at 5)",
        "Counting: 90 %, 4 s left (at 8)",
        "Counting: done in 44 s (at 9)",
    ]


def test_progress_by_budget(capsys: pytest.CaptureFixture[str]) -> None:
    now = iter([0.0, 5.0, 12.0, 26.0, 27.0])
    with console.progress("Searching", 25, clock=lambda: next(now)) as job:
        for gone in (5.0, 12.0, 26.0):
            job.reach(gone)
    assert capsys.readouterr().err.splitlines() == [
        "Searching ...",
        "Searching: 48 %, 13 s left",
        "Searching: done in 27 s",
    ]


def test_progress_that_fails_is_not_called_done(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError), console.progress("Counting", 3):
        raise InputError("No.")
    assert "done" not in capsys.readouterr().err


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Console(stderr=True, force_terminal=True, width=100, record=True)
    monkeypatch.setattr(console, "messages", screen)
    with console.progress("Counting", 2) as job:
        job.advance(note="best [93 %]")
        time.sleep(0.01)
        job.advance(note="best [95 %]")
    text = screen.export_text()
    assert "Counting" in text and "100 %" in text and "best [95 %]" in text


def test_progress_needs_a_size() -> None:
    with pytest.raises(ValueError, match=r"`total > 0` must hold, but got \(total=0\)"):
        with console.progress("Nothing", 0):
            pass


def test_a_message_in_a_log_is_neither_wrapped_nor_styled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = "[bold]" + "a/long/path " * 20 + ":smile:"
    console.message(text, style="red")
    assert capsys.readouterr().err == text + "\n"


def test_no_color() -> None:
    code = "from metawright.app.console import message; message('hello', style='red')"
    environment = os.environ | {"NO_COLOR": "1", "FORCE_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert "hello" in done.stderr and "\x1b[31m" not in done.stderr
