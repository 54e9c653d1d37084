"""The tables of a store, in SQLAlchemy Core, and the version that they have.

Structured fields are JSON text, so that one schema serves every database that SQLAlchemy knows.
Raise `VERSION` with every change that an older program could not read.
"""

from sqlalchemy import Column, Float, Integer, MetaData, String, Table, Text

__all__ = ["VERSION", "meta", "runs", "tables", "trials"]

VERSION = 1
"""Version of the tables below, kept in the row "schema_version" of `meta`."""

tables = MetaData()

meta = Table(
    "meta",
    tables,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

trials = Table(
    "trials",
    tables,
    # Counts up for ever and is never used twice: the order of insertion.
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(255), nullable=False, unique=True),
    Column("task", String(255), nullable=False, index=True),
    Column("run", String(255), nullable=False, index=True),
    Column("status", String(16), nullable=False),
    Column("design", Text, nullable=False),
    Column("scores", Text, nullable=False),
    Column("cost", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("weights", String(64), nullable=True),
    Column("created", Float(53), nullable=False),
    sqlite_autoincrement=True,
)

runs = Table(
    "runs",
    tables,
    Column("sequence", Integer, primary_key=True, autoincrement=True),
    Column("id", String(255), nullable=False, unique=True),
    Column("command", String(255), nullable=False),
    Column("status", String(32), nullable=False),
    Column("info", Text, nullable=False),
    Column("created", Float(53), nullable=False),
    sqlite_autoincrement=True,
)
