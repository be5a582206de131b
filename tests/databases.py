"""Fixtures of empty databases of records: a `conftest.py` imports those that its tests ask for.

`records_url` gives a test one twice: on SQLite, and on PostgreSQL.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.support import postgresql_database, postgresql_server


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """A real PostgreSQL, started when the first test of the session asks for it."""
    with postgresql_server() as url:
        yield url


@pytest.fixture
def postgresql_url(server_url: str) -> Iterator[str]:
    with postgresql_database(server_url) as url:
        yield url


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/records/records.sqlite"


@pytest.fixture(params=["sqlite", "postgresql"])
def records_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url
