"""A request under an `Idempotency-Key` is done once, whatever happens on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.api import problems
from sipagent.api.problems import Problem
from sipagent.api.v1.idempotency import HEADER, REPLAYED, Once
from sipagent.model import TenantName
from sipagent.model.access import Principal, Scope
from tests.store.support import opened
from tests.store.test_keys import HandClock

KEY = {HEADER: "one"}


@dataclass
class Asked:
    """What is done, and how often. `away`: the records do not answer."""

    engine: AsyncEngine
    away: bool = False
    done: int = 0
    fails: list[Exception | int] = field(default_factory=list)
    hold: asyncio.Event | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class _Records:
    asked: Asked

    @property
    def engine(self) -> AsyncEngine:
        if self.asked.away:
            raise ConnectionRefusedError
        return self.asked.engine

    def forms_of(self, number: str, tenant: TenantName | None) -> tuple[str, ...]:
        return (number,)


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[tuple[Asked, httpx.AsyncClient]]:
    """A route that does something, and fails as it is told."""
    async with opened(url) as engine:
        asked, app = Asked(engine), FastAPI()
        problems.install(app)
        once = Once(_Records(asked), HandClock())

        def caller(request: Request) -> Principal:
            token = request.headers.get("token", "tok1")
            return Principal(token, "Anna", None, Scope.ADMIN)

        async def work() -> Response:
            asked.begun.set()
            if asked.hold is not None:
                await asked.hold.wait()
            asked.done += 1
            if asked.fails:
                match asked.fails.pop(0):
                    case int(status):
                        return JSONResponse({}, status)
                    case failure:
                        raise failure
            return JSONResponse({"done": asked.done}, 202)

        @app.post("/{what}")
        async def do(
            what: str, request: Request, by: Annotated[Principal, Depends(caller)]
        ) -> Response:
            return await once.answer(request, by, work, harmless=what == "harmless")

        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            yield asked, client


async def test_a_repetition_is_answered_as_the_first(sqlite_url: str) -> None:
    async with asking(sqlite_url) as (asked, client):
        first = await client.post("/do", json={"a": 1}, headers=KEY)
        again = await client.post("/do", json={"a": 1}, headers=KEY)

        assert REPLAYED not in first.headers
        assert again.headers[REPLAYED] == "true"
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["content-type"] == first.headers["content-type"]
        assert asked.done == 1


async def test_without_a_key_it_is_done_each_time(sqlite_url: str) -> None:
    async with asking(sqlite_url) as (asked, client):
        for _ in range(2):
            await client.post("/do")
        assert asked.done == 2


async def test_another_request_under_a_key_is_refused_and_another_token_has_its_own(
    sqlite_url: str,
) -> None:
    async with asking(sqlite_url) as (asked, client):
        await client.post("/do", json={"a": 1}, headers=KEY)
        for path, body in (("/do", {"a": 2}), ("/other", {"a": 1}), ("/do?x=1", {"a": 1})):
            refused = await client.post(path, json=body, headers=KEY)
            assert (refused.status_code, refused.json()["code"]) == (409, "key-reused")
        assert (await client.post("/do", headers={**KEY, "token": "tok2"})).status_code == 202
        assert asked.done == 2


async def test_of_two_at_once_the_second_is_told_to_wait(sqlite_url: str) -> None:
    async with asking(sqlite_url) as (asked, client), asyncio.TaskGroup() as group:
        asked.hold = asyncio.Event()
        first = group.create_task(client.post("/do", headers=KEY))
        await asked.begun.wait()
        second = await client.post("/do", headers=KEY)
        assert (second.status_code, second.json()["code"]) == (409, "in-progress")
        asked.hold.set()
        assert (await first).status_code == 202
        assert asked.done == 1


@pytest.mark.parametrize(
    "failure",
    [
        *(RuntimeError("crash"), 503, 429, 404),
        Problem(503, "engine-away", "It is away."),
        Problem(404, "not-found", "There is no such call."),
        Problem(409, "not-possible", "the call is not live yet"),
    ],
)
async def test_what_failed_is_done_by_the_next_attempt(
    sqlite_url: str, failure: Exception | int
) -> None:
    async with asking(sqlite_url) as (asked, client):
        asked.fails.append(failure)
        assert (await client.post("/do", headers=KEY)).status_code in (404, 409, 429, 500, 503)
        again = await client.post("/do", headers=KEY)
        assert (again.status_code, REPLAYED in again.headers) == (202, False)


async def test_without_records_only_what_does_no_harm_is_done(sqlite_url: str) -> None:
    async with asking(sqlite_url) as (asked, client):
        asked.away = True
        assert (await client.post("/do", headers=KEY)).status_code == 503
        assert asked.done == 0
        assert (await client.post("/harmless", headers=KEY)).status_code == 202


async def test_records_that_go_away_meanwhile_do_not_undo_the_answer(sqlite_url: str) -> None:
    async with asking(sqlite_url) as (asked, client), asyncio.TaskGroup() as group:
        asked.hold = asyncio.Event()
        first = group.create_task(client.post("/do", headers=KEY))
        await asked.begun.wait()
        asked.away = True
        asked.hold.set()
        assert (await first).status_code == 202
        assert asked.done == 1
