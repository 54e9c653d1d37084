"""Every way in which tables go wrong, from the command line: one sentence, at once, exit code 2;
and what can be mended is told."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS

Capture = pytest.CaptureFixture[str]
ROWS = 40


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), [str(argument) for argument in arguments])


def lines(*, a: Callable[[int], str], y: Callable[[int], str] = lambda i: "pq"[i % 2]) -> bytes:
    """Two columns and a target `y`; b is noise."""
    rows = [f"{a(i)},{(i * 7919) % 101},{y(i)}" for i in range(ROWS)]
    return "\n".join(["a,b,y", *rows, ""]).encode()


def number(i: int) -> str:
    return f"{(i * 37) % 23}.5"


PLAIN = lines(a=number)
REFUSED: dict[str, tuple[bytes | None, str, str]] = {
    "missing file": (None, "y", "There is no file"),
    "target absent": (PLAIN, "Y1", "There is no column 'Y1' for the target in data.csv: did you "
                      "mean 'y'? Its columns are 'a', 'b', 'y'."),
    "one class": (lines(a=number, y=lambda i: "yes"), "y",
                  "Target 'y' has only the value 'yes' in 40 rows: there is nothing to predict."),
    "three rows": (b"a,b,y\n1,2,p\n3,4,q\n5,6,p\n", "y", "Only 3 rows of data.csv have a 'y'"),
    "no target at all": (lines(a=number, y=lambda i: ""), "y", "Target 'y' is missing in all 40"),
    "empty file": (b"", "y", "is empty"),
    "names only": (b"a,b,y\n", "y", "data.csv' has a line of names only: add at least one row."),
    "names of rows as target": (lines(a=number, y=lambda i: f"v{i}"), "y",
                                "Target 'y' has 40 different values in 40 rows"),
}  # fmt: skip
TOLD: dict[str, tuple[bytes, str]] = {
    "semicolons": (PLAIN.replace(b",", b";"), "The separator is the semicolon."),
    "constant": (lines(a=lambda i: "k"), "Column 'a' has only the value 'k'. Left out."),
    "empty column": (lines(a=lambda i: ""), "Column 'a' is empty. Left out."),
    "gaps in the target": (lines(a=number, y=lambda i: "" if i == 4 else "pq"[i % 2]),
                           "Target 'y' is missing in 1 row (the first is row 5): left out."),
    "not UTF-8": (lines(a=lambda i: ["Köln", "Ulm", "Bonn"][i % 3]).decode().encode("cp1252"),
                  "The file is not in UTF-8: it was read as cp1252."),
    "names of rows": (lines(a=lambda i: f"id-{i:05d}-x"),
                      "Column 'a' has another value in each row"),
    "one name twice": (PLAIN.replace(b"a,b,y", b"b,b,y", 1),
                       "2 columns are called 'b': the later is now 'b.2'."),
    "infinite": (lines(a=lambda i: "inf" if i == 3 else number(i)),
                 "Column 'a' is infinite in 1 row: counted as missing."),
    "mixed": (lines(a=lambda i: "soon" if i == 3 else number(i)),
              "Column 'a' was read as numbers; 1 cell ('soon') is none and counts as missing."),
    "a class of one row": (lines(a=number, y=lambda i: "odd" if i == 0 else "pq"[i % 2]),
                           "Class 'odd' of 'y' has a single row: kept"),
    "dates": (lines(a=lambda i: f"2024-03-{1 + i % 28:02d}"), "Column 'a' holds dates from"),
}  # fmt: skip


def write(folder: Path, content: bytes | None) -> Path:
    path = folder / "data.csv"
    if content is not None:
        path.write_bytes(content)
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_one_sentence(case: str, tmp_path: Path, capsys: Capture) -> None:
    content, target, sentence = REFUSED[case]
    out = tmp_path / "run"
    for verb in (("check",), ("generate", "--out", out)):
        code = metawright(verb[0], write(tmp_path, content), "--target", target, *verb[1:])
        told = capsys.readouterr()
        assert code == 2 and told.out == ""
        assert told.err.startswith("Error: ") and told.err.count("\n") == 1
        assert sentence in told.err
    assert not out.exists()


@pytest.mark.parametrize("case", TOLD)
def test_what_is_odd_is_told(case: str, tmp_path: Path, capsys: Capture) -> None:
    content, sentence = TOLD[case]
    asked = ("check", write(tmp_path, content), "--target", "y", "--format", "json")
    assert metawright(*asked) == 0
    findings = json.loads(capsys.readouterr().out)["findings"]
    assert [one for one in findings if sentence in one["sentence"]], findings


def test_it_is_known_at_once_and_without_torch(tmp_path: Path) -> None:
    """All in one fresh process; a second of computing each, whatever else the machine does."""
    files = []
    for number, (case, (content, target, _)) in enumerate(REFUSED.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        files.append((case, str(write(folder, content)), target))
    program = f"""
import json, sys, time
from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
spent = {{}}
for case, path, target in {files!r}:
    began = time.process_time()
    code = run(build(COMMANDS), ["generate", path, "--target", target, "--out", path + ".run"])
    spent[case] = (time.process_time() - began, code, "torch" in sys.modules)
print(json.dumps(spent))
"""
    asked = [sys.executable, "-c", program]
    found = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True).stdout)
    assert {code for _, code, _ in found.values()} == {2}
    assert not [case for case, (_, _, torch) in found.items() if torch]
    assert not [case for case, (seconds, _, _) in found.items() if seconds > 1], found
