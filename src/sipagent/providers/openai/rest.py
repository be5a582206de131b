"""Requests to the provider's REST API, by httpcore's pool.

The pool, not the client above it: cookies, redirects and authentication flows are nothing that a
request with a project's key should take part in, and a client's models cost as much CPU as the
request itself.
"""

import ssl
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpcore

from sipagent import __version__

ATTEMPT_WITHIN: Final = 2.5
"""Seconds for one attempt: an accept normally takes a fraction of one."""

_KEPT_IDLE: Final = 20
"""Few are kept idle: the pool looks at every idle connection before each request."""

_IDLE_FOR: Final = 15.0
_PORTS: Final = {b"http": 80, b"https": 443}
_TIMEOUTS: Final = dict.fromkeys(("connect", "read", "write", "pool"), ATTEMPT_WITHIN)
_AGENT: Final = f"sipagent/{__version__}".encode()

_NOT_SENT: Final = (
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.PoolTimeout,
    httpcore.ProxyError,
)


class RestError(Exception):
    """No answer came. `sent` says whether the request may have reached the provider."""

    def __init__(self, what: str, *, sent: bool) -> None:
        super().__init__(what)
        self.what = what
        self.sent = sent


@dataclass(frozen=True, slots=True)
class RestAnswer:
    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> str | None:
        """The first header of this name (in lower case), None without one."""
        for key, value in self.headers:
            if key.lower() == name:
                return value.decode("latin-1")
        return None


class Body:
    """The bytes of a request. `begun` says that they are on their way, after its headers, and that
    no answer has come."""

    __slots__ = ("begun", "content")

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.begun = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.begun = True
        yield self.content


class Rest:
    """One pool of connections, for all accounts. Used as `async with`: its end closes them.

    No call waits for another one's connection; each request has deadlines of its own.
    """

    def __init__(self, context: ssl.SSLContext | None = None, proxy: str | None = None) -> None:
        """Raises ValueError for a proxy that cannot be used."""
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            proxy=None if proxy is None else _proxy(proxy, context),
            max_connections=None,
            max_keepalive_connections=_KEPT_IDLE,
            keepalive_expiry=_IDLE_FOR,
        )

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
        await self._pool.aclose()

    async def post(
        self, url: str, headers: Sequence[tuple[bytes, bytes]], body: Body
    ) -> RestAnswer:
        """Post JSON and read the whole answer, each step within `ATTEMPT_WITHIN`.

        Raises RestError where no answer came. Cancelling it closes the connection.
        """
        scheme, authority, path, query, _ = urlsplit(url)
        host, port = _host_and_port(authority)
        lines = [
            (b"Host", authority.encode("ascii")),
            (b"User-Agent", _AGENT),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(body.content)).encode()),
            *headers,
        ]
        target = f"{path}?{query}" if query else path
        request = httpcore.Request(
            b"POST",
            httpcore.URL(
                scheme=scheme.encode(), host=host, port=port, target=target.encode("ascii")
            ),
            headers=lines,
            content=body,
            extensions={"timeout": _TIMEOUTS},
        )
        try:
            response = await self._pool.handle_async_request(request)
            try:
                content = await response.aread()
            finally:
                await response.aclose()
        except _NOT_SENT as error:
            raise RestError(type(error).__name__, sent=False) from error
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise RestError(type(error).__name__, sent=True) from error
        body.begun = False
        return RestAnswer(response.status, response.headers, content)


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


def _proxy(url: str, context: ssl.SSLContext | None) -> httpcore.Proxy:
    parts = _parts(url)
    credentials = (parts.username or "", parts.password or "") if parts.username else None
    return httpcore.Proxy(
        f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme.encode()]}",
        auth=credentials,
        ssl_context=context if parts.scheme == "https" else None,
    )


def _parts(proxy: str) -> SplitResult:
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("only http:// and https:// proxies are supported")
    return parts


def _host_and_port(authority: str) -> tuple[bytes, int | None]:
    host, _, port = authority.rpartition(":")
    if host and port.isdecimal():
        return host.strip("[]").encode("ascii"), int(port)
    return authority.strip("[]").encode("ascii"), None
