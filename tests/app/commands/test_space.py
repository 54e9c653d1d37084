"""The verb `space`: the list, a tree, a design, pictures, and its refusals without torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from metawright.app.cli import build, run
from metawright.app.commands import COMMANDS
from metawright.app.space_words import DATA
from metawright.errors import InputError
from metawright.models.architectures import ARCHITECTURES, network_blueprint
from metawright.rng import stream
from metawright.spaces import SPACES, Integer, Record, space_to_json
from metawright.spaces.draw import sample
from metawright.tasks.task import Kind, TaskSpec

Capture = pytest.CaptureFixture[str]
OWN = """
from metawright.spaces import Choice, Record
space = Record({"width": Choice((8, 16, 32))})
def evaluate(design):
    return design["width"]
"""
FORMS = {
    "feature vectors": TaskSpec(Kind.CLASSIFICATION, (12,), 3),
    "images": TaskSpec(Kind.CLASSIFICATION, (1, 16, 16), 3),
    "signals": TaskSpec(Kind.CLASSIFICATION, (16, 32), 3),
    "texts": TaskSpec(Kind.CLASSIFICATION, (10,), 3, vocabulary=50),
}


def metawright(*arguments: object) -> int:
    return run(build(COMMANDS), ["space", *map(str, arguments)])


def test_the_list(capsys: Capture) -> None:
    assert metawright() == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in told[::2]] == list(SPACES)
    assert "cells          281,250 architectures, 18 decisions; images, signals" in told
    assert all(line.startswith("   ") and line.endswith(".") for line in told[1::2])


@pytest.mark.parametrize("arguments", [["macro"], ["show", "macro"]])
def test_a_tree(arguments: list[str], capsys: Capture) -> None:
    assert metawright(*arguments) == 0
    told = capsys.readouterr().out
    assert "│  ├─ stages              1 to 3 times" in told
    assert "It reads images and signals." in told
    assert "Architectures: 24,139,296." in told  # (96 + 96^2 + 96^3) * 3^3 by hand
    assert "4 real numbers; 5,214,087,936 where each counts as one value" in told
    assert "random design" not in told


def test_a_random_design(capsys: Capture) -> None:
    told = []
    for seed in (0, 0, 1):
        assert metawright("dense", "--sample", "--seed", seed) == 0
        told.append(capsys.readouterr().out.partition("A random design:\n")[2])
    assert told[0] == told[1] != told[2] and "  layers 1" in told[0] and "  optimiser" in told[0]


def test_files(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "own.py").write_text(OWN)
    assert metawright("show", tmp_path / "own.py") == 0
    told = capsys.readouterr().out
    assert told.startswith("own") and "8, 16 or 32" in told and "Designs: 3." in told
    space = space_to_json(Record({"depth": Integer(1, 4)}))
    for name, content in (("plain.json", space), ("run.json", {"space": space})):
        (tmp_path / name).write_text(json.dumps(content))
        assert metawright(tmp_path / name) == 0
        assert "depth  1 to 4" in capsys.readouterr().out
    assert metawright(tmp_path) == 0
    assert "Designs: 4." in capsys.readouterr().out, "the folder of a search"


def test_pictures(tmp_path: Path, capsys: Capture) -> None:
    picture, page = tmp_path / "tree.png", tmp_path / "tree.html"
    assert metawright("recurrent", "--png", picture, "--html", page) == 0
    assert f"Picture: {picture}\nPage:    {page}\n" in capsys.readouterr().out
    with Image.open(picture) as image:
        image.load()
        assert min(image.size) > 200
    text = page.read_text("utf-8")
    assert "only then:" in text and "41,904" in text and "<script" not in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["cels"], "There is no space 'cels': did you mean 'cells'?"),
        (["zzz"], "There is no space 'zzz': use one of cells,"),
        (["show"], "Say which space to show"),
        (["--sample"], "Say which space, such as"),
        (["cells", "macro"], "One space can be shown at a time, but got cells macro."),
        (["gone.py"], "There is no file 'gone.py'"),
        (["{tmp}/bad.json"], "space must be an object whose type is one of"),
        (["{tmp}/none.py"], "must define `space`, but defines `x`"),
    ],
)
def test_refusals(arguments: list[str], sentence: str, tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "bad.json").write_text("[1]")
    (tmp_path / "none.py").write_text("x = 1")
    assert metawright(*(argument.format(tmp=tmp_path) for argument in arguments)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("Error: ") and err.count("\n") == 1 and sentence in err


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_a_space_reads_is_true(name: str) -> None:
    design = sample(SPACES[name](), stream(0, "space"))
    for form, spec in FORMS.items():
        if form in DATA[name]:
            assert network_blueprint(name, design, spec)["layer"]
        else:
            with pytest.raises(InputError, match="choose another space"):
                network_blueprint(name, design, spec)


def test_every_space_says_what_it_reads() -> None:
    assert set(DATA) == set(SPACES) and all(set(forms) <= set(FORMS) for forms in DATA.values())


@pytest.mark.parametrize("arguments", [["space"], ["space", "cells"], ["space", "cels"]])
def test_it_is_answered_without_torch(arguments: list[str]) -> None:
    program = f"""
import sys
from metawright.app import cli
sys.argv = ["metawright", *{arguments!r}]
try:
    cli.main()
except SystemExit:
    sys.stderr.write(f"loaded {{sorted({{'torch', 'matplotlib'}} & sys.modules.keys())}}")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stderr.endswith("loaded []")
