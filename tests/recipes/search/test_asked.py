"""What is asked of a search: refused at once where it cannot work, and kept as plain data."""

import json
from pathlib import Path
from typing import Any

import pytest

from metawright.errors import InputError
from metawright.recipes.search.asked import Asked, Limits, parse_amount


def test_a_question_survives_json() -> None:
    asked = Asked(
        "digits", "cells", "random", ("acc", "params", "accuracy"), (("size", 5e4),), "knee"
    )
    assert asked.objectives == ("accuracy", "parameters")
    assert asked.constraints == (("bytes", 5e4),)
    assert Asked.from_json(json.loads(json.dumps(asked.to_json()))) == asked


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": "cell"}, "There is no space 'cell': did you mean 'cells'?"),
        ({"space": "own.py"}, "There is no file 'own.py'"),
        ({"strategy": "evolve"}, "There is no strategy 'evolve': "),
        ({"objectives": ("acuracy",)}, "no objective 'acuracy': did you mean 'accuracy'?"),
        ({"objectives": ()}, "at least one --objective"),
        ({"constraints": (("parameters", -1.0),)}, "--max-parameters must be more than 0"),
        ({"choose": "first"}, "--choose must be best or knee, but got 'first'"),
        ({"epochs": 0}, "--epochs must be at least 1, but got 0"),
        ({"channels": 2}, r"--channels must be 1 \(grey\) or 3"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Asked(**{"data": "digits", "space": "cells", **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seconds": None}, "Give a --budget or --trials"),
        ({"trials": 0}, "--trials must be at least 1"),
        ({"workers": -1}, "--workers must be at least 0"),
        ({"trial_seconds": 0.0}, "--trial-seconds must be more than 0"),
        ({"failures": 0.0}, "--max-failures must be above 0"),
        ({"memory": 0}, "--memory must be at least 1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_limits_are_checked(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Limits(**{"seconds": 1.0, **changes})


def test_amounts_have_units() -> None:
    told = {"100k": 1e5, "1.5M": 1.5e6, "300": 300.0, "2G": 2e9}
    assert {text: parse_amount(text, "--max-params") for text in told} == pytest.approx(told)
    times = {"2ms": 0.002, "40us": 4e-5, "0.1": 0.1, "1s": 1.0}
    assert {text: parse_amount(text, "--max-latency") for text in times} == pytest.approx(times)
    with pytest.raises(InputError, match=r"--max-latency must be a number such as 2ms"):
        parse_amount("2m", "--max-latency")
    assert parse_amount("1MB", "--max-bytes") == 1e6 == parse_amount("1000 kb", "--max-bytes")
    assert parse_amount("50µs", "--max-latency") == pytest.approx(5e-5)
    for wrong in ("many", "", "5q", "k", "inf", "nan", "-5", "2ms"):
        with pytest.raises(InputError, match=r"--max-params must be a number such as 100k"):
            parse_amount(wrong, "--max-params")


def test_a_file_is_a_space(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("space = 1\n")
    assert Asked("own", str(path)).space == str(path)
