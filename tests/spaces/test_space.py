"""What spaces refuse when they are made, and how their decisions are named and tied together."""

import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from metawright.errors import InputError
from metawright.spaces import (
    Cell,
    Choice,
    Condition,
    Design,
    Either,
    Integer,
    Real,
    Record,
    Repeat,
    Space,
    check,
    decisions,
    space_from_json,
    write,
)
from metawright.spaces.domain import from_unit, to_unit

ONE: Any = Choice((1,))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Choice(()), "at least one option"),
        (lambda: Choice("relu"), "must be a tuple or list, but got 'relu'"),  # type: ignore[arg-type]
        (lambda: Choice((1, 2, 1)), r"must differ from each other, but got \(1, 2, 1\)"),
        (lambda: Choice((1, True)), "must differ from each other"),
        (lambda: Choice((1, math.nan)), "must be finite"),
        (lambda: Choice(((1, 2),)), "must be JSON scalars"),  # type: ignore[arg-type]
        (lambda: Integer(2, 1), r"`low <= high` must hold, but got \(low=2, high=1\)"),
        (lambda: Integer(0, 4, log=True), r"`low > 0` must hold with `log=True`.*low=0"),
        (lambda: Integer(1.0, 4), "must be integers"),  # type: ignore[arg-type]
        (lambda: Integer(False, 4), "must be integers"),
        (lambda: Integer(1, 4, log=1), "`log` must be True or False"),  # type: ignore[arg-type]
        (lambda: Real(0.2, 0.1), "`low <= high` must hold"),
        (lambda: Real(0.0, 1.0, log=True), "`low > 0` must hold"),
        (lambda: Real(0.0, math.inf), "`high` must be finite"),
        (lambda: Real(-1e308, 1e308), "`high - low` must be finite"),
        (lambda: Real("a", 1.0), "`low` must be a number, but got 'a'"),  # type: ignore[arg-type]
        (lambda: Record({"a.b": ONE}), "without a dot, but got 'a.b'"),
        (lambda: Record({"": ONE}), "non-empty texts"),
        (lambda: Record({"a": 3}), r"`fields\['a'\]` must be a space, but got 3"),  # type: ignore[dict-item]
        (lambda: Record([ONE]), "`fields` must map names to spaces"),  # type: ignore[arg-type]
        (lambda: Repeat(ONE, 3, 2), r"`0 <= low <= high` must hold, but got \(low=3, high=2\)"),
        (lambda: Repeat(ONE, -1, 2), "`0 <= low <= high` must hold"),
        (lambda: Repeat("x", 1, 2), "`item` must be a space"),  # type: ignore[arg-type]
        (lambda: Either({}), "at least one case"),
        (lambda: Either({"a": ONE}), r"`cases\['a'\]` must be a Record"),
        (lambda: Either({"a": Record({"kind": ONE})}), "must not have a field 'kind'"),
        (
            lambda: Cell(1, ("a",)),
            r"`1 <= inputs < nodes` must hold, but got \(inputs=1, nodes=1\)",
        ),
        (lambda: Cell(3, ()), "at least one option"),
        (lambda: Cell(3, ("a", 1)), "must be names"),  # type: ignore[arg-type]
        (lambda: Cell(3, ("a",), fan_in=0), "`fan_in` must be an integer >= 1 or None, but got 0"),
    ],
)
def test_impossible_spaces_are_refused(make: Callable[[], Space], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_space_of_designs_has_names() -> None:
    with pytest.raises(InputError, match="must be a Record or an Either"):
        decisions(Choice((1, 2)))


def test_decisions_are_named_by_path_and_know_when_they_count() -> None:
    case = Either({"none": Record({}), "drop": Record({"rate": Real(0, 0.5)})})
    space = Record(
        {"net": Record({"parts": Repeat(case, 1, 2)}), "cell": Cell(3, ("a", "b"), 1, 1)}
    )
    found = {decision.name: decision.condition for decision in decisions(space)}
    assert found == {
        "net.parts.length": None,
        "net.parts.0.kind": None,
        "net.parts.0.drop.rate": Condition(1, ("drop",)),
        "net.parts.1.kind": Condition(0, (2,)),
        "net.parts.1.drop.rate": Condition(3, ("drop",)),
        "cell.0.operations.0": None,
        "cell.1.sources": None,
        "cell.1.operations.0": None,
    }
    design = Design(
        {
            "net": {"parts": [{"kind": "drop", "rate": 0.25}]},
            "cell": [
                {"sources": [0], "operations": ["b"]},
                {"sources": [1], "operations": ["a"]},
            ],
        }
    )
    assert write(space, design) == (1, "drop", 0.25, None, None, "b", "1", "a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"net": 3}, "^net must be a design with 'depth', 'parts', not 3"),
        ({"net": {"depth": 1}}, "^net must have 'parts', but has 'depth'"),
        ({"extra": 1}, "^The design has 'extra', but may have only 'net', 'head', 'cell'"),
        (
            {"net": {"depth": 9, "parts": []}},
            r"^net\.depth must be an integer from 1 to 3, but got 9",
        ),
        ({"net": {"depth": 1.0, "parts": []}}, r"^net\.depth .* but got 1\.0"),
        ({"net": {"depth": True, "parts": []}}, r"^net\.depth .* but got True"),
        ({"net": {"depth": 1, "parts": 3}}, r"^net\.parts must be a list of parts, but got 3"),
        (
            {"net": {"depth": 1, "parts": [1, 1, 1]}},
            r"^net\.parts must have 0 to 2 parts, but got 3",
        ),
        ({"net": {"depth": 1, "parts": [1, 2]}}, r"^net\.parts\.1 must be one of 1, 0, but got 2"),
        (
            {"net": {"depth": 1, "parts": [True]}},
            r"^net\.parts\.0 must be one of 1, 0, but got True",
        ),
        ({"head": {"lr": 0.5}}, "^head must be a design with 'kind'"),
        ({"head": {"kind": "b"}}, r"^head\.kind must be one of 'a', but got 'b'"),
        ({"head": {"kind": ["a"]}}, r"^head\.kind must be one of 'a', but got \('a',\)"),
        (
            {"head": {"kind": "a", "lr": 1}},
            r"^head\.lr must be a real number from 0\.0 to 1\.0, but",
        ),
        ({"head": {"kind": "a"}}, "^head must have 'lr', but has 'kind'"),
        ({"cell": [1]}, r"^cell\.0 must be a design with 'sources', 'operations', not 1"),
        ({"cell": [{"sources": [0]}]}, r"^cell\.0 must have 'operations', but has 'sources'"),
        ({"cell": []}, "^cell must have 1 parts, but got 0"),
        (
            {"cell": [{"sources": [1], "operations": ["x"]}]},
            r"^cell\.0\.sources must be one of \(0,\)",
        ),
        (
            {"cell": [{"sources": [False], "operations": ["x"]}]},
            r"^cell\.0\.sources must be one of",
        ),
        (
            {"cell": [{"sources": [0], "operations": []}]},
            r"^cell\.0\.operations must have 1 parts",
        ),
        (
            {"cell": [{"sources": [0], "operations": ["y"]}]},
            r"^cell\.0\.operations\.0 must be one of",
        ),
    ],
)
def test_a_mismatch_names_the_place_and_what_is_allowed(change: Any, message: str) -> None:
    space = Record(
        {
            "net": Record({"depth": Integer(1, 3), "parts": Repeat(Choice((1, 0)), 0, 2)}),
            "head": Either({"a": Record({"lr": Real(0, 1)})}),
            "cell": Cell(2, ("x",)),
        }
    )
    good = {
        "net": {"depth": 1, "parts": [1]},
        "head": {"kind": "a", "lr": 0.5},
        "cell": [{"sources": [0], "operations": ["x"]}],
    }
    check(space, Design(good))
    with pytest.raises(InputError, match=message):
        check(space, Design(good | change))


def test_types_of_options_are_part_of_a_space() -> None:
    numbers, claims = Record({"x": Choice((0, 1))}), Record({"x": Choice((False, True))})
    assert numbers != claims
    # Asked one after the other on purpose: a cache by `==` would answer the second by the first.
    assert decisions(numbers)[0].domain == Choice((0, 1))
    assert decisions(claims)[0].domain == Choice((False, True))
    assert pickle.loads(pickle.dumps(claims)) == claims


def test_the_order_of_fields_is_part_of_a_space() -> None:
    one, two = Integer(1, 2), Integer(1, 3)
    assert Record({"a": one, "b": two}) != Record({"b": two, "a": one})


def test_the_caller_keeps_no_hand_in_a_space() -> None:
    fields: dict[str, Space] = {"a": ONE}
    space = Record(fields)
    fields["b"] = ONE
    assert list(space.fields) == ["a"]
    with pytest.raises(AttributeError, match="frozen"):
        space.fields.extra = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "^space must be an object whose type is one of choice"),
        ({"type": "tree"}, "^space must be an object whose type is one of"),
        (
            {"type": "integer", "low": 1},
            "of type integer must have 'high', 'low' and may have 'log'",
        ),
        ({"type": "real", "low": 0, "high": 1, "base": 2}, "but has 'base', 'high', 'low'"),
        ({"type": "choice", "options": "relu"}, "^space: `options` must be a tuple or list"),
        (
            {"type": "record", "fields": {"a": 1}},
            r"^space\.fields must be a list of \[name, space\]",
        ),
        (
            {"type": "record", "fields": [["a", {"type": "x"}]]},
            r"^space\.fields\.a must be an object",
        ),
        (
            {"type": "record", "fields": [["a", {"type": "integer", "low": 2, "high": 1}]]},
            r"^space\.fields\.a: `low <= high` must hold",
        ),
        (
            {"type": "either", "cases": [["a", {"type": "record", "fields": []}]] * 2},
            "a name twice",
        ),
        ({"type": "repeat", "item": 3, "low": 1, "high": 2}, r"^space\.item must be an object"),
    ],
)
def test_json_that_is_no_space_is_refused(data: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        space_from_json(data)


@pytest.mark.parametrize("log", [False, True])
def test_numbers_lie_on_their_scale(log: bool) -> None:
    domain = Real(0.01, 1.0, log=log)
    assert to_unit(domain, 0.01) == 0
    assert to_unit(domain, 1.0) == 1
    assert to_unit(domain, 0.1) == pytest.approx(0.5 if log else 0.09 / 0.99)
    assert from_unit(domain, 0.5) == (0.1 if log else 0.505)
    for unit in (0.0, 0.123, 0.5, 0.999, 1.0):
        assert to_unit(domain, from_unit(domain, unit)) == pytest.approx(unit, abs=1e-5)


def test_spaces_load_without_torch() -> None:
    code = "import sys, metawright.spaces; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
