"""`stand` is a control API on SQLite, `stands` on both databases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.v1.standing import Standing, standing
from tests.databases import postgresql_url as postgresql_url
from tests.databases import server_url as server_url
from tests.databases import sqlite_url as sqlite_url


@pytest.fixture
async def stand(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Standing]:
    async with standing(sqlite_url, tmp_path) as stand:
        yield stand


@pytest.fixture(params=["sqlite", "postgresql"])
async def stands(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Standing]:
    url: str = request.getfixturevalue(f"{request.param}_url")
    async with standing(url, tmp_path) as stand:
        yield stand
