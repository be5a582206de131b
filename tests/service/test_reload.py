"""Reloads of a service that is taking calls: none is lost, and each belongs to one version."""

import asyncio
import base64
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from sipagent.app import Service, build, serving
from sipagent.config import load
from sipagent.config.reload.live import LiveConfiguration, Status
from sipagent.config.reload.versions import VersionStore
from sipagent.model import Accept, CallPlan
from sipagent.routing import RoutingTable
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.testing import MemoryRecords

FIRST_WORDS = "Begin the call now."
SECRETS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2)]
DESK, ACME, BRAVO = (f"+171348101{end}" for end in ("11", "22", "33"))

# The required key stands last, so that no file that is cut anywhere can be used.
MAIN = f"""\
include: tenants/*/tenant.yaml
defaults: {{model: gpt-realtime-2.1}}
tenants: {{acme: {{}}, bravo: {{}}}}
agents:
  desk: {{instructions: Main @@., greeting: This is the desk of @@.}}
numbers:
  "{DESK}": desk
  "{ACME}": {{tenant: acme, agent: desk}}
  "{BRAVO}": {{tenant: bravo, agent: desk}}
version: 1
"""
TENANT = """\
agents:
  desk: {instructions: Tenant @@., greeting: This is a tenant of @@.}
tenant: """
FILES = {
    "agents.yaml": MAIN,
    "tenants/acme/tenant.yaml": TENANT + "acme\n",
    "tenants/bravo/tenant.yaml": TENANT + "bravo\n",
}
MAIN_FILE, *TENANT_FILES = FILES


class Watcher:
    """Wakes up whoever waits for a status."""

    def __init__(self, live: LiveConfiguration) -> None:
        self._live = live
        self._news = asyncio.Event()
        self.hashes = [live.status.config_hash]
        self.tries = 0
        live.observe(self)

    def swapped(self, changes: Sequence[str]) -> None:
        assert changes
        self.hashes.append(self._live.status.config_hash)

    def tried(self, status: Status) -> None:
        self.tries += 1
        self._news.set()

    async def until(self, config_hash: str, *, broken: bool) -> None:
        """Wait until this version is in force, and its main file is broken or not."""
        async with asyncio.timeout(10):
            while (self._live.status.config_hash, bool(self._live.status.findings)) != (
                config_hash,
                broken,
            ):
                self._news.clear()
                await self._news.wait()


@dataclass
class Desk:
    """Somebody who edits the files; `good` are the texts that are to be in force."""

    root: Path
    chance: random.Random = field(default_factory=lambda: random.Random(20_26))
    good: dict[str, str] = field(default_factory=dict)
    present: dict[str, str] = field(default_factory=dict)
    versions: list[dict[str, str]] = field(default_factory=list)
    edits: Counter[str] = field(default_factory=Counter)

    def begin(self) -> None:
        for name in FILES:
            self._write(name, self._usable(name))
            self.present[name] = self.good[name] = (self.root / name).read_text()
        self.versions.append(dict(self.good))

    def edit(self, name: str, *, usable: bool) -> bool:
        """Change a file in one of the ways; says whether the main file is usable now."""
        text = self._usable(name)
        if not usable:
            text = self.chance.choice([self._cut, self._with_unknown_key, self._without_prompt])(
                text
            )
        self._write(name, text)
        self.edits["usable" if usable else "broken"] += 1
        self.present[name] = text if usable else ""
        if self.present[MAIN_FILE]:
            self.good.update({name: text for name, text in self.present.items() if text})
            self.versions.append(dict(self.good))
        return bool(self.present[MAIN_FILE])

    def any_edit(self) -> None:
        name = self.chance.choice([MAIN_FILE, MAIN_FILE, *TENANT_FILES])
        self.edit(name, usable=self.edits["usable"] <= self.edits["broken"])

    def table(self, texts: dict[str, str]) -> RoutingTable:
        """What these texts mean, by themselves in another folder."""
        for name, text in texts.items():
            path = self.root.parent / "scratch" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return load(self.root.parent / "scratch" / MAIN_FILE).table

    def _usable(self, name: str) -> str:
        return FILES[name].replace("@@", f"{self.chance.getrandbits(64):016x}")

    def _cut(self, text: str) -> str:
        return text[: self.chance.randrange(len(text) - len("tenant: bravo\n"))]

    def _with_unknown_key(self, text: str) -> str:
        return text.replace("agents:\n", "agents:\n  other: {voise: marin}\n")

    def _without_prompt(self, text: str) -> str:
        return text.replace("{instructions: ", "{instructions: {file: gone.md}, disclosure: ")

    def _write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if self.chance.random() < 0.5:
            temporary = path.with_name(".new")
            temporary.write_text(text)
            temporary.replace(path)
            return
        with path.open("w") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            file.write(text[len(text) // 2 :])


@dataclass(frozen=True)
class House:
    service: Service
    live: LiveConfiguration
    simulator: Simulator
    records: MemoryRecords
    client: httpx.AsyncClient

    async def call(self, number: str = DESK, **options: Any) -> str:
        """A whole call: accepted once, greeted once, ended."""
        call_id = await self.simulator.place_call(
            number,
            pace=0,
            patience=5,
            **{"script": [{"pause": 0.05}, {"hang_up": True}], **options},
        )
        call = await self.simulator.wait_ended(call_id, timeout=30)
        assert call.answers["accept"] == [200]
        asked = [one for one in call.client_events if one["type"] == "response.create"]
        greetings = [one for one in asked if FIRST_WORDS in one["response"].get("instructions", "")]
        assert len(greetings) == 1, asked
        return call_id


@asynccontextmanager
async def opened(root: Path, simulator: Simulator) -> AsyncIterator[House]:
    live = LiveConfiguration(root / MAIN_FILE, store=VersionStore(root.parent / "data"))
    settings = Settings.model_validate(
        {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_WEBHOOK_SECRET": SECRETS[0],
            "OPENAI_BASE_URL": simulator.base_url,
            "SIPAGENT_DRAIN_TIMEOUT": 0,
        }
    )
    records = MemoryRecords()
    service = build(settings, live, records=records)
    async with serving(service) as url, httpx.AsyncClient(base_url=url) as client:
        simulator.deliver_to = f"{url}/webhooks/openai"
        yield House(service, live, simulator, records, client)


async def callers(house: House, rate: float, stop: asyncio.Event) -> list[str]:
    """Calls at this rate until `stop`; gives their ids once all have ended."""
    loop = asyncio.get_running_loop()
    began, placed = loop.time(), []
    async with asyncio.TaskGroup() as tasks:
        while not stop.is_set():
            number = (DESK, ACME, BRAVO)[len(placed) % 3]
            placed.append(tasks.create_task(house.call(number)))
            await asyncio.sleep(began + len(placed) / rate - loop.time())
    return [task.result() for task in placed]


def facts(plan: CallPlan) -> tuple[str, object, str]:
    greeting = plan.greeting
    assert greeting is not None
    return (plan.config_hash, plan.session, greeting.say)


def expected(table: RoutingTable) -> list[tuple[str, object, str]]:
    """What the plan of a call to each of the agents has to be."""
    editions = [profile.editions[0] for profile in table.agents.values()]
    return [(table.config_hash, one.session, str(one.greeting)) for one in editions]


WATCHED = 40
"""Edits that are found by watching, one after the other; the others are read as they are made."""


@pytest.mark.timeout(300)
async def test_a_thousand_edits_under_fifty_calls_a_second(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "config")
    desk.begin()
    async with running_simulator(SECRETS[0]) as simulator, opened(desk.root, simulator) as house:
        watcher = Watcher(house.live)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            calling = tasks.create_task(callers(house, 50, stop))
            for number in range(WATCHED):
                usable = desk.edit(MAIN_FILE, usable=number % 2 == 1)
                await watcher.until(desk.table(desk.good).config_hash, broken=not usable)
            seen = watcher.tries
            for _ in range(1000 - WATCHED):
                desk.any_edit()
                await house.live.update()
            stop.set()
        placed = calling.result()
        await house.records.ended_until(len(placed))
    tables = [desk.table(texts) for texts in desk.versions]
    assert (seen >= WATCHED, desk.edits["usable"], desk.edits["broken"]) == (True, 500, 500)
    assert set(watcher.hashes) <= {table.config_hash for table in tables}
    assert house.live.table.config_hash == tables[-1].config_hash
    plans = [
        decision.verdict.plan
        for _, decision in house.records.decisions
        if isinstance(decision.verdict, Accept)
    ]
    assert len(plans) == len(house.records.decisions) == len(placed) == len(set(placed))
    known = [fact for table in tables for fact in expected(table)]
    assert not [plan for plan in plans if facts(plan) not in known]
    assert len({plan.config_hash for plan in plans}) > 100
    assert {outcome.name for outcome in house.records.outcomes} == {"completed.line_closed"}
    assert len(house.records.outcomes) == len(placed)


ACCOUNTS = """\
version: 1
defaults: {model: gpt-realtime-2.1}
accounts:
%s
agents:
  desk: {instructions: Wait., greeting: Hello.}
tenants: {default: {account: us}%s}
numbers: {"+17134810111": desk%s}
"""


class Accounts:
    """The files of a service of the accounts `us` and `eu`, and the provider of each."""

    def __init__(self, root: Path, us: Simulator, eu: Simulator) -> None:
        self.root = root / "config"
        self.us, self.eu = us, eu
        self.root.mkdir()
        for name, number in (("us", 0), ("eu", 1)):
            self.secret(f"{name}.keys", "sk-any")
            self.secret(f"{name}.hooks", SECRETS[number])

    def secret(self, name: str, text: str) -> None:
        (self.root.parent / name).write_text(text)

    def entry(self, name: str, base_url: str) -> str:
        files = {key: self.root.parent / f"{name}.{key}" for key in ("keys", "hooks")}
        return (
            f"  {name}: {{base_url: '{base_url}', api_keys: {{file: '{files['keys']}'}}, "
            f"webhook_secrets: {{file: '{files['hooks']}'}}}}"
        )

    def write(self, us: str | None = None, *, eu: bool) -> None:
        entries = [self.entry("us", us or self.us.base_url)]
        tenant = number = ""
        if eu:
            entries.append(self.entry("eu", self.eu.base_url))
            tenant = ", acme: {account: eu}"
            number = ', "+17134810122": {tenant: acme, agent: desk}'
        temporary = self.root / ".new"
        temporary.write_text(ACCOUNTS % ("\n".join(entries), tenant, number))
        temporary.replace(self.root / MAIN_FILE)


@asynccontextmanager
async def two_accounts(root: Path, *, eu: bool) -> AsyncIterator[tuple[House, Accounts]]:
    async with (
        running_simulator(SECRETS[0]) as first,
        running_simulator(SECRETS[1]) as second,
    ):
        files = Accounts(root, first, second)
        files.write(eu=eu)
        async with opened(files.root, first) as house:
            base = str(house.client.base_url).rstrip("/")
            first.deliver_to, second.deliver_to = f"{base}/webhooks/us", f"{base}/webhooks/eu"
            yield house, files


async def served(provider: Simulator, number: str = ACME) -> None:
    """A call of this provider is answered by it."""
    call_id = await provider.place_call(number, pace=0, patience=0)
    call = await provider.wait_ended(call_id)
    assert (len(call.accepts), call.attachments) == (1, 1)


async def ready(house: House, part: str | None) -> dict[str, Any]:
    """Wait until `/readyz` tells this defect, or that there is none."""
    async with asyncio.timeout(10):
        while True:
            answer = (await house.client.get("/readyz")).json()
            found = [one for one in answer.get("degraded", []) if one["part"] == part]
            if found or (part is None and answer["status"] == "ready"):
                return found[0] if found else answer
            await asyncio.sleep(0.01)


async def accounts_are(house: House, *names: str) -> None:
    """Wait until the service takes deliveries of exactly these accounts."""
    async with asyncio.timeout(10):
        while set(house.service.accounts.webhook_secrets) != set(names):
            await asyncio.sleep(0.01)


async def test_an_account_that_is_added_is_served_at_once(tmp_path: Path) -> None:
    async with two_accounts(tmp_path, eu=False) as (house, files):
        await served(files.us, DESK)
        assert (await files.eu.send_webhook(type="x"))["status"] == 404
        files.write(eu=True)
        await accounts_are(house, "us", "eu")
        await served(files.eu)
        await served(files.us, DESK)
        await house.records.ended_until(3)
        assert {outcome.name for outcome in house.records.outcomes} == {"completed.line_closed"}


async def test_an_account_that_is_removed_serves_its_calls_to_their_end(tmp_path: Path) -> None:
    async with two_accounts(tmp_path, eu=True) as (house, files):
        held = await files.eu.place_call(ACME, stay=True, script=[])
        await files.eu.until(held, lambda call: call.attachments == 1)
        files.write(eu=False)
        await accounts_are(house, "us")
        assert (await files.eu.send_webhook(type="x"))["status"] == 404
        files.eu.say(held, "Is somebody there?")
        await files.eu.until(held, lambda call: "somebody" in str(call.transcript))
        assert not files.eu.call(held).ended
        await house.service.supervisor.drain(0)
        assert files.eu.call(held).ended_by == "hangup"


async def test_new_calls_use_an_accounts_new_address_and_held_ones_the_old(tmp_path: Path) -> None:
    async with two_accounts(tmp_path, eu=False) as (house, files):
        files.secret("us.hooks", "\n".join(SECRETS))
        held = await files.us.place_call(DESK, stay=True, script=[])
        await files.us.until(held, lambda call: call.attachments == 1)
        before = house.service.accounts.specs
        files.write(us=files.eu.base_url, eu=False)
        async with asyncio.timeout(10):
            while house.service.accounts.specs == before:
                await asyncio.sleep(0.01)
        files.eu.deliver_to = files.us.deliver_to
        await served(files.eu, DESK)
        await house.service.supervisor.drain(0)
        assert files.us.call(held).ended_by == "hangup"


async def test_accounts_that_cannot_be_used_change_nothing_and_show(tmp_path: Path) -> None:
    async with two_accounts(tmp_path, eu=False) as (house, files):
        keys = files.root.parent / "eu.keys"
        keys.unlink()
        files.write(eu=True)
        told = await ready(house, "accounts")
        assert told["code"] == "refused"
        assert f"account eu: {keys}: " in told["detail"]
        await served(files.us, DESK)
        assert set(house.service.accounts.webhook_secrets) == {"us"}
        files.secret("eu.keys", "sk-late")
        await ready(house, None)
        await served(files.eu)
