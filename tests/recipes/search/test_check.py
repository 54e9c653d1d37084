"""Names that cannot become a search are refused at once, without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

from metawright.errors import InputError
from metawright.evaluate.tabular import TABLES as ALL
from metawright.recipes.search.asked import OWN, Asked
from metawright.recipes.search.check import TABLES, check_problem, is_table
from metawright.spaces import SPACES, TRAINABLE

FILE = "from metawright.spaces import *\nspace = Record({'x': Integer(0, 9)})\n"


@pytest.mark.parametrize(
    ("data", "space", "message"),
    [
        ("digit", "cells", "no source, folder or file 'digit': did you mean 'digits'?"),
        ("sinusoid", "dense", "a source of many small tasks"),
        ("images", "cells", "'images' is a folder of yours: give its path"),
        (OWN, "cells", "Give DATA to search on"),
        ("digits", "generator", "The space 'generator' cannot be trained on data by itself"),
    ],
    ids=["name", "tasks", "folder", "nothing", "space"],
)
def test_names_that_mean_nothing_are_told(data: str, space: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_problem(Asked(data, space))


def test_a_folder_without_examples_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no images, texts or sounds"):
        check_problem(Asked(str(tmp_path), "cells"))


def test_a_file_that_evaluates_needs_no_data(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FILE + "def evaluate(design): return design['x']\n")
    check_problem(Asked(OWN, str(path)))
    path.write_text(FILE + "def build(design, spec): return None\n# other\n")
    other = tmp_path / "other.py"
    other.write_text(FILE + "def build(design, spec): return None\n")
    with pytest.raises(InputError, match="Give DATA"):
        check_problem(Asked(OWN, str(other)))


def test_tables_are_known_by_the_first_half_of_their_names() -> None:
    assert {name.partition("/")[0] for name in ALL} == set(TABLES)
    assert all(is_table(name) for name in ALL) and not is_table("digits")
    assert set(TRAINABLE) < set(SPACES)


def test_checking_loads_no_torch() -> None:
    program = "import sys, metawright.recipes.search.check; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
