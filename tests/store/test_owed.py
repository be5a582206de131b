"""Lines that the audit is owed: written when the records answer again, once, in their order."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from sipagent.model.access import Deed
from sipagent.store import audit, owed
from sipagent.store.audit import AuditFilter, verify
from sipagent.store.owed import OwedAudit
from tests.store.forgetting import At
from tests.store.support import opened
from tests.store.test_audit import ACME, ANNA


class Away:
    """The records; while they are `away` nobody gets at them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.away = True
        self._engine = engine

    def __call__(self) -> AsyncEngine:
        if self.away:
            raise ConnectionRefusedError
        return self._engine


def deed(number: int) -> Deed:
    return Deed("calls.hang_up", f"rtc_{number}", ACME, {"goodbye": False})


async def targets(engine: AsyncEngine) -> list[tuple[str, float]]:
    found = await audit.lines(engine, AuditFilter(), limit=200)
    return [(one.deed.target, one.at) for one in reversed(found)]


async def test_what_is_owed_is_written_once_in_its_order_with_its_time(
    records_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owed, "EVERY", 0.02)
    async with opened(records_url) as engine:
        away, clock = Away(engine), At(100.0)
        async with OwedAudit(away, clock) as log:
            for number in range(45):
                clock.now = 100.0 + number
                log.owe(ANNA, deed(number))
            await asyncio.sleep(0.1)
            assert await targets(engine) == []
            away.away = False
            async with asyncio.timeout(10):
                while len(await targets(engine)) < 45:
                    await asyncio.sleep(0.02)
            log.owe(ANNA, deed(45))
            async with asyncio.timeout(10):
                while len(await targets(engine)) < 46:
                    await asyncio.sleep(0.02)
        expected = [(f"rtc_{number}", 100.0 + min(number, 44)) for number in range(46)]
        assert await targets(engine) == expected
        assert (await verify(engine)).broken_at is None


async def test_an_end_tries_once_more(sqlite_url: str) -> None:
    async with opened(sqlite_url) as engine:
        away = Away(engine)
        async with OwedAudit(away, At(100.0)) as log:
            log.owe(ANNA, deed(1))
            away.away = False
        assert await targets(engine) == [("rtc_1", 100.0)]
        away.away = True
        async with OwedAudit(away, At(100.0)) as log:
            log.owe(ANNA, deed(2))
        assert await targets(engine) == [("rtc_1", 100.0)]


async def test_each_is_in_the_log_and_only_the_newest_are_kept(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owed, "MOST_OWED", 3)
    async with opened(sqlite_url) as engine:
        away = Away(engine)
        with capture_logs() as logs:
            async with OwedAudit(away, At(100.0)) as log:
                for number in range(5):
                    log.owe(ANNA, deed(number))
                away.away = False
        told = [one for one in logs if one["event"] == "audit line not written yet"]
        assert [one["target"] for one in told] == [f"rtc_{number}" for number in range(5)]
        assert (told[0]["token"], told[0]["tenant"], told[0]["at"]) == ("tok1", "acme", 100.0)
        assert [target for target, _ in await targets(engine)] == ["rtc_2", "rtc_3", "rtc_4"]
