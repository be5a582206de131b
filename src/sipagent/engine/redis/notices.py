"""What replicas tell each other: to all of them, or to one. Whoever is away misses it."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.engine.redis.link import AWAY, Link
from sipagent.errors import EngineError

log = structlog.get_logger(__name__)

ALL: Final = "{sip}:all"
"""The channel of what all replicas are told."""

_AGAIN_AFTER: Final = 0.5
_LISTENED_FOR: Final = 5.0
_LARGEST: Final = 64 * 1024

Notice = Mapping[str, Any]


def channel_of(replica: str) -> str:
    """The channel of what one replica is told."""
    return f"{{sip}}:to:{replica}"


class Notices:
    """One subscription, read by one task, from `__aenter__` to `__aexit__`."""

    def __init__(self, link: Link, replica: str) -> None:
        self._link = link
        self._channels = (ALL, channel_of(replica))
        self._handlers: dict[str, Callable[[Notice], None]] = {}
        self._tasks = TaskOwner(_crashed, apart=True)
        self.listening = asyncio.Event()

    async def __aenter__(self) -> "Notices":
        self._tasks.start(self._listen_for_ever(), name="engine notices")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(1.0)

    def on(self, do: str, handle: Callable[[Notice], None]) -> None:
        """Have `handle` called with each notice that says to do this."""
        self._handlers[do] = handle

    async def tell_all(self, notice: Notice) -> int:
        """Tell all replicas, this one included; how many have been told. Raises EngineError."""
        return await self._link.publish(ALL, json.dumps(notice).encode())

    async def tell(self, replica: str, notice: Notice) -> int:
        """Tell one replica; 0 if it is not there. Raises EngineError."""
        return await self._link.publish(channel_of(replica), json.dumps(notice).encode())

    async def _listen_for_ever(self) -> None:
        while True:
            try:
                await self._listen()
            except (*AWAY, EngineError):
                # Told by the leases, which have noticed it as well.
                self.listening.clear()
            await asyncio.sleep(_AGAIN_AFTER)

    async def _listen(self) -> None:
        async with self._link.listener() as listener:
            await listener.subscribe(*self._channels)
            self.listening.set()
            # Who has come late may have missed that calls are to be taken over.
            self._handle(b'{"do": "adopt"}')
            asked = False
            while True:
                message = await listener.get_message(timeout=_LISTENED_FOR)
                if message is None:
                    # A connection that has died without a word is silent as well.
                    if asked:
                        raise TimeoutError("no answer to a ping")
                    await listener.ping()
                elif message["type"] == "message":
                    self._handle(message["data"])
                asked = message is None

    def _handle(self, data: bytes) -> None:
        try:
            notice = json.loads(data) if len(data) <= _LARGEST else None
        except ValueError:
            return
        if not isinstance(notice, dict):
            return
        do = str(notice.get("do"))
        handler = self._handlers.get(do)
        if handler is None:
            return  # of a newer release, or nobody's
        try:
            handler(notice)
        except Exception as error:  # the crash boundary of one notice
            log.exception("notice not heeded", do=do, error=type(error).__name__)


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
