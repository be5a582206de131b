"""Accounts that fail or have no room left: callers are sent on at once, and come back."""

import asyncio
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from sipagent.sessions.breaker import FAILURES, SHORTEST_PAUSE

Open = Callable[..., AbstractAsyncContextManager[Any]]
RECEPTION, QUIET, BUSY = "+17134810111", "+17134810122", "+17134810133"

DOWN = {"accept": {"status": 503, "retry_after": 60.0}}
"""The provider is away, and says that asking again soon is in vain."""


async def placed(home: Any, count: int, to: str = RECEPTION, **options: Any) -> list[str]:
    """So many calls at the same moment."""
    calls = (home.simulator.place_call(to, **options) for _ in range(count))
    return list(await asyncio.gather(*calls))


async def broken(home: Any) -> None:
    """Calls fail until the account's breaker is open."""
    await placed(home, FAILURES, faults=DOWN)
    await home.outcomes(FAILURES)


async def told(home: Any) -> tuple[int, list[str], bool]:
    """What `/readyz` answers, the codes of what is degraded, and the breaker's metric."""
    ready = await home.client.get("/readyz")
    metrics = (await home.client.get("/metrics")).text
    codes = [reason["code"] for reason in ready.json().get("degraded", [])]
    return ready.status_code, codes, 'sipagent_breaker_open{account="default"} 1.0' in metrics


async def rested(home: Any) -> None:
    """Wait until the next call is a trial."""
    async with asyncio.timeout(SHORTEST_PAUSE + 5):
        while True:
            (reason,) = (await home.client.get("/readyz")).json()["degraded"]
            if reason["detail"].endswith("The next one is tried."):
                return
            await asyncio.sleep(0.05)


async def test_a_caller_of_an_account_that_fails_is_sent_on_at_once(house: Open) -> None:
    async with house() as home:
        assert await told(home) == (200, [], False)
        await broken(home)
        assert await told(home) == (200, ["breaker-open"], True)
        (call_id,) = await placed(home, 1)
        (rejected,) = (await home.outcomes(FAILURES + 1))[FAILURES:]
        call = home.simulator.call(call_id)
        await placed(home, 1, BUSY)
        (by_rule,) = (await home.outcomes(FAILURES + 2))[FAILURES + 1 :]
    assert {one.name for one in home.records.outcomes[:FAILURES]} == {"failed.accept_timeout"}
    assert (rejected.name, rejected.sip_code) == ("rejected.busy", 503)
    assert rejected.duration < 1
    assert (call.accepts, call.rejects) == ([], [{"status_code": 503}])
    # What the file says of a number goes on to hold.
    assert (by_rule.name, by_rule.sip_code) == ("rejected.rule", 486)
    _, decision = home.records.decisions[FAILURES]
    assert decision.trace[-1].source == "accounts"
    assert (decision.caps, decision.quotas) == ((), ())


async def test_the_first_call_that_shows_something_decides(house: Open) -> None:
    """A second delivery is no call, a caller who is gone shows nothing, and one who hears the agent
    closes the breaker while the call goes on."""
    async with house() as home:
        old = await home.simulator.place_call(RECEPTION, faults=DOWN)
        await placed(home, FAILURES - 1, faults=DOWN)
        await home.outcomes(FAILURES)
        await rested(home)
        for _ in range(3):
            delivery = await home.simulator.deliver(old)
            assert delivery["status"] == 200
        await placed(home, 1, faults={"accept": {"status": 404}})
        assert (await home.outcomes(FAILURES + 1))[-1].name == "abandoned.caller_gone"
        assert (await told(home))[2]
        (trial,) = await placed(home, 1, stay=True)
        await home.simulator.until(trial, lambda call: call.attachments == 1)
        while await told(home) != (200, [], False):
            await asyncio.sleep(0.02)
        assert not home.simulator.call(trial).ended
        await placed(home, 5, pace=0, patience=0)
        outcomes = list(await home.outcomes(FAILURES + 6))
        home.simulator.hang_up(trial)
        await home.outcomes(FAILURES + 7)
    assert [one.name for one in outcomes[FAILURES + 1 :]] == ["completed.line_closed"] * 5


async def test_one_call_at_a_time_tries_an_account_that_fails(house: Open) -> None:
    async with house() as home:
        await broken(home)
        await rested(home)
        calls = await placed(home, 20, faults=DOWN)
        outcomes = (await home.outcomes(FAILURES + 20))[FAILURES:]
        tried = [call_id for call_id in calls if home.simulator.call(call_id).accepts]
        assert len(tried) == 1
        assert await told(home) == (200, ["breaker-open"], True)
        names = sorted(one.name for one in outcomes)
        # Nobody is left ringing: all of them are refused at the provider.
        refused = [home.simulator.call(call_id).rejects for call_id in calls]
    assert names == ["failed.accept_timeout"] + ["rejected.busy"] * 19
    assert refused == [[{"status_code": 503}]] * 20


@pytest.mark.parametrize(
    ("faults", "outcome"),
    [
        ({"accept": {"status": 400}}, "failed.accept_refused"),
        ({"accept": {"status": 404}}, "abandoned.caller_gone"),
        ({"attach": {"status": 404}}, "failed.attach_failed"),
    ],
    ids=json.dumps,
)
async def test_what_is_no_failure_of_the_account(
    house: Open, faults: dict[str, Any], outcome: str
) -> None:
    count = FAILURES + 1
    async with house() as home:
        await placed(home, count, faults=faults)
        outcomes = list(await home.outcomes(count))
        await placed(home, 1, pace=0, patience=0)
        last = (await home.outcomes(count + 1))[count]
        assert await told(home) == (200, [], False)
    assert {one.name for one in outcomes} == {outcome}
    assert last.name == "completed.line_closed"


async def test_sockets_that_cannot_be_attached_open_the_breaker(house: Open) -> None:
    async with house() as home:
        await placed(home, FAILURES, faults={"attach": {"status": 403}})
        await home.outcomes(FAILURES)
        assert (await told(home))[2]
        (call_id,) = await placed(home, 1)
        (rejected,) = (await home.outcomes(FAILURES + 1))[FAILURES:]
        assert home.simulator.call(call_id).accepts == []
    assert rejected.name == "rejected.busy"


def limits(remaining: int, reset: float) -> str:
    """The provider's frame that says what is left of 1,000 tokens."""
    one = {"name": "tokens", "limit": 1000, "remaining": remaining, "reset_seconds": reset}
    return json.dumps({"type": "rate_limits.updated", "event_id": "e", "rate_limits": [one]})


async def test_an_account_without_tokens_refuses_calls_until_it_has_some(house: Open) -> None:
    async with house() as home:
        frames = {"socket": {"malformed": [limits(10, 1.0)], "times": 1}}
        held = await home.simulator.place_call(QUIET, stay=True, script=[], faults=frames)
        await home.simulator.until(held, lambda call: call.attachments == 1)
        while 'account_lowered{account="default"} 1.0' not in await exposed(home):
            await asyncio.sleep(0.02)
        assert (await told(home))[:2] == (200, ["limits-used-up"])
        assert 'account_headroom{account="default",limit="tokens"} 0.01' in await exposed(home)
        await placed(home, 1)
        (rejected,) = await home.outcomes(1)
        assert (rejected.name, rejected.sip_code) == ("rejected.busy", 503)
        while 'account_lowered{account="default"} 0.0' not in await exposed(home):
            await asyncio.sleep(0.02)
        await placed(home, 1, pace=0, patience=0)
        assert (await home.outcomes(2))[1].name == "completed.line_closed"
        assert not home.simulator.call(held).ended
        home.simulator.hang_up(held)
        await home.outcomes(3)


async def exposed(home: Any) -> str:
    text: str = (await home.client.get("/metrics")).text
    return text
