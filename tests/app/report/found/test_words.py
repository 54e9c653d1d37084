"""Designs and decisions of any space in words."""

import pytest

from metawright.app.report.found.words import decision_words, design_parts, design_rows
from metawright.rng import stream
from metawright.spaces import SPACES, Design, decisions
from metawright.spaces.draw import sample


@pytest.mark.parametrize(
    ("space", "name", "words"),
    [
        ("darts", "architecture.normal.0.operations.1", "normal: edge 1–2"),
        ("darts", "architecture.reduction.2.sources", "reduction: node 4 reads"),
        ("darts", "architecture.normal.1.operations.0", "normal: node 3 op. 1"),
        ("recurrent", "architecture.cell.searched.nodes.2.operations.0",
         "cell searched nodes: node 3 operation"),
        ("recurrent", "architecture.cell.kind", "cell"),
        ("macro", "architecture.stages.0.skip", "stages 1: skip"),
        ("pipelines", "model.naive_bayes.smoothing", "model naive bayes: smoothing"),
        ("pipelines", "scaler", "scaler"),
        ("cells", "no.such.name", "no.such.name"),
        ("cells", "architecture.cell.9.nonsense", "cell: 9.nonsense"),
    ],
)  # fmt: skip
def test_decisions(space: str, name: str, words: str) -> None:
    assert decision_words(name, SPACES[space]()) == words


@pytest.mark.parametrize("name", SPACES)
def test_decisions_of_a_space_have_words_of_their_own(name: str) -> None:
    space = SPACES[name]()
    told = [decision_words(decision.name, space) for decision in decisions(space)]
    assert len(set(told)) == len(told) and not any("_" in words for words in told)


def test_without_a_space_the_name_is_told() -> None:
    assert decision_words("a.b", None) == "a.b"


@pytest.mark.parametrize("name", SPACES)
def test_rows_follow_the_space_and_not_the_alphabet(name: str) -> None:
    space = SPACES[name]()
    design = sample(space, stream(0, "words"))
    stored = Design.from_json(dict(sorted(design.to_json().items())))
    assert list(design_rows(stored, space)) == list(design_rows(design, space))


def test_what_stands_inside_is_in_brackets() -> None:
    design = Design({"a": {"kind": "x", "b": {"c": 1, "d": None}, "e": ()}, "f": [1, 2.5]})
    assert design_parts(design) == {
        "a": "x, b (c 1, d none), e none", "f 1": "1", "f 2": "2.5",
    }  # fmt: skip
