"""Experience taken from one store to another, and forgotten."""

import json
from pathlib import Path

import pytest

from metawright.errors import InputError, VersionError
from metawright.spaces.design import Design
from metawright.store import RunRecord, Store, Trial
from metawright.store.exchange import export_runs, import_runs
from metawright.store.home import home_store


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    with Store(tmp_path / "full") as store:
        for run in ("a", "b"):
            store.add_run(RunRecord(run, "generate", info={"name": f"{run}.csv"}))
            score = {"log_loss": 0.5, "auc": float("nan")}
            store.add_trial(
                Trial(f"{run}1", "task", Design({"x": 1}), score, run=run, weights="ab" * 32)
            )
    return tmp_path / "full"


def test_runs_travel_without_weights(filled: Path, tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    with Store(filled) as store, Store(tmp_path / "new") as other:
        assert export_runs(store, file, ["a"]) == (1, 1)
        assert import_runs(other, file) == (1, 1)
        assert import_runs(other, file) == (1, 1), "what is known changes nothing"
        (run,), (trial,) = other.runs(), other.trials()
        assert run == store.runs()[0] and trial.weights is None
        assert trial.design == Design({"x": 1}) and trial.scores["log_loss"] == 0.5
        assert trial.scores["auc"] != trial.scores["auc"]


def test_a_wrong_file_is_named_and_changes_nothing(filled: Path, tmp_path: Path) -> None:
    file = tmp_path / "some.jsonl"
    with Store(filled) as store:
        export_runs(store, file)
        lines = file.read_text("utf-8").splitlines()
        cases = {
            "no exported experience": "hello",
            "Line 3 of": "\n".join([*lines[:2], '{"run": 3}']),
            "Line 2 of": "\n".join([lines[0], "{"]),
        }
        for told, text in cases.items():
            file.write_text(text, "utf-8")
            with pytest.raises(InputError, match=told), Store(tmp_path / "new") as other:
                import_runs(other, file)
        file.write_text(json.dumps({"format": "metawright experience 9"}), "utf-8")
        with pytest.raises(VersionError, match="experience 9"):
            import_runs(store, file)
        with pytest.raises(InputError, match="There is no file"):
            import_runs(store, tmp_path / "none")
    with Store(tmp_path / "new") as other:
        assert not other.runs()


def test_forgotten_runs_are_gone_with_their_trials(filled: Path) -> None:
    with Store(filled) as store:
        with pytest.raises(ValueError, match="nobody"):
            store.forget(["a", "nobody"])
        assert len(store.runs()) == 2 == len(store.trials())
        assert store.forget(["a", "a"]) == 1
        assert [run.id for run in store.runs()] == ["b"]
        assert [trial.run for trial in store.trials()] == ["b"]
        assert store.forget([]) == 0


def test_where_experience_lives(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METAWRIGHT_STORE", str(tmp_path / "named"))
    assert home_store() == tmp_path / "named" and home_store("here") == Path("here")
    assert home_store("none") is None
    monkeypatch.setenv("METAWRIGHT_STORE", "none")
    assert home_store() is None
    monkeypatch.delenv("METAWRIGHT_STORE")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert str(home_store()).startswith(str(Path.home())) or str(tmp_path) in str(home_store())
