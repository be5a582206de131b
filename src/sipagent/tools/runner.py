"""Runs whatever a call asks for beyond itself: the one that `ToolRunner` promises."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.model import (
    CallPlan,
    HttpRequest,
    McpCall,
    Message,
    PythonCall,
    TakeMessage,
    ToolResult,
    ToolStatus,
)
from sipagent.sessions.ports import Clock, ToolRequest
from sipagent.tools.http import HttpTools
from sipagent.tools.mcp import LocalServers
from sipagent.tools.output import cleaned, error_of, output_of
from sipagent.tools.python import PythonTools
from sipagent.tools.words import in_doubt_if_once, timed_out

log = structlog.get_logger(__name__)

LONGEST_FIELD: Final = 2_000
"""Characters of each field of a message."""

_GRACE: Final = 0.25
"""Seconds that a tool gets beyond its time to say itself that it was over, and then to end."""

_ENDED_WITHIN: Final = 1.0

TakesMessage = Callable[[CallPlan, Message], Awaitable[None]]
Observe = Callable[[str, ToolStatus, float], None]
"""Told of each tool that has run: the kind of tool, what it came to, and the seconds it took."""


def _unobserved(kind: str, status: ToolStatus, seconds: float) -> None:
    """Nobody measures."""


@dataclass(frozen=True, slots=True)
class Toolbox:
    """The executors of effects. `messages` keeps a message, and returns when it is safe.

    What others have written is a task of its own: no call waits for a function that does not end
    when it is cancelled.
    """

    http: HttpTools
    python: PythonTools
    mcp: LocalServers
    messages: TakesMessage
    clock: Clock
    observe: Observe = _unobserved
    tasks: TaskOwner = field(default_factory=lambda: TaskOwner(_lost))

    async def close(self) -> None:
        """Cancel what is still running, and wait for it no longer than a moment."""
        await self.tasks.cancel(_ENDED_WITHIN)

    async def run(self, request: ToolRequest) -> ToolResult:
        """What the tool has come to, within its time. Never raises but for being cancelled."""
        began = self.clock.monotonic()
        result = await self._in_time(request)
        took = self.clock.monotonic() - began
        self.observe(request.tool.does.kind, result.status, took)
        return result

    async def _in_time(self, request: ToolRequest) -> ToolResult:
        """The result of a tool. Its own code keeps its time; this is for what does not."""
        if isinstance(request.tool.does, HttpRequest | TakeMessage):
            try:
                async with asyncio.timeout(request.tool.timeout + _GRACE):
                    return await self._contained(request)
            except TimeoutError:
                return timed_out(request.tool)
        name = f"running:{request.tool.name}:{request.plan.call_id}"
        task = self.tasks.start(self._contained(request), name=name)
        try:
            await asyncio.wait({task}, timeout=request.tool.timeout + _GRACE)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task}, timeout=_GRACE)
        if not task.done():
            log.warning("tool does not end", tool=request.tool.name)
        return timed_out(request.tool) if not task.done() or task.cancelled() else task.result()

    async def _contained(self, request: ToolRequest) -> ToolResult:
        """The result of a tool, whatever happens in it."""
        try:
            return await self._done(request)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return _broken(request, error)  # of something within the tool, and not of us
        except (Exception, SystemExit) as error:  # noqa: BLE001  # no tool may break a call
            return _broken(request, error)

    async def _done(self, request: ToolRequest) -> ToolResult:
        match request.tool.does:
            case HttpRequest() as does:
                return await self.http.run(request, does)
            case PythonCall() as does:
                return await self.python.run(request, does)
            case McpCall() as does:
                return await self.mcp.run(request, does)
            case TakeMessage() as does:
                return await self._take(request, does)
            case _:
                words = "this is nothing that a tool does"
                return ToolResult(ToolStatus.FAILED, error_of(words), "an intent")

    async def _take(self, request: ToolRequest, does: TakeMessage) -> ToolResult:
        """Keep a message. The model is told that it was taken only when it cannot be lost."""
        message = Message(request.id, fields_of(does, request.arguments))
        if not any(message.fields.values()):
            return ToolResult(
                ToolStatus.REFUSED, error_of("the message is empty: ask the caller"), "empty"
            )
        try:
            async with asyncio.timeout(request.tool.timeout):
                await self.messages(request.plan, message)
        except TimeoutError:
            return timed_out(request.tool, "message")
        except OSError as error:
            words = "the message could not be kept: tell the caller so"
            return ToolResult(ToolStatus.FAILED, error_of(words), type(error).__name__)
        return ToolResult(ToolStatus.DONE, output_of({"status": "taken"}))


def _lost(name: str, error: BaseException) -> None:
    log.error("tool lost", task=name, error=type(error).__name__)


def _broken(request: ToolRequest, error: BaseException) -> ToolResult:
    log.error("tool broke", tool=request.tool.name, error=type(error).__name__)
    words = in_doubt_if_once(request.tool, "the tool failed")
    return ToolResult(ToolStatus.FAILED, error_of(words), type(error).__name__)


def fields_of(does: TakeMessage, arguments: Mapping[str, object]) -> dict[str, str]:
    """What of the arguments is the message: its fields, each cut to `LONGEST_FIELD`."""
    given = ((name, arguments.get(name)) for name in does.fields)
    return {name: cleaned(str(value), LONGEST_FIELD) for name, value in given if value is not None}
