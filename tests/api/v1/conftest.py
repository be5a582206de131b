"""`stand` is a control API on SQLite, `stands` on both databases."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.api.v1.standing import Standing, standing
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


@pytest.fixture
async def stand(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(sqlite_url, tmp_path) as stand:
        yield stand


@pytest.fixture(params=["sqlite", "postgresql"])
async def stands(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Standing]:
    url: str = request.getfixturevalue(f"{request.param}_url")
    async with standing(url, tmp_path) as stand:
        yield stand
