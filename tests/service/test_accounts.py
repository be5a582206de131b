"""Several accounts in one process, each against a simulated provider of its own."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from sipagent.app import Service, build, serving
from sipagent.model import DEFAULT_TENANT, AccountName, AgentName, CallId
from sipagent.providers.accounts import AccountSpec, ClientSecret, EntraSpec
from sipagent.providers.secrets import SecretSource
from sipagent.routing import AnswerWith, NumberDirectory, Route, RoutingTable, Rule, TenantProfile
from sipagent.sessions.machine.events import Answer
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.testing import MemoryRecords, a_profile

SECRETS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in range(1, 12)]
NUMBER = "+17134810111"
US, AZ = AccountName("us-1"), AccountName("az")
HELD: dict[str, Any] = {"stay": True, "script": []}


@dataclass(frozen=True, slots=True)
class House:
    """A running service, and the provider of each of its accounts."""

    service: Service
    providers: dict[AccountName, Simulator]
    records: MemoryRecords
    client: httpx.AsyncClient

    async def call(self, account: AccountName, **options: Any) -> str:
        options = {"pace": 0, "patience": 0, **options}
        return await self.providers[account].place_call(NUMBER, **options)

    async def held(self, account: AccountName) -> str:
        """A call that goes on until somebody ends it."""
        call_id = await self.call(account, **HELD)
        await self.providers[account].until(call_id, lambda call: call.attachments == 1)
        return call_id

    async def outcomes(self, count: int) -> list[tuple[str, str]]:
        """The accounts and outcomes of so many calls, once they have ended."""
        await self.records.ended_until(count)
        return [(outcome.account, outcome.name) for outcome in self.records.outcomes]

    async def ready(self) -> tuple[int, dict[str, Any]]:
        answer = await self.client.get("/readyz")
        return answer.status_code, answer.json()


def a_table(accounts: Iterable[AccountName]) -> RoutingTable:
    """One agent who answers the same number on each account."""
    profile = a_profile(greeting=None, instructions="Be kind.")
    route = Route(NUMBER, DEFAULT_TENANT, (Rule(AnswerWith(AgentName("reception"))),))
    return RoutingTable(
        directories={account: NumberDirectory.of([route]) for account in accounts},
        agents={(DEFAULT_TENANT, profile.name): profile},
        tenants={DEFAULT_TENANT: TenantProfile(DEFAULT_TENANT, US)},
        config_hash="abc",
    )


@asynccontextmanager
async def opened(
    specs: dict[AccountName, Any], providers: dict[AccountName, Simulator]
) -> AsyncIterator[House]:
    settings = Settings.model_validate({"SIPAGENT_DRAIN_TIMEOUT": 0})
    records = MemoryRecords()
    accounts: list[AccountSpec] = list(specs.values())
    service = build(settings, a_table(providers), accounts=accounts, records=records)
    async with serving(service) as url, httpx.AsyncClient(base_url=url) as client:
        for name, provider in providers.items():
            provider.deliver_to = f"{url}/webhooks/{name}"
        yield House(service, providers, records, client)


@asynccontextmanager
async def providers(**keys: Iterable[str] | None) -> AsyncIterator[dict[AccountName, Simulator]]:
    """A provider for `us` and one for `az`, with the keys that each takes."""
    async with AsyncExitStack() as stack:
        found = {}
        for number, (name, short) in enumerate(((US, "us"), (AZ, "az"))):
            running = running_simulator(SECRETS[number], api_keys=keys.get(short))
            found[name] = await stack.enter_async_context(running)
        yield found


def openai_spec(provider: Simulator, keys: str | Path = "sk-us", **more: Any) -> AccountSpec:
    given = SecretSource(file=keys) if isinstance(keys, Path) else SecretSource(literal=keys)
    hooks = more.pop("webhook_secrets", SecretSource(literal=SECRETS[0]))
    return AccountSpec(US, "openai", provider.base_url, hooks, api_keys=given, **more)


def azure_spec(provider: Simulator, *, key: str | None = None) -> AccountSpec:
    """An Azure account with a key, or else with tokens of the provider's Entra."""
    hooks = SecretSource(literal=SECRETS[1])
    if key is not None:
        given = SecretSource(literal=key)
        return AccountSpec(AZ, "azure", provider.azure_base_url, hooks, api_keys=given)
    proof = ClientSecret("tenant-1", "client-1", SecretSource(literal="entra-secret"))
    entra = EntraSpec(proof, authority=provider.url)
    return AccountSpec(AZ, "azure", provider.azure_base_url, hooks, entra=entra)


async def test_each_call_is_answered_by_its_own_account() -> None:
    async with providers(us=["sk-us"], az=["k-az"]) as both:
        specs = {US: openai_spec(both[US]), AZ: azure_spec(both[AZ], key="k-az")}
        async with opened(specs, both) as home:
            calls = {name: [home.call(name) for _ in range(20)] for name in both}
            placed = dict(
                zip(
                    calls,
                    await asyncio.gather(*(asyncio.gather(*each) for each in calls.values())),
                    strict=True,
                )
            )
            ended = await home.outcomes(40)
            metrics = (await home.client.get("/metrics")).text
            status, answer = await home.ready()
        for name, provider in both.items():
            told = [provider.call(call_id) for call_id in placed[name]]
            assert {(len(call.accepts), call.attachments) for call in told} == {(1, 1)}
            assert (provider.unknown_calls, provider.keys.refused) == (0, 0)
    assert (
        sorted(ended) == [(AZ, "completed.line_closed")] * 20 + [(US, "completed.line_closed")] * 20
    )
    assert 'sipagent_account_healthy{account="us-1"} 1.0' in metrics
    assert (status, answer) == (200, {"status": "ready", "reasons": []})


async def test_a_delivery_of_another_account_is_not_taken() -> None:
    async with providers() as both:
        specs = {US: openai_spec(both[US]), AZ: azure_spec(both[AZ], key="k")}
        async with opened(specs, both) as home:
            url = str(home.client.base_url)
            for path, status in (("az", 400), ("us-1", 200), ("openai", 200), ("nobody", 404)):
                to = f"{url}/webhooks/{path}"
                delivery = await both[US].send_webhook(type="x", deliver_to=to)
                assert delivery["status"] == status


async def test_calls_go_on_while_tokens_end_and_are_renewed() -> None:
    async with providers(az=()) as both:
        provider = both[AZ]
        provider.entra.life = 2.0
        async with opened({AZ: azure_spec(provider)}, {AZ: provider}) as home:
            held = await home.held(AZ)
            count = 0
            while provider.entra.asked < 4:  # the first token has ended by then
                await home.call(AZ)
                count += 1
                await asyncio.sleep(0.05)
            control = home.service.accounts.control(AZ)
            assert await control.hang_up(CallId(held)) is Answer.DONE
            ended = await home.outcomes(count + 1)
            assert provider.call(held).ended_by == "hangup"
    assert count > 20
    assert {name for _, name in ended} == {"completed.line_closed"}


async def test_a_token_that_is_refused_before_its_time_is_renewed_within_the_request() -> None:
    async with providers(az=()) as both:
        provider = both[AZ]
        async with opened({AZ: azure_spec(provider)}, {AZ: provider}) as home:
            held = await home.held(AZ)
            await asyncio.sleep(1.1)  # a token that has just been got is not got again
            provider.entra.end_all()
            control = home.service.accounts.control(AZ)
            assert await control.hang_up(CallId(held)) is Answer.DONE
            await home.call(AZ)
            ended = await home.outcomes(2)
            assert home.service.accounts.health()[AZ].healthy
        assert (provider.entra.asked, provider.keys.refused) == (2, 1)
    assert [name for _, name in ended] == ["completed.line_closed"] * 2


async def test_a_key_file_is_rewritten_while_calls_run(tmp_path: Path) -> None:
    path = tmp_path / "us-1.keys"
    path.write_text("sk-1\n")
    async with providers(us=["sk-1"]) as both:
        provider = both[US]
        async with opened({US: openai_spec(provider, path)}, {US: provider}) as home:
            held = await home.held(US)
            for number in range(60):
                if number == 30:
                    path.write_text("sk-2\n")
                    provider.keys.valid = {"sk-2"}
                await home.call(US)
            control = home.service.accounts.control(US)
            assert await control.hang_up(CallId(held)) is Answer.DONE
            ended = await home.outcomes(61)
            assert home.service.accounts.health()[US].healthy
        assert 1 <= provider.keys.refused < 10
    assert {name for _, name in ended} == {"completed.line_closed"}


async def test_a_thousand_deliveries_during_a_rotation_are_all_taken(tmp_path: Path) -> None:
    path = tmp_path / "us-1.hooks"
    old, new = SECRETS[2], SECRETS[3]
    path.write_text(old)
    async with providers() as both:
        provider = both[US]
        spec = openai_spec(provider, webhook_secrets=SecretSource(file=path))
        async with opened({US: spec}, {US: provider}) as home:

            async def deliver(count: int, *secrets: str) -> list[int]:
                """So many deliveries, signed by each of these secrets in turn."""
                sent = (
                    provider.send_webhook(type="x", secret=secrets[number % len(secrets)])
                    for number in range(count)
                )
                return [delivery["status"] for delivery in await asyncio.gather(*sent)]

            async def rewrite(text: str) -> list[int]:
                await asyncio.to_thread(path.write_text, text)
                await home.service.accounts.refresh()
                return []

            phases = [
                await asyncio.gather(deliver(300, old), rewrite(f"# both\n{new}\n{old}\n")),
                await asyncio.gather(deliver(400, old, new)),
                await asyncio.gather(deliver(300, new), rewrite(new)),
            ]
            statuses = [status for phase in phases for part in phase for status in part]
            assert await deliver(1, old) == [400]
    assert statuses == [200] * 1_000


async def test_an_account_whose_keys_are_all_refused_shows_and_heals() -> None:
    async with providers(us=(), az=["k-az"]) as both:
        specs = {US: openai_spec(both[US], "sk-1\nsk-2"), AZ: azure_spec(both[AZ], key="k-az")}
        async with opened(specs, both) as home:
            lost = await home.call(US)
            assert await home.outcomes(1) == [(US, "failed.accept_refused")]
            (outcome,) = home.records.outcomes
            told = "accept answered 401 invalid_api_key; hang-up not confirmed"
            assert outcome.detail == told
            assert outcome.sip_code is None  # the 503 was refused as well: the carrier gives up
            assert both[US].keys.refused == 6  # accept, reject and hang-up, each with both keys
            assert not both[US].call(lost).answered
            reason = {
                "part": "account:us-1",
                "code": "unauthorized",
                "detail": "The provider refuses every key or token of the account.",
            }
            degraded = {"status": "degraded", "reasons": [], "degraded": [reason]}
            assert await home.ready() == (200, degraded)
            metrics = (await home.client.get("/metrics")).text
            assert 'sipagent_account_healthy{account="us-1"} 0.0' in metrics
            assert 'sipagent_account_healthy{account="az"} 1.0' in metrics
            both[AZ].keys.valid = set()
            await home.call(AZ)
            await home.outcomes(2)
            status, answer = await home.ready()
            assert (status, answer["status"]) == (503, "unready")
            assert {one["part"] for one in answer["reasons"]} == {"account:us-1", "account:az"}
            both[US].keys.valid = {"sk-2"}
            await home.call(US)
            assert (await home.outcomes(3))[-1] == (US, "completed.line_closed")
            status, answer = await home.ready()
            assert (status, answer["degraded"][0]["part"]) == (200, "account:az")


async def test_a_key_that_may_not_accept_shows_although_it_may_do_the_rest() -> None:
    async with (
        providers(us=["sk-us"]) as both,
        opened({US: openai_spec(both[US])}, {US: both[US]}) as home,
    ):
        await home.call(US, faults={"accept": {"status": 403}})
        assert await home.outcomes(1) == [(US, "failed.accept_refused")]
        assert home.records.outcomes[0].sip_code == 503
        status, answer = await home.ready()
        assert (status, answer["reasons"][0]["code"]) == (503, "forbidden")
        await home.call(US)
        assert (await home.outcomes(2))[-1] == (US, "completed.line_closed")
        assert (await home.ready())[0] == 200


async def test_a_deployment_that_is_not_there_sends_the_caller_on() -> None:
    async with providers() as both, opened({US: openai_spec(both[US])}, {US: both[US]}) as home:
        body = {"error": {"code": "DeploymentNotFound", "message": "There is none."}}
        await home.call(US, faults={"accept": {"status": 404, "body": body}})
        await home.outcomes(1)
    (outcome,) = home.records.outcomes
    assert (outcome.name, outcome.sip_code) == ("failed.accept_refused", 503)
    assert outcome.detail == "accept answered 404 DeploymentNotFound"


async def test_a_held_call_of_an_account_that_has_moved_is_ended_where_it_is() -> None:
    async with providers() as both:
        old, new = both[US], both[AZ]
        async with opened({US: openai_spec(old)}, {US: old}) as home:
            held = await home.held(US)
            await home.service.accounts.replace([openai_spec(new)])
            await home.service.supervisor.abort()
            await home.outcomes(1)
            await old.wait_ended(held)
            assert (old.call(held).ended_by, new.unknown_calls) == ("hangup", 0)
            assert home.records.outcomes[0].detail is None


async def test_a_removed_account_serves_its_held_calls_and_no_webhooks() -> None:
    async with providers(us=["sk-us"], az=["k-az"]) as both:
        specs = {US: openai_spec(both[US]), AZ: azure_spec(both[AZ], key="k-az")}
        async with opened(specs, both) as home:
            held = await home.held(AZ)
            await home.service.accounts.replace([specs[US]])
            delivery = await both[AZ].send_webhook(type="x")
            assert delivery["status"] == 404
            both[AZ].say(held, "Is somebody there?")
            await both[AZ].until(held, lambda call: "somebody" in json.dumps(call.transcript))
            await home.service.supervisor.drain(0)
            assert both[AZ].call(held).ended_by == "hangup"
            assert await home.outcomes(1) == [(AZ, "completed.operator_hung_up")]


@pytest.mark.parametrize(("count", "status"), [(4, 200), (5, 404)])
async def test_the_common_address_is_off_where_there_are_many_secrets(
    count: int, status: int
) -> None:
    many = "\n".join(SECRETS[:count])
    async with providers() as both:
        us = openai_spec(both[US], webhook_secrets=SecretSource(literal=many))
        others = SecretSource(literal="\n".join(SECRETS[5:9]))
        keys = SecretSource(literal="k")
        az = AccountSpec(AZ, "azure", both[AZ].azure_base_url, others, api_keys=keys)
        async with opened({US: us, AZ: az}, both) as home:
            to = f"{home.client.base_url}/webhooks/openai"
            delivery = await both[US].send_webhook(type="x", deliver_to=to)
            assert delivery["status"] == status
            if status == 404:
                answer = (await home.client.post("/webhooks/openai")).json()
                assert answer["code"] == "too-many-secrets"
                assert "/webhooks/ and the account's name" in answer["detail"]
