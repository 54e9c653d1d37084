"""The store: every trial and run ever recorded, safe with several writers and kills at any moment.

SQLite in its write-ahead mode by default: readers never wait, writers queue, and what was
committed survives a kill of the process. Another database comes in by its SQLAlchemy URL; the
weights stay in the folder's blobs.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import URL, Connection, create_engine, delete, event, inspect, select, update
from sqlalchemy.engine import Engine
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlalchemy.schema import CreateIndex, CreateTable

from metawright.errors import BusyError, InputError, MetawrightError, VersionError
from metawright.store import schema
from metawright.store.files import clear_errors, full_disk, json_text
from metawright.store.records import RunRecord, Status, Trial
from metawright.store.rows import bound, insert_new, run_of, run_row, trial_of, trial_row

__all__ = ["Store"]

Result = TypeVar("Result")

_PATIENCE = 30.0
"""Seconds that a writer waits for another one."""


class Store:
    """Trials and runs in one database.

    A call that returns has committed: what it wrote is there after a kill of the process. Several
    processes may write and read one store at once. NaN and infinite numbers are kept as null;
    among scores and costs they come back as NaN, in evidence and info as None.

    Arguments:
        folder: where the store lives; it is made when missing. The database is `store.sqlite`.
        url: a SQLAlchemy URL to use instead, such as "postgresql+psycopg://host/name".

    Raises:
        InputError: the folder or the database cannot be opened, or is not a store.
        VersionError: the store was written by another version.

    Example:
        >>> import tempfile
        >>> from metawright.store import RunRecord, Store
        >>> with tempfile.TemporaryDirectory() as folder, Store(folder) as store:
        ...     store.add_run(RunRecord("first", "generate"))
        ...     [run.command for run in store.runs()]
        ['generate']
    """

    def __init__(self, folder: Path | str, *, url: str | None = None) -> None:
        self.folder = Path(folder).absolute()
        with clear_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        file = URL.create("sqlite", database=str(self.folder / "store.sqlite"))
        self._engine = _engine(url or file)
        # Not the URL's own text: it may hold a password.
        self._where = self._engine.url.render_as_string() if url else str(file.database)
        try:
            self._transact(lambda connection: _prepare(connection, self._where))
        except MetawrightError:
            self.close()
            raise

    def add_trial(self, trial: Trial) -> None:
        """Records one trial; a trial whose id is already there changes nothing."""
        self.add_trials([trial])

    def add_trials(self, trials: Iterable[Trial]) -> None:
        """Records all the trials or, when anything goes wrong, none; known ids change nothing."""
        rows = [trial_row(trial) for trial in trials]
        if rows:
            insert = insert_new(schema.trials, "id")
            self._transact(lambda connection: connection.execute(insert, rows))

    def trials(
        self, *, task: str | None = None, run: str | None = None, status: Status | None = None
    ) -> list[Trial]:
        """The trials in order of insertion, only those of one task, run or status if given."""
        table = schema.trials
        query = select(table).order_by(table.c.sequence)
        for column, value in ((table.c.task, task), (table.c.run, run), (table.c.status, status)):
            if value is not None:
                query = query.where(column == value)
        rows = self._transact(lambda connection: connection.execute(query).all())
        return [trial_of(row) for row in rows]

    def add_run(self, run: RunRecord) -> None:
        """Records a run; a run whose id is already there changes nothing."""
        insert = insert_new(schema.runs, "id")
        self._transact(lambda connection: connection.execute(insert, run_row(run)))

    def update_run(
        self, run: str, *, status: str | None = None, info: Mapping[str, Any] | None = None
    ) -> None:
        """Gives the run with the id `run` a new status, or a new info in place of its old one.

        Raises:
            ValueError: there is no such run.
        """
        # The id among the values keeps the statement whole when there is nothing to change.
        values = {"id": run}
        if status is not None:
            values["status"] = status
        if info is not None:
            values["info"] = json_text(info)
        query = update(schema.runs).where(schema.runs.c.id == run).values(values)
        if self._transact(lambda connection: connection.execute(query).rowcount) == 0:
            raise ValueError(f"`run` must be the id of a recorded run, but got {run!r}.")

    def runs(self) -> list[RunRecord]:
        """All runs in order of insertion."""
        query = select(schema.runs).order_by(schema.runs.c.sequence)
        rows = self._transact(lambda connection: connection.execute(query).all())
        return [run_of(row) for row in rows]

    def forget(self, runs: Iterable[str]) -> int:
        """Takes runs and their trials out, by ids; gives the number of trials that are gone.

        Raises:
            ValueError: there is no such run, and nothing was taken out.
        """
        wanted = list(dict.fromkeys(runs))

        def work(connection: Connection) -> int:
            gone = connection.execute(delete(schema.runs).where(schema.runs.c.id.in_(wanted)))
            if gone.rowcount < len(wanted):
                connection.rollback()
                return -1
            of_runs = schema.trials.c.run.in_(wanted)
            return connection.execute(delete(schema.trials).where(of_runs)).rowcount

        count = self._transact(work) if wanted else 0
        if count < 0:
            raise ValueError(f"`runs` must be ids of recorded runs, but got {wanted}.")
        return count

    def close(self) -> None:
        """Lets go of the database; its folder can then be moved."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _transact(self, work: Callable[[Connection], Result]) -> Result:
        """What `work` gives; what it wrote is committed, or rolled back on any error."""
        try:
            try:
                with self._engine.begin() as connection:
                    return work(connection)
            except IntegrityError:
                # On a server another writer may have put the same row, or made the same table,
                # between our look and our write; at the second look it is there.
                with self._engine.begin() as connection:
                    return work(connection)
        except DBAPIError as error:
            raise _clear_error(self._where, error) from error


def _engine(url: URL | str) -> Engine:
    try:
        engine = create_engine(url)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise InputError(
            f"The URL of the store cannot be used ({error}): give a SQLAlchemy URL whose driver "
            "is installed, such as sqlite:///FILE."
        ) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune)
    return engine


def _tune(connection: sqlite3.Connection, record: object) -> None:
    """Sets SQLite up for several writers.

    With synchronous=NORMAL a commit survives a kill of the process; a power cut may take the last
    commits, but never damages the file.
    """
    connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")
    connection.execute("PRAGMA synchronous = NORMAL")
    deadline = time.monotonic() + _PATIENCE
    while True:
        # SQLite does not wait for others when it changes the mode of a new file: so wait here.
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _prepare(connection: Connection, where: str) -> None:
    """Checks the version of a store that is there; makes the tables of a new one."""
    names = set(inspect(connection).get_table_names())
    own = {table.name for table in schema.tables.sorted_tables}
    if schema.meta.name not in names and names & own:
        raise InputError(
            f"{where} is the database of another program (it has a table "
            f"{min(names & own)!r} but no {schema.meta.name!r}): choose another place."
        )
    version = _version(connection) if schema.meta.name in names else None
    if version is None:
        # Two processes may do this at once: each step is right whoever comes first.
        # `meta` goes first, so that a half-made store is not taken for a foreign database.
        for table in (schema.meta, schema.trials, schema.runs):
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))
        row = {"key": "schema_version", "value": str(schema.VERSION)}
        connection.execute(insert_new(schema.meta, "key"), bound(row))
        version = _version(connection)
    if version != str(schema.VERSION):
        raise VersionError(
            f"The store {where} has version {version}, but this metawright reads version "
            f"{schema.VERSION}: use the metawright that wrote it, or choose another folder."
        )


def _version(connection: Connection) -> str | None:
    query = select(schema.meta.c.value).where(schema.meta.c.key == "schema_version")
    return connection.execute(query).scalar()


def _clear_error(where: str, error: DBAPIError) -> MetawrightError:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return full_disk(where)
    if code == sqlite3.SQLITE_BUSY:
        return BusyError(
            f"Another process has been writing the store {where} for {_PATIENCE:.0f} seconds: "
            "wait for it, or choose another place."
        )
    if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
        return InputError(
            f"{where} is not a database, or is damaged: restore it, or choose another folder."
        )
    return InputError(
        f"The store {where} cannot be used ({error.orig}): check the path, its permissions and "
        "the disk."
    )
