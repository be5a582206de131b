"""The tools of a call on the stage: others' servers are the stand-in, and some are not asked."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from sipagent.model import McpCall, ToolResult, ToolStatus
from sipagent.scenarios.scenario import Stub
from sipagent.sessions.ports import ToolRequest, ToolRunner


@dataclass(frozen=True, slots=True)
class StubbedTools:
    """Tools of which the scenario says what they come to, and `others`. Servers beside us are not
    started: what is asked of one without a stub is `missing`."""

    stubs: Mapping[str, Stub]
    others: ToolRunner
    missing: list[str]

    async def run(self, request: ToolRequest) -> ToolResult:
        stub = self.stubs.get(request.tool.name)
        if stub is None and isinstance(request.tool.does, McpCall):
            self.missing.append(request.tool.name)
            stub = Stub("the scenario has no answer for this tool", failed=True)
        if stub is None:
            return await self.others.run(request)
        try:
            async with asyncio.timeout(request.tool.timeout):
                await asyncio.sleep(stub.after)
        except TimeoutError:
            return ToolResult(ToolStatus.TIMED_OUT, '{"error":"no answer in time"}', "stub")
        return ToolResult(ToolStatus.FAILED if stub.failed else ToolStatus.DONE, stub.output)
