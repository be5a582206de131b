"""`sipagent serve` as a process: start, refusal to start, drain, immediate end, and kill."""

import asyncio
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from sipagent.simulator import Simulator, running_simulator

SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAAAAAAAAA="
AGENTS = """
version: 1
defaults: {model: gpt-realtime-2.1}
agents:
  quiet: {instructions: Wait.}
  reception: {instructions: Greet., greeting: Hello there.}
numbers: {"+17134810111": reception, "+17134810122": quiet}
"""
RECEPTION, QUIET = "+17134810111", "+17134810122"


class Process:
    """One running `sipagent serve`."""

    def __init__(self, running: asyncio.subprocess.Process, log: Path, url: str) -> None:
        self.running = running
        self.url = url
        self._log = log

    def signal(self, number: signal.Signals) -> None:
        self.running.send_signal(number)

    async def exit_code(self) -> int:
        async with asyncio.timeout(30):
            return await self.running.wait()

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines() if line]

    def outcomes(self) -> list[str]:
        return [line["outcome"] for line in self.log if line["event"] == "call ended"]

    async def get(self, path: str) -> httpx.Response:
        async with httpx.AsyncClient() as client:
            return await client.get(f"{self.url}{path}")

    async def ready(self, status: int = 200) -> httpx.Response:
        """Wait until `/readyz` answers so."""
        async with asyncio.timeout(30), httpx.AsyncClient() as client:
            while True:
                try:
                    answer = await client.get(f"{self.url}/readyz")
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == status:
                    return answer
                await asyncio.sleep(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def environment(tmp_path: Path, base_url: str, **more: str) -> dict[str, str]:
    agents = tmp_path / "agents.yaml"
    if not agents.exists():
        agents.write_text(AGENTS)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {
        **inherited,
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "SIPAGENT_CONFIG": str(agents),
        "SIPAGENT_DATA_DIR": str(tmp_path / "data"),
        "OPENAI_API_KEY": "sk-canary-key",
        "OPENAI_WEBHOOK_SECRET": SECRET,
        "OPENAI_BASE_URL": base_url,
        **more,
    }


async def start(tmp_path: Path, variables: dict[str, str]) -> Process:
    log = tmp_path / "log.jsonl"
    with log.open("ab") as stderr:
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sipagent", "serve"), env=variables, stderr=stderr
        )
    return Process(running, log, f"http://127.0.0.1:{variables['PORT']}")


@asynccontextmanager
async def serving(tmp_path: Path, **more: str) -> AsyncIterator[tuple[Process, Simulator]]:
    async with running_simulator(SECRET) as simulator:
        process = await start(tmp_path, environment(tmp_path, simulator.base_url, **more))
        simulator.deliver_to = f"{process.url}/webhooks/openai"
        try:
            await process.ready()
            yield process, simulator
        finally:
            if process.running.returncode is None:
                process.running.kill()
                await process.running.wait()


async def held(simulator: Simulator, number: str = QUIET, **options: Any) -> str:
    call_id = await simulator.place_call(number, stay=True, script=[], **options)
    await simulator.until(call_id, lambda call: call.attachments == 1)
    return call_id


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
    assert 'sipagent_calls_total{agent="reception",outcome="completed.line_closed"} 1.0' in metrics
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
    assert "Traceback" not in (tmp_path / "log.jsonl").read_text()


async def test_killed_anywhere_around_the_answer_a_redelivery_finds_one_accept(
    tmp_path: Path,
) -> None:
    """W9: the process dies at twenty points between the webhook, its answer and the accept's."""
    chance = random.Random(9)
    async with running_simulator(SECRET) as simulator:
        variables = environment(tmp_path, simulator.base_url)
        simulator.deliver_to = f"http://127.0.0.1:{variables['PORT']}/webhooks/openai"
        process = await start(tmp_path, variables)
        await process.ready()
        for round_ in range(20):
            faults = {"accept": {"latency": 0.02}}
            call_id = await simulator.place_call(
                RECEPTION, stay=True, script=[], deliver=False, faults=faults
            )
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(simulator.deliver(call_id))
                await asyncio.sleep(chance.uniform(0, 0.06))
                process.running.kill()
                await process.running.wait()
            process = await start(tmp_path, variables)
            await process.ready()
            before = len(simulator.call(call_id).client_events)
            assert (await simulator.deliver(call_id))["status"] == 200, round_
            call = await simulator.until(
                call_id,
                lambda call, seen=before: len(call.client_events) > seen,
                timeout=30,
            )
            assert call.answers["accept"].count(200) == 1, round_
            simulator.hang_up(call_id)
        process.signal(signal.SIGTERM)
        assert await process.exit_code() == 0
