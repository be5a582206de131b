"""No secret stands anywhere, numbers are masked, words are told to those alone who may read them,
and digits of cards to nobody: planted, and looked for on every surface that there is. Routes, pages
and files are those that the service itself names, so that a new one is read here, too."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import psutil
import pytest

from tests.api.v1.test_others import Operation
from tests.process.canaries import (
    CALLER,
    CARDS,
    NAME,
    NUMBER,
    SCRIPT,
    SECRETS,
    SENTENCE,
    House,
    house,
    pages,
)
from tests.waiting import eventually

PEOPLE: Final = ("olga", "walt", "ann", "ray", "bea")
OPERATORS: Final = ("olga", "walt")
ENDS: Final = frozenset({"hang_up_call", "end_call", "revoke_token", "transfer_call"})
"""What is tried last."""

STREAMS: Final = frozenset({"watch_calls", "watch_call"})
COMMANDS: Final = (
    ("check",),
    ("print-config",),
    ("versions",),
    ("tokens", "list"),
    ("audit", "list"),
    ("outbox", "list"),
    ("calls", "list"),
    ("messages", "list"),
    ("orders", "list"),
    ("numbers", "list"),
)
WORDLESS: Final = ("audit", "idempotency", "tokens")
"""Tables in which there is neither a word nor a number of a caller."""


@dataclass
class Reader:
    """What was found where it must not be. `read` counts what was looked through, and `shown`
    where words were: a call of which nothing is known would prove nothing."""

    secrets: dict[str, str]
    found: list[str] = field(default_factory=list)
    read: int = 0
    shown: int = 0

    def look(self, where: str, text: str, *, numbers: bool = True, words: bool = True) -> None:
        """No secret and no card is there; and no number, or word, if these may not be either."""
        self.read += 1
        self.shown += SENTENCE in text and "[card]" in text
        planted = {**self.secrets, **{f"card {card[:4]}": card for card in CARDS}}
        planted["spaced card"] = "4242 4242"
        if numbers:
            planted |= {"number": CALLER, "name": NAME}
        if words:
            planted["sentence"] = SENTENCE
        self.found += [f"{what} in {where}" for what, one in planted.items() if one in text]

    def answered(self, where: str, answer: httpx.Response) -> None:
        """It has not failed."""
        if answer.status_code in (500, 502):
            self.found.append(f"{answer.status_code} of {where}")


@dataclass
class Watched:
    """Streams of events, and what they have told."""

    told: dict[str, list[str]] = field(default_factory=dict)

    async def follow(self, home: House, name: str, path: str, where: str) -> None:
        lines = self.told.setdefault(where, [])
        async with home.client(name) as client, client.stream("GET", path, timeout=60) as answer:
            lines.append(f"{answer.status_code}")
            async for line in answer.aiter_lines():
                lines.append(line)


@pytest.mark.timeout(240)
async def test_what_is_planted_is_found_nowhere_but_where_it_may_be(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        reader, watched = Reader(home.secrets()), Watched()
        async with asyncio.TaskGroup() as tasks:
            call_id, following = await called(home, watched, tasks)
            await everywhere(home, reader, call_id)
            home.simulator.hang_up(call_id)
            await eventually(lambda: home.process.outcomes())
            await home.collector.until("invoke_workflow")
            await everywhere(home, reader, call_id)
            for one in following:
                one.cancel()
        for where, lines in watched.told.items():
            mays = where.endswith(("ann", "ray")) and call_id in where
            reader.look(where, "\n".join(lines), words=not mays)
            assert len(lines) > 3, where
        await commanded(home, reader, call_id)
        looked_at(home, reader)
        home.process.running.terminate()
        await home.process.exit_code()
        kept(home, reader)
    assert not reader.found, "\n".join(reader.found)
    assert reader.read > 500
    assert reader.shown > 5, "those who may read words have read them"


async def called(
    home: House, watched: Watched, tasks: asyncio.TaskGroup
) -> tuple[str, list[asyncio.Task[None]]]:
    """A call in which all is said, pressed and used, and that still goes on; it is watched."""
    following = [
        tasks.create_task(watched.follow(home, name, "/api/v1/events", f"events of {name}"))
        for name in PEOPLE
        if name != "bea"
    ]
    caller = f'"{NAME}" <sip:+1{CALLER}@carrier.example>;tag=as1'
    headers = [
        {"name": "From", "value": caller},
        {"name": "To", "value": "<sip:x@sip.api.openai.com>"},
        {"name": "x-number", "value": NUMBER[1:]},
        {"name": "X-Trunk-Key", "value": SECRETS["trunk secret"]},
    ]
    call_id = await home.simulator.place_call(
        NUMBER, f"+1{CALLER}", headers=headers, script=SCRIPT, stay=True, pace=30
    )
    await home.simulator.until(call_id, lambda call: call.attachments == 1, timeout=30)
    for name in ("olga", "ann", "ray"):
        path = f"/api/v1/calls/{call_id}/events"
        async with home.client(name) as client, asyncio.timeout(30):
            while (await client.get(f"/api/v1/calls/{call_id}")).status_code != 200:
                await asyncio.sleep(0.1)
        where = f"events of {call_id} of {name}"
        following.append(tasks.create_task(watched.follow(home, name, path, where)))
    await home.simulator.until(
        call_id, lambda call: any("That is all" in str(x) for x in call.transcript), timeout=60
    )
    await eventually(lambda: [one for one in home.wire.seen if one.target == "/orders"])
    (order,) = (one for one in home.wire.seen if one.target == "/orders")
    assert CARDS[1] in order.body.decode(), "what was pressed reaches the tool that is bound to it"
    return call_id, following


async def everywhere(home: House, reader: Reader, call_id: str) -> None:
    """Every route of the API and page of the console, as each person has it, in right requests and
    in wrong ones."""
    named = {"call": call_id, "number": NUMBER, "agent": "clerk"}
    named["token"] = home.tokens["spare"].split("_")[1]
    async with home.client(None) as nobody:
        description = (await nobody.get("/openapi.json")).json()
        for path in ("/metrics", "/readyz", "/healthz", "/docs", "/openapi.json", "/console"):
            reader.look(path, whole(await nobody.get(path)))
    known = list(operations(description))
    assert {one.id for one in known} | STREAMS >= STREAMS
    for name in PEOPLE:
        async with home.client(name) as client:
            for path in ("/metrics", "/readyz"):
                reader.look(f"{path} of {name}", whole(await client.get(path)))
            for operation in known:
                await asked(client, reader, operation, named, name)
        await visited(home, reader, call_id, name)


def operations(description: dict[str, Any]) -> Iterator[Operation]:
    schemas = description["components"]["schemas"]
    for path, methods in description["paths"].items():
        for method, described in methods.items():
            one = Operation(method.upper(), path, described, schemas)
            if "text/event-stream" not in str(described["responses"]) and one.id not in ENDS:
                yield one


async def asked(
    client: httpx.AsyncClient, reader: Reader, one: Operation, named: dict[str, str], name: str
) -> None:
    where = f"{one.id} of {name}"
    if one.method == "POST":
        client.headers["Idempotency-Key"] = f"{one.id}-{name}"
    answer = await one.ask(client, named)
    client.headers.pop("Idempotency-Key", None)
    own = "words" in one.described["tags"] and name in ("ann", "ray")
    reader.look(where, whole(answer), words=not own)
    reader.answered(where, answer)
    right = {key: value.replace("+", "%2B") for key, value in named.items()}
    for wrong in WRONG:
        for steps in (right, dict.fromkeys(named, wrong)):
            refused = await client.request(
                one.method,
                one.path.format_map(steps),
                params={"limit": wrong, "numbers": wrong, "from": wrong, "else": wrong},
                content=json.dumps({"text": [wrong], "to": 5, "else": wrong}),
                headers={"Content-Type": "application/json", "Idempotency-Key": f"{wrong} x"},
            )
            reader.look(f"what is wrong with {where}", whole(refused))
            reader.answered(where, refused)


WRONG: Final = (f"+1{CALLER}", SENTENCE, CARDS[0], SECRETS["API key"])
"""What stands in requests that are refused."""


async def visited(home: House, reader: Reader, call_id: str, name: str) -> None:
    """Every page as this one sees it, and what its forms answer to nothing and to too much."""
    client, csrf = home.visit(name)
    async with client:
        for method, path in pages():
            where = f"{method} {path} of {name}"
            if path.endswith("/events") or "sign-out" in path:
                continue
            own = path.startswith("/console/calls/") and name in ("ann", "ray")
            address = path.replace("{name}", call_id).replace("{what}", "say")
            if method == "GET":
                answer = await client.get(address)
                reader.look(where, whole(answer), words=not own)
                answer = await client.get(f"{address}?numbers=x&words={CARDS[0]}&at={CALLER}")
            else:
                wrong = {"text": "", "reason": "", "number": CALLER, "token": SECRETS["API key"]}
                origin = {"Origin": home.process.url}
                answer = await client.post(address, data={"csrf": csrf, **wrong}, headers=origin)
                reader.look(where, whole(answer), numbers="explain" not in path)
                answer = await client.post(address, data=wrong, headers=origin)
            reader.look(f"what is wrong with {where}", whole(answer), words=not own)
            reader.answered(where, answer)


def whole(answer: httpx.Response) -> str:
    """All of an answer but the session itself, which the browser is given."""
    heads = [f"{key}: {value}" for key, value in answer.headers.items() if key != "set-cookie"]
    return "\n".join([*heads, answer.text])


async def commanded(home: House, reader: Reader, call_id: str) -> None:
    """The operator's commands."""
    for words in (*COMMANDS, ("calls", "show", call_id), ("why", call_id)):
        told = await home.run(*words)
        reader.look(f"sipagent {' '.join(words)}", told, numbers=False, words=False)
        assert "No such" not in told, told


def looked_at(home: House, reader: Reader) -> None:
    """The log, the traces, what others see of the process, and what tools and tenants are sent."""
    reader.look("the log", (home.folder / "log.jsonl").read_text())
    for body in home.collector.bodies:
        reader.look("a trace", body.decode("latin-1"))
    reader.look("the command line", " ".join(psutil.Process(home.process.running.pid).cmdline()))
    sent = [one for one in home.wire.seen if one.target == "/hook"]
    assert sent, "the tenant was told"
    for one in sent:
        text = f"{one.headers}{one.body.decode()}"
        reader.look(f"a webhook: {text[-80:]}", text, numbers=False, words=False)


def kept(home: House, reader: Reader) -> None:
    """What is on the disk when the process has ended."""
    data = home.folder / "data"
    for file in sorted(path for path in data.rglob("*") if path.is_file()):
        text = file.read_bytes().decode("latin-1")
        reader.look(str(file.relative_to(data)), text, numbers=False, words=False)
    with sqlite3.connect(data / "records.sqlite") as connection:
        for table in WORDLESS:
            rows = connection.execute(f"SELECT * FROM {table}").fetchall()  # noqa: S608
            assert rows, table
            reader.look(f"the table {table}", str(rows))
    connection.close()
