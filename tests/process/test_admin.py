"""`sipagent serve` with a control API: when it is there, who gets in, and its own listener."""

import asyncio
import signal
import socket
import sys
from pathlib import Path

import httpx
import pytest

from tests.process.running import Process, environment, free_port, held, serving, start

PATHS = ("/api/v1/calls", "/console", "/docs", "/openapi.json")


async def run(tmp_path: Path, *words: str) -> str:
    """What `sipagent` prints, beside a service that runs."""
    variables = environment(tmp_path, "http://127.0.0.1:1")
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sipagent", *words), env=variables, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await running.communicate()
    assert running.returncode == 0
    return output.decode().strip()


async def operator(tmp_path: Path) -> str:
    words = ("tokens", "create", "--name", "Olga", "--operator", "--scope", "admin")
    return await run(tmp_path, *words)


async def status(url: str, path: str, token: str | None = None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{url}{path}", headers=headers)).status_code


async def until(url: str, path: str, wanted: int, token: str | None = None) -> None:
    async with asyncio.timeout(60):
        while await status(url, path, token) != wanted:
            await asyncio.sleep(0.1)


async def test_the_control_api_appears_with_the_operators_token_and_goes_with_it(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as (process, _):
        for path in PATHS:
            answer = await process.get(path)
            assert (answer.status_code, answer.json()["code"]) == (404, "not-found"), path
        assert "reasons" in (await process.get("/readyz")).json()
        assert (await process.get("/metrics")).status_code == 200

        token = await operator(tmp_path)
        await until(process.url, PATHS[0], 200, token)
        assert await status(process.url, PATHS[0]) == 401
        assert await status(process.url, "/openapi.json") == 200
        assert (await process.get("/readyz")).json() == {"status": "ready"}
        assert await status(process.url, "/metrics") == 401
        assert await status(process.url, "/metrics", token) == 200

        await run(tmp_path, "tokens", "revoke", token.split("_")[1])
        await until(process.url, PATHS[0], 404, token)
        log = str(process.log)
        assert token.split("_", 2)[2] not in log


async def test_a_tenants_token_sees_no_metrics(tmp_path: Path) -> None:
    async with serving(tmp_path) as (process, _):
        await operator(tmp_path)
        words = ("tokens", "create", "--name", "Anna", "--tenant", "default")
        anna = await run(tmp_path, *words)
        await until(process.url, PATHS[0], 200, anna)
        assert await status(process.url, "/metrics", anna) == 403


async def test_the_operators_listener_has_all_of_it_and_the_public_one_nothing(
    tmp_path: Path,
) -> None:
    port = free_port()
    async with serving(tmp_path, SIPAGENT_ADMIN_PORT=str(port)) as (process, simulator):
        admin = f"http://127.0.0.1:{port}"
        token = await operator(tmp_path)
        await until(admin, PATHS[0], 200, token)
        for path in (*PATHS, "/metrics"):
            assert await status(process.url, path, token) == 404, path
        assert (await process.get("/readyz")).json() == {"status": "ready"}
        async with httpx.AsyncClient(base_url=admin) as client:
            assert "reasons" in (await client.get("/readyz")).json()
            assert "sipagent_" in (await client.get("/metrics")).text
            assert (await client.get("/healthz")).headers["date"]
            assert (await client.post("/webhooks/openai")).status_code == 404

        call_id = await held(simulator)
        process.signal(signal.SIGTERM)
        await process.ready(503)
        assert await status(admin, PATHS[0], token) == 200  # the call is seen to its end
        simulator.hang_up(call_id)
        assert await process.exit_code() == 0
    with pytest.raises(httpx.TransportError):
        await status(admin, "/healthz")


async def test_a_second_signal_cuts_the_operators_listener_too(tmp_path: Path) -> None:
    port = free_port()
    async with serving(tmp_path, SIPAGENT_ADMIN_PORT=str(port)) as (process, simulator):
        await held(simulator)
        process.signal(signal.SIGTERM)
        await process.ready(503)
        process.signal(signal.SIGTERM)
        assert await process.exit_code() == 128 + signal.SIGTERM


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        variables = environment(tmp_path, "http://127.0.0.1:1", SIPAGENT_ADMIN_PORT=port)
        process = await start(tmp_path, variables)
        assert await process.exit_code() == 3


async def test_a_listener_for_others_wants_an_operators_token_first(tmp_path: Path) -> None:
    more = {"SIPAGENT_ADMIN_PORT": str(free_port()), "SIPAGENT_ADMIN_HOST": "0.0.0.0"}
    process = await started(tmp_path, more)
    assert await process.exit_code() == 78
    told = (tmp_path / "log.jsonl").read_text()
    assert "sipagent db upgrade" in told
    assert "sipagent tokens create --operator" in told
    (tmp_path / "log.jsonl").unlink()

    await run(tmp_path, "db", "upgrade")
    await operator(tmp_path)
    process = await started(tmp_path, more)
    try:
        await process.ready()
    finally:
        await process.kill()


async def started(tmp_path: Path, more: dict[str, str]) -> Process:
    return await start(tmp_path, environment(tmp_path, "http://127.0.0.1:1", **more))


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"SIPAGENT_ADMIN_PORT": "0"}, "SIPAGENT_ADMIN_PORT"),
        ({"SIPAGENT_ADMIN_PORT": "8000", "PORT": "8000"}, "another port than PORT"),
    ],
)
async def test_a_port_that_cannot_be_is_refused(
    tmp_path: Path, variables: dict[str, str], told: str
) -> None:
    process = await started(tmp_path, variables)
    assert await process.exit_code() == 78
    assert told in (tmp_path / "log.jsonl").read_text()
