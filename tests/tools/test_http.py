"""Tools that ask an HTTP API, on a real socket: what is sent, and what the model gets of it."""

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from sipagent.model import (
    Effects,
    SecretName,
    TenantName,
    ToolName,
    ToolResult,
    ToolStatus,
)
from sipagent.tools.circuit import FAILURES
from sipagent.tools.egress import LARGEST_ANSWER
from sipagent.tools.http import host_of, merged
from sipagent.tools.output import MOST_BYTES
from tests.tools.support import (
    CALLER,
    SECRET,
    Canary,
    Seen,
    Wire,
    a_request,
    an_http,
    loopback_egress,
    ok,
    reply,
    tools_of,
)

TOKEN = SecretName("crm_token")


async def asked(
    wire: Wire, path: str, arguments: dict[str, Any] | None = None, **kwargs: Any
) -> ToolResult:
    timeout, effects = kwargs.pop("timeout", 5.0), kwargs.pop("effects", Effects.IDEMPOTENT)
    digits = kwargs.pop("collected", {})
    does = an_http(f"http://api.test:{wire.port}{path}", **kwargs)
    async with loopback_egress() as egress:
        request = a_request(does, arguments, timeout=timeout, effects=effects, digits=digits)
        return await tools_of(egress).run(request, does)


async def told(answer: bytes, **kwargs: Any) -> ToolResult:
    """What a model gets of this answer."""

    async def answers(seen: Seen) -> bytes:
        return answer

    async with Wire(answers) as wire:
        return await asked(wire, "/x", **kwargs)


async def test_the_arguments_are_the_body_and_the_answer_is_the_output() -> None:
    async with Wire() as wire:
        result = await asked(wire, "/orders/search", {"order_no": "A-7", "count": 2})
    assert result == ToolResult(ToolStatus.DONE, '{"status":"shipped"}', "HTTP 200")
    (seen,) = wire.seen
    assert (seen.method, seen.target) == ("POST", "/orders/search")
    assert json.loads(seen.body) == {"order_no": "A-7", "count": 2}
    assert seen.header("content-type") == "application/json"
    assert seen.header("accept") == "application/json"
    assert seen.header("authorization") is None


async def test_headers_secret_and_what_we_fill_in() -> None:
    async with Wire() as wire:
        await asked(
            wire,
            "/c/{caller}?pin={pin}",
            {"caller": "+19999999999"},
            method="GET",
            headers={"ACCEPT": "text/plain", "X-Store": "s 1", "authorization": "Basic x"},
            secret=TOKEN,
            bind={"caller": CALLER},
            digits={"pin": ToolName("ask_pin")},
            collected={ToolName("ask_pin"): "4711"},
        )
    (seen,) = wire.seen
    assert seen.target == "/c/%2B17135550177?pin=4711"
    assert (seen.header("accept"), seen.header("x-store")) == ("text/plain", "s 1")
    assert seen.header("authorization") == f"Bearer {SECRET}"
    assert seen.header("content-type") is None
    assert seen.header("content-length") is None


async def test_a_tool_that_needs_digits_waits_for_them() -> None:
    async with Wire() as wire:
        result = await asked(wire, "/x", digits={"pin": ToolName("ask_pin")})
        assert (result.status, wire.connections) == (ToolStatus.REFUSED, 0)
        assert "ask_pin" in json.loads(result.output)["error"]


@pytest.mark.parametrize(
    ("answer", "output"),
    [
        (ok(b'{"a": [1, 2.50, "x"]}'), '{"a":[1,2.5,"x"]}'),
        (ok(b"[1]", "application/vnd.api+json; charset=utf-8"), "[1]"),
        (ok(b'"text"'), '"text"'),
        (ok(b"sold out\r\n", "text/plain"), '{"text":"sold out  "}'),
        (ok(b'{"a":1}', "text/plain"), '{"text":"{\\"a\\":1}"}'),
        (ok(b"\xff\xfe", "text/plain"), '{"text":"\ufffd\ufffd"}'),
        (ok(b"", "text/plain"), '{"status":"done"}'),
        (reply(204, b""), '{"status":"done"}'),
        (reply(200, b'{"a":1}'), '{"a":1}'),
        (ok('{"say":"\u202eevil\\u200b\\u0000"}'.encode()), '{"say":"evil"}'),
    ],
)
async def test_an_answer(answer: bytes, output: str) -> None:
    result = await told(answer)
    assert (result.status, result.output) == (ToolStatus.DONE, output)


async def test_the_answers_map() -> None:
    answer = ok(b'{"order": {"lines": [{"eta": "Monday"}], "secret": 1}}', "text/plain")
    response = {"eta": "/order/lines/0/eta", "none": "/order/none"}
    result = await told(answer, response=response)
    assert json.loads(result.output) == {"eta": "Monday", "none": None}


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"{not json"),
        ok(b'{"a": NaN}'),
        ok(b"[" * 5_000 + b"]" * 5_000),
        ok(b"\0\1\2", "image/png"),
        ok(b'{"a": 1' + b"0" * 5_000 + b".5e99999}"),
        ok(b"\xff"),
    ],
)
async def test_an_answer_that_cannot_be_read(answer: bytes) -> None:
    result = await told(answer)
    assert (result.status, result.detail) == (ToolStatus.FAILED, "HTTP 200, unreadable")
    assert json.loads(result.output) == {"error": "it was done, but its answer cannot be read"}


@pytest.mark.parametrize("status", [301, 400, 401, 404, 409, 418, 429, 500, 503])
async def test_an_error_has_its_status(status: int) -> None:
    result = await told(reply(status, b"<html>", "Content-Type: text/html"))
    assert (result.status, result.detail) == (ToolStatus.FAILED, f"HTTP {status}")
    error = f"the service answered with HTTP status {status}"
    assert json.loads(result.output) == {"error": error, "status": status}


@pytest.mark.parametrize(
    ("status", "doubt"), [(400, False), (404, False), (500, True), (504, True)]
)
async def test_a_servers_own_error_leaves_a_doubt_where_it_matters(
    status: int, doubt: bool
) -> None:
    async def fails(seen: Seen) -> bytes:
        return reply(status, b"")

    for effects, told_ in ((Effects.ONCE, doubt), (Effects.IDEMPOTENT, False)):
        async with Wire(fails) as wire:
            result = await asked(wire, "/x", effects=effects)
        assert (result.detail, "not known" in result.output) == (f"HTTP {status}", told_)


async def test_what_a_server_says_to_the_arguments_is_told() -> None:
    said = b'{"message": "no such order"}'
    result = await told(reply(404, said, "Content-Type: application/problem+json"))
    assert json.loads(result.output)["answer"] == {"message": "no such order"}
    for other in (
        reply(500, said, "Content-Type: application/json"),
        reply(404, b"{", "Content-Type: application/json"),
        reply(404, b'"' + b"a" * 3_000 + b'"', "Content-Type: application/json"),
    ):
        assert "answer" not in json.loads((await told(other)).output)
    # A tool that says what may be read of an answer has no more read of it.
    hidden = await told(reply(404, said, "Content-Type: application/json"), response={"a": "/a"})
    assert "answer" not in json.loads(hidden.output)


async def test_a_long_answer_is_cut_for_the_model() -> None:
    result = await told(ok(json.dumps(["line"] * 20_000).encode()))
    assert result.status is ToolStatus.DONE
    assert len(result.output.encode()) <= MOST_BYTES
    assert json.loads(result.output)["cut"].startswith("only the first")


async def test_an_answer_that_is_too_long_was_given_all_the_same() -> None:
    result = await told(ok(b"1" * (LARGEST_ANSWER + 1)))
    assert (result.status, result.detail) == (ToolStatus.FAILED, "too_large: answer")
    assert "it was done" in json.loads(result.output)["error"]


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (reply(500, b"1" * (LARGEST_ANSWER + 1)), "HTTP 500, too_large: answer"),
        (reply(404, b"x", "Content-Encoding: br"), "HTTP 404, unreachable: answer's encoding"),
    ],
)
async def test_an_error_that_cannot_be_read_is_an_error(answer: bytes, detail: str) -> None:
    result = await told(answer)
    assert (result.status, result.detail) == (ToolStatus.FAILED, detail)
    assert json.loads(result.output)["status"] == int(detail[5:8])
    assert "it was done" not in result.output


@pytest.mark.parametrize(
    ("effects", "doubt"),
    [(Effects.ONCE, True), (Effects.IDEMPOTENT, False), (Effects.NONE, False)],
)
async def test_no_answer_in_time(effects: Effects, doubt: bool) -> None:
    async def hangs(seen: Seen) -> bytes:
        await asyncio.Event().wait()
        raise AssertionError

    async with Wire(hangs) as wire:
        result = await asked(wire, "/x", timeout=0.05, effects=effects)
    assert result.status is ToolStatus.TIMED_OUT
    assert ("not known whether it was done" in result.output) is doubt


async def test_a_connection_that_breaks_leaves_a_doubt_where_it_matters() -> None:
    async def breaks(seen: Seen) -> None:
        return None

    async with Wire(breaks) as wire:
        once = await asked(wire, "/x", effects=Effects.ONCE)
        again = await asked(wire, "/x")
    assert "not known whether it was done" in once.output
    assert json.loads(again.output) == {"error": "the service cannot be reached at the moment"}
    assert once.status is again.status is ToolStatus.FAILED
    # Nobody there: nothing can have been done.
    gone = await asked(wire, "/x", effects=Effects.ONCE)
    assert "not known" not in gone.output


async def test_a_host_inside_is_refused() -> None:
    async with Canary("127.0.0.1") as canary, loopback_egress() as egress:
        does = an_http(f"http://[::1]:{canary.port}/", plain=True)
        result = await tools_of(egress).run(a_request(does), does)
    assert (result.status, result.detail) == (ToolStatus.FAILED, "refused: address")
    assert canary.connections == 0


async def test_http_is_for_the_operators_own_word() -> None:
    async with loopback_egress() as egress:
        for plain, detail in ((False, "refused: not https"), (True, "unreachable: ")):
            does = an_http("http://unknown.test/", plain=plain)
            result = await tools_of(egress).run(a_request(does), does)
            assert result.detail is not None
            assert result.detail.startswith(detail)


async def test_a_secret_that_is_not_granted_fails_the_tool() -> None:
    async with Wire() as wire:
        result = await asked(wire, "/x", secret=SecretName("other"))
        assert (result.status, result.detail) == (ToolStatus.FAILED, "secret")
        assert wire.connections == 0


async def test_a_server_in_trouble_is_told_as_such() -> None:
    async def away(seen: Seen) -> bytes:
        return reply(503, b"")

    async with Wire(away) as wire, loopback_egress() as egress:
        does = an_http(f"http://api.test:{wire.port}/")
        tools = tools_of(egress)
        for _ in range(FAILURES):
            await tools.run(a_request(does), does)
        request = a_request(does, effects=Effects.ONCE)
        result = await tools.run(request, does)
        plan = replace(request.plan, tenant=TenantName("other"))
        other = await tools.run(replace(request, plan=plan), does)
    assert result.detail == "circuit_open: failed too often"
    assert other.detail == "HTTP 503"
    assert json.loads(result.output) == {"error": "the service cannot be reached at the moment"}


async def test_a_tool_that_is_cancelled_leaves_nothing_behind() -> None:
    arrived = asyncio.Event()

    async def hangs(seen: Seen) -> bytes:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with Wire(hangs) as wire:
        task = asyncio.get_running_loop().create_task(asked(wire, "/x"))
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_no_log_line_and_no_detail_tells_what_was_asked_or_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    async def echoes(seen: Seen) -> bytes:
        words = seen.target + str(seen.headers) + seen.body.decode()
        status = 404 if "404" in seen.target else 200
        return reply(status, json.dumps({"echo": words}).encode())

    async def breaks(seen: Seen) -> None:
        return None

    shown: list[str] = []
    arguments = {"no": "canary-path", "q": "canary-query", "text": "canary-body"}
    with capture_logs() as lines:
        for path in ("/200/{no}?q={q}", "/404/{no}?q={q}"):
            for reply_with in (echoes, breaks):
                async with Wire(reply_with) as wire:
                    result = await asked(
                        wire,
                        path,
                        arguments,
                        secret=TOKEN,
                        bind={"caller": CALLER},
                        headers={"X-A": "canary-header"},
                    )
                shown += [repr(result), str(result.detail)]
                assert str(wire.port) not in str(result.detail)
        does = an_http("https://api.test/{no}", secret=TOKEN, body={"a": "canary-template"})
        shown += [repr(does), repr(a_request(does, arguments))]
    texts = [*shown, str(lines), caplog.text]
    for hidden in ("canary", SECRET, CALLER[1:]):
        assert not any(hidden in text for text in texts)
    assert {line["event"] for line in lines} == {"tool asked"}
    assert {tuple(sorted(line)) for line in lines} == {
        ("detail", "event", "host", "log_level", "milliseconds", "status", "tool")
    }
    assert {line["host"] for line in lines} == {"api.test"}


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://api.test/a/{b}?c={d}", "api.test"),
        ("https://api.test?c={d}", "api.test"),
        ("http://[::1]:8080/", "::1"),
        ("https://{no}.test/", None),
        ("nonsense", None),
    ],
)
def test_the_host_of_a_tool(url: str, host: str | None) -> None:
    assert host_of(url) == host


def test_headers_are_laid_over_others_in_any_spelling() -> None:
    assert merged({"Accept": "a", "X": "b"}, {"ACCEPT": "c"}) == {"X": "b", "ACCEPT": "c"}
