"""The control API without asyncio. Made from aio.py by tests/client/making.py."""

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from types import TracebackType
from typing import Any, Final, Self, cast

import httpx

from sipagent.client import nouns
from sipagent.client.asking import (
    ATTEMPTS,
    LONGEST_WAIT,
    Ask,
    base_of,
    bearer_of,
    get,
    pause_after,
    pause_of_stream,
    post,
    refused,
    unsendable,
)
from sipagent.client.errors import ApiError, UnreachableError, UnreadableError
from sipagent.client.sse import Reader

WITHIN: Final = 30.0
"""Seconds for one answer."""

SILENT_FOR: Final = 45.0
"""Seconds without a word after which a stream is asked for again: heartbeats come every 15."""


class Client:
    """Asks the service at `base_url` with this token. Used as `with`.

    Raises `SipagentClientError`s. `transport` replaces the way to the service, for tests.
    """

    def __init__(
        self, base_url: str, token: str, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._http = httpx.Client(
            base_url=base_of(base_url),
            headers={"Authorization": bearer_of(token)},
            timeout=WITHIN,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def me(self) -> nouns.Me:
        return cast("nouns.Me", self._ask(get("me")))

    def calls(self, **wanted: Any) -> Iterator[nouns.Call]:
        """The calls that the filters leave, the newest first, page by page: `tenant`, `agent`,
        `outcome`, `since`, `until`, `dialed`, `caller`, `trunk`, `account`, `live`, `numbers`;
        `limit` is the size of a page."""
        return cast("Iterator[nouns.Call]", self._pages(get("calls", **wanted), "calls"))

    def call(self, call: str, *, numbers: str | None = None) -> nouns.CallStory:
        return cast("nouns.CallStory", self._ask(get("calls", call, numbers=numbers)))

    def why(self, call: str) -> nouns.Why:
        return cast("nouns.Why", self._ask(get("calls", call, "why")))

    def transcript(
        self, call: str, *, reason: str | None = None, numbers: str | None = None
    ) -> nouns.Transcript:
        """The words of a call; an operator gives a `reason`, which the tenant can see."""
        asked = get("calls", call, "transcript", reason=reason, numbers=numbers)
        return cast("nouns.Transcript", self._ask(asked))

    def search(self, text: str, **wanted: Any) -> list[nouns.Hit]:
        """What was said: `since`, `until`, `limit`; for operators `tenant` and `reason`."""
        told = self._ask(get("calls", "search", text=text, **wanted), "hits")
        return cast("list[nouns.Hit]", told["hits"])

    def hang_up(self, call: str, *, goodbye: bool = False) -> nouns.Done:
        return self._do(post("calls", call, "hang-up", goodbye=goodbye))

    def transfer(self, call: str, destination: str) -> nouns.Done:
        return self._do(post("calls", call, "transfer", destination=destination))

    def say(self, call: str, text: str) -> nouns.Done:
        """The agent says this to the caller."""
        return self._do(post("calls", call, "say", text=text))

    def message(self, call: str, text: str) -> nouns.Done:
        """The model is told this, and the caller does not hear it."""
        return self._do(post("calls", call, "message", text=text))

    def switch_agent(self, call: str, agent: str) -> nouns.Done:
        return self._do(post("calls", call, "switch-agent", agent=agent))

    def hold(self, call: str) -> nouns.Done:
        """The agent says nothing until it is resumed."""
        return self._do(post("calls", call, "hold"))

    def resume(self, call: str) -> nouns.Done:
        return self._do(post("calls", call, "resume"))

    def numbers(self, *, tenant: str | None = None) -> Iterator[nouns.NumberTold]:
        pages = self._pages(get("numbers", tenant=tenant), "numbers")
        return cast("Iterator[nouns.NumberTold]", pages)

    def number(self, number: str) -> nouns.NumberTold:
        return cast("nouns.NumberTold", self._ask(get("numbers", number)))

    def pause_number(
        self, number: str, *, code: int | None = None, for_: str | None = None
    ) -> nouns.NumberTold:
        asked = post("numbers", number, "pause", code=code, for_=for_)
        return cast("nouns.NumberTold", self._ask(asked))

    def divert_number(
        self,
        number: str,
        to: str | None = None,
        *,
        live: bool = False,
        for_: str | None = None,
    ) -> nouns.NumberTold:
        asked = post("numbers", number, "divert", to=to, live=live, for_=for_)
        return cast("nouns.NumberTold", self._ask(asked))

    def resume_number(self, number: str) -> nouns.NumberTold:
        return cast("nouns.NumberTold", self._ask(post("numbers", number, "resume")))

    def unrouted(self, **wanted: Any) -> list[nouns.UnroutedNumber]:
        """Numbers that lead nowhere: `since`, `until`, `limit`, `numbers`."""
        told = self._ask(get("unrouted", **wanted), "unrouted")
        return cast("list[nouns.UnroutedNumber]", told["unrouted"])

    def agents(self, *, tenant: str | None = None) -> Iterator[nouns.Agent]:
        pages = self._pages(get("agents", tenant=tenant), "agents")
        return cast("Iterator[nouns.Agent]", pages)

    def agent(self, name: str, *, tenant: str | None = None) -> nouns.AgentTold:
        return cast("nouns.AgentTold", self._ask(get("agents", name, tenant=tenant)))

    def explain(self, dialed: str, **wanted: Any) -> nouns.Explained:
        """Who would answer, and why: `caller`, `at`, `headers`, `trunk`, `account`."""
        asked = post("explain", dialed=dialed, **wanted)
        return cast("nouns.Explained", self._ask(asked))

    def config(self) -> nouns.Config:
        return cast("nouns.Config", self._ask(get("config")))

    def config_diff(self) -> nouns.Reloaded:
        return cast("nouns.Reloaded", self._ask(get("config", "diff")))

    def reload_config(self) -> nouns.Reloaded:
        return cast("nouns.Reloaded", self._ask(post("config", "reload")))

    def usage(self, **wanted: Any) -> list[nouns.DayTold]:
        """Sums by tenant and day: `tenant`, `from_`, `to`."""
        told = self._ask(get("usage", **wanted), "days")
        return cast("list[nouns.DayTold]", told["days"])

    def latency(self, **wanted: Any) -> nouns.Latency:
        """How long callers wait: `tenant`, `agent`, `from_`, `to`."""
        return cast("nouns.Latency", self._ask(get("usage", "latency", **wanted)))

    def audit(self, **wanted: Any) -> Iterator[nouns.AuditTold]:
        """Who did what, the newest first: `tenant`, `action`, `token`, `since`, `until`."""
        return cast("Iterator[nouns.AuditTold]", self._pages(get("audit", **wanted), "lines"))

    def events(self, *, after: str | None = None, **wanted: Any) -> Iterator[nouns.Event]:
        """Calls as they come and go, for ever: `tenant`, `agent`, `number`. Goes on where it was
        when the connection is lost; `after` is the id of an event that was seen before."""
        return self._watched(get("events", **wanted), Reader(after))

    def call_events(
        self, call: str, *, after: str | None = None, reason: str | None = None
    ) -> Iterator[nouns.Event]:
        """One call as it happens, to its end. As `events`."""
        asked = get("calls", call, "events", reason=reason)
        return self._watched(asked, Reader(after), ends=True)

    def _do(self, ask: Ask) -> nouns.Done:
        return cast("nouns.Done", self._ask(ask))

    def _ask(self, ask: Ask, *keys: str) -> dict[str, Any]:
        """The answer, in which these keys stand."""
        attempt = 0
        while True:
            attempt += 1
            try:
                answer = self._http.send(self._request(ask, ask.headers))
            except httpx.DecodingError as garbled:
                raise _garbled(garbled) from garbled
            except httpx.TransportError as lost:
                error: ApiError | UnreachableError = _unreachable(lost)
                pause = pause_after(ask, None, attempt)
            else:
                if answer.is_success:
                    return _told(answer, keys)
                error = refused(answer.status_code, _json(answer), answer.headers)
                pause = pause_after(ask, error, attempt)
            if pause is None:
                raise error
            time.sleep(pause)

    def _pages(self, ask: Ask, key: str) -> Iterator[Any]:
        page: Ask | None = ask
        while page is not None:
            told = self._ask(page, key, "next")
            for one in told[key]:
                yield one
            page = None if told["next"] is None else ask.after(told["next"])

    def _watched(self, ask: Ask, reader: Reader, *, ends: bool = False) -> Iterator[nouns.Event]:
        failed = 0
        while True:
            pause = 0.0
            try:
                with closing(self._streamed(ask, reader)) as events:
                    for event in events:
                        yield event
                failed = 0
            except httpx.DecodingError as garbled:
                raise _garbled(garbled) from garbled
            except httpx.TransportError as error:
                # A lost connection is the usual end of one: the next goes on behind it.
                failed += 1
                if not reader.begun and failed >= ATTEMPTS:
                    raise _unreachable(error) from error
            except ApiError as error:
                failed += 1
                wanted = pause_of_stream(ask, error, failed, begun=reader.begun)
                if wanted is None:
                    raise
                pause = wanted
            if reader.over or (ends and reader.ended):
                return
            time.sleep(min(max(reader.retry, pause), LONGEST_WAIT))

    def _streamed(self, ask: Ask, reader: Reader) -> Generator[nouns.Event]:
        """The events of one connection."""
        request = self._request(ask, _seen(reader), _STREAMED)
        with closing(self._http.send(request, stream=True)) as answer:
            if answer.status_code == httpx.codes.NO_CONTENT:
                reader.over = True
                return
            if not answer.is_success:
                answer.read()
                raise refused(answer.status_code, _json(answer), answer.headers)
            if not answer.headers.get("Content-Type", _EVENTS).lower().startswith(_EVENTS):
                raise _unreadable(answer)
            reader.begin()
            try:
                for piece in answer.iter_bytes():
                    for event in reader.feed(piece):
                        yield event
            except ValueError as error:
                raise _unreadable(answer) from error

    def _request(
        self, ask: Ask, headers: dict[str, str], timeout: httpx.Timeout | float = WITHIN
    ) -> httpx.Request:
        try:
            return self._http.build_request(
                ask.method,
                ask.path,
                params=ask.query,
                json=ask.body,
                headers=headers,
                timeout=timeout,
            )
        except (ValueError, httpx.InvalidURL) as error:
            raise unsendable(error) from error


_STREAMED: Final = httpx.Timeout(WITHIN, read=SILENT_FOR)
_EVENTS: Final = "text/event-stream"


def _seen(reader: Reader) -> dict[str, str]:
    return {} if reader.last is None else {"Last-Event-ID": reader.last}


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        return None


def _told(answer: httpx.Response, keys: tuple[str, ...]) -> dict[str, Any]:
    told = _json(answer)
    if not isinstance(told, dict) or not all(key in told for key in keys):
        raise _unreadable(answer)
    return told


def _unreadable(answer: httpx.Response) -> UnreadableError:
    kind = answer.headers.get("Content-Type", "").partition(";")[0][:60] or "no content type"
    return UnreadableError(f"{answer.status_code} with {kind}", answer.request.url.host)


def _garbled(error: httpx.DecodingError) -> UnreadableError:
    return UnreadableError("a body that cannot be unpacked", error.request.url.host)


def _unreachable(error: httpx.TransportError) -> UnreachableError:
    """The error, without what was asked."""
    sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    host = error.request.url.netloc.decode("ascii", "replace")
    return UnreachableError(type(error).__name__, sent=sent, host=host)
