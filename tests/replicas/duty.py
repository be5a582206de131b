"""Somebody on duty, who asks any replica of a fleet over the control API."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.replicas.fleet import Fleet


async def token_of(made: Fleet, *words: str) -> str:
    """A token that `sipagent tokens create` prints."""
    code, told = await made.command("tokens", "create", *words)
    assert code == 0, told
    (token,) = (line for line in told.splitlines() if line.startswith("sipa_"))
    return token


@asynccontextmanager
async def operator(made: Fleet) -> AsyncIterator[httpx.AsyncClient]:
    """The operator, once all replicas know their token."""
    token = await token_of(made, "--name", "Olga", "--operator", "--scope", "admin")
    bearer = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(headers=bearer, timeout=30) as client:
        for one in made.replicas.values():
            await until(client, "GET", f"{one.url}/api/v1/me", 200)
        yield client


async def until(
    client: httpx.AsyncClient, method: str, url: str, wanted: int, **more: Any
) -> httpx.Response:
    """Asks until it is so, and gives that answer: what is not known everywhere yet is not found."""
    async with asyncio.timeout(30):
        while (answer := await client.request(method, url, **more)).status_code != wanted:
            assert answer.status_code == 404, answer.text
            await asyncio.sleep(0.1)
    return answer


async def asked(client: httpx.AsyncClient, url: str, path: str, **body: Any) -> None:
    """It is done, once the call is in the records."""
    await until(client, "POST", f"{url}/api/v1/calls/{path}", 202, json=body)
