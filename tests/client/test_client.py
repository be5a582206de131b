"""The client of the control API: what it asks, what it raises, and how it goes on."""

import ast
import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, get_type_hints

import httpx
import pytest

from sipagent.client import (
    AsyncClient,
    Client,
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    UnauthorizedError,
    UnavailableError,
    UnreachableError,
    UnreadableError,
    UnsendableError,
    nouns,
)
from sipagent.client.asking import Ask, get, pause_after, post, refused
from sipagent.client.errors import error_of
from sipagent.client.sse import LONGEST_LINE, Reader
from tests.api.v1.serving import Served, served
from tests.api.v1.standing import ACME_NUMBER
from tests.client.making import AIO, SYNC, without_asyncio


def test_the_client_without_asyncio_is_the_other_ones_twin() -> None:
    made = ast.dump(ast.parse(without_asyncio(AIO.read_text("utf-8"))))
    assert made == ast.dump(ast.parse(SYNC.read_text("utf-8"))), "python -m tests.client.making"


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("api")) as api:
        yield api


NOUNS = {
    "Me": nouns.Me,
    "Call": nouns.Call,
    "CallStory": nouns.CallStory,
    "Turn": nouns.Turn,
    "Transcript": nouns.Transcript,
    "Why": nouns.Why,
    "Hit": nouns.Hit,
    "Done": nouns.Done,
    "NumberTold": nouns.NumberTold,
    "UnroutedNumber": nouns.UnroutedNumber,
    "Agent": nouns.Agent,
    "AgentTold": nouns.AgentTold,
    "Explained": nouns.Explained,
    "Config": nouns.Config,
    "Reloaded": nouns.Reloaded,
    "DayTold": nouns.DayTold,
    "Latency": nouns.Latency,
    "AuditTold": nouns.AuditTold,
}


@pytest.mark.parametrize("name", NOUNS)
def test_a_noun_is_what_the_api_describes(api: Served, name: str) -> None:
    described = api.description["components"]["schemas"][name]["properties"]
    hints = get_type_hints(NOUNS[name])
    assert hints.keys() == described.keys()
    for key, schema in described.items():
        nullable = any(one.get("type") == "null" for one in schema.get("anyOf", ()))
        assert nullable == (type(None) in getattr(hints[key], "__args__", ())), key


def test_all_nouns_are_asked_for_on_a_served_api(api: Served) -> None:
    with Client(api.url, api.acme) as client:
        assert client.me()["tenant"] == "acme"
        assert [call["call_id"] for call in client.calls(limit=1)] == ["rtc_live", "rtc_1"]
        assert [call["call_id"] for call in client.calls(live=True)] == ["rtc_live"]
        assert client.call("CA1")["call_id"] == "rtc_1"
        assert client.why("rtc_1")["ended"]
        assert client.transcript("rtc_1")["turns"][1]["text"] == "I want a refund."
        assert [hit["call_id"] for hit in client.search("refund")] == ["rtc_1"]
        for done in (
            client.hang_up("rtc_live", goodbye=True),
            client.transfer("rtc_live", "office"),
            client.say("rtc_live", "One moment."),
            client.message("rtc_live", "It is shipped."),
            client.switch_agent("rtc_live", "night"),
            client.hold("rtc_live"),
            client.resume("rtc_live"),
        ):
            assert done == {"status": "done", "call_id": "rtc_live"}
        assert [one["number"] for one in client.numbers()] == [ACME_NUMBER, "+17134810133"]
        paused = client.pause_number(ACME_NUMBER, code=480, for_="30m")
        assert paused["order"] is not None
        diverted = client.divert_number(ACME_NUMBER, "office", live=True)
        assert diverted["order"] is not None
        assert diverted["order"]["to"] == "office"
        assert client.resume_number(ACME_NUMBER)["order"] is None
        assert client.number(ACME_NUMBER)["tenant"] == "acme"
        assert client.unrouted() == []
        assert [one["name"] for one in client.agents()] == ["night", "store"]
        assert client.agent("store")["voice"] == "marin"
        assert client.explain(ACME_NUMBER, at="2026-12-25T10:00")["agent"] == "store"
        assert client.config()["usable"]
        (day,) = client.usage(from_="2026-09-22", to="2026-09-22")
        assert day["calls"] == 2
        assert client.latency(from_="2026-09-22", to="2026-09-22")["answered"]["calls"] == 2
        assert next(client.audit())["by"] == "acme admin"
    with Client(api.url, api.token) as operator:
        assert not operator.config_diff()["applied"]
        assert operator.reload_config()["applied"]
        with pytest.raises(ForbiddenError) as forbidden:
            operator.transcript("rtc_1")
        assert forbidden.value.code == "reason-needed"
        assert operator.transcript("rtc_1", reason="ticket 7")["turns"]


async def test_the_same_with_asyncio(api: Served) -> None:
    async with AsyncClient(api.url, api.acme) as client:
        assert (await client.me())["tenant"] == "acme"
        found = [call["call_id"] async for call in client.calls(limit=1)]
        assert found == ["rtc_live", "rtc_1"]
        with pytest.raises(NotFoundError):
            await client.call("rtc_2")


def test_errors_are_what_the_problem_details_say(api: Served) -> None:
    with Client(api.url, api.acme) as client:
        with pytest.raises(ConflictError) as over:
            client.hang_up("rtc_1")
        assert (over.value.code, str(over.value)) == (
            "call-over",
            "409 call-over: The call is over.",
        )
        with pytest.raises(InvalidError) as invalid:
            client.say("rtc_live", "")
        assert [one.pointer for one in invalid.value.mistakes] == ["#/text"]
        with pytest.raises(NotFoundError):
            client.number("+17134810122")
    with Client(api.url, "sipa_nothing") as nobody, pytest.raises(UnauthorizedError):
        nobody.me()


@pytest.mark.parametrize("body", [None, "<html>", ["x"], {"errors": ["x"], "code": None}])
def test_an_answer_of_somebody_else_is_an_error_too(body: Any) -> None:
    error = error_of(502, body)
    assert isinstance(error, UnavailableError)
    assert str(error)


@pytest.mark.parametrize(
    ("ask", "status", "code", "wanted", "attempt", "pause"),
    [
        (get("me"), 503, "records-away", None, 1, 0.4),
        (get("me"), 503, "records-away", 2.0, 1, 2.0),
        (get("me"), 429, "too-many-attempts", 60.0, 1, None),
        (get("me"), 404, "not-found", None, 1, None),
        (get("me"), 503, "records-away", None, 3, None),
        (post("calls", "a", "hold"), 504, "no-answer", None, 2, 0.8),
        (post("calls", "a", "hold"), 409, "in-progress", 1.0, 1, 1.0),
        (post("calls", "a", "hold"), 409, "not-possible", None, 1, None),
        (Ask("POST", "/x"), 503, "engine-away", None, 1, None),
    ],
)
def test_what_may_be_repeated_is(
    ask: Ask, status: int, code: str, wanted: float | None, attempt: int, pause: float | None
) -> None:
    error = error_of(status, {"code": code}, wanted)
    assert pause_after(ask, error, attempt) == pause


def test_a_path_holds_whatever_a_name_does() -> None:
    assert get("calls", "a/b?c", "why").path == "/api/v1/calls/a%2Fb%3Fc/why"
    assert post("numbers", "+1713", "pause", for_="30m").body == {"for": "30m"}


class Scripted(httpx.AsyncBaseTransport):
    """Answers as it is told, one answer after the other."""

    def __init__(self, *answers: Callable[[httpx.Request], httpx.Response]) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.answers.pop(0)(request)


def full(_: httpx.Request) -> httpx.Response:
    refusal = {"code": "too-many-viewers", "detail": "1000 streams are open."}
    return httpx.Response(503, json=refusal, headers={"Retry-After": "10"})


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("lost", request=request)


def away(_: httpx.Request) -> httpx.Response:
    return httpx.Response(503, json={"code": "records-away", "detail": "Away."})


def done(_: httpx.Request) -> httpx.Response:
    return httpx.Response(202, json={"status": "done", "call_id": "rtc_1"})


@pytest.mark.virtual_time
async def test_a_deed_is_tried_again_under_the_same_key() -> None:
    script = Scripted(lost, away, done)
    async with AsyncClient("http://service", "t", transport=script) as client:
        assert (await client.hang_up("rtc_1"))["status"] == "done"
    keys = {request.headers["Idempotency-Key"] for request in script.asked}
    assert (len(script.asked), len(keys)) == (3, 1)


@pytest.mark.virtual_time
async def test_whoever_is_not_reached_is_told_what_may_have_happened() -> None:
    script = Scripted(lost, lost, lost)
    async with AsyncClient("http://service", "secret-token", transport=script) as client:
        with pytest.raises(UnreachableError) as unreachable:
            await client.say("rtc_1", "secret words")
    assert unreachable.value.sent
    assert "secret" not in str(unreachable.value)


def streamed(*pieces: str, end: bool = True) -> Callable[[httpx.Request], httpx.Response]:
    """A stream of these pieces, which is then lost."""

    async def content(request: httpx.Request) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece.encode()
        if not end:
            raise httpx.ReadError("lost", request=request)

    return lambda request: httpx.Response(200, content=content(request))


def told(kind: str, id_: str = "") -> str:
    event = {"id": id_, "at": "", "kind": kind, "call_id": "rtc_1", "tenant": "acme"}
    data = json.dumps({**event, "agent": None, "data": {}})
    return f"event: {kind}\ndata: {data}\n{f'id: {id_}' + chr(10) if id_ else ''}\n"


@pytest.mark.virtual_time
async def test_events_go_on_where_they_were_when_the_connection_is_lost() -> None:
    script = Scripted(
        streamed("retry: 500\n\n", told("answered", "a@1"), told("words"), "event: tu", end=False),
        lost,
        away,
        streamed(":\n\n", told("turn", "t@1"), told("ended", "e@1")),
    )
    async with AsyncClient("http://service", "t", transport=script) as client:
        kinds = [event["kind"] async for event in client.call_events("rtc_1")]
    assert kinds == ["answered", "words", "turn", "ended"]
    seen = [request.headers.get("Last-Event-ID") for request in script.asked]
    assert seen == [None, "a@1", "a@1", "a@1"]


@pytest.mark.virtual_time
async def test_a_watch_waits_for_its_place_when_the_service_is_full() -> None:
    script = Scripted(
        streamed("retry: 500\n\n", told("answered", "a@1")), *[full] * 4, streamed(told("ended"))
    )
    began = asyncio.get_running_loop().time()
    async with AsyncClient("http://service", "t", transport=script) as client:
        kinds = [event["kind"] async for event in client.call_events("rtc_1")]
    assert kinds == ["answered", "ended"]
    assert asyncio.get_running_loop().time() - began == pytest.approx(0.5 + 4 * 10)


@pytest.mark.virtual_time
async def test_who_was_never_heard_is_told_that_the_service_is_full() -> None:
    async with AsyncClient("http://service", "t", transport=Scripted(full)) as client:
        with pytest.raises(UnavailableError):
            await anext(client.events())


@pytest.mark.virtual_time
async def test_no_wait_of_a_watch_is_longer_than_a_minute() -> None:
    def for_hours(_: httpx.Request) -> httpx.Response:
        return httpx.Response(429, json={}, headers={"Retry-After": "9" * 400})

    script = Scripted(streamed("retry: 999999999\n\n"), for_hours, streamed(told("ended")))
    began = asyncio.get_running_loop().time()
    async with AsyncClient("http://service", "t", transport=script) as client:
        assert [event async for event in client.call_events("rtc_1")]
    assert asyncio.get_running_loop().time() - began == pytest.approx(120)


def page(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, html="<html>Sign in</html>")


async def test_an_answer_that_is_not_the_apis_is_a_clients_error() -> None:
    others = [page, lambda _: httpx.Response(200, json=[]), lambda _: httpx.Response(204)]
    async with AsyncClient("http://service", "t", transport=Scripted(*others)) as client:
        for _ in others:
            with pytest.raises(UnreadableError, match="came from service"):
                await client.hang_up("rtc_secret")
    script = Scripted(lambda _: httpx.Response(200, json={}), *[page] * 2, streamed("data: x\n\n"))
    async with AsyncClient("http://service", "t", transport=script) as client:
        with pytest.raises(UnreadableError):
            await anext(client.calls())
        with pytest.raises(UnreadableError, match="200 with text/html"):
            await client.unrouted()
        for _ in range(2):
            with pytest.raises(UnreadableError):
                await anext(client.events())


async def test_a_body_that_cannot_be_unpacked_is_a_clients_error() -> None:
    def packed(_: httpx.Request) -> httpx.Response:
        async def content() -> AsyncIterator[bytes]:
            yield b"no gzip"

        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=content())

    async with AsyncClient("http://service", "t", transport=Scripted(packed, packed)) as client:
        with pytest.raises(UnreadableError):
            await client.me()
        with pytest.raises(UnreadableError):
            await anext(client.events())


async def test_what_cannot_be_sent_is_said_before_anything_is() -> None:
    script = Scripted()
    async with AsyncClient("http://service", "t", transport=script) as client:
        with pytest.raises(UnsendableError, match=r"^text: '\\ud800' is half a character"):
            await client.say("rtc_1", "secret \ud800")
        with pytest.raises(UnsendableError):
            await client.call("\ud800")
        with pytest.raises(UnsendableError):
            await client.explain("+1713", headers={"x": "\ud800"})
        with pytest.raises(UnsendableError, match="too long"):
            await client.search("x" * 100_000)
        with pytest.raises(UnsendableError):
            await anext(client.events(after="\u00e4"))
    assert script.asked == []


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_a_name_that_is_a_step_elsewhere_is_refused(name: str) -> None:
    script = Scripted()
    async with AsyncClient("http://service", "t", transport=script) as client:
        for asked in (client.call(name), client.resume_number(name), client.agent(name)):
            with pytest.raises(UnsendableError, match="the name"):
                await asked
        with pytest.raises(UnsendableError):
            client.call_events(name)
    assert script.asked == []


@pytest.mark.parametrize(
    "url",
    [
        "",
        "sip.example",
        "ftp://x",
        "http://",
        "http://[::1",
        "http://x:99999",
        "http://x/?a=b",
        "http://" + "a" * 64,
        "http://a..b",
        "http://\ud800",
        "http://x\n",
    ],
)
def test_a_url_that_cannot_be_one_is_refused(url: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(UnsendableError, match="URL: it cannot be used"):
            kind(url, "t")


@pytest.mark.parametrize("token", ["", "t\u00e4st", "two words", "line\n", "\udce4"])
def test_a_token_that_no_header_holds_is_refused(token: str) -> None:
    for kind in (Client, AsyncClient):
        with pytest.raises(UnsendableError) as refused:
            kind("http://service", token)
        assert not token or token not in str(refused.value)


@pytest.mark.virtual_time
async def test_a_call_whose_end_was_seen_has_no_more_events() -> None:
    script = Scripted(lambda _: httpx.Response(204))
    async with AsyncClient("http://service", "t", transport=script) as client:
        assert [event async for event in client.call_events("rtc_1", after="ended@rtc_1")] == []
    assert script.asked[0].headers["Last-Event-ID"] == "ended@rtc_1"


@pytest.mark.virtual_time
async def test_a_stream_that_is_refused_raises() -> None:
    refusal = {"code": "not-found", "detail": "There is no such call."}
    script = Scripted(lambda _: httpx.Response(404, json=refusal), lost, lost, lost)
    async with AsyncClient("http://service", "t", transport=script) as client:
        with pytest.raises(NotFoundError):
            await anext(client.call_events("rtc_9"))
        with pytest.raises(UnreachableError):
            await anext(client.events())


def test_lines_become_events() -> None:
    reader, found = Reader("x@0"), []
    text = ":\n\nretry: 100\nid: a\n\n" + told("turn", "t@1") + "data: {"
    for line in text.split("\n"):
        found += reader.line(line)
    assert [event["kind"] for event in found] == ["turn"]
    assert (reader.last, reader.retry, reader.ended) == ("t@1", 0.1, False)
    reader.begin()
    assert [*reader.line("")] == []


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_lines_end_where_the_format_says_wherever_pieces_do(end: str, size: int) -> None:
    said = "a\u2028b\u2029c\x85d\x0b\x0c\x1ce \u00fc \U0001f4de"
    data = json.dumps({"kind": "turn", "data": {"text": said}}, ensure_ascii=False)
    stream = f":\n\ndata: {data}\nid: t@1\n\ndata: {data}\n\n".replace("\n", end).encode()
    reader, found = Reader(), []
    for at in range(0, len(stream), size):
        found += reader.feed(stream[at : at + size])
    assert [event["data"]["text"] for event in found] == [said, said]
    assert reader.last == "t@1"


def test_a_line_without_an_end_is_refused() -> None:
    reader = Reader()
    for _ in range(LONGEST_LINE // 1024):
        assert [*reader.feed(b"x" * 1024)] == []
    with pytest.raises(ValueError, match="too long"):
        [*reader.feed(b"x")]


@pytest.mark.virtual_time
async def test_words_with_ends_of_unicodes_reach_who_watches() -> None:
    said = told("ended").replace('"data": {}', '"data": {"detail": "a\u2028b\x85c"}')
    script = Scripted(streamed(said))
    async with AsyncClient("http://service", "t", transport=script) as client:
        (event,) = [event async for event in client.call_events("rtc_1")]
    assert event["data"] == {"detail": "a\u2028b\x85c"}


def test_digits_of_other_scripts_are_no_seconds() -> None:
    reader = Reader()
    assert [*reader.line("retry: \u00b2")] == []
    assert reader.retry == 2.0
    assert refused(503, None, {"Retry-After": "\u00b2"}).retry_after is None


def test_the_client_needs_nothing_of_the_service() -> None:
    folder = Path(AIO).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                own = node.module == "sipagent" or node.module.startswith("sipagent.client")
                assert own or not node.module.startswith("sipagent"), file


def test_the_loop_is_needed_by_one_client_only() -> None:
    assert not asyncio.iscoroutinefunction(Client.me)
    assert asyncio.iscoroutinefunction(AsyncClient.me)
