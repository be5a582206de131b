"""`sipagent serve` as a process: start, refusal to start, drain, immediate end, and kill."""

import asyncio
import json
import signal
import socket
from pathlib import Path

import pytest

from tests.chaos.books import Books
from tests.process.running import (
    AGENTS,
    QUIET,
    RECEPTION,
    SECRET,
    environment,
    held,
    serving,
    start,
)


def recorded(tmp_path: Path) -> dict[str, str | None]:
    """The outcomes in the records that a process has left."""
    records = Books(tmp_path / "data").calls("")
    return {call_id: record.outcome for call_id, record in records.items()}


async def test_a_signal_drains_live_calls_to_their_end_and_sends_new_ones_on(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as (process, simulator):
        assert (await process.get("/healthz")).json() == {"status": "alive"}
        assert (await process.get("/readyz")).json() == {"status": "ready", "reasons": []}
        call_id = await held(simulator)
        process.signal(signal.SIGTERM)
        unready = (await process.ready(503)).json()
        assert unready["status"] == "unready"
        assert [(one["part"], one["code"]) for one in unready["reasons"]] == [
            ("process", "draining")
        ]
        assert (await process.get("/healthz")).status_code == 200
        sent_on = await simulator.place_call(QUIET)
        await simulator.wait_ended(sent_on)
        assert simulator.call(sent_on).rejects == [{"status_code": 503}]
        assert not simulator.call(call_id).ended
        simulator.hang_up(call_id)
        assert await process.exit_code() == 0
    assert process.outcomes() == ["rejected.draining", "completed.line_closed"]
    assert recorded(tmp_path) == {
        sent_on: "rejected.draining",
        call_id: "completed.line_closed",
    }


async def test_a_drain_whose_time_is_over_says_goodbye_and_hangs_up(tmp_path: Path) -> None:
    async with serving(tmp_path, SIPAGENT_DRAIN_TIMEOUT="0.2") as (process, simulator):
        call_id = await held(simulator)
        process.signal(signal.SIGTERM)
        assert await process.exit_code() == 0
        call = simulator.call(call_id)
    assert call.ended_by == "hangup"
    (goodbye,) = [event for event in call.client_events if event["type"] == "response.create"]
    assert "goodbye" in goodbye["response"]["instructions"]
    assert process.outcomes() == ["completed.operator_hung_up"]
    assert recorded(tmp_path) == {call_id: "completed.operator_hung_up"}


async def test_a_second_signal_ends_everything_at_once_and_records_it(tmp_path: Path) -> None:
    async with serving(tmp_path) as (process, simulator):
        calls = [await held(simulator) for _ in range(20)]
        process.signal(signal.SIGTERM)
        await process.ready(503)
        began = asyncio.get_running_loop().time()
        process.signal(signal.SIGTERM)
        assert await process.exit_code() == 128 + signal.SIGTERM
        assert asyncio.get_running_loop().time() - began < 20
        assert all(len(simulator.call(call_id).hangups) == 1 for call_id in calls)
    assert process.outcomes() == ["completed.operator_hung_up"] * 20
    assert recorded(tmp_path) == dict.fromkeys(calls, "completed.operator_hung_up")
    assert Books(tmp_path / "data").memory().unsettled == 0


async def test_neither_secrets_nor_numbers_nor_words_are_in_the_log(tmp_path: Path) -> None:
    async with serving(tmp_path, LOG_LEVEL="debug") as (process, simulator):
        script = [{"caller": "My canary is yellow."}, {"agent": "How nice."}]
        call_id = await simulator.place_call(RECEPTION, "+14067704205", script=script)
        await simulator.wait_ended(call_id)
        metrics = (await process.get("/metrics")).text
        process.signal(signal.SIGTERM)
        assert await process.exit_code() == 0
        text = json.dumps(process.log)
    assert process.outcomes() == ["completed.line_closed"]
    for canary in ("sk-canary", SECRET[6:], "4067704205", "7134810111", "yellow", "How nice"):
        assert canary not in text
        assert canary not in metrics
    (decided,) = [line for line in process.log if line["event"] == "call decided"]
    assert (decided["dialed"], decided["caller"]) == ("+17*******11", "+14*******05")
    assert (decided["tenant"], decided["agent"]) == ("default", "reception")
    (ended,) = [line for line in process.log if line["event"] == "call ended"]
    assert (ended["call_id"], ended["tenant"], ended["agent"]) == (call_id, "default", "reception")
    labels = 'agent="reception",outcome="completed.line_closed",tenant="default"'
    assert f"sipagent_calls_total{{{labels}}} 1.0" in metrics
    assert "sipagent_calls_active 0.0" in metrics


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"OPENAI_API_KEY": ""}, 78, "OPENAI_API_KEY: is not set"),
        ({"OPENAI_WEBHOOK_SECRET": "nonsense"}, 78, "OPENAI_WEBHOOK_SECRET"),
        ({"PORT": "many"}, 78, "PORT"),
        ({"SIPAGENT_CONFIG": "/does/not/exist.yaml"}, 78, "/does/not/exist.yaml"),
    ],
)
async def test_what_cannot_be_used_is_said_before_anything_starts(
    tmp_path: Path, change: dict[str, str], code: int, said: str
) -> None:
    process = await start(tmp_path, {**environment(tmp_path, "http://127.0.0.1:1/v1"), **change})
    assert await process.exit_code() == code
    text = (tmp_path / "log.jsonl").read_text()
    assert said in text
    assert "Traceback" not in text


async def test_a_mistake_in_the_agents_file_is_told_with_its_place(tmp_path: Path) -> None:
    agents = tmp_path / "agents.yaml"
    agents.write_text(AGENTS.replace("greeting", "greting"))
    process = await start(tmp_path, environment(tmp_path, "http://127.0.0.1:1/v1"))
    assert await process.exit_code() == 78
    text = (tmp_path / "log.jsonl").read_text()
    assert f"{agents}:6:" in text
    assert "greeting" in text


async def test_a_port_that_is_taken_is_a_failed_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        process = await start(
            tmp_path, {**environment(tmp_path, "http://127.0.0.1:1/v1"), "PORT": port}
        )
        assert await process.exit_code() == 3
    said = (tmp_path / "log.jsonl").read_text()
    assert "Traceback" not in said
    assert "PORT, HOST" in said
