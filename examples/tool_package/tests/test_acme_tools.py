"""The tools as what they are: functions."""

import asyncio
from datetime import date

import pytest
from acme_tools import book_repair, order_status

from sipagent.toolkit import ToolCall, ToolError

CALL = ToolCall(id="call_abc123", call_id="rtc_1", tenant="acme", agent="store")


def test_an_order() -> None:
    told = asyncio.run(order_status(CALL, "A-1001"))
    assert told == {"state": "shipped", "arrives": "2026-12-01"}


def test_an_unknown_order() -> None:
    with pytest.raises(ToolError, match="no such order"):
        asyncio.run(order_status(CALL, "A-9999"))


def test_a_repair() -> None:
    said = asyncio.run(book_repair(CALL, date(2026, 12, 1), "saw"))
    assert said == "Booked for Tuesday morning, reference abc123."


def test_not_on_sundays() -> None:
    with pytest.raises(ToolError, match="Sundays"):
        asyncio.run(book_repair(CALL, date(2026, 12, 6), "saw"))
