"""Trees of spaces in words, and their counts."""

import pytest

from metawright.app.space_tree import counted, lines, space_tree, whole
from metawright.app.space_words import sizes
from metawright.errors import InputError
from metawright.spaces import (
    SPACES,
    Cell,
    Choice,
    Either,
    Integer,
    Real,
    Record,
    Repeat,
    Space,
    count,
)

LAYER = Record({"width": Integer(8, 64, log=True), "skip": Choice((False, True))})
TINY = Record(
    {
        "layers": Repeat(LAYER, 0, 2),
        "sizes": Repeat(Choice((1, 2)), 3, 3),
        "head": Either({"linear": Record({}), "deep": Record({"depth": Integer(2, 2)})}),
        "kind": Either({"a": Record({}), "b": Record({})}),
        "first": Cell(3, ("x", "y")),
        "second": Cell(3, ("x", "y")),
        "lr": Real(0.001, 0.1, log=True),
    }
)


def test_the_tree_in_full() -> None:
    assert lines(space_tree("tiny", TINY)) == [
        "tiny              18 decisions",
        "├─ layers         0 to 2 times",
        "│  ├─ width       8 to 64, log scale",
        "│  └─ skip        no or yes",
        "├─ sizes          3 times: 1 or 2",
        "├─ head           one of 2",
        "│  ├─ linear",
        "│  └─ deep        only then:",
        "│     └─ depth    always 2",
        "├─ kind           a or b",
        "├─ first          a cell: 1 input, 2 nodes, each reads all earlier ones",
        "│  ├─ operations  x or y",
        "│  └─ cells       8",
        "├─ second         like first",
        "└─ lr             0.001 to 0.1, log scale",
    ]


@pytest.mark.parametrize("name", SPACES)
def test_every_named_space_has_a_tree(name: str) -> None:
    told = lines(space_tree(name, SPACES[name]()))
    assert told[0].startswith(name) and told[0].endswith("decisions")
    assert max(map(len, told)) < 100


@pytest.mark.parametrize(
    ("space", "designs", "reals"),
    [
        (Record({"a": Choice((1, 2)), "b": Real(0, 1)}), 2, 1),
        (Record({"a": Repeat(Real(0, 1), 1, 3)}), 3, 3),
        (Record({"a": Either({"x": Record({"r": Real(0, 1)}), "y": Record({})})}), 2, 1),
        (Record({"a": Real(2, 2), "b": Integer(1, 5)}), 5, 0),
    ],
)
def test_real_numbers_count_as_one_value(space: Space, designs: int, reals: int) -> None:
    assert counted(space) == (designs, reals)


def test_without_real_numbers_it_is_the_count() -> None:
    assert counted(SPACES["generator"]()) == (count(SPACES["generator"]()), 0)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (7, "7"),
        (10**15 - 1, "999,999,999,999,999"),
        (996 * 10**18, "about 1 × 10^21"),
        (4 * 10**400, "about 4 × 10^400"),
    ],
)
def test_whole_numbers(number: int, words: str) -> None:
    assert whole(number) == words


def test_a_space_of_more_designs_than_a_float_holds() -> None:
    space = Record({"x": Repeat(Choice(tuple(range(10))), 400, 400)})
    assert sizes(space) == ["Designs: about 1 × 10^400."]


def test_what_is_there_once_is_once() -> None:
    tree = space_tree("one", Record({"x": Repeat(Choice((1, 2)), 1, 1)}))
    assert lines(tree)[1] == "└─ x  once: 1 or 2"


def test_a_space_of_no_designs() -> None:
    with pytest.raises(InputError, match="must be a Record or an Either"):
        space_tree("x", Choice((1, 2)))
