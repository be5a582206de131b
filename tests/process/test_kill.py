"""`kill -9` and a new process: what is claimed stays claimed, and what is held is held again.

tests/chaos has the kill under 200 calls that are all doing something.
"""

import asyncio
import random
import signal
import time
from pathlib import Path
from typing import Any

from sipagent.simulator import Simulator, running_simulator
from tests.chaos.books import Books
from tests.process.running import (
    QUIET,
    RECEPTION,
    SECRET,
    Process,
    environment,
    serving,
    start,
)
from tests.waiting import eventually

GREETING = "Hello there."
STAY: dict[str, Any] = {"stay": True, "script": []}


async def restarted(tmp_path: Path, process: Process, variables: dict[str, str]) -> Process:
    """The next process is ready, after this one has been killed."""
    await process.kill()
    fresh = await start(tmp_path, variables)
    await fresh.ready()
    return fresh


async def answered(simulator: Simulator, call_id: str, **options: Any) -> None:
    """The call's webhook is delivered until somebody answers it, as the provider does."""
    async with asyncio.timeout(30):
        while (await simulator.deliver(call_id, **options))["status"] != 200:
            await asyncio.sleep(0.1)


def greetings(call: Any) -> int:
    asked = [event for event in call.client_events if event["type"] == "response.create"]
    return sum(GREETING in str(event) for event in asked)


def sockets(call: Any) -> int:
    kinds = [note["type"] for note in call.notes]
    return int(kinds.count("attached") - kinds.count("detached"))


async def test_a_restart_attaches_sixty_calls_again(tmp_path: Path) -> None:
    """E7: how long it takes, the start of the process included, is printed."""
    async with running_simulator(SECRET) as simulator:
        variables = environment(tmp_path, simulator.base_url)
        simulator.deliver_to = f"http://127.0.0.1:{variables['PORT']}/webhooks/openai"
        process = await start(tmp_path, variables)
        try:
            await process.ready()
            calls = [await simulator.place_call(RECEPTION, **STAY) for _ in range(60)]
            for call_id in calls:
                await simulator.until(call_id, restored, timeout=20)
            await process.kill()
            began = time.monotonic()
            process = await start(tmp_path, variables)
            for call_id in calls:
                await simulator.until(call_id, lambda call: call.attachments == 2, timeout=30)
            took = time.monotonic() - began
            await process.ready()
            told = [simulator.call(call_id) for call_id in calls]
            for call_id in calls:
                simulator.hang_up(call_id)
            process.signal(signal.SIGTERM)
            assert await process.exit_code() == 0
        finally:
            await process.kill()
    print(f"60 calls attached again {took:.2f} s after the new process was started")
    assert took < 30
    assert [(greetings(call), len(call.accepts)) for call in told] == [(1, 1)] * 60
    records = Books(tmp_path / "data").calls("")
    assert set(records) == set(calls)
    assert {record.outcome for record in records.values()} == {"completed.line_closed"}


def restored(call: Any) -> bool:
    return any(event["type"] == "session.update" for event in call.client_events)


async def test_killed_between_a_webhook_and_its_answer_a_redelivery_finds_one_accept(
    tmp_path: Path,
) -> None:
    """W9: three bursts of thirty webhooks, in each of which the process dies at another moment, so
    that each call is at another point of its claim."""
    chance = random.Random(9)
    unanswered = 0
    async with running_simulator(SECRET) as simulator:
        variables = environment(tmp_path, simulator.base_url)
        simulator.deliver_to = f"http://127.0.0.1:{variables['PORT']}/webhooks/openai"
        process = await start(tmp_path, variables)
        try:
            await process.ready()
            for _ in range(3):
                calls = [
                    await simulator.place_call(RECEPTION, deliver=False, **STAY) for _ in range(30)
                ]
                async with asyncio.TaskGroup() as tasks:
                    for call_id in calls:
                        tasks.create_task(simulator.deliver(call_id))
                    await asyncio.sleep(chance.uniform(0.002, 0.03))
                    await process.kill()
                told = [simulator.call(call_id) for call_id in calls]
                unanswered += sum(call.deliveries[0]["status"] is None for call in told)
                process = await start(tmp_path, variables)
                await process.ready()
                for call in told:
                    await answered(simulator, call.call_id)
                for call in told:
                    await simulator.until(call.call_id, sockets, timeout=20)
                    await simulator.until(call.call_id, restored, timeout=20)
                    assert call.answers["accept"].count(200) == 1
                    assert greetings(call) <= 1
                    simulator.hang_up(call.call_id)
            process.signal(signal.SIGTERM)
            assert await process.exit_code() == 0
        finally:
            await process.kill()
    assert unanswered >= 20
    records = Books(tmp_path / "data").calls("")
    assert len(records) == 90
    assert {record.outcome for record in records.values()} == {"completed.line_closed"}


async def test_a_thousand_deliveries_over_a_restart_are_one_call(tmp_path: Path) -> None:
    """W4: the same id, the same call under other ids, and a retry after the caller has gone."""
    async with running_simulator(SECRET) as simulator:
        variables = environment(tmp_path, simulator.base_url)
        simulator.deliver_to = f"http://127.0.0.1:{variables['PORT']}/webhooks/openai"
        process = await start(tmp_path, variables)
        try:
            await process.ready()
            created_at = int(time.time()) - 60
            call_id = await simulator.place_call(
                QUIET, deliver=False, created_at=created_at, **STAY
            )
            for half in range(2):
                deliveries = await asyncio.gather(
                    *(simulator.deliver(call_id, fresh=n % 4 == 3) for n in range(500))
                )
                assert {delivery["status"] for delivery in deliveries} == {200}
                if half == 0:
                    process = await restarted(tmp_path, process, variables)
            call = await simulator.until(call_id, sockets, timeout=20)
            data = {"call_id": call_id, "session_id": call_id, "sip_headers": []}
            await simulator.send_webhook(type="live.call.incoming", data=data)
            simulator.hang_up(call_id)
            await eventually(lambda: process.outcomes() == ["completed.line_closed"])
            assert (await simulator.deliver(call_id))["status"] == 200
            late = await simulator.deliver(call_id, timestamp=created_at + 130)
            assert late["status"] == 200
            metrics = (await process.get("/metrics")).text
            process.signal(signal.SIGTERM)
            assert await process.exit_code() == 0
        finally:
            await process.kill()
    assert 'sipagent_webhook_requests_total{result="stale"} 1.0' in metrics
    assert 'sipagent_webhook_requests_total{result="duplicate"} 501.0' in metrics
    assert (len(call.accepts), call.answers["accept"]) == (1, [200])
    assert len(Books(tmp_path / "data").calls("")) == 1


async def test_a_caller_who_leaves_while_no_process_is_there_is_recorded(tmp_path: Path) -> None:
    async with serving(tmp_path) as (process, simulator):
        call_id = await simulator.place_call(RECEPTION, **STAY)
        await simulator.until(call_id, restored, timeout=20)
        await process.kill()
        simulator.hang_up(call_id)
        variables = environment(tmp_path, simulator.base_url)
        fresh = await start(tmp_path, variables)
        try:
            await eventually(fresh.outcomes)
            fresh.signal(signal.SIGTERM)
            assert await fresh.exit_code() == 0
        finally:
            await fresh.kill()
    record = Books(tmp_path / "data").calls("")[call_id]
    assert (record.outcome, record.detail) == (
        "completed.line_closed",
        "ended while no process held it",
    )
    assert not record.usage_complete
