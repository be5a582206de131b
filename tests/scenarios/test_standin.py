"""The stand-in for all servers of others."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from sipagent.errors import EgressError
from sipagent.scenarios.hurry import HurriedLoop
from sipagent.scenarios.scenario import Exchange, Reply
from sipagent.scenarios.standin import (
    Asked,
    client_context,
    same_place,
    somewhere,
    standing_in,
)
from sipagent.tools.addresses import Allow
from sipagent.tools.egress import Answer, Ask, Egress

ORDERS = "https://api.bright.example/orders"


def asked_of(
    exchanges: Sequence[Exchange], asks: Sequence[Ask], allow: str = ""
) -> tuple[list[Answer], list[Asked]]:
    """The answers to these requests, made as tools make them, and what the stand-in saw."""

    async def asking() -> tuple[list[Answer], list[Asked]]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HurriedLoop)
        async with (
            standing_in(exchanges) as standin,
            Egress(Allow.parse(allow), client_context(), lookup=somewhere) as egress,
        ):
            loop.own, loop.detour = set(standin.ports), standin.detour
            return [await egress.request(ask) for ask in asks], standin.asked

    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        return runner.run(asking())


@pytest.mark.parametrize(
    ("written", "asked", "same"),
    [
        (ORDERS, ORDERS, True),
        (ORDERS, f"{ORDERS}?n=1", True),
        (f"{ORDERS}?n=1", f"{ORDERS}?n=1", True),
        (f"{ORDERS}?n=1", f"{ORDERS}?n=2", False),
        (f"{ORDERS}?n=1&m=a%20b", f"{ORDERS}?m=a+b&n=1", True),
        (f"{ORDERS}?n=1", ORDERS, False),
        (ORDERS, "https://api.bright.example:443/orders", True),
        (ORDERS, "https://api.bright.example:8443/orders", False),
        (ORDERS, "http://api.bright.example/orders", False),
        (ORDERS, "https://api.other.example/orders", False),
        (ORDERS, f"{ORDERS}/1", False),
        ("https://a.example", "https://a.example/", True),
        ("https://A.example/", "https://a.example/", True),
    ],
)
def test_which_request_is_meant(written: str, asked: str, same: bool) -> None:
    assert same_place(written, asked) is same


@pytest.mark.parametrize(
    ("reply", "content_type", "body"),
    [
        (Reply(201, {"a": [1]}), "application/json", b'{"a": [1]}'),
        (Reply(200, "words"), "text/plain; charset=utf-8", b"words"),
        (Reply(204), None, b""),
    ],
)
def test_a_reply_is_given_over_tls(reply: Reply, content_type: str | None, body: bytes) -> None:
    exchange = Exchange("POST", ORDERS, reply)
    (answer,), (asked,) = asked_of([exchange], [Ask("POST", ORDERS, body=b'{"n": 1}')])
    assert (answer.status, answer.body) == (reply.status, body)
    assert answer.headers.get("content-type") == content_type
    assert (asked.method, asked.url, asked.json(), asked.known) == ("POST", ORDERS, {"n": 1}, True)
    assert asked.headers["host"] == "api.bright.example"


def test_the_replies_of_one_request_come_in_their_order_and_the_last_for_ever() -> None:
    exchanges = [Exchange("GET", ORDERS, Reply(200, text)) for text in ("one", "two")]
    answers, _ = asked_of(exchanges, [Ask("GET", ORDERS)] * 3)
    assert [answer.body for answer in answers] == [b"one", b"two", b"two"]


@pytest.mark.parametrize(
    ("method", "url"), [("GET", ORDERS), ("POST", f"{ORDERS}/1"), ("POST", "https://b.example/")]
)
def test_what_the_scenario_does_not_know_is_not_found(method: str, url: str) -> None:
    (answer,), (asked,) = asked_of([Exchange("POST", ORDERS, Reply())], [Ask(method, url)])
    assert (answer.status, asked.known) == (404, False)
    assert asked.json() is None


def test_a_plain_url_is_answered_plainly() -> None:
    url = "http://tools.internal:8080/look"
    exchange = Exchange("GET", url, Reply(200, "found"))
    (answer,), _ = asked_of([exchange], [Ask("GET", url, plain=True)], "tools.internal:8080")
    assert answer.body == b"found"


def test_a_slow_reply_runs_into_the_requests_time() -> None:
    exchange = Exchange("GET", ORDERS, Reply(200, "late", after=30))
    with pytest.raises(EgressError, match="no answer"):
        asked_of([exchange], [Ask("GET", ORDERS, within=5)])


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/", "https://169.254.169.254/latest", "ftp://a/"]
)
def test_the_guard_of_the_way_out_is_the_real_one(url: str) -> None:
    asks: list[Any] = [Ask("GET", url)]
    with pytest.raises(EgressError):
        asked_of([Exchange("GET", url, Reply())], asks)
