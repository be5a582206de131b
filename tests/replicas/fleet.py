"""Several real replicas of one service: processes, Redis, PostgreSQL and the simulator."""

import asyncio
import itertools
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sipagent.simulator import Simulator, running_simulator
from tests.process.running import SECRET, Process, environment, start
from tests.servers import PostgresServer, RedisServer
from tests.store.support import postgresql_database

STAY: dict[str, Any] = {"stay": True, "script": []}


@dataclass
class Fleet:
    """Replicas that answer one simulator's calls. Webhooks go to those that live in turn; `taken`
    are the calls whose webhooks went to each."""

    folder: Path
    simulator: Simulator
    variables: dict[str, str]
    replicas: dict[str, Process] = field(default_factory=dict)
    taken: dict[str, list[str]] = field(default_factory=dict)
    _names: "itertools.count[int]" = field(default_factory=itertools.count)
    _turn: int = 0

    async def start(self, **more: str) -> str:
        """One more replica is ready; gives its name."""
        name = f"r{next(self._names)}"
        folder = self.folder / name
        folder.mkdir()
        (folder / "agents.yaml").write_text((self.folder / "agents.yaml").read_text())
        variables = environment(folder, self.simulator.base_url, **{**self.variables, **more})
        process = await start(folder, variables)
        self.replicas[name] = process
        await process.ready()
        return name

    async def kill(self, name: str) -> None:
        """`kill -9`."""
        await self.replicas[name].kill()

    async def stop(self, name: str) -> int:
        """SIGTERM; the exit code."""
        self.replicas[name].signal(signal.SIGTERM)
        return await self.replicas[name].exit_code()

    @property
    def alive(self) -> list[str]:
        return [name for name, one in self.replicas.items() if one.running.returncode is None]

    def next(self, *names: str) -> str:
        """Whose turn it is."""
        among = names or tuple(self.alive)
        self._turn += 1
        return among[self._turn % len(among)]

    async def place(self, count: int, number: str, *names: str, **options: Any) -> list[str]:
        """So many calls are placed, whose webhooks go to these replicas in turn, or to all."""
        placed = []
        for _ in range(count):
            name = self.next(*names)
            url = f"{self.replicas[name].url}/webhooks/openai"
            options = {**STAY, **options, "deliver_to": url}
            placed.append(await self.simulator.place_call(number, **options))
            self.taken.setdefault(name, []).append(placed[-1])
        return placed

    async def command(self, *words: str) -> tuple[int, str]:
        """A command of the operator's, with the settings of the service: its exit code, and what it
        has said."""
        variables = environment(self.folder, self.simulator.base_url, **self.variables)
        running = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "sipagent", *words),
            env=variables,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told, _ = await running.communicate()
        return int(running.returncode or 0), told.decode().strip()

    def logged(self, event: str) -> dict[str, list[dict[str, Any]]]:
        """The log lines of this event, by the replica that wrote them."""
        return {
            name: [line for line in process.log if line["event"] == event]
            for name, process in self.replicas.items()
        }


@contextmanager
def servers(flavour: Any = "redis") -> Iterator[tuple[RedisServer, PostgresServer]]:
    with RedisServer(flavour, own=True) as redis, PostgresServer() as postgres:
        yield redis, postgres


@asynccontextmanager
async def fleet(
    folder: Path,
    redis_url: str,
    postgres_url: str,
    agents: str,
    *,
    replicas: int = 3,
    **more: str,
) -> AsyncIterator[Fleet]:
    (folder / "agents.yaml").write_text(agents)
    with postgresql_database(postgres_url) as database:
        variables = {
            "SIPAGENT_ENGINE": redis_url,
            "SIPAGENT_DATABASE_URL": database,
            "SIPAGENT_HTTP_TOOLS_ALLOW": "127.0.0.0/8",
            **more,
        }
        async with running_simulator(SECRET) as simulator:
            made = Fleet(folder, simulator, variables)
            try:
                await asyncio.gather(*(made.start() for _ in range(replicas)))
                yield made
            finally:
                await asyncio.gather(*(each.kill() for each in made.replicas.values()))
