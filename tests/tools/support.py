"""A server that keeps the very bytes it is sent, names that lead where a test says, and requests
of tools."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from sipagent.concurrency import SystemClock
from sipagent.errors import SecretError
from sipagent.model import (
    Effects,
    HttpRequest,
    Json,
    SecretName,
    TenantName,
    Tool,
    ToolName,
)
from sipagent.model.tool import Effect
from sipagent.sessions.ports import ToolRequest
from sipagent.testing import a_plan
from sipagent.tools.addresses import Allow
from sipagent.tools.egress import Egress
from sipagent.tools.http import HttpTools
from tests.listening import Connections

SECRET = "crm-token-7391-canary"
CALLER = "+17135550177"


@dataclass(frozen=True)
class Seen:
    """One request as it came."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value for key, value in self.headers if key.lower() == name]
        assert len(found) < 2, f"{name} was sent twice"
        return found[0] if found else None


def ok(body: bytes = b'{"status":"shipped"}', kind: str = "application/json") -> bytes:
    return reply(200, body, f"Content-Type: {kind}")


def reply(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Status", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


Reply = Callable[[Seen], Awaitable[bytes | None]]


async def shipped(seen: Seen) -> bytes:
    return ok()


@dataclass
class Wire:
    """An HTTP server on loopback that reads what it is sent without any tidying. A reply of None
    closes the connection instead."""

    reply: Reply = shipped
    host: str = "127.0.0.1"
    ssl: Any = None
    port: int = 0
    connections: int = 0
    seen: list[Seen] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._connections = Connections(self._serve)
        self._server = await asyncio.start_server(
            self._connections.take, self.host, self.port, ssl=self.ssl
        )
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()
        await self._connections.end()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (seen := await _request(reader)) is not None:
                self.seen.append(seen)
                answer = await self.reply(seen)
                if answer is None:
                    break
                writer.write(answer)
                await writer.drain()
        except ConnectionError:
            pass


async def _request(reader: asyncio.StreamReader) -> Seen | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    first, *lines = head[:-4].split("\r\n")
    method, target, version = first.split(" ")
    assert version == "HTTP/1.1"
    headers = tuple(
        (name, value.strip()) for name, _, value in (line.partition(":") for line in lines)
    )
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    assert not any(name.lower() == "transfer-encoding" for name, _ in headers)
    return Seen(method, target, headers, await reader.readexactly(length))


@dataclass
class Canary:
    """A listener that nobody may reach."""

    host: str = "127.0.0.1"
    connections: int = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._touched, self.host, 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.close()

    def _touched(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(ok())
        writer.close()


@dataclass
class Names:
    """A name server: the addresses of each name, one list after the other, the last for good."""

    table: Mapping[str, Sequence[Sequence[str]]]
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        answers = self.table.get(host)
        if answers is None:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return answers[min(self.asked.count(host), len(answers)) - 1]


def secrets(tenant: TenantName, name: SecretName) -> str:
    if name != "crm_token":
        raise SecretError(f"{tenant}/{name}", "is not granted")
    return SECRET


def loopback_egress(**kwargs: Any) -> Egress:
    """A way out to the loopback, under the name api.test too."""
    names = Names({"api.test": [["127.0.0.1"]], "localhost": [["127.0.0.1"]]})
    return Egress(Allow.parse("127.0.0.0/8,api.test,localhost"), lookup=names, **kwargs)


def tools_of(egress: Egress) -> HttpTools:
    return HttpTools(egress, secrets, SystemClock())


def a_request(
    does: Effect,
    arguments: Json | None = None,
    *,
    timeout: float = 5.0,
    effects: Effects = Effects.IDEMPOTENT,
    digits: Mapping[ToolName, str] | None = None,
) -> ToolRequest:
    tool = Tool(
        ToolName("order_status"),
        does,
        "Tell the state of an order.",
        {"type": "object"},
        timeout=timeout,
        effects=effects,
    )
    plan = a_plan()
    return ToolRequest(plan, plan.agent, "call_1", tool, arguments or {}, digits or {})


def an_http(url: str, **kwargs: Any) -> HttpRequest:
    return HttpRequest(kwargs.pop("method", "POST"), url, **kwargs)
