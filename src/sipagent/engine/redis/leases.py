"""The leases of calls: one replica renews its own, and takes over what others have left."""

import asyncio
import json
import random
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, Protocol, TypeVar

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.engine.claims import outcome_to_json
from sipagent.engine.redis.engine import REMEMBERED, RedisEngine
from sipagent.engine.redis.held import Held, written
from sipagent.engine.redis.link import Value
from sipagent.engine.redis.notices import ALL
from sipagent.engine.redis.outgoing import Step
from sipagent.engine.redis.wire import call_id_of, epoch_of, held_call
from sipagent.errors import EngineError
from sipagent.model import CallId, Mark
from sipagent.sessions.ports import Clock, HeldCall

log = structlog.get_logger(__name__)

T = TypeVar("T")

RENEWED_AT_ONCE: Final = 200
REGISTERED_AT_ONCE: Final = 50
REMEMBERED_AT_ONCE: Final = 1000
ADOPTED_AT_ONCE: Final = 50
"""Calls of one step. Of the last `XAUTOCLAIM` looks at ten times as many."""

REFUSED_AT_MOST: Final = 10
"""Replicas that may be unable to read a claim before it is given up."""

BREATH: Final = 0.02
"""Seconds between two steps of taking over, so that others take their share."""

FLUSHED_WITHIN: Final = 1.0
_FIRST_CURSOR: Final = b"0-0"


class Heir(Protocol):
    """Who goes on with calls that are taken over, and lets those go that are lost."""

    async def take_over(self, held: Sequence[HeldCall]) -> None:
        """Go on with these calls. Never raises."""

    def resume(self) -> None:
        """Leases are confirmed again: what waited for that may be done."""

    def has_room(self) -> bool:
        """Whether this replica may hold more calls."""


class Leases:
    """Keeps the leases of one engine's calls, from `start` to `stop`."""

    def __init__(self, engine: RedisEngine, heir: Heir, clock: Clock, heartbeat: float) -> None:
        """`heartbeat` is in seconds, well below the length of a lease."""
        self._engine = engine
        self._heir = heir
        self._clock = clock
        self._heartbeat = heartbeat
        self._tasks = TaskOwner(_crashed, apart=True)
        self._nudged = asyncio.Event()
        self._adopting = True
        self._handing = False
        self._waited_for = False
        self.trouble: str | None = None

    def start(self) -> None:
        self._tasks.start(self._engine.outgoing.run(), name="engine steps")
        self._tasks.start(self._renew_for_ever(), name="engine leases")
        self._tasks.start(self._adopt_for_ever(), name="engine adoptions")

    async def stop(self) -> None:
        """Nothing is renewed any more; what was to be written is written, if that can be."""
        self._adopting = False
        await self._engine.outgoing.flush(FLUSHED_WITHIN)
        await self._tasks.cancel(1.0)

    def nudge(self) -> None:
        """Look at once for calls that can be taken over."""
        self._nudged.set()

    async def hand_over(self) -> int:
        """Have others go on with all calls of ours, at once; says how many these are.

        Those that cannot be handed over, because the engine is away, stay ours. Of those that may
        have been, since only the answer was lost, the next renewal says whose they are: till then
        nothing is done for them.
        """
        self._adopting, self._handing = False, True
        engine = self._engine
        calls = [one for one, held in engine.held.items() if held.registered and not held.outcome]
        engine.give(calls)
        given, unsure = 0, set[CallId]()
        try:
            if await engine.outgoing.flush(FLUSHED_WITHIN):
                given, unsure = await self._given(calls)
        finally:
            self._handing = False
            if engine.take_back(set(calls) - unsure):
                self._heir.resume()
        return given

    async def renew(self) -> bool:
        """Confirm that our calls are ours, register those that the engine does not know, and let
        those go that are another's by now. False if the engine has not answered."""
        engine = self._engine
        sent = self._clock.monotonic()
        calls = [(one, held.epoch) for one, held in engine.held.items() if held.registered]
        try:
            for some in _batches(calls, RENEWED_AT_ONCE) or ([],):
                if self._take_answers(some, await self._renewed(some)):
                    self._waited_for = True
            # It may have run out only while this was on its way.
            if not engine.lease.active(self._clock.monotonic()):
                self._waited_for = True
            engine.lease.confirmed(sent)
            await self._register()
        except EngineError as error:
            self._failed(error)
            return False
        if self.trouble is not None:
            log.info("engine answers again")
            self.trouble = None
        if self._waited_for:
            self._waited_for = False
            self._heir.resume()
        return True

    async def adopt(self, *, nudged: bool = True) -> int:
        """Take over the calls whose leases are over; says how many these are.

        To look through all calls costs the engine a microsecond for each: unless somebody was
        `nudged`, one replica looks for all, and calls the others when there is something.
        """
        engine, taken, cursor = self._engine, 0, _FIRST_CURSOR
        alone = 0 if nudged else int(self._heartbeat / 4 * 1000)
        while self._adopting and engine.lease.may_adopt(self._clock.monotonic()):
            if not self._heir.has_room():
                break
            lease = int(engine.lease.seconds * 1000)
            values = (engine.replica, lease, cursor, ADOPTED_AT_ONCE, alone)
            cursor, *found = await engine.link.run("adopt", *values)
            held = [one for one in map(self._read, found) if one is not None]
            taken += len(held)
            if held:
                for one in held:
                    engine.took_over(one)
                log.info("calls of another replica taken over", calls=len(held))
                await self._begun(held)
                if alone:
                    await self._call_others()
                alone = 0
                await asyncio.sleep(BREATH)
            if cursor == _FIRST_CURSOR:
                break
        return taken

    async def _begun(self, held: Sequence[HeldCall]) -> None:
        try:
            await self._heir.take_over(held)
        except Exception as error:  # the crash boundary of one batch: others take it over
            log.exception("calls not gone on with", error=type(error).__name__)
            for one in held:
                self._engine.lose(one.call.call_id)

    async def _renew_for_ever(self) -> None:
        while True:
            confirmed = False
            try:
                confirmed = await self.renew()
            except Exception as error:  # the crash boundary of one round
                log.exception("leases not renewed", error=type(error).__name__)
            pause = self._heartbeat if confirmed else self._heartbeat / 4
            await asyncio.sleep(pause)

    async def _adopt_for_ever(self) -> None:
        while self._adopting:
            nudged = self._nudged.is_set()
            self._nudged.clear()
            try:
                await self.adopt(nudged=nudged)
            except EngineError as error:
                self._failed(error)
            except Exception as error:  # the crash boundary of one round
                log.exception("calls not taken over", error=type(error).__name__)
            try:
                # Replicas that look at the same moment would leave one with all.
                async with asyncio.timeout(self._heartbeat / 4 * random.uniform(0.8, 1.2)):  # noqa: S311
                    await self._nudged.wait()
            except TimeoutError:
                pass

    async def _renewed(self, calls: Sequence[tuple[CallId, int]]) -> str:
        values: list[Value] = [self._engine.replica]
        for call_id, epoch in calls:
            values += [call_id, epoch]
        answers: bytes = await self._engine.link.run("renew", *values, within=self._heartbeat)
        return answers.decode()

    def _take_answers(self, calls: Sequence[tuple[CallId, int]], answers: str) -> bool:
        """Whether any of these calls is surely ours again."""
        back = False
        for (call_id, epoch), answer in zip(calls, answers, strict=True):
            held = self._engine.held.get(call_id)
            if held is None or held.epoch != epoch:
                continue  # it has ended meanwhile
            if answer == "t":
                self._engine.lose(call_id)
            elif answer == "u":
                self._engine.forgot(held)
            elif not self._handing:
                back = self._engine.take_back([call_id]) or back
        return back

    async def _register(self) -> None:
        """Have the engine know all calls of ours, and the ids that were taken without it."""
        engine = self._engine
        engine.remind()
        # Of the same moment: a call that is taken alone later would look as if it had ended.
        unknown = [held for held in engine.held.values() if not held.registered]
        ids = engine.taken_alone()
        for some in _batches(unknown, REGISTERED_AT_ONCE):
            steps = [("register", _registration(held, engine.replica)) for held in some]
            for held, answer in zip(some, await engine.link.run_all(steps), strict=True):
                if isinstance(answer, EngineError):
                    raise answer
                self._registered(held, answer)
        if ids:
            for part in _batches(ids, REMEMBERED_AT_ONCE):
                await engine.link.run("remember", REMEMBERED, *part)
                engine.remembered(part)

    def _registered(self, held: Held, answer: bytes) -> None:
        engine, call_id = self._engine, held.call.call_id
        if answer == b"taken":
            engine.lose(call_id)
            return
        held.registered, held.alone = True, False
        engine.tally.registered += 1
        whose = (call_id, engine.replica, held.epoch)
        for key, at in held.marks.items():
            engine.outgoing.put(Step("mark", (*whose, key, at), missed=True))
        if held.outcome is not None:
            engine.outgoing.put(Step("finish", (*whose, outcome_to_json(held.outcome))))
        if engine.held.get(call_id) is not held:  # it was settled while this was on its way
            engine.outgoing.put(Step("settle", whose))

    async def _given(self, calls: Sequence[CallId]) -> tuple[int, set[CallId]]:
        """How many are anybody's, and those that may be."""
        engine, given = self._engine, 0
        for some in _batches(calls, RENEWED_AT_ONCE):
            values: list[Value] = [engine.replica]
            for call_id in some:
                if (held := engine.held.get(call_id)) is not None:
                    values += [call_id, held.epoch]
            try:
                handed: int = await engine.link.run("hand_over", *values)
            except EngineError as error:
                self._failed(error)
                return given, set() if error.unsent or error.answered else set(some)
            engine.tally.handed_over += handed
            given += handed
            for call_id in some:
                engine.lose(call_id)
            await self._call_others()
        return given, set()

    async def _call_others(self) -> None:
        """Others look for calls that can be taken over; if they do not hear it, a moment later."""
        try:
            await self._engine.link.publish(ALL, json.dumps({"do": "adopt"}).encode())
        except EngineError as error:
            self._failed(error)

    def _read(self, fields: Sequence[bytes]) -> HeldCall | None:
        try:
            return held_call(fields)
        except (ValueError, TypeError, KeyError) as error:
            call_id = call_id_of(fields)
            log.warning("claim not readable", call_id=call_id, error=type(error).__name__)
            # One of another release may be able to.
            values = (call_id, self._engine.replica, epoch_of(fields), REFUSED_AT_MOST)
            self._engine.outgoing.put(Step("refuse", values, partial(_refused, call_id)))
            return None

    def _failed(self, error: EngineError) -> None:
        self._engine.failed()
        if self.trouble is None:
            log.error("engine away: calls go on", reason=str(error), calls=len(self._engine.held))
        self.trouble = str(error)


def _refused(call_id: str, last: int) -> None:
    if last:
        log.error("call lost: no replica can read its claim", call_id=call_id)


def _registration(held: Held, replica: str) -> Sequence[Value]:
    call, decision = held.call, held.decision
    keys = [quota.key for quota in decision.quotas] if decision.held else []
    values: list[Value] = [
        call.call_id,
        call.webhook_id,
        replica,
        held.epoch,
        REMEMBERED,
        held.claimed_at,
        *written(call, decision),
        decision.tenant,
        json.dumps(keys) if keys else "",
        "" if held.outcome is None else outcome_to_json(held.outcome),
        ("alone" if held.alone else "held") if Mark.ACCEPTED in held.marks else "",
    ]
    for key, at in held.marks.items():
        values += [key, at]
    return values


def _batches(items: Sequence[T], size: int) -> list[list[T]]:
    left: Iterator[T] = iter(items)
    return list(iter(lambda: list(islice(left, size)), []))


def _crashed(name: str, crash: BaseException) -> None:
    log.error("task crashed", task=name, error=type(crash).__name__, exc_info=crash)
