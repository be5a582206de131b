"""The audit: one chain, in which nothing can be changed, taken out or moved unseen."""

import asyncio
import contextlib
from typing import Any

import pytest
from sqlalchemy import Executable, Update, delete, literal_column, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from sipagent.concurrency import SystemClock
from sipagent.model import TenantName
from sipagent.model.access import Deed, Principal, Scope
from sipagent.store import audit, tables
from sipagent.store.audit import AuditFilter, AuditLog, Author, verify
from sipagent.store.purging import writing
from tests.store.support import opened, outage

LINES = tables.audit
ACME, BETA = TenantName("acme"), TenantName("beta")
ANNA = Principal("tok1", "Anna", None, Scope.ADMIN)
BERT = Principal("tok2", "Bert", ACME, Scope.CONTROL)
COLUMNS = {
    "at": "at + 0.5",
    "by": "'somebody'",
    "token": "'tok9'",
    "operator": "NOT operator",
    "action": "'call.say'",
    "target": "'rtc_9'",
    "tenant": "'gamma'",
    "detail": "'{}'",
    "reason": "'none'",
    "hash": f"'{'0' * 64}'",
    "number": "number + 100",
}


async def told(engine: AsyncEngine, lines: int = 5) -> AuditLog:
    """An audit of this many lines."""
    log = AuditLog(lambda: engine, SystemClock())
    for number in range(lines):
        by, tenant = (ANNA, BETA) if number % 2 else (BERT, ACME)
        deed = Deed("call.hang_up", f"rtc_{number}", tenant, {"goodbye": True}, "they asked")
        await log.write(by, deed)
    return log


async def spoil(engine: AsyncEngine, *statements: Executable) -> None:
    async with engine.begin() as connection:
        for statement in statements:
            await connection.execute(statement)


def moved(line: int, to: int) -> Update:
    return update(LINES).where(LINES.c.number == line).values(number=to)


def head(**values: Any) -> Update:
    return update(tables.shared).where(tables.shared.c.name == "audit").values(values)


async def broken_at(engine: AsyncEngine) -> int | None:
    return (await verify(engine)).broken_at


async def test_a_chain_that_nobody_touched_holds(records_url: str) -> None:
    async with opened(records_url) as engine:
        assert (await verify(engine)).lines == 0
        await told(engine)
        found = await verify(engine)

        assert (found.lines, found.broken_at) == (5, None)
        newest, *_ = await audit.lines(engine, AuditFilter())
        assert found.head == newest.hash


@pytest.mark.parametrize("line", [1, 3, 5])
@pytest.mark.parametrize("column", COLUMNS)
async def test_every_change_of_a_line_is_found(records_url: str, column: str, line: int) -> None:
    async with opened(records_url) as engine:
        await told(engine)
        other = {column: literal_column(COLUMNS[column])}
        await spoil(engine, update(LINES).where(LINES.c.number == line).values(other))

        assert await broken_at(engine) == line


@pytest.mark.parametrize(("line", "broken"), [(1, 2), (4, 5), (5, 5)])
async def test_a_changed_line_with_its_hash_made_anew_is_found_by_what_follows(
    records_url: str, line: int, broken: int
) -> None:
    async with opened(records_url) as engine:
        await told(engine)
        async with engine.connect() as connection:
            here = LINES.c.number == line
            row = (await connection.execute(select(LINES).where(here))).one()._asdict()
            asked = select(LINES.c.hash).where(LINES.c.number == line - 1)
            before = await connection.scalar(asked) or "0" * 64
        forged = row | {"target": "rtc_9"}
        forged["hash"] = audit._hash(before, forged)
        await spoil(engine, update(LINES).where(here).values(forged))

        assert await broken_at(engine) == broken


@pytest.mark.parametrize("line", [1, 2, 3, 4, 5])
async def test_every_line_that_is_taken_out_is_found(records_url: str, line: int) -> None:
    async with opened(records_url) as engine:
        await told(engine)
        await spoil(engine, delete(LINES).where(LINES.c.number == line))

        assert await broken_at(engine) == line


@pytest.mark.parametrize("first", [1, 2, 3, 4])
async def test_lines_that_changed_places_are_found(records_url: str, first: int) -> None:
    async with opened(records_url) as engine:
        await told(engine)
        then = first + 1
        await spoil(engine, moved(first, 99), moved(then, first), moved(99, then))

        assert await broken_at(engine) == first


async def test_a_line_that_was_taken_out_and_the_others_moved_up_is_found(records_url: str) -> None:
    async with opened(records_url) as engine:
        await told(engine)
        await spoil(
            engine,
            delete(LINES).where(LINES.c.number == 2),
            *(moved(line, line - 1) for line in (3, 4, 5)),
        )

        assert await broken_at(engine) == 2


async def test_an_audit_that_was_emptied_is_found(records_url: str) -> None:
    async with opened(records_url) as engine:
        await told(engine)
        await spoil(engine, delete(LINES))

        found = await verify(engine)
        assert (found.broken_at, found.why) == (1, "the end is cut off")


async def test_an_end_that_is_not_the_noted_one_is_found(records_url: str) -> None:
    async with opened(records_url) as engine:
        await told(engine)
        await spoil(engine, head(body="1" * 64))
        assert await broken_at(engine) == 5
        await spoil(engine, head(revision=4))
        assert await broken_at(engine) == 4
        await spoil(engine, delete(tables.shared).where(tables.shared.c.name == "audit"))
        assert await broken_at(engine) == 1


async def test_lines_that_are_written_at_once_are_one_chain(records_url: str) -> None:
    async with opened(records_url) as engine, opened(records_url, schema=False) as other:
        logs = [AuditLog(lambda: engine, SystemClock()), AuditLog(lambda: other, SystemClock())]
        deed = Deed("tokens.create", "tok", None)
        await asyncio.gather(*(logs[number % 2].write(ANNA, deed) for number in range(24)))
        found = await verify(engine)

        assert (found.lines, found.broken_at) == (24, None)


async def test_a_line_of_a_deed_that_failed_is_not_there(records_url: str) -> None:
    async with opened(records_url) as engine:
        await told(engine, 1)
        with contextlib.suppress(ZeroDivisionError):
            async with writing(engine) as connection:
                await audit.append(connection, Author("me"), Deed("a", "b", None), at=1.0)
                raise ZeroDivisionError
        await told(engine, 1)

        found = await verify(engine)
        assert (found.lines, found.broken_at) == (2, None)


async def test_a_tenant_is_told_of_its_own_lines_and_why(records_url: str) -> None:
    async with opened(records_url) as engine:
        log = await told(engine)
        await log.write(ANNA, Deed("words.open", "rtc_7", ACME, reason="ticket 5"))
        (newest, *older) = await audit.lines(engine, AuditFilter(tenant=ACME))

        assert (newest.by.name, newest.by.operator, newest.deed.reason) == (
            "Anna",
            True,
            "ticket 5",
        )
        assert [line.deed.target for line in older] == ["rtc_4", "rtc_2", "rtc_0"]


async def test_lines_are_read_page_by_page_and_filtered(records_url: str) -> None:
    async with opened(records_url) as engine:
        await told(engine)
        first = await audit.lines(engine, AuditFilter(), limit=2)
        then = await audit.lines(engine, AuditFilter(), before=first[-1].number, limit=2)
        assert [line.number for line in (*first, *then)] == [5, 4, 3, 2]
        by_anna = await audit.lines(engine, AuditFilter(token="tok1"))
        assert [line.number for line in by_anna] == [4, 2]
        assert not await audit.lines(engine, AuditFilter(action="tokens.create"))
        at = first[0].at
        assert all(line.at < at for line in await audit.lines(engine, AuditFilter(until=at)))
        assert (await audit.lines(engine, AuditFilter(since=at)))[0].number == 5


async def test_text_that_a_database_would_refuse_is_written_without_it(records_url: str) -> None:
    async with opened(records_url) as engine:
        log = AuditLog(lambda: engine, SystemClock())
        await log.write(ANNA, Deed("x", "a\x00b", None, {"\x00": "\ud800"}, "c\x00\ud800d"))

        (line,) = await audit.lines(engine, AuditFilter())
        assert (line.deed.target, line.deed.reason) == ("ab", "c?d")
        assert await broken_at(engine) is None


async def test_what_cannot_be_written_is_told(records_url: str) -> None:
    async with opened(records_url) as engine:
        log = await told(engine, 1)
        await engine.dispose()
        with outage(records_url), pytest.raises(Exception, match=r".+"):
            await log.write(ANNA, Deed("x", "y", None))


def test_no_column_of_the_audit_is_for_words_or_numbers() -> None:
    assert {column.name for column in tables.audit.c} == set(COLUMNS)
