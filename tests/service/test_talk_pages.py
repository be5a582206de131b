"""Talking to an agent by the control API and by the console, from the offer to the record."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from sipagent.api.console import session
from sipagent.app import Service, build, serving
from sipagent.config.reload.live import LiveConfiguration
from sipagent.engine.embedded import EmbeddedEngine
from sipagent.errors import EngineError
from sipagent.model import TenantName
from sipagent.model.access import Scope
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.store import tokens
from sipagent.store.audit import AuditFilter, Author, lines
from tests.api.console.house import Read
from tests.offers import an_offer
from tests.service.conftest import SECRETS

AGENTS = """
version: 1
defaults: {model: gpt-realtime-2.1, transcription: gpt-live-transcribe}
tenants: {acme: {timezone: Europe/London}, beta: {}}
agents:
  reception:
    instructions: "You answer for {{ vars.shop }}."
    greeting: "Thank you for calling {{ vars.shop }}."
    vars: {shop: {default: Acme}}
    tools: [hang_up]
  plain: {instructions: You talk.}
  hosted:
    instructions: You look things up.
    tools:
      - mcp:
          server_label: docs
          server_url: https://docs.example/mcp
          headers: {X-Team: blue}
numbers:
  "+1 713 481 0111": {tenant: acme, agent: reception, vars: {shop: Bolt}}
  "+1 713 481 0122": {tenant: beta, agent: plain}
  "+1 713 481 0133": {tenant: acme, agent: plain}
  "+1 713 481 0144": {tenant: acme, agent: hosted}
"""
SCRIPT = [
    {"caller": "Are you open on Sunday?"},
    {"agent": "No, we are closed on Sunday."},
    {"agent": "From nine to six."},
]


@dataclass
class Office:
    """A whole service beside the simulator, and clients by their tokens."""

    service: Service
    simulator: Simulator
    url: str
    clients: dict[str, httpx.AsyncClient] = field(default_factory=dict)

    async def token(self, name: str, tenant: str | None, scope: Scope) -> str:
        assert self.service.house is not None
        whose = None if tenant is None else TenantName(tenant)
        wanted = tokens.Wanted(name, whose, scope, None)
        engine = self.service.house.writer.engine
        at = self.service.house.clock.wall()
        return (await tokens.create(engine, wanted, Author("root@here"), at=at)).text

    async def audited(self, action: str) -> list[Any]:
        assert self.service.house is not None
        found = await lines(self.service.house.writer.engine, AuditFilter(), limit=200)
        return [one.deed for one in found if one.deed.action == action]

    async def told(self, call_id: str, holds: Any, who: str = "acme") -> dict[str, Any]:
        """The call as the API tells it, once this holds of it."""
        async with asyncio.timeout(10):
            while True:
                answer = await self.clients[who].get(f"/api/v1/calls/{call_id}")
                if answer.status_code == 200 and holds(answer.json()):
                    found: dict[str, Any] = answer.json()
                    return found
                await asyncio.sleep(0.05)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    main = tmp_path / "agents.yaml"
    main.write_text(AGENTS)
    async with running_simulator(SECRETS[0]) as simulator:
        settings = Settings.model_validate(
            {
                "OPENAI_API_KEY": "sk-test",
                "OPENAI_WEBHOOK_SECRET": SECRETS[0],
                "OPENAI_BASE_URL": simulator.base_url,
                "SIPAGENT_DRAIN_TIMEOUT": 0,
                "SIPAGENT_DATA_DIR": tmp_path / "data",
            }
        )
        service = build(settings, LiveConfiguration(main), keep=True)
        async with serving(service) as url:
            yield await opened(Office(service, simulator, url))


async def opened(office: Office) -> Office:
    people = {
        "operator": (None, Scope.ADMIN),
        "acme": ("acme", Scope.CONTROL),
        "acme-admin": ("acme", Scope.ADMIN),
        "acme-read": ("acme", Scope.READ),
        "beta": ("beta", Scope.ADMIN),
    }
    for name, (tenant, scope) in people.items():
        bearer = {"Authorization": f"Bearer {await office.token(name, tenant, scope)}"}
        office.clients[name] = httpx.AsyncClient(base_url=office.url, headers=bearer)
    return office


@pytest.fixture(autouse=True)
async def _closing(office: Office) -> AsyncIterator[None]:
    yield
    for client in office.clients.values():
        await client.aclose()


async def talk(office: Office, who: str = "acme", **more: Any) -> httpx.Response:
    body = {"agent": "reception", "sdp": an_offer(), **more}
    return await office.clients[who].post("/api/v1/talk", json=body)


async def test_a_talk_from_the_offer_to_the_record(office: Office) -> None:
    office.simulator.set_talks(script=SCRIPT)
    begun = await talk(office, number="+17134810111")
    assert begun.status_code == 201
    told = begun.json()
    assert (told["tenant"], told["agent"], told["sdp"][:5]) == ("acme", "reception", "v=0\r\n")
    path = f"/api/v1/calls/{told['call_id']}"
    at_once = await office.clients["acme"].get(path)
    assert (at_once.status_code, at_once.json()["ended_at"]) == (200, None)
    await office.simulator.until(told["call_id"], lambda call: len(call.transcript) == 3)
    client = office.clients["acme"]
    typed = await client.post(f"{path}/typed", json={"text": "And when today?"})
    assert typed.status_code == 202, typed.text
    await office.simulator.until(told["call_id"], lambda call: len(call.transcript) == 4)
    assert (await client.post(f"{path}/hang-up")).status_code == 202
    call = await office.told(told["call_id"], lambda call: call["ended_at"] is not None)
    assert call["outcome"] == "completed.operator_hung_up"
    assert call["dialed_source"] == "talk"
    assert call["cost"] is not None
    words = (await client.get(f"{path}/transcript")).json()["turns"]
    assert [(turn["speaker"], turn["text"]) for turn in words] == [
        ("agent", "Thank you for calling Bolt."),
        ("caller", "Are you open on Sunday?"),
        ("agent", "No, we are closed on Sunday."),
        ("caller", "And when today?"),
        ("agent", "From nine to six."),
    ]
    why = (await client.get(f"{path}/why")).json()
    assert "from a browser, as if to" in why["decided"][0]
    (deed,) = await office.audited("talk.begin")
    assert (deed.target, deed.tenant) == ("reception", "acme")


async def test_who_may_talk_and_to_whom(office: Office) -> None:
    assert (await talk(office, "acme-read")).status_code == 403
    assert (await talk(office, agent="nobody")).status_code == 404
    assert (await talk(office, tenant="beta")).status_code == 404
    assert (await talk(office, number="+17134810122")).status_code == 404
    ambiguous = await talk(office, "operator")
    assert (ambiguous.status_code, ambiguous.json()["code"]) == (409, "ambiguous")
    assert not office.simulator.calls
    assert (await talk(office, "operator", tenant="acme")).status_code == 201


@pytest.mark.parametrize(
    "sdp",
    [
        "hello",
        "v=0\r\n",
        an_offer(data=True),
        an_offer(video=True),
        an_offer() + "a=x:" + "y" * 50_000,
        an_offer() + "a=x\rm=application 9 UDP/DTLS/SCTP webrtc-datachannel\ra=mid:1\r\n",
        an_offer() + " m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n",
        an_offer() + "a=x\x00\r\n",
    ],
)
async def test_only_an_offer_of_audio_alone_is_taken(office: Office, sdp: str) -> None:
    answer = await talk(office, sdp=sdp)
    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["pointer"] == "#/sdp"
    assert not office.simulator.calls


async def test_the_same_key_twice_is_one_talk(office: Office) -> None:
    client = office.clients["acme"]
    body = {"agent": "reception", "sdp": an_offer()}
    headers = {"Idempotency-Key": "once"}
    first = await client.post("/api/v1/talk", json=body, headers=headers)
    second = await client.post("/api/v1/talk", json=body, headers=headers)
    assert first.json() == second.json()
    assert len(office.simulator.calls) == 1


async def test_what_the_provider_does_not_do_is_told(office: Office) -> None:
    office.simulator.set_faults({"create": [{"status": 400, "times": 1}, {"reset": True}]})
    refused, silent = await talk(office), await talk(office)
    assert (refused.status_code, refused.json()["code"]) == (409, "provider-refused")
    assert (silent.status_code, silent.json()["code"]) == (504, "provider-silent")


async def test_nobody_types_for_a_caller_who_has_a_telephone(office: Office) -> None:
    office.simulator.deliver_to = f"{office.url}/webhooks/openai"
    call_id = await office.simulator.place_call("+17134810111", stay=True, script=[])
    await office.told(call_id, lambda call: call["ended_at"] is None)
    client = office.clients["acme"]
    typed = await client.post(f"/api/v1/calls/{call_id}/typed", json={"text": "Hello"})
    assert (typed.status_code, typed.json()["code"]) == (409, "no-talk")


async def test_a_client_secret_needs_an_admin_and_an_agent_without_secrets(office: Office) -> None:
    async def asked(who: str, **body: Any) -> httpx.Response:
        return await office.clients[who].post("/api/v1/client-secrets", json=body)

    assert (await asked("acme", agent="plain")).status_code == 403
    made = await asked("acme-admin", agent="plain", expires_in="60s")
    assert made.status_code == 201
    assert made.json()["value"].startswith("ek_")
    refused = await asked("acme-admin", agent="hosted")
    assert (refused.status_code, refused.json()["code"]) == (409, "own-credentials")
    assert "without_tools" in refused.json()["detail"]
    refused = await asked("acme-admin", agent="reception")
    assert (refused.status_code, refused.json()["code"]) == (409, "own-tools")
    assert (await asked("acme-admin", agent="hosted", without_tools=True)).status_code == 201
    assert (await asked("acme-admin", agent="plain", expires_in="3h")).status_code == 422
    assert len(await office.audited("client_secrets.create")) == 4


@asynccontextmanager
async def signed_in(office: Office, name: str, tenant: str | None, scope: Scope) -> Any:
    """A browser without scripts, and what its forms must bring back."""
    token = await office.token(name, tenant, scope)
    async with httpx.AsyncClient(base_url=office.url) as browser:
        now = office.service.house.clock.wall() if office.service.house else 0.0
        cookie = session.begin(token, now)
        browser.cookies.set(session.PLAIN, cookie, path="/console")
        kept = session.read({session.PLAIN: cookie}, now)
        assert kept is not None
        yield browser, kept.csrf


async def test_a_link_chooses_its_agent_or_says_that_there_is_none(office: Office) -> None:
    async with signed_in(office, "Olga", None, Scope.CONTROL) as (browser, _):
        for link in ({"agent": "beta/plain"}, {"agent": "plain", "tenant": "beta"}):
            page = (await browser.get("/console/talk", params=link)).text
            assert '<option value="beta/plain" selected>' in page
            assert "talk-absent" not in page
        for wanted in ("plain", "nobody", "acme/nobody"):  # "plain" is two agents
            page = (await browser.get("/console/talk", params={"agent": wanted})).text
            assert "selected" not in page
            assert f"There is no one agent {wanted}" in page
            assert Read(page).faults() == []


async def test_the_page_talks(office: Office) -> None:
    office.simulator.set_talks(script=SCRIPT)
    async with signed_in(office, "Ann", "acme", Scope.CONTROL) as (browser, csrf):
        page = await browser.get("/console/talk?agent=plain")
        assert page.status_code == 200
        assert page.headers["permissions-policy"].startswith("microphone=(self)")
        assert '<option value="acme/plain" selected>plain</option>' in page.text
        assert "beta/" not in page.text
        assert not re.search(r"<script>|style=|onclick=", page.text)
        assert Read(page.text).faults() == []
        form = {"agent": "acme/reception", "number": "", "language": "", "sdp": an_offer()}
        begun = await browser.post("/console/talk/begin", data=form, headers={"X-CSRF": csrf})
        assert begun.status_code == 201, begun.text
        told = begun.json()
        shown = await browser.get(told["shown"])
        assert shown.status_code == 200
        assert 'data-testid="talk-lines"' in shown.text
        assert Read(shown.text).faults() == []
        events = re.search(r'hx-sse:connect="([^"]+)"', shown.text)
        assert events is not None
        await office.simulator.until(told["call_id"], lambda call: len(call.transcript) == 3)
        do = f"/console/calls/{told['call_id']}/do"
        sent = await browser.post(
            f"{do}/typed",
            data={"csrf": csrf, "text": "And when today?", "key": "k"},
            headers={"HX-Request": "true"},
        )
        assert sent.status_code == 200, sent.text
        await office.simulator.until(told["call_id"], lambda call: len(call.transcript) == 4)
        await browser.post(f"{do}/hang-up", data={"csrf": csrf, "key": "h"})
        stream = await browser.get(events[1].replace("&amp;", "&"))
    assert "Thank you for calling Acme." in stream.text
    assert "And when today?" in stream.text
    assert "From nine to six." in stream.text


async def test_an_operator_sees_the_words_of_their_own_talk_only(office: Office) -> None:
    office.simulator.set_talks(script=SCRIPT)
    theirs = (await talk(office)).json()["call_id"]
    async with signed_in(office, "Olga", None, Scope.ADMIN) as (browser, csrf):
        form = {"agent": "acme/plain", "sdp": an_offer()}
        begun = await browser.post("/console/talk/begin", data=form, headers={"X-CSRF": csrf})
        own = begun.json()["shown"]
        assert (await browser.get(own)).status_code == 200
        for path in (own.partition("?")[0], own.replace(begun.json()["call_id"], theirs)):
            assert (await browser.get(path)).status_code == 404
    async with signed_in(office, "Olaf", None, Scope.ADMIN) as (another, _):
        assert (await another.get(own)).status_code == 404
    assert {deed.target for deed in await office.audited("calls.transcript")} == {
        begun.json()["call_id"]
    }


async def test_the_words_of_a_talk_are_opened_only_to_the_session_that_began_it(
    office: Office,
) -> None:
    async with (
        signed_in(office, "Ann", None, Scope.CONTROL) as (ann, csrf),
        signed_in(office, "Bob", None, Scope.ADMIN) as (bob, _),
    ):
        form = {"agent": "acme/plain", "sdp": an_offer()}
        begun = await ann.post("/console/talk/begin", data=form, headers={"X-CSRF": csrf})
        shown = begun.json()["shown"]
        assert (await ann.get(shown)).status_code == 200
        for path in (shown, shown.partition("?")[0]):
            assert (await bob.get(path)).status_code == 404
        assert (await ann.get(shown.partition("?")[0])).status_code == 404
    (deed,) = await office.audited("calls.transcript")
    assert deed.reason.startswith("whoever reads it is the caller")


async def test_without_the_engine_nobody_talks(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> Any:
        raise EngineError("away")

    monkeypatch.setattr(EmbeddedEngine, "offer", away)
    answer = await talk(office)
    assert (answer.status_code, answer.json()["code"]) == (503, "engine-away")
    (call,) = office.simulator.calls
    await office.simulator.wait_ended(call.call_id)
    assert call.ended_by == "hangup"


async def test_the_page_tells_what_is_wrong(office: Office) -> None:
    async with signed_in(office, "Ann", "acme", Scope.CONTROL) as (browser, csrf):
        form = {"agent": "acme/nobody", "sdp": an_offer()}
        mark = {"X-CSRF": csrf}
        for changed, status in (
            ({}, 404),
            ({"agent": ""}, 422),
            ({"agent": "beta/plain"}, 404),
            ({"agent": "acme/plain", "language": "xx"}, 409),
            ({"agent": "acme/plain", "sdp": an_offer(data=True)}, 422),
        ):
            answer = await browser.post(
                "/console/talk/begin", data={**form, **changed}, headers=mark
            )
            assert (answer.status_code, set(json.loads(answer.text))) == (status, {"wrong"})
        assert (await browser.post("/console/talk/begin", data=form)).status_code == 403
        assert (await browser.get("/console/talk/calls/rtc_other")).status_code == 404
    assert not office.simulator.calls


async def test_who_may_only_look_is_told_so(office: Office) -> None:
    async with signed_in(office, "Ray", "acme", Scope.READ) as (browser, csrf):
        page = await browser.get("/console/talk")
        form = {"agent": "acme/plain", "sdp": an_offer()}
        mark = {"X-CSRF": csrf}
        refused = await browser.post("/console/talk/begin", data=form, headers=mark)
    assert "needs a token with the scope control" in page.text
    assert "talk-start" not in page.text
    assert refused.status_code == 403
