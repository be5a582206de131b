"""MCP servers that run beside us: real processes."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from sipagent.concurrency import SystemClock
from sipagent.model import Effects, Json, McpCall, ToolResult, ToolStatus
from sipagent.tools.mcp import LocalServer, LocalServers
from sipagent.tools.output import MOST_BYTES
from sipagent.tools.python import PythonTools
from sipagent.tools.runner import Toolbox
from tests.tools.support import a_request, loopback_egress, tools_of
from tests.waiting import eventually

SERVER = LocalServer(
    (sys.executable, str(Path(__file__).parent / "mcp_server.py")), {"CRM_TOKEN": "canary-token"}
)
BROKEN = LocalServer((sys.executable, "-c", "raise SystemExit(1)"))
MISSING = LocalServer(("/no/such/program",))


@pytest.fixture
async def servers() -> AsyncIterator[LocalServers]:
    async with LocalServers(shortest_pause=0.05) as held:
        yield held


async def call(
    servers: LocalServers, tool: str, arguments: Json | None = None, **kwargs: Any
) -> ToolResult:
    does = McpCall(kwargs.pop("server", "crm"), tool)
    return await servers.run(a_request(does, arguments, **{"timeout": 30.0, **kwargs}), does)


async def test_its_tools_are_functions(servers: LocalServers) -> None:
    servers.hold({"crm": SERVER})
    first = (await call(servers, "process")).output
    # One process serves all calls, and what they ask runs side by side.
    hanging = asyncio.gather(*[call(servers, "hangs", timeout=1.0) for _ in range(20)])
    processes = {(await call(servers, "process")).output for _ in range(5)}
    assert processes == {first}
    assert {given.status for given in await hanging} == {ToolStatus.TIMED_OUT}

    given = await call(servers, "order_status", {"order_no": "A-1"})
    assert given == ToolResult(ToolStatus.DONE, '{"order":"A-1","state":"shipped"}')
    assert (await call(servers, "say", {"words": "two\nlines"})).output == "two lines"
    long = await call(servers, "say", {"words": "a" * 100_000})
    assert len(long.output.encode()) <= MOST_BYTES
    assert "cut" in json.loads(long.output)


async def test_what_goes_wrong_stays_in_it(
    servers: LocalServers, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("mcp").setLevel(logging.NOTSET)
    with capture_logs() as lines:
        servers.hold({"crm": SERVER})
        given = await call(servers, "fails", {"words": "canary-words"})
        assert (given.status, given.detail) == (ToolStatus.FAILED, "its own error")
        assert json.loads(given.output) == {"error": "Error executing tool fails"}
        wrong = await call(servers, "order_status", {"order_no": {"canary-argument": 1}})
        assert wrong.status is ToolStatus.FAILED
        unknown = await call(servers, "canary-tool")
        assert unknown.status is ToolStatus.FAILED
        await call(servers, "say", {"words": "canary-words"})
        once = await call(servers, "hangs", timeout=0.1, effects=Effects.ONCE)
        assert (once.status, "not known" in once.output) == (ToolStatus.TIMED_OUT, True)
    shown = str(lines) + caplog.text + repr(SERVER) + "".join(capfd.readouterr())
    assert "canary" not in shown


async def test_it_sees_none_of_our_credentials(
    servers: LocalServers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary")
    servers.hold({"crm": SERVER})
    names = (await call(servers, "environment")).output.split()
    assert "CRM_TOKEN" in names
    assert "OPENAI_API_KEY" not in names


async def test_a_server_that_ends_is_started_again(servers: LocalServers) -> None:
    servers.hold({"crm": SERVER})
    first = (await call(servers, "process")).output
    with capture_logs() as lines:
        ended = await call(servers, "ends", effects=Effects.ONCE)
        assert ended.status is ToolStatus.FAILED
        assert "not known whether it was done" in ended.output
        await eventually(lambda: any(line["event"] == "mcp server up" for line in lines))
    again = await call(servers, "process")
    assert (again.status, again.output != first) == (ToolStatus.DONE, True)
    assert [line["event"] for line in lines if "server" in line] == [
        "mcp server down",
        "mcp server up",
    ]


@pytest.mark.parametrize("server", [BROKEN, MISSING])
async def test_a_server_that_does_not_start_delays_no_caller(
    servers: LocalServers, server: LocalServer
) -> None:
    with capture_logs() as lines:
        servers.hold({"crm": server})
        given = await call(servers, "say", {"words": "x"})
        assert given.status is ToolStatus.FAILED
        assert given.detail in ("no server", "no server in time")
        await eventually(lambda: len([line for line in lines if "again_in" in line]) >= 3)
    pauses = [line["again_in"] for line in lines if "again_in" in line]
    assert pauses[:3] == [0.05, 0.1, 0.2]


async def test_a_server_that_is_not_configured(servers: LocalServers) -> None:
    with capture_logs() as lines:
        assert (await call(servers, "say")).detail == "no server"
    assert [line["reason"] for line in lines] == ["is not configured"]


async def test_holding_others_ends_those_that_are_gone(servers: LocalServers) -> None:
    servers.hold({"crm": SERVER, "other": SERVER})
    crm = int((await call(servers, "process")).output)
    other = int((await call(servers, "process", server="other")).output)
    servers.hold({"crm": SERVER})
    await eventually(lambda: not alive(other))
    assert (await call(servers, "process")).output == str(crm)
    assert (await call(servers, "process", server="other")).detail == "no server"
    servers.hold({"crm": LocalServer(SERVER.command, {"A": "b"})})
    changed = int((await call(servers, "process")).output)
    assert changed != crm
    await eventually(lambda: not alive(crm))
    await servers.close()
    assert not alive(changed)


async def test_a_server_that_reads_nothing_keeps_no_caller(servers: LocalServers) -> None:
    """The library gives up what it could not write only five seconds after it is cancelled."""
    servers.hold({"crm": SERVER})
    process = int((await call(servers, "process")).output)
    loop = asyncio.get_running_loop()
    async with loopback_egress() as egress:
        box = Toolbox(tools_of(egress), PythonTools(), servers, never, SystemClock())
        does = McpCall("crm", "say")
        long = a_request(does, {"words": "a" * 16_000}, timeout=0.1)
        os.kill(process, signal.SIGSTOP)
        try:
            began = loop.time()
            given = await asyncio.gather(*[box.run(long) for _ in range(20)])
            assert loop.time() - began < 2.0
        finally:
            os.kill(process, signal.SIGKILL)
        assert {one.status for one in given} == {ToolStatus.TIMED_OUT}
        await box.close()


async def never(plan: object, message: object) -> None:
    raise AssertionError


async def test_a_call_that_is_cancelled_harms_no_other(servers: LocalServers) -> None:
    servers.hold({"crm": SERVER})
    first = (await call(servers, "process")).output
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(call(servers, "hangs"))
        await call(servers, "process")
        hanging.cancel()
    assert (await call(servers, "process")).output == first


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_library_is_imported_only_when_a_server_is_started() -> None:
    code = (
        "import sys, sipagent.tools.mcp, sipagent.tools.runner;"
        "sys.exit('mcp' in sys.modules or 'mcp_types' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
