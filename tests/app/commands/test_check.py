"""The verb `check`: the table for people, the same for programs, and every refusal at once."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS

Capture = pytest.CaptureFixture[str]
SECONDS = 1.0  # in which a bad table is answered


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), ["check", *map(str, arguments)])


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    """Sixty flats as a German spreadsheet writes them, with all that may be odd."""
    lines = ["id;datum;größe;ort;leer;stück;kopie;preis;warm"]
    for i in range(60):
        size, price = f"{30 + 37 * i % 91},5", "" if i == 7 else f"{400 + 53 * i % 301},25"
        lines.append(
            f"{i + 1};{1 + i % 28}.3.2021;{size};{('Köln', 'Bonn', 'Ulm')[i % 3]};;1;{size};"
            f"{price};{'ja' if i % 7 < 3 else 'nein'}"
        )
    path = tmp_path / "preise.csv"
    path.write_bytes("\n".join(lines).encode("cp1252"))
    return path


def test_the_table_for_people(prices: Path, capsys: Capture) -> None:
    assert metawright(prices, "--target", "preis") == 0
    out, err = capsys.readouterr()
    lines = [line.rstrip() for line in out.splitlines()]
    assert err == "" and lines[0] == (
        "preise.csv: 59 rows with a target, 4 of 8 columns used. Target 'preis': regression."
    )
    rows = {line.split()[0]: " ".join(line.split()[1:]) for line in lines[2:11]}
    assert rows["Column"] == "Kind Done with it Missing Why"
    assert rows["id"] == "number left out whole numbers; names of rows"
    assert rows["größe"] == "number used numbers with a decimal comma"
    assert rows["ort"] == "category used 3 levels"
    assert rows["leer"] == "number left out 59 empty; nothing to learn from"
    assert "- The file is not in UTF-8: it was read as cp1252." in lines
    assert "- Column 'kopie' is the same as 'größe'. Left out." in lines
    assert "- Target 'preis' is missing in 1 row (the first is row 8): left out." in lines


def test_the_same_for_programs(prices: Path, capsys: Capture) -> None:
    options = ("--target", "warm", "--drop", "ort", "--keep", "id", "--time", "datum")
    assert metawright(prices, *options, "--format", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["data"] == "preise.csv" and told["rows"] == 60
    assert told["kind"] == "classification" and told["classes"] == {"ja": 27, "nein": 33}
    used = {column["name"]: column["used"] for column in told["columns"]}
    assert [name for name, yes in used.items() if yes] == ["id", "datum", "größe", "preis"]
    assert {found["code"] for found in told["findings"]} == {
        "reading", "id", "empty", "constant", "duplicate"
    }  # fmt: skip


def test_kinds(prices: Path, capsys: Capture) -> None:
    assert metawright(prices, "--target", "preis", "--kind", "classification") == 2
    assert "these are no classes" in capsys.readouterr().err
    assert metawright(prices, "--target", "warm", "--kind", "regression") == 2
    assert "must be numbers for regression" in capsys.readouterr().err


def test_names_from_outside_are_made_safe(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "odd.csv"
    path.write_text("[red]a\x1b[31m,y\n" + "".join(f"{i * i},{i % 2}\n" for i in range(60)))
    assert metawright(path, "--target", "y") == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "[red]a\\x1b[31m" in out


BAD = {
    "missing file": ("x,y\n1,2\n", ["{tmp}/prices.csv"], "did you mean '{tmp}/price.csv'?"),
    "folder": ("x,y\n1,2\n", ["{tmp}"], "is a folder: give the file of the table"),
    "target absent": ("x,yes\n1,2\n", [], "There is no column 'y' for the target in price.csv: "),
    "one class": ("x,y\n" + "1,yes\n" * 30, [], "only the value 'yes' in 30 rows: there is"),
    "three rows": (
        "x,y\n1,a\n2,b\n3,a\n",
        [],
        "Only 3 rows of price.csv have a 'y', but at least",
    ),
    "gaps": (
        "x,y\n1,\n" + "1,a\n2,b\n" * 9,
        ["--strict"],
        "missing in 1 row (the first is row 1)",
    ),
    "empty": ("", [], "is empty: it must hold a table"),
    "binary": ("\x00\x01", [], "holds no text but binary data"),
    "ragged": ("x,y\n1,a\n2,b,c\n3,d\n", [], "Line 3 of '{tmp}/price.csv' has 3 cells, but there"),
    "sheet": ("x,y\n1,a\n", ["--sheet", "1"], "is no Excel file, so it has no sheet '1'"),
    "no features": ("x,y\n" + "1,a\n1,b\n" * 9, [], "There is no column to predict 'y' from ('x'"),
    "drop": ("x,y\n" + "1,a\n2,b\n" * 9, ["--drop", "z"], "no column 'z' for the columns to drop"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input(case: str, tmp_path: Path, capsys: Capture) -> None:
    text, arguments, sentence = BAD[case]
    path = tmp_path / "price.csv"
    path.write_text(text)
    words = [argument.format(tmp=tmp_path) for argument in arguments]
    if not words or words[0].startswith("--"):
        words = [str(path), *words]
    assert metawright(*words, "--target", "y") == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Error: ") and err.count("\n") == 1
    assert sentence.format(tmp=tmp_path) in err


@pytest.mark.parametrize("target", ["y", "z"])
def test_it_is_answered_within_a_second_and_without_torch(target: str, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "".join(f"{i * i},{i % 2}\n" for i in range(60)))
    program = f"""
import sys
from metawright.app import cli
sys.argv = ["metawright", "check", {str(path)!r}, "--target", {target!r}]
try:
    cli.main()
except SystemExit as end:
    heavy = {{"torch", "sklearn", "matplotlib"}} & sys.modules.keys()
    sys.stderr.write(f"code {{end.code}}, loaded {{sorted(heavy)}}")
"""
    spent = []
    for _ in range(5):  # of the processor; the best counts, the machine may be busy
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert done.stderr.endswith(f"code {0 if target == 'y' else 2}, loaded []"), done.stderr
        if spent[-1] < SECONDS:
            break
    assert min(spent) < SECONDS
