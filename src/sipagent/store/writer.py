"""Rows of the records on their way into a database, without a call that waits for it."""

import asyncio
import contextlib
import errno
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, Self

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.concurrency import TaskOwner
from sipagent.errors import StoreError
from sipagent.metrics import Metrics
from sipagent.model import CallId
from sipagent.sessions.ports import Clock
from sipagent.store.awaited import Awaited
from sipagent.store.buffer import FINAL, Buffer, Entry
from sipagent.store.database import open_engine, reason_of
from sipagent.store.location import Location
from sipagent.store.losses import Defect, Losses
from sipagent.store.outage import Outage
from sipagent.store.rows import Row, RowKind
from sipagent.store.schema import require_known, status, upgrade
from sipagent.store.sinks import Sink, batch_of, is_refusal, sink_for
from sipagent.store.spool import Spool
from sipagent.store.unmade import Unmade

log = structlog.get_logger(__name__)

FLUSH_AFTER: Final = 0.25
FLUSH_SOON: Final = 0.1
FLUSH_ROWS: Final = 50
TRANSACTION_ROWS: Final = 500
REST: Final = 100
"""How many times as long as a transaction took the writer rests, if it may, before the next."""

FLUSH_WITHIN: Final = 10.0
KEPT_WITHIN: Final = 3.0
CLOSE_WITHIN: Final = 5.0
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 3.0

_FOLLOWED: Final = frozenset({RowKind.EVENT, RowKind.SUMMARY})
_MOST_RESPOOLED: Final = 200
_TIDY_WITHIN: Final = 1.0


class Writer:
    """A buffer of rows, and the one task that carries them into the database.

    `put` never waits. A row of a `spooled` kind stands in the spool before `put` returns: only the
    machine's end loses it. `settled` is told each call whose outcome has been stored, `stirred`
    each event. Without `migrate` an older schema is waited for; with it the writer brings the
    newest one.
    """

    def __init__(
        self,
        location: Location,
        data_dir: Path,
        metrics: Metrics,
        clock: Clock,
        *,
        migrate: bool = True,
        spooled: Collection[RowKind] = FINAL,
        settled: Callable[[CallId], None] = lambda _: None,
        stirred: Callable[[RowKind, Row], None] = lambda *_: None,
    ) -> None:
        self.location = location
        self.settled = settled
        self.stirred = stirred
        self._data_dir = data_dir
        self._metrics = metrics.records
        self._migrate = migrate
        self._spooled = frozenset(spooled)
        self._sink: Sink | None = None
        self._engine: AsyncEngine | None = None
        self._spool: Spool | None = None
        self._buffer = Buffer()
        self._unmade = Unmade()
        self._awaited = Awaited()
        self._in_flight = 0
        self._tasks = TaskOwner(_crashed, apart=True)
        self._wake, self._stored, self._stop = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._rested_at = 0.0
        self._ready = False
        self._outage = Outage(location.shown, clock)
        self._losses = Losses(metrics.records, clock)
        metrics.observe_unstored(lambda: len(self))

    def __len__(self) -> int:
        """How many rows are not stored yet."""
        return len(self._unmade) + len(self._buffer) + self._in_flight

    @property
    def engine(self) -> AsyncEngine:
        """The database, for readers, while the writer is open."""
        assert self._engine is not None
        return self._engine

    async def __aenter__(self) -> Self:
        """The database has its schema, or it is away and rows gather until it is back.

        Raises StoreError for a file that cannot be used, and for a schema that is newer than this
        release.
        """
        self._spool, self._engine = Spool(self._data_dir), open_engine(self.location)
        self._sink = sink_for(self.location, self._engine)
        try:
            await self._begin()
        except BaseException:
            await self._let_go()
            raise
        for kind, row in self._spool.left():
            self._buffer.add(kind, row)
        self._tasks.start(self._run(), name="records")
        if self._buffer or not self._ready:
            self._schedule(FLUSH_SOON)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Everything is stored, or what is left has been told; its final rows stay in the spool,
        for the next process."""
        self._stop.set()
        self._wake.set()
        if not await self._tasks.join(CLOSE_WITHIN):
            await self._tasks.cancel(_TIDY_WITHIN)
        if self._timer is not None:
            self._timer.cancel()
        if self._buffer:
            finals = self._buffer.finals
            log.error("records left", kept_in_spool=finals, lost=len(self._buffer) - finals)
        await self._let_go()

    def put(self, kind: RowKind, row: Row) -> None:
        """The row will be stored; one that comes when the writer is closed is lost, and counted."""
        self._take(kind, row)

    def _take(self, kind: RowKind, row: Row) -> bool:
        """Whether the row, which will be stored, outlives this process already."""
        if self._spool is None:
            self.lose(kind)
            return False
        spooled = kind in self._spooled and self._spool.add(kind, row)
        self._give_up(self._buffer.add(kind, row))
        if not self._unmade.making:
            self._expect(kind)
        return spooled

    async def keep(self, kind: RowKind, row: Row) -> None:
        """The row outlives this process, in the spool or in the database. Raises OSError where
        neither takes it in time; it may be stored later all the same."""
        if self._take(kind, row):
            return
        if self._spool is not None:
            self._schedule(0.0)
            if await self._awaited.stored(row, KEPT_WITHIN):
                return
        raise OSError(errno.EIO, "neither the data directory nor the records take it")

    def later(self, kind: RowKind, work: Callable[[], None]) -> None:
        """Have `work`, which puts a row of this kind and maybe others and never raises, done before
        the next rows are written; at once where it is spooled, or has to wait and be counted."""
        if self._spool is None:
            self.lose(kind)
            return
        if kind in self._spooled or self._outage.reason is not None:
            work()
            return
        self._unmade.add(work)
        self._expect(kind)

    def _expect(self, kind: RowKind) -> None:
        """Have the next rows written in time for one of this kind."""
        if len(self._buffer) + len(self._unmade) >= FLUSH_ROWS:
            self._hurry(0.0)
        elif kind is RowKind.OUTCOME:
            self._hurry(FLUSH_SOON)
        else:
            self._schedule(FLUSH_AFTER)

    def lose(self, kind: RowKind) -> None:
        """Count a row that will never be stored."""
        self._losses.add(kind)

    async def flushed(self, attempts: int = -1) -> None:
        """Wait until nothing is left to be stored, or for so many attempts without hurry."""
        while len(self) and attempts:
            self._stored.clear()
            self._schedule(0.0 if attempts < 0 else FLUSH_SOON)
            await self._stored.wait()
            attempts -= 1

    @property
    def away(self) -> bool:
        """Whether the database takes no rows, as far as is known."""
        return self._outage.lasts

    def defects(self) -> Sequence[Defect]:
        """What is wrong, for readiness: calls go on all the same."""
        wrong = (self._outage.defect(len(self)), self._losses.defect())
        found = [one for one in wrong if one is not None]
        if self._spool is not None and self._spool.failing:
            detail = "The data directory cannot be written: a crash loses what is not stored yet."
            found.append(Defect("records", "spool", detail))
        return found

    def _schedule(self, delay: float) -> None:
        """Have rows written no later than in so many seconds."""
        loop = asyncio.get_running_loop()
        due = loop.time() + delay
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._timer, self._due = loop.call_at(due, self._ring), due

    def _hurry(self, delay: float) -> None:
        """As `_schedule`, but only so often that a small share of the time goes into storing: one
        transaction for a hundred rows costs little more than one for ten."""
        rested = self._rested_at - asyncio.get_running_loop().time()
        self._schedule(max(delay, min(rested, FLUSH_AFTER)))

    def _ring(self) -> None:
        self._timer = None
        self._wake.set()

    async def _run(self) -> None:
        while not self._stop.is_set():
            await self._wake.wait()
            self._wake.clear()
            await self._drain()
        await self._drain()

    async def _drain(self) -> None:
        """The rows that are here now are stored, however long that takes; a database that has not
        been there yet is waited for also without any."""
        pause = FIRST_PAUSE
        await self._unmade.make()
        while (entries := self._buffer.take(TRANSACTION_ROWS)) or self._is_awaited:
            full = len(entries) >= TRANSACTION_ROWS
            if await self._carried(entries):
                pause = FIRST_PAUSE
                if not full and not self._stop.is_set():
                    return
            else:
                await self._paused(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            await self._unmade.make()

    @property
    def _is_awaited(self) -> bool:
        return not self._ready and not self._stop.is_set()

    async def _paused(self, seconds: float) -> None:
        if self._stop.is_set():
            await asyncio.sleep(FIRST_PAUSE)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _carried(self, entries: list[Entry]) -> bool:
        """Whether the rows are stored; those that are not are in the buffer again."""
        self._in_flight = len(entries)
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._outage.asked()
        try:
            if not self._ready:
                await self._prepare()
            async with asyncio.timeout(FLUSH_WITHIN):
                await self._write(entries)
        except Exception as error:  # noqa: BLE001  # the crash boundary of the records
            self._failed(error)
            return False
        finally:
            self._rested_at = loop.time() + (loop.time() - began) * REST
            self._in_flight = 0
            self._outage.told()
            self._give_up(self._buffer.put_back(entries))
            self._stored.set()
        self._succeeded()
        return True

    async def _write(self, entries: list[Entry]) -> None:
        """The rows are stored, and taken out of the list as they are."""
        assert self._sink is not None
        try:
            await self._sink.write(batch_of(entries))
        except Exception as error:
            if not is_refusal(error):
                raise
        else:
            self._settle(entries)
            entries.clear()
        while entries:
            await self._write_alone(entries[0])
            del entries[0]

    async def _write_alone(self, entry: Entry) -> None:
        """The row is stored, or counted as lost where the database will never take it."""
        assert self._sink is not None
        try:
            await self._sink.write(batch_of([entry]))
        except Exception as error:
            if not is_refusal(error):
                raise
            self.lose(entry[0])
            log.error("record refused", kind=entry[0].value, error=reason_of(error))  # noqa: TRY400  # its text holds values
            self._settle([entry], stored=False)
        else:
            self._settle([entry])

    def _settle(self, entries: Sequence[Entry], *, stored: bool = True) -> None:
        """Tell which calls have their outcome stored, or will never have, and who waits for a
        row."""
        for kind, row in entries:
            if kind is RowKind.OUTCOME:
                self.settled(CallId(row[0]))
            elif kind in _FOLLOWED:
                self.stirred(kind, row)
            self._awaited.settle(row, stored=stored)

    async def _begin(self) -> None:
        """The schema is looked after for the first time, while there is no call yet."""
        try:
            found = await status(self.engine, self.location)
        except StoreError as error:
            if self.location.file is not None:
                raise
            self._failed(error)
            return
        require_known(found, self.location)
        if not found.usable and self._migrate:
            await upgrade(self.engine, self.location)
        elif not found.usable:
            self._failed(_waiting(self.location))
            return
        self._ready = True

    async def _prepare(self) -> None:
        """The database has the newest schema. Raises StoreError as long as it has not."""
        if self._migrate:
            await upgrade(self.engine, self.location)
        else:
            found = await status(self.engine, self.location)
            require_known(found, self.location)
            if not found.usable:
                raise _waiting(self.location)
        self._ready = True

    def _failed(self, error: Exception) -> None:
        reason = str(error) if isinstance(error, StoreError) else _sentence(self.location, error)
        if reason != self._outage.reason:
            log.error("records cannot be stored", reason=reason, waiting=len(self))
        self._outage.reason = reason
        self._metrics.failures.inc()

    def _succeeded(self) -> None:
        if self._outage.reason is not None:
            log.info("records are stored again", waiting=len(self))
            self._outage.reason = None
        assert self._spool is not None
        if self._buffer.finals <= _MOST_RESPOOLED:
            pending = self._buffer.pending_finals()
            self._spool.keep(one for one in pending if one[0] in self._spooled)

    def _give_up(self, entries: Sequence[Entry]) -> None:
        for kind, _ in entries:
            if not self._losses:
                log.error("records given up", reason="the database is away for too long")
            self.lose(kind)

    async def _let_go(self) -> None:
        """Nothing is open any more, or given up after a second."""
        assert self._spool is not None
        assert self._sink is not None
        self._spool.close()
        self._spool = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TIDY_WITHIN):
                await self._sink.close()
                await self.engine.dispose()


def _waiting(location: Location) -> StoreError:
    return StoreError(location.shown, "has an older schema: run `sipagent db upgrade`")


def _sentence(location: Location, error: Exception) -> str:
    return str(StoreError(location.shown, f"cannot be written: {reason_of(error)}"))


def _crashed(name: str, crash: BaseException) -> None:
    log.error("records stopped", task=name, exc_info=crash)
