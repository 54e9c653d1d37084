"""From a table to a model, kept in a folder and loaded again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import metawright
from metawright.engine.inline import Inline
from metawright.errors import InputError
from metawright.recipes.search.asked import Limits
from metawright.recipes.tables.model import FILE, load_table_model
from metawright.recipes.tables.run import generate_table
from metawright.tasks.tables import pose_table, read_table


def frame(rows: int = 120) -> pd.DataFrame:
    """A price that hangs on size and city, and whether it is dear."""
    rng = np.random.default_rng(0)
    size = rng.uniform(20, 200, rows)
    city = rng.choice(["Bonn", "Köln", "Ulm"], rows)
    price = 3 * size + np.where(city == "Bonn", 200, 0) + rng.normal(0, 10, rows)
    told = pd.DataFrame({"size": size, "city": city, "price": price.round(2)})
    told.loc[3, "size"] = np.nan
    return told


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> None:
    """No processes: the runs of `made` have them."""
    monkeypatch.setattr("metawright.recipes.tables.run.Workers", lambda work, **_: Inline(work))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    out = tmp_path_factory.mktemp("table") / "run"
    found = metawright.generate_from_table(frame(), "price", trials=3, workers=1, out=out)
    return found, out


def test_a_regression_is_learned_with_an_interval_that_covers(made: tuple[Any, Path]) -> None:
    found, out = made
    assert found.record["scores"]["r2"] > 0.9
    low, high = found.record["intervals"]["r2"]
    assert low < found.record["scores"]["r2"] < high
    answers = found.predict(frame().drop(columns="price"))
    inside = (answers.low < frame()["price"]) & (frame()["price"] < answers.high)
    assert 0.8 < inside.mean() <= 1
    told = json.loads((out / "run.json").read_text("utf-8"))
    assert told["status"] == "done" and told["first_model_seconds"] > 0
    assert told["check"]["target"] == "price" and told["baseline"]["r2"] < 0.05
    assert "the first a scaled linear model" in told["why"][0]


def test_a_model_that_was_saved_says_the_same(made: tuple[Any, Path]) -> None:
    found, out = made
    x = read_table(frame().drop(columns="price"))
    again = load_table_model(out).predict(x)
    np.testing.assert_allclose(again.answers, found.model.predict(x).answers)
    assert b"pickle" not in next(out.glob("table-*.safetensors")).read_bytes()[:200]


def test_a_finished_run_is_gone_on_with(made: tuple[Any, Path]) -> None:
    found, out = made
    more = metawright.generate_from_table(frame(), "price", trials=5, workers=1, out=out)
    assert more.record["scores"]["rmse"] <= found.record["scores"]["rmse"]
    with pytest.raises(InputError, match="other data"):
        metawright.generate_from_table(frame(80), "price", trials=1, out=out)
    with pytest.raises(InputError, match="--target price"):
        metawright.generate_from_table(frame(), "city", trials=1, out=out)


def test_a_finished_run_that_finds_nothing_new_keeps_its_model(
    made: tuple[Any, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, out = made
    trials = json.loads((out / "run.json").read_text("utf-8"))["budget"]["trials"]
    saved = (out / FILE).read_bytes()
    monkeypatch.setattr("metawright.recipes.tables.keeper.save_table_model", no_fit)
    again = metawright.generate_from_table(frame(), "price", trials=trials, workers=1, out=out)
    assert again.record["status"] == "done" and (out / FILE).read_bytes() == saved


def no_fit(*_: Any) -> None:
    raise AssertionError("the model was made again")


@pytest.mark.usefixtures("inline")
def test_where_no_time_is_left_to_fit_the_earlier_model_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    bent = frame(300).assign(price=lambda rows: (rows["size"].fillna(100) - 110) ** 2)
    first = metawright.generate_from_table(bent, "price", trials=1, workers=1, out=out)
    monkeypatch.setattr("metawright.recipes.tables.keeper.fitted", lambda *_, **__: {})
    for _ in range(2):
        late = metawright.generate_from_table(bent, "price", trials=4, workers=1, out=out)
        assert late.record["status"] == "done"
        assert late.record["scores"] == first.record["scores"], "of the model that is there"
        assert sum("No time was left" in line for line in late.record["why"]) == 1
    monkeypatch.undo()
    monkeypatch.setattr("metawright.recipes.tables.run.Workers", lambda work, **_: Inline(work))
    more = metawright.generate_from_table(bent, "price", trials=4, workers=1, out=out)
    assert more.record["scores"]["rmse"] < first.record["scores"]["rmse"]


@pytest.mark.usefixtures("inline")
def test_a_damaged_model_is_made_again(tmp_path: Path) -> None:
    out = tmp_path / "run"
    metawright.generate_from_table(frame(), "price", trials=2, workers=1, out=out)
    next(out.glob("table-*.safetensors")).write_bytes(b"no weights")
    metawright.generate_from_table(frame(), "price", trials=2, workers=1, out=out)
    assert len(load_table_model(out).predict(read_table(frame())).answers) == 120


@pytest.mark.usefixtures("inline")
def test_a_run_split_otherwise_is_another_run(tmp_path: Path) -> None:
    dated = frame().assign(day=pd.date_range("2020-01-01", periods=120))
    out = tmp_path / "run"
    metawright.generate_from_table(dated, "price", trials=1, workers=1, out=out)
    with pytest.raises(InputError, match="other data"):
        metawright.generate_from_table(dated, "price", trials=1, out=out, time="day")


def test_new_rows_may_lack_columns_only_if_asked(made: tuple[Any, Path]) -> None:
    found, _ = made
    with pytest.raises(InputError, match="lacks 1 column that the model needs"):
        found.predict(frame()[["size"]])
    assert len(found.predict(frame()[["size"]], fill=True).answers) == 120
    odd = found.predict(frame().replace({"city": {"Ulm": "Trier"}}))
    assert any("'city'" in note and "'Trier'" in note for note in odd.notes)


@pytest.mark.usefixtures("inline")
def test_classes_have_probabilities_and_names(tmp_path: Path) -> None:
    told = frame().assign(dear=lambda t: np.where(t["price"] > 400, "yes", "no"))
    task = pose_table(read_table(told.drop(columns="price")), "dear")
    model, record = generate_table(task, Limits(trials=2, workers=1), tmp_path / "run", name="x")
    answers = model.predict(read_table(told))
    assert answers.classes == ("no", "yes") and set(answers.labels) == {"no", "yes"}
    np.testing.assert_allclose(answers.answers.sum(1), 1)
    assert (np.asarray(answers.labels) == told["dear"]).mean() > 0.9
    assert sum(map(sum, record["confusion"])) == 120
    (tmp_path / "run" / FILE).unlink()
    with pytest.raises(InputError, match="holds no model of a table"):
        load_table_model(tmp_path / "run")


def test_a_model_that_stays_says_how_many_were_tried_since(tmp_path: Path) -> None:
    out = tmp_path / "run"
    metawright.generate_from_table(frame(), "price", trials=2, workers=1, out=out)
    saved = json.loads((out / "run.json").read_text("utf-8"))
    saved["scores"]["rmse"] = 0.0  # a model that nothing can beat
    saved["best"]["weights"] = [0.0 for _ in saved["best"]["weights"]]
    (out / "run.json").write_text(json.dumps(saved), "utf-8")
    for trials in (4, 5):
        more = metawright.generate_from_table(frame(), "price", trials=trials, workers=1, out=out)
        told = [line for line in more.record["why"] if line.startswith("Nothing better")]
        assert len(told) == 1 and told[0].endswith(f"({trials} tried).")
