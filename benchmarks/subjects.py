"""The servers that are measured, as processes: how they start, what they use, how they end."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil  # type: ignore[import-untyped]  # its stubs are a package of their own

HERE = Path(__file__).parent
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwAAAAAAAAAAA="
_READY_WITHIN = 20.0
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "VIRTUAL_ENV", "TMPDIR")


class BenchError(Exception):
    """A trial did not go as it should, so that its figures would mean nothing."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A server that answers calls: its name, its command and what it wants of the environment."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]


BARE = Subject("bare", (sys.executable, str(HERE / "bare.py")), {})
SIPAGENT = Subject(
    "sipagent",
    (sys.executable, "-m", "sipagent", "serve"),
    {
        "HOST": "127.0.0.1",
        "SIPAGENT_CONFIG": str(HERE / "agents.yaml"),
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "info",
        "SIPAGENT_HTTP_TOOLS_ALLOW": "127.0.0.0/8",
    },
)
SUBJECTS = (BARE, SIPAGENT)


@dataclass(frozen=True, slots=True)
class Server:
    """A running subject. Its memory is what it alone has (USS), or RSS where that is not told."""

    subject: Subject
    pid: int
    url: str
    log: Path
    data: Path

    def cpu(self) -> float:
        """Seconds of CPU time that the process has used, of all its threads."""
        try:
            # CPUCLOCK_SCHED of a process (linux: include/linux/posix-timers.h), in nanoseconds;
            # what psutil reads counts hundredths of a second.
            return time.clock_gettime((~self.pid << 3) | 2)
        except OSError:
            times = psutil.Process(self.pid).cpu_times()
            return float(times.user + times.system)

    def memory(self) -> int:
        """Bytes."""
        full = psutil.Process(self.pid).memory_full_info()
        return int(getattr(full, "uss", full.rss))

    def complaints(self) -> list[str]:
        """Lines of its log that are no mere information, and all that are no log lines."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line for line in lines if not _is_information(line)]


@asynccontextmanager
async def running(
    subject: Subject, upstream: str, folder: Path, core: int | None, authority: Path | None
) -> AsyncIterator[Server]:
    """The subject as a process that is ready for calls; killed in the end."""
    port = free_port()
    log = folder / f"{subject.name}-{port}.log"
    # A directory of its own: what one trial leaves must not be gone on with in the next.
    data = folder / f"data-{port}"
    environment = {
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        **subject.environment,
        "PORT": str(port),
        "SIPAGENT_DATA_DIR": str(data),
        "OPENAI_API_KEY": "sk-benchmark",
        "OPENAI_WEBHOOK_SECRET": SECRET,
        "OPENAI_BASE_URL": upstream,
        **({"SSL_CERT_FILE": str(authority)} if authority else {}),
    }
    with log.open("wb") as sink:
        process = subprocess.Popen(
            subject.command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=sink,
            start_new_session=True,  # a Ctrl-C is ours to act upon
        )
    try:
        pin(process.pid, core)
        server = Server(subject, process.pid, f"http://127.0.0.1:{port}", log, data)
        await _ready(server, process)
        yield server
    finally:
        process.kill()
        process.wait()


async def _ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    async with httpx.AsyncClient(trust_env=False) as client:
        while process.poll() is None and time.monotonic() < deadline:
            try:
                if (await client.get(f"{server.url}/readyz")).is_success:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.05)
    said = server.log.read_text(errors="replace")[-2000:]
    raise BenchError(f"{server.subject.name} does not start:\n{said}")


def pin(pid: int, core: int | None) -> None:
    """Keep a process to one core."""
    if core is not None:
        os.sched_setaffinity(pid, {core})


def two_cores() -> tuple[int | None, int | None]:
    """A core for the servers and one for the load; no cores where there are no two to choose."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _is_information(line: str) -> bool:
    try:
        return json.loads(line)["level"] in {"info", "debug"}
    except (ValueError, TypeError, KeyError):
        return line.startswith("INFO:")  # uvicorn's own, of the bare server
