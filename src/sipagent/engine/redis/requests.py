"""What is asked of a call's owner, whichever replica that is, and its answer.

The owner is looked up for each attempt and told on its own channel. One that dies before it answers
is asked again once another has the call; an owner remembers what it has just answered, so that the
same request twice is one.
"""

import asyncio
import json
import secrets
from collections import OrderedDict
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.engine.redis.link import Link
from sipagent.engine.redis.notices import Notices, channel_of
from sipagent.errors import EngineError
from sipagent.model import CallId

log = structlog.get_logger(__name__)

ANSWERED_WITHIN: Final = 5.0
"""Seconds for an answer: longer than it takes to take over the calls of an owner that died."""

_ASKED_AGAIN: Final = 1.0
_LOOKED_AGAIN: Final = 0.1
_REMEMBERED: Final = 1000
_REQUEST: Final = "request"
_REPLY: Final = "reply"


class Replied(StrEnum):
    """DONE: the owner does it. UNKNOWN_CALL: nobody holds such a call. NO_ANSWER: none came in
    time, and it may be done all the same."""

    DONE = "done"
    UNKNOWN_CALL = "unknown_call"
    NO_ANSWER = "no_answer"


Act = Callable[[CallId, str], bool]
"""Does what is wanted of a call; False if it is not held here."""


class Requests:
    """Asks other replicas, and answers for the calls of this one."""

    def __init__(self, link: Link, notices: Notices, replica: str, act: Act) -> None:
        self._link = link
        self._notices = notices
        self._replica = replica
        self._act = act
        self._waiting: dict[str, asyncio.Future[Replied]] = {}
        self._answered: OrderedDict[str, Replied] = OrderedDict()
        self._tasks = TaskOwner(_crashed, apart=True)
        notices.on(_REQUEST, self._asked)
        notices.on(_REPLY, self._replied)

    async def ask(
        self, call_id: CallId, want: str, *, key: str = "", within: float = ANSWERED_WITHIN
    ) -> Replied:
        """Have something done with a call, by whoever holds it. The same `key` twice is one
        request. Raises EngineError where the engine is away."""
        key = key or secrets.token_hex(16)
        answer = self._waiting[key] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(within):
                return await self._answer(call_id, want, key, answer)
        except TimeoutError:
            return Replied.NO_ANSWER
        finally:
            self._waiting.pop(key, None)

    async def close(self) -> None:
        await self._tasks.cancel(1.0)

    async def _answer(
        self, call_id: CallId, want: str, key: str, answer: "asyncio.Future[Replied]"
    ) -> Replied:
        notice = {
            "do": _REQUEST,
            "call": call_id,
            "want": want,
            "key": key,
            "from": self._replica,
        }
        while True:
            owner = await self._link.run("owner", call_id)
            if owner is None:
                return Replied.UNKNOWN_CALL
            told = await self._notices.tell(owner.decode(), notice) if owner else 0
            try:
                async with asyncio.timeout(_ASKED_AGAIN if told else _LOOKED_AGAIN):
                    return await asyncio.shield(answer)
            except TimeoutError:
                continue  # it has died, or the call is changing hands

    def _asked(self, notice: Mapping[str, Any]) -> None:
        key, call_id = str(notice["key"]), CallId(str(notice["call"]))
        replied = self._answered.get(key)
        if replied is None:
            if not self._act(call_id, str(notice["want"])):
                return  # who asks looks up the owner again
            replied = self._answered[key] = Replied.DONE
            while len(self._answered) > _REMEMBERED:
                self._answered.popitem(last=False)
        reply = json.dumps({"do": _REPLY, "key": key, "answer": replied}).encode()
        channel = channel_of(str(notice["from"]))
        self._tasks.start(self._reply(channel, reply), name="engine reply")

    async def _reply(self, channel: str, reply: bytes) -> None:
        try:
            await self._link.publish(channel, reply)
        except EngineError as error:
            log.warning("request not answered", reason=str(error))

    def _replied(self, notice: Mapping[str, Any]) -> None:
        waiting = self._waiting.get(str(notice["key"]))
        if waiting is not None and not waiting.done():
            waiting.set_result(Replied(notice["answer"]))


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
