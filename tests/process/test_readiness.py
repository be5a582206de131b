"""What `/readyz` says of accounts that work and whose new calls are refused all the same."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from sipagent.metrics import Metrics
from sipagent.model import AccountName, CallId
from sipagent.providers.registry import Accounts
from sipagent.sessions.breaker import FAILURES, SHORTEST_PAUSE, Breakers, Sign
from sipagent.sessions.gate import Gate
from sipagent.sessions.headroom import Headroom
from sipagent.sessions.machine.events import RateLimit, RateLimitsTold
from sipagent.upkeep import Readiness
from tests.providers.keyed import a_spec

A, B = AccountName("a"), AccountName("b")


@dataclass(slots=True)
class HandClock:
    """A clock that a test moves."""

    now: float = 0.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return 1_790_000_000.0 + self.now


class Place:
    """The readiness of two accounts behind a gate."""

    def __init__(self) -> None:
        self.clock = HandClock()
        claims: Any = None  # readiness claims nothing
        self.gate = Gate(claims, Breakers(self.clock), Headroom(self.clock))
        specs = [a_spec("a"), a_spec("b")]
        self.accounts = Accounts(specs, ssl.create_default_context(), lambda oddity: None)
        intake: Any = SimpleNamespace(draining=False, leaving=False)
        self.readiness = Readiness(intake, self.accounts, None, self.gate)

    def fail(self, account: AccountName) -> None:
        for number in range(FAILURES):
            self.gate.breakers.tell(account, CallId(f"rtc_{number}"), Sign.FAILS)

    def told(self) -> Sequence[tuple[str, str, str]]:
        assert self.readiness.unready() == ()
        return [(one.part, one.code, one.detail) for one in self.readiness.degraded()]


OPENED = (
    "Calls of the account failed one after the other; for 2 seconds new ones have been refused with"
    " 503. The next one is tried in 3 seconds."
)
DUE = (
    "Calls of the account failed one after the other; for 5 seconds new ones have been refused with"
    " 503. The next one is tried."
)
FULL = (
    "The provider has next to nothing left of the account's limits; new calls are refused with 503"
    " for 20 seconds."
)


async def test_an_open_breaker_shows_until_it_closes() -> None:
    place = Place()
    assert place.told() == []
    place.fail(A)
    place.clock.now = 2
    assert place.told() == [("account:a", "breaker-open", OPENED)]
    place.clock.now = SHORTEST_PAUSE
    place.gate.breakers.admit(A, CallId("rtc_trial"))
    assert place.told() == [("account:a", "breaker-open", DUE)]
    place.gate.breakers.tell(A, CallId("rtc_trial"), Sign.WORKS)
    assert place.told() == []


async def test_a_process_whose_breakers_are_all_open_goes_on_to_send_callers_on() -> None:
    place = Place()
    place.fail(A)
    place.fail(B)
    assert [part for part, _, _ in place.told()] == ["account:a", "account:b"]


async def test_an_account_without_room_shows_for_as_long_as_it_has_none() -> None:
    place = Place()
    told = RateLimitsTold((RateLimit("tokens", 1000, 1, 20.0),))
    place.gate.headroom.note(B, told, "gpt-realtime-2.1")
    assert place.told() == [("account:b", "limits-used-up", FULL)]
    place.clock.now = 20
    assert place.told() == []


async def test_what_is_not_configured_any_more_does_not_show() -> None:
    place = Place()
    place.fail(AccountName("removed"))
    assert place.told() == []


async def test_where_no_account_works_that_is_why_the_process_is_unready() -> None:
    place = Place()
    place.fail(A)
    for health in place.accounts.health().values():
        health.answered(401, "accept")
    assert {one.code for one in place.readiness.unready()} == {"unauthorized"}
    assert [one.code for one in place.readiness.degraded()] == ["breaker-open"]


@pytest.mark.parametrize(
    ("shown", "line"),
    [
        (True, 'sipagent_breaker_open{account="a"} 1.0'),
        (False, 'sipagent_breaker_open{account="a"} 0.0'),
    ],
)
def test_the_metric_of_a_breaker(shown: bool, line: str) -> None:
    metrics = Metrics()
    metrics.observe_breakers(lambda: {"a": shown})
    assert line in metrics.exposition().decode().splitlines()


def test_the_metrics_of_headroom_and_arrivals() -> None:
    metrics = Metrics()
    metrics.observe_headroom(lambda: {"a": {"tokens": 0.25}, "b": {}}, lambda: {"a": False})
    metrics.observe_arrivals(lambda: {("trunk", "twilio"): True, ("account", "a"): False})
    lines = metrics.exposition().decode().splitlines()
    assert [line for line in lines if line.startswith(("sipagent_account", "sipagent_arr"))] == [
        'sipagent_account_headroom{account="a",limit="tokens"} 0.25',
        'sipagent_account_lowered{account="a"} 0.0',
        'sipagent_arrivals_unusually_few{kind="trunk",name="twilio"} 1.0',
        'sipagent_arrivals_unusually_few{kind="account",name="a"} 0.0',
    ]
