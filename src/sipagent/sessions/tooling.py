"""The tools that one call has running, each a task beside the call."""

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from sipagent.concurrency import TaskOwner
from sipagent.model import CallPlan, Effects, Tool, ToolResult, ToolStatus, ToolUse
from sipagent.sessions.logbook import Logbook
from sipagent.sessions.machine.commands import Note, RecordTool, RunTool
from sipagent.sessions.machine.events import Event, ToolEnded
from sipagent.sessions.machine.outputs import UNKNOWN, error
from sipagent.sessions.ports import ToolRequest, ToolRunner

log = structlog.get_logger(__name__)

LOOKED_AGAIN: Final = 0.05
"""Seconds until it is looked again whether the call is surely ours."""


class Tooling:
    """Runs tools for a call and tells it what they have come to.

    When the call has left, what is still running is what is to finish: its end goes to the records
    alone. A tool that must run at most once is marked first, and does not run if it was marked
    before; for the others it is noted that they have begun, so that whoever takes the call over
    can say that their end is not known.
    """

    __slots__ = (
        "_abandoned",
        "_deliver",
        "_left",
        "_log",
        "_plan",
        "_running",
        "_tasks",
        "_tools",
    )

    def __init__(
        self,
        plan: CallPlan,
        tools: ToolRunner,
        tasks: TaskOwner,
        log: Logbook,
        deliver: Callable[[Event], None],
    ) -> None:
        self._plan = plan
        self._tools = tools
        self._tasks = tasks
        self._log = log
        self._deliver = deliver
        self._running: dict[str, tuple[Tool, asyncio.Task[None]]] = {}
        self._left = False
        self._abandoned = False

    def run(self, command: RunTool, now: Callable[[], float]) -> None:
        """Start the tool. Its end is delivered as `ToolEnded`."""
        request = ToolRequest(
            self._plan, command.agent, command.id, command.tool, command.arguments, command.digits
        )
        work = self._run(request, command.mark, now)
        name = f"tool:{command.tool.name}:{self._plan.call_id}"
        self._running[command.id] = (command.tool, self._tasks.start(work, name=name))

    def cancel(self, tool_id: str) -> None:
        """Give the tool up, if it runs. Nothing is delivered or recorded of it."""
        if (running := self._running.pop(tool_id, None)) is not None:
            running[1].cancel()

    def leave(self) -> None:
        """The call is over here: give up what is not to finish, and deliver nothing any more."""
        self._left = True
        for tool, task in self._running.values():
            if not tool.finish:
                task.cancel()

    def abandon(self) -> None:
        """The call is another replica's: give everything up, and record nothing. Whoever goes on
        tells the model of what was begun that nobody knows what came of it."""
        self._left = self._abandoned = True
        for _, task in self._running.values():
            task.cancel()

    async def _run(self, request: ToolRequest, mark: str, now: Callable[[], float]) -> None:
        began = now()
        result = ToolResult(ToolStatus.CANCELLED, "")
        try:
            result = await self._result(request, mark)
        finally:
            given_up = self._running.pop(request.id, None) is None
            if self._left and not given_up and not self._abandoned:
                use = ToolUse(
                    request.id,
                    request.tool.name,
                    began,
                    now(),
                    result.status,
                    result.detail,
                    agent=request.agent,
                )
                self._log.record(RecordTool(use))
        if not self._left:
            self._deliver(ToolEnded(request.id, result))

    async def _result(self, request: ToolRequest, mark: str) -> ToolResult:
        if request.tool.effects is not Effects.ONCE:
            self._log.record(Note(mark))
        elif not await self._log.mark(mark):
            return ToolResult(ToolStatus.UNKNOWN, error(UNKNOWN, status="unknown"))
        # It may be about to be another replica's, who is not to find it run.
        while not self._log.active:  # noqa: ASYNC110  # leases end by the clock, without a word
            await asyncio.sleep(LOOKED_AGAIN)
        try:
            return await self._tools.run(request)
        except Exception as crash:  # the crash boundary of one tool
            log.exception("tool crashed", tool=request.tool.name, error=type(crash).__name__)
            return ToolResult(ToolStatus.FAILED, error("this did not work"), type(crash).__name__)


class NoTools:
    """A runner of a service that has no tools that reach beyond a call."""

    async def run(self, request: ToolRequest) -> ToolResult:
        return ToolResult(ToolStatus.FAILED, error("there is no such tool here"))
