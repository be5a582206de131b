"""What acting on a call from elsewhere takes: `python -m benchmarks.control [CALLS]`.

Two processes of `sipagent serve` on a Redis and a PostgreSQL of the benchmark's own, and the
simulator. One holds so many calls (200 by default), 25 at a time; the other is asked over the
control API, one request after the other and each under an `Idempotency-Key` of its own, to tell
each call's model something, to have something said, and to send it on or hang up. Said are the
times until the answers, and beside them those of the bare question from one replica to the other,
without HTTP, token, audit and keys. All of it on one machine. Exit codes: 0 done, 2 usage.
"""

import asyncio
import os
import secrets
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.report import machine
from benchmarks.scenarios import percentile
from sipagent.engine.desk import nobody
from sipagent.engine.redis.link import Link
from sipagent.engine.redis.notices import Notices
from sipagent.engine.redis.requests import Requests
from sipagent.model import CallId
from sipagent.model.request import Replied, Whisper
from tests.replicas.duty import operator, until
from tests.replicas.fleet import Fleet, fleet, servers

NUMBER: Final = "+17134810111"
AGENTS: Final = f"""
version: 1
defaults: {{model: gpt-realtime-2.1}}
agents: {{desk: {{instructions: You wait., tools: [transfer: [office]]}}}}
destinations: {{office: "+17135550100"}}
tenants: {{default: {{grants: {{transfers_per_hour: 100000}}}}}}
numbers: {{"{NUMBER}": desk}}
"""
AT_ONCE: Final = 25
WARM_UP: Final = 25
WORDS: Final = {"text": "The order has been shipped this morning."}
LAST: Final = (("hang-up", {}), ("transfer", {"destination": "office"}))
TAKEN: Final[dict[str, Any]] = {"refer": {"after": 0.1}}
BARE: Final = "bare question, message"

Times = defaultdict[str, list[float]]


async def measure(made: Fleet, redis_url: str, calls: int) -> Times:
    """Seconds until each answer, by what was asked. The first calls warm up and are not counted."""
    holder, other = made.alive
    here = f"{made.replicas[other].url}/api/v1/calls"
    times: Times = defaultdict(list)
    async with operator(made) as client, Link(redis_url) as link:
        notices = Notices(link, "bench")
        async with notices:
            await notices.listening.wait()
            requests = Requests(link, notices, "bench", nobody)
            for first in range(0, WARM_UP + calls, AT_ONCE):
                held = await _held(made, client, holder, here)
                if first == WARM_UP:
                    times.clear()
                for number, call_id in enumerate(held):
                    times[BARE].append(await _bare(requests, call_id))
                    last = (
                        ("transfer", {"destination": "office"}) if number % 2 else ("hang-up", {})
                    )
                    for deed, body in (("message", WORDS), ("say", WORDS), last):
                        url = f"{here}/{call_id}/{deed}"
                        times[deed].append(await _asked(client, url, body))
                for call_id in held:
                    await made.simulator.until(call_id, lambda call: call.ended, timeout=30)
            await requests.close()
    return times


async def _held(made: Fleet, client: httpx.AsyncClient, holder: str, here: str) -> list[str]:
    """Calls that this replica holds, and that the records know."""
    placed = await made.place(AT_ONCE, NUMBER, holder, **TAKEN)
    for call_id in placed:
        await made.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
        await until(client, "GET", f"{here}/{call_id}", 200)
    return placed


async def _bare(requests: Requests, call_id: str) -> float:
    began = time.perf_counter()
    reply = await requests.ask(CallId(call_id), Whisper(WORDS["text"]))
    took = time.perf_counter() - began
    assert reply.answer is Replied.DONE, reply
    return took


async def _asked(client: httpx.AsyncClient, url: str, body: dict[str, str]) -> float:
    key = {"Idempotency-Key": secrets.token_hex()}
    began = time.perf_counter()
    answer = await client.post(url, json=body, headers=key)
    took = time.perf_counter() - began
    assert answer.status_code == 202, answer.text
    return took


def table(times: Times) -> str:
    lines = ["| ms until the answer | requests | p50 | p99 | worst |", "|---|---|---|---|---|"]
    for name in (BARE, "message", "say", "transfer", "hang-up"):
        found = [1000 * one for one in times[name]]
        told = f"{percentile(found, 0.5):.1f} | {percentile(found, 0.99):.1f} | {max(found):.1f}"
        lines.append(f"| {name} | {len(found)} | {told} |")
    return "\n".join(lines)


async def _run(calls: int) -> None:
    with servers() as (redis, postgres), tempfile.TemporaryDirectory() as folder:
        async with fleet(Path(folder), redis.url, postgres.url, AGENTS, replicas=2) as made:
            before = os.getloadavg()[0]
            times = await measure(made, redis.url, calls)
    print(table(times))
    here = machine()
    print(f"{here['cpu']}, {here['cores']} cores, {here['python']}; load before it {before:.1f}")


def main() -> int:
    try:
        calls = int(sys.argv[1]) if len(sys.argv) > 1 else 200
        if calls < 1:
            raise ValueError
    except ValueError:
        print(__doc__, file=sys.stderr)
        return 2
    asyncio.run(_run(calls))
    return 0


if __name__ == "__main__":
    sys.exit(main())
