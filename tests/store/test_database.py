"""URLs of databases, the engines for them, and what a failure tells."""

from pathlib import Path

import pytest
from sqlalchemy import text

from sipagent.errors import SettingsError, StoreError
from sipagent.store.database import DATABASE_ERRORS, open_engine, reason_of
from sipagent.store.location import location_of
from tests.store.support import located, opened

SECRET = "hunter2"

LOCATIONS = {
    "file": ("sqlite:///records.db", "sqlite", "records.db"),
    "absolute file": ("sqlite:////var/lib/x/records.db", "sqlite", "/var/lib/x/records.db"),
    "file with a driver": ("sqlite+aiosqlite:///records.db", "sqlite", "records.db"),
    "escaped file": ("sqlite:///a%20b.db", "sqlite", "a b.db"),
    "postgres": (f"postgres://u:{SECRET}@db/calls", "postgresql", "PostgreSQL calls at db"),
    "postgresql": (
        f"postgresql://u:{SECRET}@db:6432/calls",
        "postgresql",
        "PostgreSQL calls at db:6432",
    ),
    "another driver": (
        f"postgresql+psycopg2://u:{SECRET}@db/calls",
        "postgresql",
        "PostgreSQL calls at db",
    ),
    "socket": (
        f"postgresql://u:{SECRET}@/calls?host=/run/pg",
        "postgresql",
        "PostgreSQL calls at /run/pg",
    ),
    "TLS": (
        f"postgres://u:{SECRET}@db/calls?sslmode=require",
        "postgresql",
        "PostgreSQL calls at db",
    ),
}


@pytest.mark.parametrize(("url", "dialect", "shown"), LOCATIONS.values(), ids=LOCATIONS)
def test_a_url_names_a_location(url: str, dialect: str, shown: str) -> None:
    location = location_of(url, Path("data"))

    assert (location.dialect, location.shown) == (dialect, shown)
    assert SECRET not in repr(location)


def test_without_a_url_records_are_in_the_data_directory() -> None:
    assert location_of(None, Path("data")).file == Path("data/records.sqlite")


REFUSED = {
    "another database": f"mysql://u:{SECRET}@db/calls",
    "no scheme": f"u:{SECRET}@db/calls",
    "bad port": f"postgresql://u:{SECRET}@db:x/calls",
    "no database": f"postgresql://u:{SECRET}@db",
    "no host": f"postgresql://u:{SECRET}@/calls",
    "memory": "sqlite://",
    "named memory": "sqlite:///:memory:",
    "host of a file": f"sqlite://{SECRET}/records.db",
    "bad host": f"postgresql://u:{SECRET}@[db/calls",
}


@pytest.mark.parametrize("url", REFUSED.values(), ids=REFUSED)
def test_a_url_that_cannot_be_used_is_refused_and_not_told(url: str) -> None:
    with pytest.raises(SettingsError, match="SIPAGENT_DATABASE_URL") as refused:
        location_of(url, Path("data"))

    assert SECRET not in str(refused.value)


async def test_a_sqlite_file_is_private_and_keeps_nothing_that_was_deleted(tmp_path: Path) -> None:
    file = tmp_path / "kept" / "records.sqlite"
    async with opened(f"sqlite:///{file}") as engine, engine.connect() as connection:
        pragmas = ("synchronous", "busy_timeout", "foreign_keys", "secure_delete")
        found = [
            (await connection.execute(text(f"PRAGMA {pragma}"))).scalar_one() for pragma in pragmas
        ]

    assert found == [1, 5000, 1, 1]
    assert (file.parent.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_file_that_was_open_to_others_is_closed_to_them(tmp_path: Path) -> None:
    file = tmp_path / "records.sqlite"
    file.touch(0o666)
    open_engine(located(f"sqlite:///{file}"))

    assert file.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StoreError, match="cannot be used"):
        open_engine(located(f"sqlite:///{tmp_path}/file/records.sqlite"))


async def test_a_database_is_written_and_read(records_url: str) -> None:
    async with opened(records_url) as engine:
        async with engine.begin() as connection:
            await connection.execute(
                text("INSERT INTO sessions (hash, body, last_used_at) VALUES ('a', '{}', 1.5)")
            )
        async with engine.connect() as connection:
            found = (await connection.execute(text("SELECT last_used_at FROM sessions"))).scalars()

            assert list(found) == [1.5]


async def test_a_server_that_is_away_is_told_without_credentials() -> None:
    async with opened(f"postgresql://u:{SECRET}@127.0.0.1:1/calls", schema=False) as engine:
        with pytest.raises(DATABASE_ERRORS) as failed:
            async with engine.connect():
                pass

    assert reason_of(failed.value) == "connection refused"


async def test_a_statement_that_fails_is_told_without_its_values(records_url: str) -> None:
    async with opened(records_url) as engine:
        with pytest.raises(DATABASE_ERRORS) as failed:
            async with engine.begin() as connection:
                await connection.execute(text("SELECT :secret FROM nowhere"), {"secret": SECRET})

    assert SECRET not in f"{failed.value} {reason_of(failed.value)}"
