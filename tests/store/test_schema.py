"""How a database gets its schema: from nothing, from every revision, by many processes at once."""

import asyncio
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from alembic import command
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, insert, inspect, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.errors import StoreError
from sipagent.store.migrating import usable_by
from sipagent.store.schema import (
    MIGRATIONS,
    SchemaState,
    alembic_config,
    require_known,
    status,
    upgrade,
)
from tests.store.support import NEWER, later, located, opened

REVISIONS = [script.revision for script in ScriptDirectory(MIGRATIONS).walk_revisions()]

ONE_UPGRADE = """
import asyncio, sys
from pathlib import Path
from sipagent.store.database import open_engine
from sipagent.store.location import location_of
from sipagent.store.schema import upgrade

async def main():
    location = location_of(sys.argv[1], Path("."))
    engine = open_engine(location)
    sys.stdin.readline()
    found = await upgrade(engine, location)
    await engine.dispose()
    print(found.state)

asyncio.run(main())
"""


async def test_an_empty_database_gets_every_table(records_url: str) -> None:
    location = located(records_url)
    async with opened(records_url, schema=False) as engine:
        before = await upgrade(engine, location)

        assert before.state is SchemaState.EMPTY
        assert (await status(engine, location)).state is SchemaState.CURRENT


async def test_migrations_make_exactly_the_tables_that_the_code_has(records_url: str) -> None:
    async with opened(records_url, schema=False) as engine:
        await upgrade(engine, located(records_url))
        async with engine.connect() as connection:
            await connection.run_sync(lambda sync: command.check(alembic_config(sync)))


@pytest.mark.parametrize("revision", REVISIONS)
async def test_rows_of_every_revision_survive_the_upgrade(records_url: str, revision: str) -> None:
    async with opened(records_url, schema=False) as engine:
        async with engine.begin() as connection:
            await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), revision))
            filled = await connection.run_sync(_fill)
        await upgrade(engine, located(records_url))

        assert len(filled) > 5
        assert await _counts(engine, filled) == dict.fromkeys(filled, 1)


@pytest.mark.parametrize("revision", REVISIONS)
async def test_code_of_every_revision_can_use_the_newest_schema(
    records_url: str, revision: str
) -> None:
    """All that its schema had is there, and what it does not know need not be written."""
    async with opened(records_url, schema=False) as engine:
        async with engine.begin() as connection:
            await connection.run_sync(lambda sync: command.upgrade(alembic_config(sync), revision))
            before = await connection.run_sync(_columns)
        await upgrade(engine, located(records_url))
        async with engine.connect() as connection:
            now = await connection.run_sync(_columns)
            usable = (await connection.execute(text("SELECT revision FROM usable_by"))).scalars()

    assert revision in set(usable)
    assert before.keys() <= now.keys()
    added = {name: nullable for name, nullable in now.items() if name not in before}
    old = {table for table, _ in before}
    assert all(nullable for (table, _), nullable in added.items() if table in old)


def _columns(connection: Connection) -> dict[tuple[str, str], bool]:
    """Each column of the database, and whether it may be empty."""
    found = MetaData()
    found.reflect(connection)
    return {
        (table.name, column.name): bool(column.nullable)
        for table in found.sorted_tables
        for column in table.columns
    }


async def test_of_three_processes_at_once_one_upgrades(records_url: str) -> None:
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            ONE_UPGRADE,
            records_url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        for _ in range(3)
    ]
    said = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))

    assert sorted(output.decode().strip() for output, _ in said) == ["current", "current", "empty"]


async def test_a_newer_schema_is_refused(records_url: str) -> None:
    location = located(records_url)
    async with opened(records_url, schema=False) as engine:
        await upgrade(engine, location)
        await later(engine, NEWER)

        with pytest.raises(StoreError, match="schema 9999, which this release does not know"):
            await upgrade(engine, location)
        with pytest.raises(StoreError, match="9999"):
            require_known(await status(engine, location), location)


async def test_a_database_that_does_not_say_whose_it_can_be_is_refused(records_url: str) -> None:
    async with opened(records_url, schema=False) as engine:
        await upgrade(engine, located(records_url))
        await later(engine, ("DROP TABLE usable_by", *NEWER[:1]))

        assert (await status(engine, located(records_url))).state is SchemaState.NEWER


async def test_a_database_that_lacks_that_table_gets_it_with_its_next_revision(
    records_url: str,
) -> None:
    async with opened(records_url, schema=False) as engine:
        await upgrade(engine, located(records_url))
        await later(engine, ("DROP TABLE usable_by",))
        async with engine.begin() as connection:
            await connection.run_sync(_next_revision)
        assert await _counts(engine, ["usable_by"]) == {"usable_by": 2}


def _next_revision(connection: Connection) -> None:
    with Operations.context(MigrationContext.configure(connection)):
        usable_by("0001", "0002")


async def test_an_upgrade_that_fails_leaves_nothing(records_url: str) -> None:
    """The last table is there already, so that making it fails after all others were made."""
    async with opened(records_url, schema=False) as engine:
        async with engine.begin() as connection:
            await connection.execute(text("CREATE TABLE usage (call_id INTEGER)"))

        with pytest.raises(StoreError, match="cannot be used"):
            await upgrade(engine, located(records_url))
        async with engine.connect() as connection:
            left = await connection.run_sync(lambda sync: inspect(sync).get_table_names())

    assert left == ["usage"]


async def test_sqlite_is_left_in_wal_mode(sqlite_url: str) -> None:
    async with opened(sqlite_url, schema=False) as engine:
        await upgrade(engine, located(sqlite_url))
        async with engine.connect() as connection:
            mode = (await connection.execute(text("PRAGMA journal_mode"))).scalar_one()

    assert mode == "wal"


async def test_a_server_that_is_away_is_told() -> None:
    url = "postgresql://u:hunter2@127.0.0.1:1/calls"
    async with opened(url, schema=False) as engine:
        with pytest.raises(StoreError, match=r"PostgreSQL calls at 127\.0\.0\.1:1: cannot be used"):
            await upgrade(engine, located(url))


_OF_SCHEMA = ("alembic_version", "usable_by")


def _fill(connection: Connection) -> Sequence[str]:
    """One row in each table, whatever columns it has."""
    found = MetaData()
    found.reflect(connection)
    tables = [table for table in found.sorted_tables if table.name not in _OF_SCHEMA]
    for table in tables:
        connection.execute(insert(table).values(_values(table)))
    return [table.name for table in tables]


def _values(table: Table) -> dict[str, Any]:
    some: dict[type, Any] = {str: "a", int: 1, float: 1.5, bool: True}
    return {column.name: some[column.type.python_type] for column in table.columns}


async def _counts(engine: AsyncEngine, tables: Sequence[str]) -> dict[str, int]:
    async with engine.connect() as connection:
        return {
            name: len((await connection.execute(select(text("1")).select_from(text(name)))).all())
            for name in tables
        }
