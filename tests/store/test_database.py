"""A store gives back what it was given, in order, and says clearly what it cannot open."""

import math
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import IntegrityError

from metawright.errors import BusyError, InputError, VersionError
from metawright.spaces.design import Design
from metawright.store import RunRecord, Store, Trial, database

MakeTrial = Callable[..., Trial]


def test_trial_comes_back_as_it_was(tmp_path: Path, make_trial: MakeTrial) -> None:
    trial = make_trial(
        "a",
        design=Design({"norm": None, "skip": True, "lr": 1e-3, "layers": [{"width": 8}, {}]}),
        scores={"accuracy": 0.1 + 0.2},
        cost={"seconds": 1.5},
        evidence={"folds": [0.5, None], "why": {"text": "\u0967 'quoted'"}},
        status="failed",
        run="first",
        created=1.7e9 + 0.123456,
        weights="0" * 64,
    )
    with Store(tmp_path) as store:
        store.add_trial(trial)
    with Store(tmp_path) as store:
        assert store.trials() == [trial]


def test_non_finite_scores_come_back_as_nan(tmp_path: Path, make_trial: MakeTrial) -> None:
    with Store(tmp_path) as store:
        store.add_trial(make_trial("a", scores={"loss": math.inf}, evidence={"loss": math.nan}))
        (trial,) = store.trials()
    assert math.isnan(trial.scores["loss"])
    assert trial.evidence == {"loss": None}


def test_known_id_changes_nothing(tmp_path: Path, make_trial: MakeTrial) -> None:
    first, other = make_trial("a", task="first"), make_trial("a", task="other")
    with Store(tmp_path) as store:
        store.add_trial(first)
        store.add_trial(other)
        store.add_trials([make_trial("b"), make_trial("b", task="other"), other])
        assert [(trial.id, trial.task) for trial in store.trials()] == [
            ("a", "first"),
            ("b", "digits"),
        ]


def test_order_of_insertion_and_filters(tmp_path: Path, make_trial: MakeTrial) -> None:
    trials = [
        make_trial("z", task="one", run="r", created=3.0),
        make_trial("a", task="two", run="r", created=2.0, status="failed"),
        make_trial("m", task="one", run="s", created=1.0),
    ]
    with Store(tmp_path) as store:
        store.add_trials([])
        assert store.trials() == []
        store.add_trials(trials)
        assert store.trials() == trials
        assert store.trials(task="one") == [trials[0], trials[2]]
        assert store.trials(run="r", status="ok") == [trials[0]]
        assert store.trials(task="none") == []


def test_many_trials_are_all_or_nothing(tmp_path: Path, make_trial: MakeTrial) -> None:
    with Store(tmp_path) as store:
        bad = make_trial("bad")
        object.__setattr__(bad, "task", None)  # the database refuses it: NOT NULL
        with pytest.raises(InputError, match=r"cannot be used .*NOT NULL"):
            store.add_trials([make_trial("good"), bad])
        assert store.trials() == []


def test_runs(tmp_path: Path) -> None:
    first = RunRecord("1", "meta-train", created=2.0, info={"seed": 0})
    second = RunRecord("2", "generate", created=1.0)
    with Store(tmp_path) as store:
        store.add_run(first)
        store.add_run(second)
        store.add_run(RunRecord("1", "other"))
        assert store.runs() == [first, second]
        store.update_run("1", status="done")
        store.update_run("2", info={"trials": 3})
        store.update_run("2")
        assert [(run.status, run.info) for run in store.runs()] == [
            ("done", {"seed": 0}),
            ("running", {"trials": 3}),
        ]
        with pytest.raises(
            ValueError, match="`run` must be the id of a recorded run, but got '3'"
        ):
            store.update_run("3", status="done")


def test_closed_store_is_one_file_that_can_be_moved(tmp_path: Path, make_trial: MakeTrial) -> None:
    with Store(tmp_path / "here") as store:
        store.add_trial(make_trial("a"))
    assert [file.name for file in (tmp_path / "here").iterdir()] == ["store.sqlite"]
    (tmp_path / "here").rename(tmp_path / "there")
    with Store(tmp_path / "there") as store:
        assert [trial.id for trial in store.trials()] == ["a"]


def test_sqlite_is_set_up_for_several_writers(tmp_path: Path) -> None:
    with Store(tmp_path) as store, store._engine.connect() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 1, "busy_timeout": 30_000}


def test_url_takes_another_database(tmp_path: Path, make_trial: MakeTrial) -> None:
    url = f"sqlite:///{tmp_path / 'elsewhere.sqlite'}"
    with Store(tmp_path / "run", url=url) as store:
        store.add_trial(make_trial("a"))
    assert list((tmp_path / "run").iterdir()) == []
    with Store(tmp_path / "other", url=url) as store:
        assert len(store.trials()) == 1


@pytest.mark.parametrize("url", ["nonsense", "nosuch://host/name", "sqlite+nosuch:///file"])
def test_url_that_cannot_be_used(tmp_path: Path, url: str) -> None:
    with pytest.raises(InputError, match="The URL of the store cannot be used"):
        Store(tmp_path, url=url)


@pytest.mark.parametrize("version", ["0", "2", "next"])
def test_store_of_another_version_is_left_alone(tmp_path: Path, version: str) -> None:
    Store(tmp_path).close()
    file = tmp_path / "store.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE meta SET value = ?", (version,))
        connection.execute("DROP TABLE runs")
    connection.close()
    before = file.read_bytes()
    with pytest.raises(VersionError, match=f"has version {version}, but this .* reads version 1"):
        Store(tmp_path)
    assert file.read_bytes() == before


def test_half_made_store_is_finished(tmp_path: Path, make_trial: MakeTrial) -> None:
    """As a kill during the very first opening leaves it."""
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("DELETE FROM meta")
        connection.execute("DROP TABLE trials")
    connection.close()
    with Store(tmp_path) as store:
        store.add_trial(make_trial("a"))
        assert len(store.trials()) == 1


def test_what_is_not_a_database(tmp_path: Path) -> None:
    file = tmp_path / "store.sqlite"
    file.write_bytes(b"this is a text file, and a long one at that" * 100)
    with pytest.raises(InputError, match=r"store\.sqlite is not a database, or is damaged"):
        Store(tmp_path)
    assert file.read_bytes().startswith(b"this is a text")
    with pytest.raises(InputError, match="a file stands where a folder is needed"):
        Store(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(InputError, match=r"cannot be used \(unable to open database file\)"):
        Store(tmp_path)


def test_database_of_another_program(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "store.sqlite") as connection:
        connection.execute("CREATE TABLE trials (trial_id INTEGER)")
    connection.close()
    with pytest.raises(InputError, match=r"is the database of another program .*'trials'"):
        Store(tmp_path)


def test_full_disk(tmp_path: Path, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    tune = database._tune

    def tune_small(connection: sqlite3.Connection, record: object) -> None:
        tune(connection, record)
        connection.execute("PRAGMA max_page_count = 30")

    monkeypatch.setattr(database, "_tune", tune_small)
    kept = []
    with Store(tmp_path) as store:
        with pytest.raises(InputError, match=r"No space left on the disk of .*store\.sqlite"):
            for number in range(1000):
                store.add_trial(make_trial(str(number), evidence={"text": "x" * 1000}))
                kept.append(str(number))
        assert kept
        assert [trial.id for trial in store.trials()] == kept


def test_writer_that_never_lets_go(
    tmp_path: Path, make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PATIENCE", 0.1)
    with Store(tmp_path) as store:
        other = sqlite3.connect(tmp_path / "store.sqlite")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(BusyError, match=r"Another process has been writing the store"):
            store.add_trial(make_trial("a"))
        assert store.trials() == []  # readers do not wait
        other.rollback()
        other.close()
        store.add_trial(make_trial("a"))
        assert len(store.trials()) == 1


def test_new_file_that_another_process_is_setting_up() -> None:
    """SQLite says "locked" at once there; seen in 4 of 240 openings by 8 processes together."""
    calls: list[str] = []

    class Busy(sqlite3.Connection):
        def execute(self, sql: str, *parameters: object) -> sqlite3.Cursor:
            calls.append(sql)
            if calls.count("PRAGMA journal_mode = WAL") in (1, 2):
                error = sqlite3.OperationalError("database is locked")
                error.sqlite_errorcode = sqlite3.SQLITE_BUSY
                raise error
            return super().execute(sql)

    connection = sqlite3.connect(":memory:", factory=Busy)
    database._tune(connection, None)
    connection.close()
    assert calls.count("PRAGMA journal_mode = WAL") == 3


def test_another_writer_of_a_server_is_first(tmp_path: Path, make_trial: MakeTrial) -> None:
    """PostgreSQL answers so where two writers add one id, or make the tables, at the same time."""
    refusals = [IntegrityError("INSERT", {}, ValueError("duplicate key"))]

    def interfere(connection: Connection, *statement: object) -> None:
        if refusals:
            raise refusals.pop()

    with Store(tmp_path) as store:
        event.listen(store._engine, "before_cursor_execute", interfere)
        store.add_trial(make_trial("a"))
        assert refusals == []
        assert len(store.trials()) == 1
