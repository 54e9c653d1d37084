"""The page of a table's model, from a run folder written by hand."""

from pathlib import Path
from typing import Any

import pytest

from metawright.app.report.tables.page import write_table_report
from metawright.errors import InputError
from metawright.spaces.tables import first_designs
from metawright.store.database import Store
from metawright.store.files import write_json
from metawright.store.records import RunRecord, Trial

CLASSES = {"no": 30, "<i>yes</i>": 20, "rare": 1}


def told(**changes: Any) -> dict[str, Any]:
    column = {
        "name": "<b>size</b>",
        "kind": "number",
        "used": True,
        "missing": 3,
        "why": "numbers",
    }
    finding = {"column": "k", "code": "constant", "sentence": "Column 'k' is 3.", "severe": False}
    scores = {"accuracy": 0.8, "log_loss": 0.4}
    return {
        "format": 1, "id": "r", "kind": "table", "status": "done", "seconds": 9.0, "seed": 0,
        "first_model_seconds": 1.5, "created": "2026-01-02", "metawright": "0.1.0",
        "data": {"name": "flats.csv"}, "temperature": 1.1, "scores": scores, "baseline": scores,
        "intervals": {name: [value - 0.1, value + 0.1] for name, value in scores.items()},
        "check": {"rows": 51, "target": "dear", "kind": "classification", "classes": CLASSES,
                  "columns": [column], "findings": [finding]},
        "best": {"members": ["t1", "t0"], "weights": [0.7, 0.3]}, "why": ["Because."],
        "confusion": [[25, 5, 0], [4, 16, 0], [1, 0, 0]],
        "cost": {"bytes": 12_000.0, "latency": 2e-5, "latency_single": 1e-3},
        "limits": {"bytes": 1e6},
        "held_out": {"reliability": [{"said": 0.8, "true": 0.7, "low": 0.6, "high": 0.8,
                                      "rows": 51}]},
        "explained": {
            "of": ["t1", "t0"], "measure": "log_loss", "rows": 51,
            "columns": [{"column": "<b>size</b>", "rise": 0.2, "low": 0.1, "high": 0.3}],
            "dependence": [{"column": "<b>size</b>", "kind": "number", "at": [1.0, 2.0],
                            **{key: [[0.2, 0.5, 0.3]] * 2 for key in ("answers", "low", "high")}}],
        },
    } | changes  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trials = [
        Trial(f"t{i}", "task", design, {"accuracy": 0.7 + i / 100, "log_loss": 0.5 - i / 100},
              {"seconds": 1.0 + i, "latency": 1e-5 * (1 + i), "bytes": 1e4}, {}, "ok", "r")
        for i, design in enumerate(first_designs("classification"))
    ]  # fmt: skip
    bad = Trial("bad", "task", trials[0].design, {}, {}, {"error": "<b>no</b>"}, "failed", "r")
    with Store(tmp_path / "store") as store:
        store.add_run(RunRecord("r", "generate"))
        store.add_trials([*trials, bad])
    write_json(tmp_path / "run.json", told())
    return tmp_path


def test_every_question_has_its_section(folder: Path) -> None:
    page = write_table_report(folder, pictures=False).read_text("utf-8")
    sections = ["How good is it", "Why this one", "What it looks at", "Where it errs",
                "Is it as sure as it is right", "What was tried", "Cost against score",
                "The data check", "How it was made", "Use it"]  # fmt: skip
    assert all(f"<h2>{name}</h2>" in page for name in sections)
    assert "<b>size" not in page and "<i>yes" not in page and "<b>no" not in page
    assert "Column &#x27;k&#x27; is 3." in page and "1 failed" in page
    assert "12.0 kB of 1.00 MB allowed" in page and "20 µs" in page
    assert "70 %" in page and page.count('class="member"') == 4, "by kind, and one by one"
    assert not (folder / "pictures").exists()
    assert "http" not in page.replace("http-equiv", ""), "nothing from the network"


def test_what_is_of_another_model_is_not_shown(folder: Path) -> None:
    write_json(folder / "run.json", told(best={"members": ["t1"], "weights": [1.0]}))
    page = write_table_report(folder, pictures=False).read_text("utf-8")
    assert "No time was left to measure what columns are worth" in page
    assert "loss when the column is shuffled" not in page


def test_a_run_without_a_model_has_nothing_to_report(folder: Path) -> None:
    write_json(folder / "run.json", told(scores={}))
    with pytest.raises(InputError, match="has no model yet: run the same command to go on"):
        write_table_report(folder)
