"""Databases for tests: a SQLite file, or a database of a real PostgreSQL server."""

import asyncio
import os
import resource
import secrets
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.store.database import open_engine
from sipagent.store.location import Location, location_of
from sipagent.store.tables import metadata
from tests.servers import PostgresServer

SERVER_VARIABLE = "SIPAGENT_TEST_POSTGRESQL_URL"
"""A server on which tests may make databases, in place of one that they start."""

T = TypeVar("T")


def located(url: str) -> Location:
    """The location that a fixture's URL names."""
    return location_of(url, Path("/nonexistent"))


NEWER = (
    "UPDATE alembic_version SET version_num = '9999'",
    "DELETE FROM usable_by",
    "INSERT INTO usable_by VALUES ('9999')",
)
"""What a later release does that takes away what this one needs."""

EXPANDED = (
    "ALTER TABLE calls ADD COLUMN mood VARCHAR(8)",
    "ALTER TABLE turns ADD COLUMN loudness INTEGER NOT NULL DEFAULT 1",
    "CREATE TABLE moods (mood VARCHAR(8) PRIMARY KEY)",
    "UPDATE alembic_version SET version_num = '9998'",
    "INSERT INTO usable_by VALUES ('9998')",
)
"""What the next release does, which only adds."""


async def later(engine: AsyncEngine, statements: Sequence[str]) -> None:
    """The database as a later release has made it."""
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(text(statement))


@asynccontextmanager
async def opened(url: str, *, schema: bool = True) -> AsyncIterator[AsyncEngine]:
    """An engine for the URL, by default with every table in place; disposed of at the end."""
    engine = open_engine(located(url))
    try:
        if schema:
            async with engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
        yield engine
    finally:
        await engine.dispose()


@contextmanager
def postgresql_server() -> Iterator[str]:
    """The URL of a server's maintenance database: of the environment's, or of one that lives as
    long as the block."""
    if given := os.environ.get(SERVER_VARIABLE):
        yield given
        return
    with PostgresServer() as server:
        yield server.url


@contextmanager
def postgresql_database(server: str) -> Iterator[str]:
    """The URL of an empty database of the server, which is dropped at the end."""
    name = f"sipagent_{secrets.token_hex(6)}"
    run_apart(execute(server, f"CREATE DATABASE {name}"))
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        run_apart(execute(server, f"DROP DATABASE {name} WITH (FORCE)"))


def run_apart(work: Coroutine[Any, Any, T]) -> T:
    """Run to its end on a loop of its own, whatever loop runs here."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, work).result()


async def execute(url: str, *statements: str) -> None:
    """Have PostgreSQL carry out statements, each in a transaction of its own."""
    connection = await asyncpg.connect(url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def outage(url: str) -> Iterator[None]:
    """Nothing can be written as long as the block lasts: PostgreSQL takes no connection, and the
    disk of a SQLite file is full (so is then that of every file of this process)."""
    if url.startswith("sqlite"):
        with _full_disk():
            yield
        return
    name = urlsplit(url).path[1:]
    server = urlsplit(url)._replace(path="/postgres").geturl()
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
    run_apart(execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false", f"{kill}'{name}'"))
    try:
        yield
    finally:
        run_apart(execute(server, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))


@contextmanager
def _full_disk() -> Iterator[None]:
    """No file grows beyond its first kilobyte."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
