"""What a run starts from, and what it leaves behind for later ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import metawright
from metawright.errors import InputError
from metawright.generators.tables.experience import load_experience
from metawright.recipes.tables import gather
from metawright.recipes.tables.gather import meta_train_tables
from metawright.recipes.tables.memory import Memory
from metawright.spaces.tables import first_designs, table_pipelines
from metawright.store import Store
from metawright.tasks.kind import Kind
from metawright.tasks.tables import TableTask, pose_table, read_table


def frame(seed: int = 0, rows: int = 80) -> pd.DataFrame:
    draw = np.random.default_rng(seed)
    x = draw.normal(size=(rows, 3))
    y = np.where(x[:, 0] * x[:, 1] > 0, "yes", "no")
    return pd.DataFrame(x, columns=["a", "b", "c"]).assign(y=y)


def posed(seed: int = 0) -> TableTask:
    return pose_table(read_table(frame(seed)), "y")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a user who has made one run."""
    folder = tmp_path_factory.mktemp("memory") / "store"
    metawright.generate_from_table(frame(), "y", trials=4, workers=1, store=folder)
    return folder


def test_a_run_is_remembered_without_its_rows(store: Path) -> None:
    with Store(store) as opened:
        (run,), trials = opened.runs(), opened.trials()
    assert run.info["kind"] == "classification" and run.info["target"] == "y"
    assert len(trials) == 4 and all(trial.weights is None for trial in trials)
    assert trials[0].scores["log_loss"] > 0 and set(trials[0].evidence) <= {
        "role",
        "seed",
        "fidelity",
    }
    assert not [p for p in store.iterdir() if p.is_dir() and any(p.iterdir())], "no blobs"


def test_the_next_run_starts_from_it(store: Path) -> None:
    space = table_pipelines("classification")
    own = Memory(posed(1), space, store, None, run="another")
    assert sum(own.experience.own) == 1
    assert "1 of them your own runs; nearest:" in own.words()[0]
    with Store(store) as opened:
        (run,) = opened.runs()
    assert not any(Memory(posed(1), space, store, None, run=run.id).experience.own)
    assert not any(Memory(posed(1), space, None, None, run="another").experience.own)


def test_a_second_run_says_what_it_used(store: Path, tmp_path: Path) -> None:
    made = metawright.generate_from_table(
        frame(1), "y", trials=3, workers=1, store=store, out=tmp_path / "run"
    )
    assert any("1 of them your own runs" in line for line in made.record["why"])
    with Store(store) as opened:
        assert len(opened.runs()) == 2


def test_a_store_that_cannot_be_used_costs_no_model(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite").write_text("no database")
    made = metawright.generate_from_table(frame(), "y", trials=2, workers=1, store=tmp_path)
    assert any("could not be used" in line for line in made.record["why"])
    assert made.predict(frame()).answers.shape == (80, 2)


def test_experience_gathered_by_oneself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gather, "experience_designs", lambda kind, seed: first_designs(kind)[:2])
    for seed in range(2):
        frame(seed).to_csv(tmp_path / f"t{seed}.csv", index=False)
    told: list[tuple[str, int, int]] = []
    files = [str(tmp_path / "t0.csv"), str(tmp_path / "t1.csv")]
    out = tmp_path / "bundle"
    made = meta_train_tables(files, out, on_trial=lambda *one: told.append(one))
    assert made.keys() == {Kind.CLASSIFICATION} and told[-1] == ("t1.csv", 2, 2)
    found = load_experience(Kind.CLASSIFICATION, out)
    assert found.names == ("t0.csv", "t1.csv") and found.designs == first_designs("c")[:2]
    assert np.isfinite(found.worths).all() and (found.seconds > 0).all()
    told.clear()
    meta_train_tables(files, out, on_trial=lambda *one: told.append(one))
    assert not told, "nothing is tried again"
    run = metawright.generate_from_table(
        frame(3), "y", trials=2, workers=1, store="none", bundle=out, out=tmp_path / "run"
    )
    assert any("Used 2 earlier tasks" in line for line in run.record["why"])
    with pytest.raises(InputError, match="no experience"):
        metawright.generate_from_table(frame(3), "y", trials=2, bundle=tmp_path / "nowhere")
