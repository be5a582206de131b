"""`sipagent serve` as a process, for tests: started, asked, signalled, killed, started again."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

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

    async def kill(self) -> None:
        """The process is gone at once, as by `kill -9`."""
        if self.running.returncode is None:
            self.running.kill()
        await self.running.wait()

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
            await process.kill()


async def held(simulator: Simulator, number: str = QUIET, **options: Any) -> str:
    call_id = await simulator.place_call(number, stay=True, script=[], **options)
    await simulator.until(call_id, lambda call: call.attachments == 1)
    return call_id
