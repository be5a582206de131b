"""A whole service beside the simulator, in a thread, for tests that drive a browser.

The browser's driver has an event loop of its own in the main thread, so this one's is elsewhere;
what a test asks of it is done there, and waited for.
"""

import asyncio
import base64
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx

from sipagent.app import Service, build, serving
from sipagent.config.reload import disk
from sipagent.config.reload.live import LiveConfiguration
from sipagent.config.reload.orders import OrderFile
from sipagent.config.reload.versions import VersionStore
from sipagent.model import TenantName
from sipagent.model.access import Scope
from sipagent.sessions.ports import Clock
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.simulator.call import SimulatedCall
from sipagent.store import tokens
from sipagent.store.audit import Author
from sipagent.store.tokens import Wanted

T = TypeVar("T")

CONFIG: Final = Path(__file__).parent / "config"
SECRET: Final = "whsec_" + base64.b64encode(bytes([7]) * 32).decode()
DENTAL, HOTEL, RESTAURANT = "+17134810111", "+17134810122", "+442079460133"
QUIET: Final = "+16024810145"

PEOPLE: Final[Mapping[str, tuple[str | None, str, str]]] = {
    "operator": (None, "admin", "Olga"),
    "bright": ("bright", "control", "Anna"),
    "reader": ("bright", "read", "Ray"),
    "magnolia": ("magnolia", "admin", "Max"),
}
"""Whose tokens there are: tenant, scope, name."""


@dataclass
class Office:
    """The running service, what its simulator is told, and the tokens of its people."""

    url: str
    folder: Path
    service: Service
    simulator: Simulator
    loop: asyncio.AbstractEventLoop
    tokens: dict[str, str] = field(default_factory=dict)

    def do(self, work: Coroutine[Any, Any, T], within: float = 30.0) -> T:
        """What comes of it, done in the service's thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(within)

    def call(self, number: str = QUIET, **options: Any) -> str:
        """A call that is answered and in the records, whose caller stays on the line."""
        options = {"stay": True, "script": [], **options}
        call_id = self.do(self.simulator.place_call(number, **options))
        self.until(call_id, lambda call: call.attachments == 1)
        self.settled()
        return call_id

    def whole_call(self, number: str, **options: Any) -> SimulatedCall:
        """A call that has ended."""
        call_id = self.do(self.simulator.place_call(number, **options))
        return self.do(self.simulator.wait_ended(call_id, timeout=25))

    def says(self, call_id: str, text: str) -> None:
        """The caller speaks, and the model answers."""
        self.do(self._in_loop(lambda: self.simulator.say(call_id, text)))

    def hang_up(self, call_id: str) -> None:
        self.do(self._in_loop(lambda: self.simulator.hang_up(call_id)))

    def until(
        self, call_id: str, holds: Callable[[SimulatedCall], object], within: float = 25.0
    ) -> SimulatedCall:
        """The call, once this holds of it. Raises TimeoutError after so many seconds."""
        return self.do(self.simulator.until(call_id, holds, timeout=within), within + 5)

    def hire(self, *, quietly: bool = False) -> None:
        """Each of the people has a token, and the console is there."""
        for who, (tenant, scope, name) in PEOPLE.items():
            self.tokens[who] = self.token(name, tenant, scope, quietly=quietly)
        until = time.monotonic() + 30
        while httpx.get(f"{self.url}/console/sign-in").status_code != 200:
            assert time.monotonic() < until, "the console does not appear"
            time.sleep(0.05)

    def settled(self) -> None:
        """All that has happened is in the records."""
        assert self.service.house is not None
        self.do(self.service.house.writer.flushed())

    def run(self, *words: str) -> str:
        """What a command of `sipagent` prints, beside the service."""
        return printed(self.folder, *words)

    def token(self, name: str, tenant: str | None, scope: str, *, quietly: bool = False) -> str:
        """A new token. One of an operator is made by the command, unless `quietly`."""
        if tenant is None and not quietly:
            whose = ("--operator", "--scope", scope)
            return self.run("tokens", "create", "--name", name, *whose).strip()
        whom = None if tenant is None else TenantName(tenant)
        return self.do(self._token(Wanted(name, whom, Scope(scope), None)))

    async def _token(self, wanted: Wanted) -> str:
        assert self.service.house is not None
        engine = self.service.house.writer.engine
        at = self.service.house.clock.wall()
        return (await tokens.create(engine, wanted, Author("root@here"), at=at)).text

    async def _in_loop(self, act: Callable[[], T]) -> T:
        return act()


def printed(folder: Path, *words: str) -> str:
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    variables = {
        **inherited,
        "SIPAGENT_CONFIG": str(folder / "agents.yaml"),
        "SIPAGENT_DATA_DIR": str(folder / "data"),
    }
    command = (sys.executable, "-m", "sipagent", *words)
    told = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stderr
    return told.stdout


@contextmanager
def running_office(
    folder: Path,
    loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
    clock: Clock | None = None,
    **settings: Any,
) -> Iterator[Office]:
    """An office whose files, data and records are in this folder, which is empty."""
    shutil.copytree(CONFIG, folder, dirs_exist_ok=True)
    ready: Future[Office] = Future()
    over = threading.Event()
    work = _opened(folder, ready, over, clock, settings)
    thread = threading.Thread(target=lambda: _run(work, ready, loop), name="office")
    thread.start()
    try:
        yield ready.result(30)
    finally:
        over.set()
        thread.join(30)
        assert not thread.is_alive(), "the service does not end"


def _run(
    work: Coroutine[Any, Any, None],
    ready: "Future[Office]",
    loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    try:
        with asyncio.Runner(loop_factory=loop) as runner:
            runner.run(work)
    except BaseException as error:
        if ready.done():
            raise
        ready.set_exception(error)


async def _opened(
    folder: Path,
    ready: "Future[Office]",
    over: threading.Event,
    clock: Clock | None,
    more: Mapping[str, Any],
) -> None:
    async with running_simulator(SECRET) as simulator:
        settings = Settings.model_validate(
            {
                "OPENAI_API_KEY": "sk-test",
                "OPENAI_WEBHOOK_SECRET": SECRET,
                "OPENAI_BASE_URL": simulator.base_url,
                "SIPAGENT_CONFIG": folder / "agents.yaml",
                "SIPAGENT_DRAIN_TIMEOUT": 0,
                "SIPAGENT_DATA_DIR": folder / "data",
                **more,
            }
        )
        data = settings.data_dir
        orders = OrderFile(data)
        disk.make_folder(data)
        disk.make_folder(orders.path.parent)
        live = LiveConfiguration(settings.config, store=VersionStore(data), orders=orders)
        service = build(settings, live, keep=True, clock=clock)
        async with serving(service) as url:
            simulator.deliver_to = f"{url}/webhooks/openai"
            ready.set_result(Office(url, folder, service, simulator, asyncio.get_running_loop()))
            await asyncio.to_thread(over.wait)
