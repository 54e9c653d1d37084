"""What a model looks at, and the limits that it keeps: in `run.json` after a run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import metawright
from metawright.engine.budget import Budget, Clock
from metawright.engine.inline import Inline
from metawright.errors import InputError
from metawright.recipes.tables.explained import kept_back
from metawright.recipes.tables.limits import constraints, excess, nothing_fits, total
from metawright.recipes.tables.model import load_table_model
from metawright.recipes.tables.words import looks_at
from metawright.spaces.tables import first_designs
from metawright.store.records import Trial
from metawright.tasks.tables import read_table

ROWS = 160


def frame() -> pd.DataFrame:
    """A price that hangs on size and city, not on luck."""
    rng = np.random.default_rng(0)
    size, luck = rng.uniform(20, 200, ROWS), rng.normal(size=ROWS)
    city = rng.choice(["Bonn", "Köln", "Ulm"], ROWS)
    price = 3 * size + np.where(city == "Bonn", 200, 0) + rng.normal(0, 10, ROWS)
    return pd.DataFrame({"size": size, "luck": luck, "city": city, "price": price.round(2)})


@pytest.fixture(scope="module", autouse=True)
def inline() -> Iterator[None]:
    """No processes: what they do is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("metawright.recipes.tables.run.Workers", lambda work, **_: Inline(work))
        yield


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("table") / "run"
    return metawright.generate_from_table(frame(), "price", trials=2, workers=1, out=out), out


def test_the_columns_that_matter_are_found(made: tuple[Any, Path]) -> None:
    told = made[0].record["explained"]
    assert told["of"] == made[0].record["best"]["members"] and told["measure"] == "r2"
    assert [worth["column"] for worth in told["columns"]] == ["size", "city", "luck"]
    size, city, luck = told["columns"]
    assert size["low"] > 0.5 and city["low"] > 0.02 and luck["low"] < 0.01
    assert told["rows"] == 32, "two of ten folds where trials are counted"
    shapes = {one["column"]: one for one in told["dependence"]}
    assert set(shapes) == {"size", "city", "luck"} and shapes["city"]["kind"] == "category"
    slope = np.polyfit(shapes["size"]["at"], np.ravel(shapes["size"]["answers"]), 1)[0]
    assert 2 < slope < 4
    (sentence,) = looks_at(made[0].record)
    assert sentence.startswith("It looks most at 'size' (shuffled, R² falls by")
    assert "luck" not in sentence


def test_it_is_not_measured_twice(made: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    _, out = made

    def never(*_: Any) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr("metawright.recipes.tables.explained._rises", never)
    again = metawright.generate_from_table(frame(), "price", trials=2, workers=1, out=out)
    assert again.record["explained"] == made[0].record["explained"]


def test_cost_is_measured_and_limits_are_kept(made: tuple[Any, Path]) -> None:
    cost = made[0].record["cost"]
    assert 0 < cost["latency"] < cost["latency_single"] < 1
    files = (made[1] / "table.json", next(made[1].glob("table-*.safetensors")))
    assert cost["bytes"] == sum(file.stat().st_size for file in files)


def test_a_model_over_the_limit_is_never_the_result(tmp_path: Path) -> None:
    bent = frame().assign(price=lambda rows: (rows["size"] - 110) ** 2)
    out = tmp_path / "run"
    ask: dict[str, Any] = {"trials": 2, "workers": 1, "out": out}
    before = metawright.generate_from_table(bent, "price", **ask).record["cost"]["bytes"]
    # Gone on with under a limit, a run gives up what breaks it.
    less = metawright.generate_from_table(bent, "price", max_bytes=before / 2, **ask).record
    size = sum(file.stat().st_size for file in out.glob("table*"))
    assert size == less["cost"]["bytes"] <= before / 2
    assert less["limits"] == {"bytes": before / 2}
    assert any("that are allowed" in line for line in less["why"])
    assert len(load_table_model(out).predict(read_table(bent)).answers) == ROWS


def test_where_nothing_keeps_the_limit_the_nearest_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"None of 1 pipelines keeps the limits; the nearest is "
                       r"ridge .* bytes \(--max-bytes allows 500 bytes\)"):  # fmt: skip
        metawright.generate_from_table(
            frame(), "price", trials=1, workers=1, max_bytes=500, out=tmp_path / "run"
        )
    assert not list((tmp_path / "run").glob("table*")), "no model is left that breaks the limit"


def test_it_need_not_be_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: Any) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr("metawright.recipes.tables.explained._rises", never)
    found = metawright.generate_from_table(frame(), "price", trials=1, explained=False)
    assert "explained" not in found.record and looks_at(found.record) == []


def test_limits_are_checked() -> None:
    assert constraints(None, None) == ()
    with pytest.raises(InputError, match="`max_latency` must be more than 0, but got -1"):
        constraints(1e6, -1.0)
    both = constraints(100, 1e-3)
    assert excess({"bytes": 50, "latency": 2e-3}, both) == 2
    assert total([{"bytes": 1.0, "latency": 2.0}, {"bytes": 3.0}]) == {"bytes": 4, "latency": 2}
    design = first_designs("regression")[0]
    trials = [Trial(str(i), "t", design, {}, {"bytes": 200.0 * i, "latency": 1.0}) for i in (2, 1)]
    told = str(nothing_fits(trials, constraints(100, None)))
    assert "with 200 bytes (--max-bytes allows 100 bytes)" in told
    with pytest.raises(InputError, match="`workers` must be at least 1, but got 0"):
        metawright.generate_from_table(frame(), "price", workers=0)


def test_time_is_left_for_the_report() -> None:
    assert kept_back(Clock(Budget(trials=3))) == 0
    assert kept_back(Clock(Budget(seconds=100))) == 4
    assert kept_back(Clock(Budget(seconds=2))) == 0.4
