"""`kill -9` in the middle of tools that must run at most once (E8)."""

import asyncio
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

from sipagent.simulator import Simulator, running_simulator
from tests.listening import listening
from tests.process.running import SECRET, Process, environment, start
from tests.waiting import eventually

ONCE = "+17134810111"
AGENTS = """
version: 1
defaults: {{model: gpt-realtime-2.1}}
agents:
  clerk:
    instructions: Book what callers want.
    tools:
      - http:
          name: book
          description: Book a table.
          url: "{url}"
          effects: once
          parameters:
            type: object
            properties: {{order_no: {{type: string}}}}
            required: [order_no]
numbers: {{"+17134810111": clerk}}
"""
CALLS = 24
STAGGERED = 0.004
"""Seconds between the tools of two calls: at the kill each is at another point."""

TAKES = 0.03


class Bookings:
    """An API that books as often as it is asked. Each booking `takes` a moment."""

    def __init__(self, takes: Callable[[], float] = lambda: TAKES) -> None:
        self.takes = takes
        self.made: Counter[str] = Counter()
        self.answered = 0
        self.enough = asyncio.Event()
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
                order = json.loads(await reader.readexactly(length))["order_no"]
                self.made[order] += 1
                await asyncio.sleep(self.takes())
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n" + b'{"booked":true}')
                await writer.drain()
                self.answered += 1
                if self.answered >= CALLS // 3:
                    self.enough.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the server has been killed


@asynccontextmanager
async def booking(takes: Callable[[], float] = lambda: TAKES) -> AsyncIterator[Bookings]:
    bookings = Bookings(takes)
    async with listening(bookings.serve) as server:
        bookings.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/tables"
        yield bookings


def asked(call: Any) -> bool:
    """Whether the model has asked for the tool."""
    return any(note["type"] == "tool_call" for note in call.notes)


def outputs(call: Any) -> list[str]:
    """Outputs of tools that are part of the conversation: of two with one id it is the first."""
    items: dict[str, str] = {}
    for event in call.client_events:
        item = event.get("item", {})
        if item.get("type") == "function_call_output":
            items.setdefault(item["id"], item["output"])
    return list(items.values())


async def attached_again(simulator: Simulator, call_id: str) -> None:
    await simulator.until(call_id, lambda call: call.attachments >= 2, timeout=30)


async def test_a_tool_that_must_run_once_does_wherever_the_process_dies(tmp_path: Path) -> None:
    """Each call is told what came of its tool, or that it is not known; nothing runs twice."""
    async with running_simulator(SECRET) as simulator, booking() as bookings:
        (tmp_path / "agents.yaml").write_text(AGENTS.format(url=bookings.url))
        variables = environment(
            tmp_path, simulator.base_url, SIPAGENT_HTTP_TOOLS_ALLOW="127.0.0.0/8"
        )
        simulator.deliver_to = f"http://127.0.0.1:{variables['PORT']}/webhooks/openai"
        process = await start(tmp_path, variables)
        try:
            await process.ready()
            calls = await placed(simulator)
            async with asyncio.TaskGroup() as tasks:
                saying = tasks.create_task(all_say(simulator, calls))
                await bookings.enough.wait()
                await process.kill()
                await saying
            process = await restarted(tmp_path, variables)
            for call_id in calls:
                await attached_again(simulator, call_id)
            unknown = await told(simulator, calls, bookings)
            await eventually(lambda: unknown <= recorded_as_unknown(tmp_path))
        finally:
            await process.kill()
    assert set(bookings.made.values()) == {1}


async def placed(simulator: Simulator) -> list[str]:
    """Calls that are held, and whose callers have not spoken yet."""
    calls = []
    for number in range(CALLS):
        tool = {"name": "book", "arguments": {"order_no": str(number)}}
        script: list[Any] = [{"tool": tool}, {"agent": "It is booked."}]
        calls.append(await simulator.place_call(ONCE, stay=True, script=script))
    for call_id in calls:
        await simulator.until(call_id, lambda call: call.attachments == 1)
    return calls


async def all_say(simulator: Simulator, calls: list[str]) -> None:
    for call_id in calls:
        simulator.say(call_id, "A table, please.")
        await asyncio.sleep(STAGGERED)


async def restarted(tmp_path: Path, variables: dict[str, str]) -> Process:
    process = await start(tmp_path, variables)
    await process.ready()
    return process


async def told(simulator: Simulator, calls: list[str], bookings: Bookings) -> set[str]:
    """Every booking that was made has one output: its own, or that its end is not known; these are
    returned."""
    ends: dict[str, set[str]] = {"known": set(), "unknown": set()}
    for number, call_id in enumerate(calls):
        if bookings.made[str(number)]:
            await simulator.until(call_id, outputs, timeout=20)
            (output,) = outputs(simulator.call(call_id))
            assert output == '{"booked":true}' or json.loads(output)["status"] == "unknown"
            ends["known" if "booked" in output else "unknown"].add(call_id)
    assert ends["known"], "the process was killed before anything was done"
    assert ends["unknown"], "the process was killed when nothing was on its way"
    return ends["unknown"]


def recorded_as_unknown(tmp_path: Path) -> set[str]:
    """The calls whose tool has begun in the process that was killed, as the records have them."""
    query = "SELECT call_id FROM tool_calls WHERE name = 'book' AND status = 'unknown'"
    with closing(sqlite3.connect(tmp_path / "data" / "records.sqlite")) as records:
        return {call_id for (call_id,) in records.execute(query)}
