"""Who a token stands for, asked at every request: from memory for a few seconds, then from the
records.

What is remembered is at most REMEMBERED old, counted from before the question, so that a token that
is revoked is refused within five seconds on every replica. While the records do not answer, a token
that they knew within KNOWN_FOR goes on to hold for watching calls and acting on them; it is no
admin's then, and no other token is judged at all.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf
from typing import Final, Self

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.concurrency import TaskOwner
from sipagent.model.access import Principal, Scope
from sipagent.sessions.ports import Clock
from sipagent.store import tokens
from sipagent.store.database import DATABASE_ERRORS, reason_of
from sipagent.store.tokens import Presented, Token, presented

log = structlog.get_logger(__name__)

REMEMBERED: Final = 3.0
"""Seconds for which what the records have said is not asked again, also that there is no such."""

KNOWN_FOR: Final = 300.0
LEFT_ALONE: Final = 1.0
"""Seconds for which records that have not answered are not asked."""

ASKED_WITHIN: Final = 2.0
AT_ONCE: Final = 0.3
MOST_KNOWN: Final = 4096

_END_WITHIN: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Told:
    """What the records said of an id, asked at `at` on the monotonic clock."""

    at: float
    token: Token | None


@dataclass(slots=True)
class _Operator:
    there: bool = False
    at: float = -inf


class TokenKeys:
    """The tokens of the records' database. As a context it ends what it has under way."""

    def __init__(self, engine: Callable[[], AsyncEngine], clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._known: OrderedDict[str, _Told] = OrderedDict()
        self._unknown: OrderedDict[str, _Told] = OrderedDict()
        self._used: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[_Told | None]] = {}
        self._operator = _Operator()
        self._asking_operator: asyncio.Task[None] | None = None
        self._away_since = -inf
        self._tasks = TaskOwner(_crashed, apart=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.cancel(_END_WITHIN)

    async def principal(self, token: str) -> Principal | None:
        """Whoever this token stands for; None for one that is unknown, over or revoked. Raises
        ConnectionError where the records have to be asked and do not answer."""
        sent = presented(token)
        if sent is None:
            return None
        told = self._remembered(sent.id)
        if told is None:
            told = await self._asked(sent.id)
        if told is None:
            return self._without_records(sent)
        return self._judged(told, sent)

    async def any_operator(self) -> bool:
        """Whether the operator has a token; where the records do not say so at once, whether there
        was one when they last did. Probes of readiness ask: it never takes long."""
        now = self._clock.monotonic()
        if now >= self._operator.at + REMEMBERED and not self._away(now):
            if self._asking_operator is None or self._asking_operator.done():
                work = self._ask_operator()
                self._asking_operator = self._tasks.start(work, name="look for operator's token")
            await asyncio.wait({self._asking_operator}, timeout=AT_ONCE)
        return self._operator.there

    def _judged(self, told: _Told, sent: Presented) -> Principal | None:
        token, now = told.token, self._clock.wall()
        if token is None or not token.is_of(sent) or not token.holds(now):
            return None
        self._note_used(token, now)
        return token.principal

    def _without_records(self, sent: Presented) -> Principal | None:
        told = self._known.get(sent.id)
        if told is None or self._clock.monotonic() >= told.at + KNOWN_FOR:
            raise ConnectionError("the records do not answer, and this token was not asked about")
        token = told.token
        if token is None or not token.is_of(sent) or not token.holds(self._clock.wall()):
            return None
        principal = token.principal
        most = Scope.CONTROL if principal.may(Scope.CONTROL) else principal.scope
        return replace(principal, scope=most)

    def _remembered(self, id_: str) -> _Told | None:
        fresh_since = self._clock.monotonic() - REMEMBERED
        for told in (self._known.get(id_), self._unknown.get(id_)):
            if told is not None and told.at > fresh_since:
                return told
        return None

    async def _asked(self, id_: str) -> _Told | None:
        """What the records say now, asked once for all who want to know; None where they do not
        answer."""
        if self._away(self._clock.monotonic()):
            return None
        task = self._asking.get(id_)
        if task is None:
            task = self._tasks.start(self._ask(id_), name="look up token")
            self._asking[id_] = task
        return await asyncio.shield(task)

    async def _ask(self, id_: str) -> _Told | None:
        try:
            at = self._clock.monotonic()
            async with asyncio.timeout(ASKED_WITHIN):
                told = _Told(at, await tokens.found(self._engine(), id_))
        except DATABASE_ERRORS as error:
            self._gone(error)
            return None
        finally:
            del self._asking[id_]
        self._remember(id_, told)
        return told

    def _remember(self, id_: str, told: _Told) -> None:
        """Ids that nobody has are remembered apart: inventing them pushes out no known one."""
        here, other = self._unknown, self._known
        if told.token is not None:
            here, other = other, here
        other.pop(id_, None)
        here[id_] = told
        here.move_to_end(id_)
        if len(here) > MOST_KNOWN:
            here.popitem(last=False)

    async def _ask_operator(self) -> None:
        at = self._clock.monotonic()
        try:
            async with asyncio.timeout(ASKED_WITHIN):
                self._operator = _Operator(await tokens.operators(self._engine()), at)
        except DATABASE_ERRORS as error:
            self._gone(error)

    def _away(self, now: float) -> bool:
        """Whether the records have lately not answered: nobody waits for them then."""
        return now < self._away_since + LEFT_ALONE

    def _gone(self, error: BaseException) -> None:
        self._away_since = self._clock.monotonic()
        log.warning("tokens cannot be looked up", reason=reason_of(error))

    def _note_used(self, token: Token, now: float) -> None:
        """Have it written that a token is used, behind the request, and at most once a minute."""
        last = max(self._used.get(token.id, 0.0), token.last_used_at or 0.0)
        if now < last + tokens.USED_EVERY:
            return
        if len(self._used) >= MOST_KNOWN:
            self._used.clear()
        self._used[token.id] = now
        self._tasks.start(self._write_used(token.id, now), name="note token used")

    async def _write_used(self, id_: str, at: float) -> None:
        try:
            async with asyncio.timeout(ASKED_WITHIN):
                await tokens.note_used(self._engine(), id_, at=at)
        except DATABASE_ERRORS as error:
            log.info("use of a token not noted", reason=reason_of(error))


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
