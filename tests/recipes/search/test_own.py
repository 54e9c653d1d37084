"""A user's own space and functions, as objects and from a file."""

from pathlib import Path

import pytest

from metawright.errors import InputError
from metawright.evaluate.evaluator import Evaluation
from metawright.recipes.search.own import OwnEvaluator
from metawright.recipes.search.own_file import FromFile, from_file, own_space
from metawright.spaces import Design, Integer, Record

SPACE = Record({"x": Integer(0, 9)})
FILE = """
from metawright.spaces import Integer, Record
space = Record({"x": Integer(0, 9)})
def evaluate(design, seed):
    return design["x"] + seed
"""


def test_functions_give_a_number_scores_or_a_whole_evaluation() -> None:
    design = Design({"x": 3})
    number = OwnEvaluator(lambda design: design["x"], SPACE)(design)
    assert number.scores == {"score": 3.0}
    named = OwnEvaluator(lambda design: {"accuracy": 1}, SPACE)(design)
    assert named.scores == {"accuracy": 1.0}
    whole = Evaluation({"accuracy": 0.5}, {"parameters": 2}, {"note": "x"})
    assert OwnEvaluator(lambda design: whole, SPACE)(design) is whole
    with pytest.raises(TypeError, match="or one number, but gave str"):
        OwnEvaluator(lambda design: "good", SPACE)(design)


def test_fidelity_and_seed_are_given_to_those_that_ask() -> None:
    told = OwnEvaluator(lambda design, fidelity, seed: fidelity + seed, SPACE)
    assert told(Design({"x": 1}), fidelity=0.5, seed=2).scores == {"score": 2.5}


def test_a_file_gives_its_space_and_its_function_wherever_it_is_called(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(FILE)
    assert from_file(path) == {"space": SPACE, "evaluate": True}
    judge = OwnEvaluator(FromFile(path, "evaluate"), SPACE)
    assert judge(Design({"x": 3}), seed=4).scores == {"score": 7.0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("space =", r"'.*mine\.py' breaks when it is run: SyntaxError"),
        ("def evaluate(design): return 1", "must define `space`, but defines `evaluate`"),
        (FILE.replace("def evaluate", "def judge"), "must define one function, .* defines none"),
        (FILE + "def build(design, spec): pass", "but defines build and evaluate"),
        ("space = 3\ndef build(design, spec): pass", "`space` of '.*' must be a space"),
        (
            "from metawright.spaces import *\nspace = Record({})\ndef build(d, s): pass",
            "is empty: it must leave at least one decision open",
        ),
        (
            "from metawright.spaces import *\nspace = Record({'x': Integer(3, 1)})",
            "`low <= high` must hold",
        ),
    ],
    ids=["syntax", "no space", "no function", "both", "no such space", "empty", "contradiction"],
)
def test_files_that_cannot_be_used_are_told(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        from_file(path)


def test_a_space_may_be_given_by_the_function_that_makes_it() -> None:
    assert own_space(lambda: SPACE) == SPACE
    with pytest.raises(InputError, match="must be a space such as a Record, but got 'cells'"):
        own_space("cells")
