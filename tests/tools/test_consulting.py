"""What a tenant's endpoint is asked before a call, how that is signed, and whatever it answers."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
from standardwebhooks import Webhook
from structlog.testing import capture_logs

from sipagent.concurrency import SystemClock
from sipagent.errors import SecretError
from sipagent.model import (
    Advice,
    AgentName,
    CallId,
    Consult,
    Consulted,
    SecretName,
    TenantName,
)
from sipagent.tools.consulting import EndpointConsultant
from tests.tools.support import CALLER, Seen, Wire, loopback_egress, ok, reply

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KNOWN = {"caller": CALLER, "dialed": "+17134810111", "headers": {}}


def granted(tenant: TenantName, name: SecretName) -> str:
    found = {"hook": SECRET, "short": "whsec_", "raw": "not-a-secret-of-a-webhook"}.get(name)
    if found is None:
        raise SecretError(f"the secret {name}", "is not granted")
    return found


def a_consult(wire: Wire, **more: object) -> Consult:
    url = f"http://api.test:{wire.port}/calls"
    consult = Consult(TenantName("acme"), url, SecretName("hook"), 5.0, KNOWN)
    return replace(consult, **more)  # type: ignore[arg-type]  # a test's shorthand


async def asked(wire: Wire, **more: object) -> Consulted:
    async with loopback_egress() as egress:
        consultant = EndpointConsultant(egress, granted, SystemClock())
        return await consultant.ask(CallId("rtc_1"), a_consult(wire, **more))


def saying(answer: bytes) -> Callable[[Seen], object]:
    async def say(_: Seen) -> bytes:
        return answer

    return say


async def test_what_it_is_told_is_signed_and_what_it_says_is_heeded() -> None:
    answer = ok(b'{"agent": "vip", "vars": {"offer": "gold"}}')
    async with Wire(saying(answer)) as wire:  # type: ignore[arg-type]  # returns bytes
        consulted = await asked(wire)
    assert consulted == Consulted(Advice(AgentName("vip"), {"offer": "gold"}))
    (seen,) = wire.seen
    assert (seen.method, seen.target) == ("POST", "/calls")
    headers = {name.lower(): value for name, value in seen.headers}
    assert headers["webhook-id"] == "consult_rtc_1"
    event = Webhook(SECRET).verify(seen.body, headers)
    assert event == json.loads(seen.body)
    assert event["type"] == "call.consult"
    assert event["data"] == {"call_id": "rtc_1", "tenant": "acme", **KNOWN}


@pytest.mark.parametrize(
    ("answer", "because"),
    [
        (reply(204, b""), "it has nothing to say"),
        (reply(500, b""), "it answered 500"),
        (reply(404, b'{"agent": "vip"}'), "it answered 404"),
        (reply(302, b"", "Location: http://127.0.0.1/"), "it answered 302"),
        (ok(b""), "its answer is none of the form"),
        (ok(b"<html>"), "its answer is none of the form"),
        (ok(b'{"agent": 5}'), "its answer is none of the form"),
        (ok(b'{"agent": "' + b"x" * (1 << 20) + b'"}'), "its answer is too long"),
        (ok(b"[" * 16_000), "its answer is none of the form"),
        (b"HTTP/1.1 rubbish\r\n\r\n", "it cannot be reached"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_whatever_it_answers_is_an_answer_or_none(answer: bytes, because: str) -> None:
    async with Wire(saying(answer)) as wire:  # type: ignore[arg-type]  # returns bytes
        assert await asked(wire) == Consulted(None, because)
    assert len(wire.seen) == 1


async def test_an_endpoint_that_does_not_answer_costs_its_time_and_no_more() -> None:
    async def hang(_: Seen) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async with Wire(hang) as wire:
        began = asyncio.get_running_loop().time()
        assert await asked(wire, timeout=0.2) == Consulted(None, "no answer in time")
        assert asyncio.get_running_loop().time() - began < 1.0


async def test_an_endpoint_that_is_not_there_is_told() -> None:
    async with Wire() as wire:
        pass
    assert await asked(wire) == Consulted(None, "it cannot be reached")


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/x", "http://169.254.169.254/", "http://api.test:22/", "ftp://api.test/"],
)
async def test_what_may_not_be_asked_is_not_asked(url: str) -> None:
    async with Wire() as wire:
        assert await asked(wire, url=url) == Consulted(None, "it may not be asked")
    assert wire.connections == 0


@pytest.mark.parametrize("name", ["nothing", "short", "raw"])
async def test_without_a_secret_that_signs_nothing_is_asked(name: str) -> None:
    async with Wire() as wire:
        with capture_logs() as logs:
            consulted = await asked(wire, secret=SecretName(name))
    assert consulted == Consulted(None, "the secret that signs cannot be used")
    assert wire.connections == 0
    assert "not-a-secret" not in str(logs)


async def test_what_fails_in_an_unforeseen_way_is_no_answer() -> None:
    def broken(tenant: TenantName, name: SecretName) -> str:
        raise RuntimeError("unforeseen")

    async with Wire() as wire, loopback_egress() as egress:
        consultant = EndpointConsultant(egress, broken, SystemClock())
        consulted = await consultant.ask(CallId("rtc_1"), a_consult(wire))
    assert consulted == Consulted(None, "it could not be asked")


async def test_the_log_has_no_word_of_the_call() -> None:
    async with Wire(saying(ok(b'{"vars": {"offer": "canary-4711"}}'))) as wire:  # type: ignore[arg-type]
        with capture_logs() as logs:
            await asked(wire)
    (told,) = [each for each in logs if each["event"] == "endpoint consulted"]
    assert told["heeded"]
    for word in (CALLER, "canary-4711", SECRET, "/calls"):
        assert word not in str(logs)
