"""The benchmarks' harness: checks, records, statistics, and the page of results made from them."""

import json
import math
import os
import random
import statistics
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import harness
import write_results
from harness import Check, data_folder, finish, mean_ci


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(harness, "RESULTS", tmp_path / "results")
    return tmp_path / "results"


@pytest.mark.parametrize(
    ("check", "ok", "aimed"),
    [
        (Check("a", 90.0, must=89.5, aim=94.0), True, False),
        (Check("a", 89.5, must=89.5, aim=94.0), True, False),
        (Check("a", 89.4, must=89.5, aim=94.0), False, False),
        (Check("a", 94.0, must=89.5, aim=94.0), True, True),
        (Check("s", 2.9, must=3.0, aim=1.0, lower=True), True, False),
        (Check("s", 3.1, must=3.0, aim=1.0, lower=True), False, False),
        (Check("s", 0.9, must=3.0, aim=1.0, lower=True), True, True),
        (Check("free", 5.0), True, True),
        (Check("broken", math.nan, must=1.0, lower=True), False, False),
        (Check("broken", math.nan), False, False),
    ],
)
def test_checks(check: Check, ok: bool, aimed: bool) -> None:
    assert check.ok is ok
    assert check.to_json()["ok"] is ok and check.to_json()["aim_reached"] is aimed


def test_mean_ci_covers_the_truth_95_times_in_100() -> None:
    """Student's interval of 4 normal values, by simulation; a normal quantile gives 85 %."""
    rng = random.Random(0)
    hits = 0
    for _ in range(4000):
        mean, half = mean_ci([rng.gauss(3.0, 2.0) for _ in range(4)])
        hits += abs(mean - 3.0) <= half
    assert hits / 4000 == pytest.approx(0.95, abs=0.01)


def test_mean_ci_of_many_and_of_few() -> None:
    values = [float(i % 7) for i in range(700)]
    mean, half = mean_ci(values)
    assert mean == pytest.approx(3.0)
    assert half == pytest.approx(1.96 * statistics.stdev(values) / math.sqrt(700), rel=2e-3)
    assert mean_ci([2.0])[0] == 2.0 and math.isnan(mean_ci([2.0])[1])
    assert math.isnan(mean_ci([])[0])


def test_finish_stores_and_prints_one_record(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = {
        "seeds": range(3),
        "accuracy": torch.tensor([0.5, math.nan]),
        "count": np.int64(3),
        "by_shots": {1: np.float64(0.25)},
        "path": Path("x"),
    }
    assert finish("first", result, [Check("a", 1.0, must=2.0), Check("b", 1.0)], False) == 1
    out, err = capsys.readouterr()
    record = json.loads(out.splitlines()[-1])
    assert record == json.loads((results / "first.json").read_text())
    assert record["seeds"] == [0, 1, 2] and record["quick"] is False
    assert record["result"] == {
        "accuracy": [0.5, None],
        "count": 3,
        "by_shots": {"1": 0.25},
        "path": "x",
    }
    assert [check["ok"] for check in record["checks"]] == [False, True]
    assert "MISS a: 1 (must 2)" in err and "ok   b: 1" in err
    assert record["machine"]["torch"] == torch.__version__ and record["machine"]["cores"] >= 1
    assert {"commit", "dirty", "date", "seconds"} <= record.keys()
    assert [path.name for path in results.iterdir()] == ["first.json"]


def test_quick_never_overwrites(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert finish("first", {"a": 1}, [Check("a", 3.0, must=2.0)], False) == 0
    before = (results / "first.json").read_bytes()
    assert finish("first", {"a": 2}, [Check("a", 1.0, must=2.0)], True) == 0
    assert (results / "first.json").read_bytes() == before
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["quick"] is True


def test_a_failed_write_leaves_the_old_record(
    results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    finish("first", {"a": 1}, [], False)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        finish("first", {"a": 2}, [], False)
    assert json.loads((results / "first.json").read_text())["result"] == {"a": 1}


def test_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist").mkdir()
    monkeypatch.setenv("METAWRIGHT_DATA", str(tmp_path))
    assert data_folder("mnist") == tmp_path / "mnist"
    assert data_folder("nothing") is None


def test_without_git_the_commit_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "PROJECT", tmp_path)
    assert harness.commit() == {"commit": None, "dirty": None}


def a_record(**changes: Any) -> dict[str, Any]:
    return {
        "name": "first",
        "date": "2025-01-02T03:04:05+00:00",
        "seconds": 1234.5,
        "commit": "0123456789abcdef",
        "dirty": False,
        "machine": {
            "cpu": "A CPU", "cores": 2, "memory_gib": 24.0, "python": "3.11.7", "torch": "2.13.0",
        },
        "seeds": [0, 1, 2, 3],
        "checks": [
            Check("accuracy", 91.25, must=89.5, aim=94.0).to_json(),
            Check("seconds", 4.0, must=3.0, lower=True).to_json(),
            Check("size", 2.0, aim=3.0, lower=True).to_json(),
        ],
        "result": {
            "title": "a first model",
            "about": "What it is.",
            "tables": [
                {
                    "title": "By shots",
                    "columns": ["shots", "ours", "a|b"],
                    "rows": [[1, "78.0 ± 0.4", 66.333333], [5, None, 12345.6]],
                    "note": "A note.",
                }
            ],
        },
    } | changes  # fmt: skip


def test_the_page() -> None:
    page = write_results.render([a_record()])
    assert page.endswith(
        """\

## first: a first model

What it is.

*Measured 2025-01-02 at commit 0123456789 in 1,234 s on A CPU, 2 cores, 24 GiB, Python 3.11.7, \
torch 2.13.0; seeds 0-3.*

| check | must | aim | value |  |
| --- | ---: | ---: | ---: | ---: |
| accuracy | 89.5 | 94 | 91.25 | ok |
| seconds | ≤ 3 |  | 4 | **missed** |
| size |  | ≤ 3 | 2 | aim reached |

### By shots

| shots | ours | a\\|b |
| --- | ---: | ---: |
| 1 | 78.0 ± 0.4 | 66.33 |
| 5 | – | 12,346 |

A note.
"""
    )


def test_the_page_says_what_is_unknown() -> None:
    page = write_results.render([a_record(commit=None, dirty=None, seeds=None, checks=[])])
    assert "at an unknown commit in" in page and "seeds" not in page and "check" not in page
    assert "with uncommitted changes" in write_results.render([a_record(dirty=True)])
    assert "No benchmark has been run yet." in write_results.render([])


def test_check_sees_a_stale_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(write_results, "RESULTS", tmp_path)
    monkeypatch.setattr(write_results, "PAGE", tmp_path / "results.md")
    assert write_results.main(["--check"]) == 1
    assert write_results.main([]) == 0
    assert write_results.main(["--check"]) == 0
    (tmp_path / "first.json").write_text(json.dumps(a_record()))
    assert write_results.main(["--check"]) == 1
    assert "run `make docs`" in capsys.readouterr().err


def test_docs_results_is_up_to_date() -> None:
    assert write_results.main(["--check"]) == 0, "docs/results.md is stale: run `make docs`"
