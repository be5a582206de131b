"""Requests to the provider's REST API: over connections of our own, or by aiohttp through a proxy.

Cookies and redirects are nothing that a request with a project's key should take part in.
"""

import asyncio
import ssl
from types import TracebackType
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesPayload
from yarl import URL

from sipagent import __version__
from sipagent.providers.openai.exchange import (
    IDLE_FOR,
    LARGEST_ANSWER,
    BrokenError,
    Connection,
    Exchange,
    Fields,
    RestAnswer,
)

ATTEMPT_WITHIN: Final = 2.5
"""Seconds for one attempt: an accept normally takes a fraction of one."""

_PORTS: Final = {"http": 80, "https": 443}
_TIMEOUTS: Final = aiohttp.ClientTimeout(
    total=None, connect=ATTEMPT_WITHIN, sock_connect=ATTEMPT_WITHIN, sock_read=ATTEMPT_WITHIN
)
_AGENT: Final = f"sipagent/{__version__}"


__all__ = ["ATTEMPT_WITHIN", "Body", "Rest", "RestAnswer", "RestError", "environment_proxy"]


class RestError(Exception):
    """No answer came. `sent` says whether the request may have reached the provider."""

    def __init__(self, what: str, *, sent: bool) -> None:
        super().__init__(what)
        self.what = what
        self.sent = sent


class Body:
    """The bytes of a request, and their media type. `begun` says that they are on their way, after
    its headers, and that no answer has come."""

    __slots__ = ("begun", "content", "kind")

    def __init__(self, content: bytes, kind: str = "application/json") -> None:
        self.content = content
        self.kind = kind
        self.begun = False


class _Noted(BytesPayload):
    """A body that notes when it is sent."""

    def __init__(self, body: Body) -> None:
        super().__init__(body.content, content_type=body.kind)
        self._body = body

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        self._body.begun = True
        await super().write_with_length(writer, content_length)


class Rest:
    """One pool of connections, for all accounts. Used as `async with`: its end closes them.

    No call waits for another one's connection; each request has deadlines of its own.
    """

    def __init__(self, context: ssl.SSLContext | None = None, proxy: str | None = None) -> None:
        """Raises ValueError for a proxy that cannot be used."""
        self._context = context
        self._proxy: str | None = None
        self._credentials: aiohttp.BasicAuth | None = None
        if proxy is not None:
            self._proxy, self._credentials = _proxy(proxy)
        self._session: aiohttp.ClientSession | None = None
        self._exchange = Exchange(context, _AGENT)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        self._exchange.close()
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def post(
        self,
        url: str,
        headers: Fields,
        body: Body,
        *,
        within: float | None = None,
    ) -> RestAnswer:
        """Post it and read the answer, each step within `ATTEMPT_WITHIN`, or all `within` so many
        seconds.

        Raises RestError where no answer came. Cancelling it closes the connection.
        """
        if self._proxy is not None:
            return await self._post_by_proxy(url, headers, body, within)
        exchange = self._exchange
        target, path = exchange.target(url)
        loop = asyncio.get_running_loop()
        until = None if within is None else loop.time() + within
        connection: Connection | None = None
        timer: asyncio.TimerHandle | None = None
        try:
            connection = exchange.kept(target)
            if connection is None:
                async with asyncio.timeout(_least(ATTEMPT_WITHIN, within)):
                    connection = await exchange.opened(target)
            body.begun = True
            request = exchange.request(target, path, headers, body.content, body.kind)
            answering = connection.ask(request)
            left = ATTEMPT_WITHIN if until is None else until - loop.time()
            timer = loop.call_later(max(0.0, left), connection.give_up)
            answer = await answering
            body.begun = False
        except (BrokenError, TimeoutError, OSError, ssl.SSLError) as error:
            what = str(error) if isinstance(error, BrokenError) else type(error).__name__
            raise RestError(what, sent=body.begun) from error
        finally:
            if timer is not None:
                timer.cancel()
            if connection is not None:
                exchange.give_back(target, connection)
        return answer

    async def _post_by_proxy(
        self, url: str, headers: Fields, body: Body, within: float | None
    ) -> RestAnswer:
        try:
            async with self._opened().post(
                URL(url, encoded=True),
                data=_Noted(body),
                headers=[
                    (name.decode("latin-1"), value.decode("latin-1")) for name, value in headers
                ],
                allow_redirects=False,
                proxy=self._proxy,
                proxy_auth=self._credentials,
                timeout=_TIMEOUTS if within is None else _whole(within),
            ) as response:
                content = await _read(response.content)
                body.begun = False
                return RestAnswer(response.status, response.raw_headers, content)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise RestError(type(error).__name__, sent=body.begun) from error

    def _opened(self) -> aiohttp.ClientSession:
        """The pool, which is made when the first request needs it: it belongs to an event loop."""
        if self._session is None:
            connector = aiohttp.TCPConnector(
                ssl=self._context or True, limit=0, keepalive_timeout=IDLE_FOR
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=_TIMEOUTS,
                headers={"User-Agent": _AGENT},
                skip_auto_headers=("Accept-Encoding",),
            )
        return self._session


def _least(seconds: float, within: float | None) -> float:
    return seconds if within is None else min(seconds, within)


def _whole(within: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(
        total=within, connect=ATTEMPT_WITHIN, sock_connect=ATTEMPT_WITHIN, sock_read=None
    )


async def _read(stream: aiohttp.StreamReader) -> bytes:
    """The answer to its end, or as much of it as is of use."""
    content = b""
    while left := LARGEST_ANSWER - len(content):
        chunk = await stream.read(left)
        if not chunk:
            break
        content += chunk
    return content


def environment_proxy(base_url: str) -> str | None:
    """The proxy that HTTPS_PROXY and its kin ask for on the way to this URL.

    Raises ValueError for one that cannot be used.
    """
    url = urlsplit(base_url)
    if proxy_bypass(url.hostname or ""):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy is not None:
        _parts(proxy)
    return proxy


def _proxy(url: str) -> tuple[str, aiohttp.BasicAuth | None]:
    parts = _parts(url)
    credentials = (
        aiohttp.BasicAuth(parts.username, parts.password or "") if parts.username else None
    )
    port = parts.port or _PORTS[parts.scheme]
    return f"{parts.scheme}://{parts.hostname}:{port}", credentials


def _parts(proxy: str) -> SplitResult:
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("only http:// and https:// proxies are supported")
    return parts
