"""O2 and L4: the database of the records goes away under calls, and comes back."""

import signal
from pathlib import Path
from typing import Any

import asyncpg

from sipagent.simulator import Simulator
from tests.process.running import RECEPTION, Process, environment, held, serving, start
from tests.store.support import outage, run_apart
from tests.waiting import eventually

STAY: dict[str, Any] = {"stay": True, "script": []}


async def talked(simulator: Simulator, call_id: str) -> None:
    """The caller has had an answer."""
    before = len(simulator.call(call_id).transcript)
    simulator.say(call_id, "Is somebody there?")
    await simulator.until(call_id, lambda call: len(call.transcript) >= before + 2, timeout=20)


async def status(process: Process) -> tuple[int, str, list[tuple[str, str]]]:
    """What `/readyz` says, with the parts that are degraded."""
    answer = await process.get("/readyz")
    body = answer.json()
    degraded = [(one["part"], one["code"]) for one in body.get("degraded", [])]
    return answer.status_code, body["status"], degraded


async def becomes(process: Process, word: str) -> tuple[int, str, list[tuple[str, str]]]:
    while (told := await status(process))[1] != word:
        assert process.running.returncode is None
    return told


async def without_records(process: Process) -> tuple[int, str]:
    """What `/readyz` answers once it tells that records are away."""
    while True:
        code, word, degraded = await status(process)
        if ("records", "away") in degraded:
            return code, word
        assert process.running.returncode is None


Row = tuple[str | None, int | None, int | None, bool | None]


def stored(url: str) -> dict[str, Row]:
    """Outcome, SIP code, tokens, and whether these are all, of each call in the records."""

    async def read() -> dict[str, Row]:
        connection = await asyncpg.connect(url)
        try:
            rows = await connection.fetch(
                "SELECT call_id, outcome, sip_code, tokens, usage_complete FROM calls"
            )
        finally:
            await connection.close()
        return {call_id: tuple(row) for call_id, *row in rows}

    return run_apart(read())


def billed(simulator: Simulator, call_id: str) -> int:
    usage = simulator.call(call_id).usage
    assert usage is not None
    return int(usage["input_tokens"] + usage["output_tokens"])


async def test_calls_go_on_while_the_database_is_away_and_are_recorded_when_it_is_back(
    tmp_path: Path, postgresql_url: str
) -> None:
    async with serving(tmp_path, SIPAGENT_DATABASE_URL=postgresql_url) as (process, simulator):
        before = await held(simulator)
        await eventually(lambda: before in stored(postgresql_url))
        with outage(postgresql_url):
            await talked(simulator, before)
            during = await simulator.place_call(RECEPTION, **STAY)
            await simulator.until(during, lambda call: call.attachments == 1)
            await talked(simulator, during)
            assert await without_records(process) == (200, "degraded")
            assert (await process.get("/healthz")).status_code == 200
            for call_id in (before, during):
                simulator.hang_up(call_id)
            await eventually(lambda: len(process.outcomes()) == 2)
        assert await becomes(process, "ready") == (200, "ready", [])
        process.signal(signal.SIGTERM)
        assert await process.exit_code() == 0
        told = {call_id: billed(simulator, call_id) for call_id in (before, during)}
    assert stored(postgresql_url) == {
        call_id: ("completed.line_closed", None, tokens, True) for call_id, tokens in told.items()
    }


async def test_no_call_is_taken_without_records_where_that_is_wanted(
    tmp_path: Path, postgresql_url: str
) -> None:
    """Those that are held go on."""
    async with serving(
        tmp_path, SIPAGENT_DATABASE_URL=postgresql_url, SIPAGENT_WITHOUT_RECORDS="reject"
    ) as (process, simulator):
        before = await held(simulator)
        await eventually(lambda: before in stored(postgresql_url))
        with outage(postgresql_url):
            await talked(simulator, before)
            assert await without_records(process) == (200, "degraded")
            refused = await simulator.place_call(RECEPTION, **STAY)
            await eventually(lambda: process.outcomes() == ["rejected.no_records"])
            assert simulator.call(refused).rejects == [{"status_code": 503}]
            await talked(simulator, before)
        assert await becomes(process, "ready") == (200, "ready", [])
        after = await held(simulator)
        await eventually(lambda: after in stored(postgresql_url))
        for call_id in (before, after):
            simulator.hang_up(call_id)
        await eventually(lambda: len(process.outcomes()) == 3)
        process.signal(signal.SIGTERM)
        assert await process.exit_code() == 0
        tokens = billed(simulator, before)
    assert stored(postgresql_url) == {
        before: ("completed.line_closed", None, tokens, True),
        refused: ("rejected.no_records", 503, 0, True),
        after: ("completed.line_closed", None, 0, True),
    }


async def test_a_process_that_is_killed_while_the_database_is_away_loses_no_call(
    tmp_path: Path, postgresql_url: str
) -> None:
    async with serving(tmp_path, SIPAGENT_DATABASE_URL=postgresql_url) as (process, simulator):
        variables = environment(tmp_path, simulator.base_url, SIPAGENT_DATABASE_URL=postgresql_url)
        kept = await held(simulator)
        await eventually(lambda: kept in stored(postgresql_url))
        with outage(postgresql_url):
            ended = await held(simulator)
            await talked(simulator, ended)
            simulator.hang_up(ended)
            await eventually(lambda: process.outcomes() == ["completed.line_closed"])
            refused = await simulator.place_call("+17134810199")
            await eventually(lambda: len(process.outcomes()) == 2)
            # A webhook's answer says that its claim is on disk, and all that was put before it.
            later = await held(simulator)
            await process.kill()
            fresh = await start(tmp_path, variables)
            simulator.deliver_to = f"{fresh.url}/webhooks/openai"
            try:
                await fresh.ready()
                assert (await status(fresh))[:2] == (200, "degraded")
                for call_id in (kept, later):
                    await simulator.until(call_id, lambda call: call.attachments == 2)
                await talked(simulator, kept)
            except BaseException:
                await fresh.kill()
                raise
        try:
            await becomes(fresh, "ready")
            for call_id in (kept, later):
                simulator.hang_up(call_id)
            fresh.signal(signal.SIGTERM)
            assert await fresh.exit_code() == 0
        finally:
            await fresh.kill()
        told = {call_id: billed(simulator, call_id) for call_id in (kept, ended)}
    assert stored(postgresql_url) == {
        kept: ("completed.line_closed", None, told[kept], False),
        later: ("completed.line_closed", None, 0, False),
        ended: ("completed.line_closed", None, told[ended], True),
        refused: ("rejected.unknown_number", 404, 0, True),
    }
