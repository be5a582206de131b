"""Calls about which the tenant's own endpoint is asked, over real sockets: whatever it does, the
webhook is answered at once and the call has its outcome."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from sipagent.app import Service, build, serving
from sipagent.config.reload.live import LiveConfiguration
from sipagent.model import CallOutcome, Decision, DestinationName, Returned
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.testing import MemoryRecords
from tests.tools.support import Seen, Wire, ok, reply

PROVIDER = "whsec_" + base64.b64encode(bytes(32)).decode()
TENANTS = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ASKED, REFUSED, SENT_ON, DENIED = (f"+171348101{end}" for end in ("11", "22", "33", "44"))
CALLER, DESK = "+14067704205", "+17134810199"
ACKNOWLEDGED = 0.25
"""Seconds within which a webhook is answered."""

MAIN = """\
version: 1
include: [tenants/*/tenant.yaml]
defaults: {{model: gpt-realtime-2.1}}
tenants:
  acme: {{grants: {{secrets: {{hook: {{file: hook}}}}, http_hosts: [127.0.0.1]}}}}
agents: {{someone: {{instructions: Be kind.}}}}
numbers:
  "{asked}": {{tenant: acme, consult: {{{consult}, agents: [vip], otherwise: reception}}}}
  "{refused}": {{tenant: acme, consult: {{{consult}, agents: [vip], otherwise: {{reject: 480}}}}}}
  "{sent_on}": {{tenant: acme, consult: {{{consult}, otherwise: {{forward: desk}}}}}}
  "{denied}":
    tenant: acme
    callers: {{deny: ["+1406*"]}}
    consult: {{{consult}, otherwise: reception}}
"""
TENANT = f"""\
tenant: acme
destinations: {{desk: "{DESK}"}}
agents:
  reception:
    instructions: "You offer {{{{ vars.offer }}}}."
    greeting: Reception.
    vars: {{offer: {{default: nothing}}}}
  vip: {{extends: reception, greeting: For you, voice: cedar}}
"""
Answer = Callable[[Seen], Awaitable[bytes | None]]


def says(**advice: Any) -> Answer:
    return gives(ok(json.dumps(advice).encode()))


def gives(answer: bytes | None) -> Answer:
    async def give(_: Seen) -> bytes | None:
        return answer

    return give


async def never(_: Seen) -> bytes:
    await asyncio.Event().wait()
    raise AssertionError


@dataclass
class Home:
    service: Service
    simulator: Simulator
    records: MemoryRecords
    endpoint: Wire

    async def call(self, number: str = ASKED, **more: Any) -> str:
        """Place a call; its webhook is answered at once, whatever the endpoint does."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        call_id = await self.simulator.place_call(number, CALLER, **more)
        assert loop.time() - began < ACKNOWLEDGED
        return call_id

    async def ended(self) -> CallOutcome:
        await self.records.ended_until(1)
        return self.records.outcomes[0]

    @property
    def decision(self) -> Decision:
        ((_, decision),) = self.records.decisions
        return decision

    @property
    def told(self) -> str:
        """The last step of the consultation."""
        return [step.because for step in self.decision.trace if step.source == "consult"][-1]


@asynccontextmanager
async def home(
    folder: Path, answer: Answer, timeout: str = "800ms", **settings: Any
) -> AsyncIterator[Home]:
    async with Wire(answer) as endpoint, running_simulator(PROVIDER) as simulator:
        url = f"http://127.0.0.1:{endpoint.port}/calls"
        consult = f"url: '{url}', secret: {{secret: hook}}, timeout: {timeout}"
        numbers = {"asked": ASKED, "refused": REFUSED, "sent_on": SENT_ON, "denied": DENIED}
        (folder / "tenants" / "acme").mkdir(parents=True)
        (folder / "tenants" / "acme" / "tenant.yaml").write_text(TENANT)
        (folder / "hook").write_text(TENANTS)
        (folder / "agents.yaml").write_text(MAIN.format(consult=consult, **numbers))
        values = {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_WEBHOOK_SECRET": PROVIDER,
            "OPENAI_BASE_URL": simulator.base_url,
            "SIPAGENT_DRAIN_TIMEOUT": 0,
            "SIPAGENT_HTTP_TOOLS_ALLOW": "127.0.0.0/8",
            **settings,
        }
        records = MemoryRecords()
        live = LiveConfiguration(folder / "agents.yaml")
        service = build(Settings.model_validate(values), live, records=records)
        async with serving(service) as own:
            simulator.deliver_to = f"{own}/webhooks/openai"
            yield Home(service, simulator, records, endpoint)


async def test_the_endpoint_chooses_the_agent_and_what_it_says(tmp_path: Path) -> None:
    async with home(tmp_path, says(agent="vip", vars={"offer": "gold", "x": "y"})) as at:
        call_id = await at.call()
        outcome = await at.ended()
        call = at.simulator.call(call_id)
        (seen,) = at.endpoint.seen
    assert (outcome.name, outcome.agent) == ("completed.line_closed", "vip")
    assert call.accepts[0]["instructions"] == "You offer gold."
    assert call.accepts[0]["audio"]["output"]["voice"] == "cedar"
    assert len(call.accepts) == 1
    assert at.told == "agent vip, offer; not usable: others"
    event = Webhook(TENANTS).verify(
        seen.body, {name.lower(): value for name, value in seen.headers}
    )
    assert (event["data"]["caller"], event["data"]["dialed"]) == (CALLER, ASKED)
    assert event["data"]["call_id"] == call_id


async def test_the_endpoint_refuses_a_call(tmp_path: Path) -> None:
    async with home(tmp_path, says(reject=607)) as at:
        call_id = await at.call()
        outcome = await at.ended()
        call = at.simulator.call(call_id)
    assert (outcome.name, outcome.sip_code) == ("rejected.rule", 607)
    assert call.accepts == []


MIB = b'{"agent": "' + b"x" * (1 << 20) + b'"}'


@pytest.mark.parametrize(
    ("answer", "because"),
    [
        (never, "no answer in time"),
        (gives(None), "it cannot be reached"),
        (gives(reply(500, b"")), "it answered 500"),
        (gives(reply(307, b"", "Location: http://127.0.0.1:1/")), "it answered 307"),
        (gives(ok(b"rubbish")), "its answer is none of the form"),
        (gives(ok(MIB)), "its answer is too long"),
        (says(agent="nobody"), "it names an agent that the number does not offer"),
        (says(agent="someone"), "it names an agent that the number does not offer"),
        (says(forward="desk"), "its answer is none of the form"),
        (says(agent=["vip"]), "its answer is none of the form"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_whatever_else_it_does_the_call_goes_where_it_would(
    tmp_path: Path, answer: Answer, because: str
) -> None:
    async with home(tmp_path, answer, "300ms") as at:
        call_id = await at.call()
        outcome = await at.ended()
        call = at.simulator.call(call_id)
    assert (outcome.name, outcome.agent) == ("completed.line_closed", "reception")
    assert call.accepts[0]["instructions"] == "You offer nothing."
    assert at.told == because
    assert len(at.endpoint.seen) == 1


async def test_an_endpoint_that_is_not_there_keeps_nobody(tmp_path: Path) -> None:
    async with home(tmp_path, says(agent="vip")) as at:
        await at.endpoint.__aexit__(None, None, None)
        await at.call(REFUSED)
        outcome = await at.ended()
    assert (outcome.name, outcome.sip_code) == ("rejected.rule", 480)
    assert at.told == "it cannot be reached"


async def test_an_agent_answers_where_a_rejection_would_have_followed(tmp_path: Path) -> None:
    async with home(tmp_path, says(agent="vip")) as at:
        await at.call(REFUSED)
        outcome = await at.ended()
    assert (outcome.name, outcome.agent) == ("completed.line_closed", "vip")


async def test_a_call_is_sent_on_without_an_answer_and_the_caller_is_known_afterwards(
    tmp_path: Path,
) -> None:
    """And who called and was sent on is told to the agent that answers next."""
    async with home(tmp_path, gives(reply(204, b""))) as at:
        stay: dict[str, Any] = {"stay": True, "script": [], "refer": {"after": 0.2}}
        call_id = await at.call(SENT_ON, **stay)
        outcome = await at.ended()
        assert at.simulator.call(call_id).refers == [{"target_uri": f"tel:{DESK}"}]
        again = await at.call()
        await at.records.ended_until(2)
        accept = at.simulator.call(again).accepts[0]
    assert outcome.name == "completed.transferred"
    (_, second) = [decision for _, decision in at.records.decisions]
    returned = second.verdict.plan.returned  # type: ignore[union-attr]  # it was answered
    assert isinstance(returned, Returned)
    assert returned.destination == DestinationName("desk")
    assert "was put through to desk, and is calling again now" in accept["instructions"]
    assert accept["instructions"].startswith("You offer nothing.\n\n")


async def test_nobody_is_asked_about_a_caller_who_does_not_get_through(tmp_path: Path) -> None:
    async with home(tmp_path, says(agent="vip")) as at:
        await at.call(DENIED)
        outcome = await at.ended()
    assert (outcome.name, outcome.sip_code) == ("rejected.rule", 603)
    assert at.endpoint.connections == 0


async def test_a_delivery_that_comes_again_is_asked_about_once(tmp_path: Path) -> None:
    release = asyncio.Event()

    async def later(_: Seen) -> bytes:
        await release.wait()
        return ok(b'{"agent": "vip"}')

    async with home(tmp_path, later, "3s") as at:
        call_id = await at.call()
        for _ in range(5):
            assert (await at.simulator.deliver(call_id))["status"] == 200
            assert (await at.simulator.deliver(call_id, fresh=True))["status"] == 200
        release.set()
        outcome = await at.ended()
        call = at.simulator.call(call_id)
    assert outcome.agent == "vip"
    assert (len(call.accepts), len(at.endpoint.seen)) == (1, 1)


async def test_a_process_that_ends_meanwhile_leaves_no_call_without_an_outcome(
    tmp_path: Path,
) -> None:
    async with home(tmp_path, never, "3s") as at:
        await at.call(stay=True, script=[])
    (outcome,) = at.records.outcomes
    assert outcome.name == "rejected.draining"
