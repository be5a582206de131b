"""What is asked of a call's owner, whichever replica that is, and its answer.

The owner is looked up for each attempt and told on its own channel. One that dies before it answers
is asked again once another has the call: whoever holds it does the same request once, and knows by
its marks what an owner before has done.

On the wire a request is its JSON. Ending a call at once is the word of the release before as well,
which knows no other.
"""

import asyncio
import json
import secrets
from collections.abc import Mapping
from typing import Any, Final

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.engine.desk import Act
from sipagent.engine.redis.link import Link
from sipagent.engine.redis.notices import Notices, channel_of
from sipagent.errors import EngineError
from sipagent.model import CallId
from sipagent.model.request import (
    CallRequest,
    HangUp,
    Replied,
    Reply,
    request_from_json,
    request_to_json,
)

log = structlog.get_logger(__name__)

ANSWERED_WITHIN: Final = 5.0
"""Seconds for an answer: longer than it takes to take over the calls of an owner that died."""

_ASKED_AGAIN: Final = 1.0
_LOOKED_AGAIN: Final = 0.1
_REQUEST: Final = "request"
_REPLY: Final = "reply"
_HANG_UP: Final = "hang_up"

UNKNOWN: Final = "the release that holds the call does not know this request"


class Requests:
    """Asks other replicas, and answers for the calls of this one, as `act` does."""

    def __init__(self, link: Link, notices: Notices, replica: str, act: Act) -> None:
        self._link = link
        self._notices = notices
        self._replica = replica
        self.act = act
        self._waiting: dict[str, set[tuple[CallId, asyncio.Future[Reply]]]] = {}
        self._tasks = TaskOwner(_crashed, apart=True)
        notices.on(_REQUEST, self._asked)
        notices.on(_REPLY, self._replied)

    async def ask(
        self,
        call_id: CallId,
        request: CallRequest,
        *,
        key: str = "",
        within: float = ANSWERED_WITHIN,
    ) -> Reply:
        """Have something done with a call, by whoever holds it. The same `key` twice is one
        request. Raises EngineError where the engine is away, and the call is not held here."""
        key = key or secrets.token_hex(16)
        ours = self.act(call_id, request, key)
        if ours is not None:
            return ours
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, set()).add((call_id, answer))
        try:
            async with asyncio.timeout(within):
                return await self._answer(call_id, request, key, answer)
        except TimeoutError:
            return Reply(Replied.NO_ANSWER)
        finally:
            others = self._waiting[key]
            others.discard((call_id, answer))
            if not others:
                del self._waiting[key]

    async def close(self) -> None:
        await self._tasks.cancel(1.0)

    async def _answer(
        self, call_id: CallId, request: CallRequest, key: str, answer: "asyncio.Future[Reply]"
    ) -> Reply:
        notice = {
            "do": _REQUEST,
            "call": call_id,
            "want": _HANG_UP if request == HangUp() else request_to_json(request),
            "key": key,
            "from": self._replica,
        }
        while True:
            owner = await self._link.run("owner", call_id)
            if owner is None:
                return Reply(Replied.UNKNOWN_CALL)
            told = await self._notices.tell(owner.decode(), notice) if owner else 0
            try:
                async with asyncio.timeout(_ASKED_AGAIN if told else _LOOKED_AGAIN):
                    return await asyncio.shield(answer)
            except TimeoutError:
                continue  # it has died, or the call is changing hands

    def _asked(self, notice: Mapping[str, Any]) -> None:
        key, call_id = str(notice["key"]), CallId(str(notice["call"]))
        want = str(notice["want"])
        try:
            request = HangUp() if want == _HANG_UP else request_from_json(want)
        except ValueError:
            replied: Reply | None = Reply(Replied.REFUSED, UNKNOWN)
        else:
            replied = self.act(call_id, request, key)
        if replied is None:
            return  # who asks looks up the owner again
        told = {"do": _REPLY, "key": key, "call": call_id, "answer": replied.answer}
        reply = json.dumps({**told, "why": replied.why}).encode()
        channel = channel_of(str(notice["from"]))
        self._tasks.start(self._reply(channel, reply), name="engine reply")

    async def _reply(self, channel: str, reply: bytes) -> None:
        try:
            await self._link.publish(channel, reply)
        except EngineError as error:
            log.warning("request not answered", reason=str(error))

    def _replied(self, notice: Mapping[str, Any]) -> None:
        # The release before names neither the call nor a reason.
        why, about = notice.get("why"), notice.get("call")
        reply = Reply(Replied(notice["answer"]), None if why is None else str(why))
        for call_id, waiting in self._waiting.get(str(notice["key"]), ()):
            if about in (None, call_id) and not waiting.done():
                waiting.set_result(reply)


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
