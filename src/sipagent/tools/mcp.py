"""MCP servers that run beside us, as the operator has them: each one is a process, started by its
command, spoken to over its standard input and output, and shared by all calls.

A server that ends is started again, later each time it does not last. The `mcp` library is an
extra, and is imported when the first server is started: that takes half a second.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import structlog

from sipagent import __version__
from sipagent.concurrency import TaskOwner
from sipagent.model import McpCall, ToolResult, ToolStatus
from sipagent.sessions.ports import ToolRequest
from sipagent.tools.local import LocalServer
from sipagent.tools.output import UnfitError, cleaned, error_of, output_of, text_of
from sipagent.tools.words import in_doubt_if_once, timed_out

if TYPE_CHECKING:
    from mcp import Client
    from mcp.client._transport import TransportStreams
    from mcp_types import CallToolResult

log = structlog.get_logger(__name__)

STARTED_WITHIN: Final = 20.0
"""Seconds for a server to start."""

STOPPED_WITHIN: Final = 10.0

SHORTEST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds until a server that has ended is started again, twice as many each time."""

LASTED: Final = 60.0
"""A server that was up for so many seconds has lasted: the next pause is a short one."""


class UnavailableError(Exception):
    """A server is not there. `reason` says why, for the operator."""

    def __init__(self, server: str, reason: str) -> None:
        super().__init__(server, reason)
        self.server = server
        self.reason = reason

    def __str__(self) -> str:
        return f"the MCP server {self.server!r} {self.reason}"


class LocalServers:
    """All local servers. Used as `async with`: its end stops them."""

    def __init__(self, shortest_pause: float = SHORTEST_PAUSE) -> None:
        self._pause = shortest_pause
        self._owner = TaskOwner(_crashed, apart=True)
        self._held: dict[str, _Held] = {}

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
        """Stop all servers."""
        self._held = {}
        await self._owner.cancel(STOPPED_WITHIN)

    def hold(self, servers: Mapping[str, LocalServer]) -> None:
        """Have just these servers: start those that are new, stop those that are gone, and both
        for one that is started in another way now. Needs a running event loop."""
        for name, held in list(self._held.items()):
            if servers.get(name) != held.server:
                held.task.cancel()
                del self._held[name]
        for name, server in servers.items():
            if name not in self._held:
                link = _Link(name, server, self._pause)
                task = self._owner.start(link.keep(), name=f"mcp:{name}")
                self._held[name] = _Held(server, link, task)

    async def run(self, request: ToolRequest, does: McpCall) -> ToolResult:
        """What the tool has given, within its time. Raises nothing but for being cancelled."""
        asked = False
        try:
            async with asyncio.timeout(request.tool.timeout):
                client = await self._client(does.server)
                asked = True
                given = await client.call_tool(does.tool, dict(request.arguments))
        except TimeoutError:
            if asked:
                return timed_out(request.tool)
            return _failure("the tool cannot be reached at the moment", "no server in time")
        except UnavailableError as error:
            log.warning("mcp server not available", server=error.server, reason=error.reason)
            return _failure("the tool cannot be reached at the moment", "no server")
        except Exception as error:  # noqa: BLE001  # what the library raises for what servers do
            log.warning("mcp tool failed", tool=request.tool.name, error=_kind(error))
            return _failure(in_doubt_if_once(request.tool, "the tool failed"), _kind(error))
        return _result(given)

    async def _client(self, server: str) -> "Client":
        held = self._held.get(server)
        if held is None:
            raise UnavailableError(server, "is not configured")
        return await held.link.client()


@dataclass(frozen=True, slots=True)
class _Held:
    server: LocalServer
    link: "_Link"
    task: asyncio.Task[Any]


class _Link:
    """The connection to one server, which is made anew whenever it ends."""

    def __init__(self, name: str, server: LocalServer, shortest_pause: float) -> None:
        self._pause = shortest_pause
        self._name = name
        self._server = server
        self._client: Client | None = None
        self._settled = asyncio.Event()  # it is up, or it is known not to be

    async def client(self) -> "Client":
        """The connection, once a server that is being started is up. Raises UnavailableError."""
        await self._settled.wait()
        if self._client is None:
            raise UnavailableError(self._name, "is down, and will be started again")
        return self._client

    async def keep(self) -> None:
        """Have the server up until this is cancelled."""
        loop, pause = asyncio.get_running_loop(), self._pause
        while True:
            began = loop.time()
            try:
                await self._hold()
                reason = "ended"
            except Exception as error:  # noqa: BLE001  # whatever a server does, it is started again
                reason = _kind(error)
            finally:
                self._client = None
                self._settled.set()
            pause = self._pause if loop.time() - began >= LASTED else pause
            log.warning("mcp server down", server=self._name, reason=reason, again_in=pause)
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
            self._settled.clear()

    async def _hold(self) -> None:
        """Start the server, and wait for its end."""
        ended = asyncio.Event()
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(STARTED_WITHIN):
                client = await stack.enter_async_context(_connected(self._server, ended))
            self._client = client
            self._settled.set()
            log.info("mcp server up", server=self._name)
            try:
                await ended.wait()
            finally:
                self._client = None


def _connected(server: LocalServer, ended: asyncio.Event) -> "Client":
    """A client of a process that is started when it is entered. Raises ImportError."""
    from mcp import Client, StdioServerParameters
    from mcp_types import Implementation

    # It quotes what servers say that it cannot read. What matters of it is told here.
    logging.getLogger("mcp").setLevel(logging.CRITICAL)
    started = StdioServerParameters(
        command=server.command[0],
        args=list(server.command[1:]),
        env=dict(server.environment),
        cwd=server.folder,
        encoding_error_handler="replace",
    )
    return Client(
        _process(started, ended),
        client_info=Implementation(name="sipagent", version=__version__),
        cache=None,
    )


@asynccontextmanager
async def _process(started: Any, ended: asyncio.Event) -> "AsyncIterator[TransportStreams]":
    """The library's transport. Its reader tells when the server has ended, which the library keeps
    to itself. What a server writes to its standard error may be a caller's words: it is dropped."""
    from mcp import stdio_client

    with Path(os.devnull).open("w") as nowhere:  # noqa: ASYNC230  # it never blocks
        async with stdio_client(started, errlog=nowhere) as (reader, writer):
            yield _Watched(reader, ended), writer


class _Watched:
    """A stream of messages whose end is told."""

    def __init__(self, reader: Any, ended: asyncio.Event) -> None:
        self._reader = reader
        self._ended = ended

    async def receive(self) -> Any:
        try:
            return await self._reader.receive()
        except BaseException:
            self._ended.set()
            raise

    async def aclose(self) -> None:
        self._ended.set()
        await self._reader.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self._reader.__anext__()
        except BaseException:
            self._ended.set()
            raise

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


def _result(given: "CallToolResult") -> ToolResult:
    """What a server's answer means to the model: its structured content, or else its texts."""
    texts = [part.text for part in given.content if part.type == "text"]
    text = " ".join(texts)
    if given.is_error:
        return _failure(cleaned(text, 2_000) or "the tool failed", "its own error")
    try:
        if given.structured_content is not None:
            return ToolResult(ToolStatus.DONE, output_of(given.structured_content))
        others = sorted({part.type for part in given.content} - {"text"})
        if others:
            return ToolResult(ToolStatus.DONE, output_of({"text": text, "not_shown": others}))
    except UnfitError:
        return _failure("it was done, but its answer cannot be read", "no JSON")
    return ToolResult(ToolStatus.DONE, text_of(text) if text else output_of({"status": "done"}))


def _failure(words: str, detail: str) -> ToolResult:
    return ToolResult(ToolStatus.FAILED, error_of(words), detail)


def _kind(error: BaseException) -> str:
    """An error's kind. Its text may have what was asked in it. Of a group it is the first one's."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, ImportError):
        return "the extra is not installed: pip install 'sipagent[mcp]'"
    return type(error).__name__


def _crashed(name: str, error: BaseException) -> None:
    log.error("mcp server given up", task=name, error=_kind(error))
