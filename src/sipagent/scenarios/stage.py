"""The stage: the real service beside the simulator, for one call."""

import asyncio
import base64
import contextlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlsplit

from sipagent.app import Fixed, build, serving
from sipagent.config import Loaded
from sipagent.environment import ENVIRONMENT_ACCOUNT
from sipagent.model import (
    AccountName,
    CallOutcome,
    CallPlan,
    Message,
    SecretName,
    TenantName,
    ToolUse,
    TrunkName,
)
from sipagent.providers.accounts import AccountSpec
from sipagent.providers.secrets import SecretSource
from sipagent.scenarios.hurry import HurriedLoop, StageClock
from sipagent.scenarios.ledger import Ledger
from sipagent.scenarios.scenario import Scenario, Takes
from sipagent.scenarios.standin import Asked, StandIn, client_context, somewhere, standing_in
from sipagent.scenarios.stubs import StubbedTools
from sipagent.sessions.ports import Clock
from sipagent.settings import Settings
from sipagent.simulator import Simulator, running_simulator
from sipagent.simulator.call import SimulatedCall
from sipagent.tools.addresses import Allow
from sipagent.tools.egress import Egress

PACE: Final = 2.5
"""Words a second, as people talk."""

_ENDED_WITHIN: Final = 60.0
"""Seconds for a call to end when the caller has hung up."""

_NO_NUMBER: Final = re.compile(r"[^0-9+]")
_PROOF: Final = "scenario"
_PLACEHOLDER: Final = "whsec_" + base64.b64encode(b"a scenario has no secrets").decode()
_VERSTAT: Final = "X-Twilio-VerStat"


@dataclass(frozen=True, slots=True)
class Run:
    """What happened. `sent` are the destinations that the call was sent to, in order, `overdue`
    says that the caller has hung up because the call did not end, and `problems` are why it could
    not be played as it is written. `faults` are codes of what the provider reported as wrong."""

    call: SimulatedCall
    plan: CallPlan | None
    outcome: CallOutcome | None
    tools: tuple[ToolUse, ...]
    messages: tuple[Message, ...]
    asked: tuple[Asked, ...]
    problems: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    sent: tuple[str, ...] = ()
    overdue: bool = False
    rejected: int | None = None
    notes: tuple[Mapping[str, Any], ...] = field(default=())


class Rehearsed(Fixed):
    """A configuration whose secrets open nothing, and which starts no servers."""

    def secret(self, tenant: TenantName, name: SecretName) -> str:
        return _PLACEHOLDER


def play(scenario: Scenario, loaded: Loaded, allow: str = "") -> Run:
    """The scenario's run, on a stage of its own. `allow` are private networks and hosts that tools
    may ask, as SIPAGENT_HTTP_TOOLS_ALLOW has them. Not to be called in a running event loop."""
    with asyncio.Runner(loop_factory=HurriedLoop) as runner:
        return runner.run(_Stage(scenario, loaded, allow).run())


@dataclass(slots=True)
class _Stage:
    scenario: Scenario
    loaded: Loaded
    allow: str
    secret: str = field(
        default_factory=lambda: "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    )
    ledger: Ledger = field(default_factory=Ledger)
    missing: list[str] = field(default_factory=list)
    places: dict[str, str] = field(default_factory=dict)

    async def run(self) -> Run:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, HurriedLoop)
        clock = StageClock(loop, self.scenario.call.at or time.time())
        async with AsyncExitStack() as stack:
            simulator = await stack.enter_async_context(running_simulator(self.secret))
            standin = await stack.enter_async_context(standing_in(self.scenario.http))
            loop.own = {_port(simulator.url), *standin.ports}
            loop.detour = standin.detour
            url = await stack.enter_async_context(self._service(simulator.url, clock))
            loop.own.add(_port(url))
            simulator.deliver_to = f"{url}/webhooks/{self._account()}"
            return await self._call(simulator, standin)

    @asynccontextmanager
    async def _service(self, upstream: str, clock: Clock) -> AsyncIterator[str]:
        settings = Settings.model_validate({"SIPAGENT_DRAIN_TIMEOUT": 0})
        table = self.loaded.table
        proven = {
            name: (f"{_PROOF}-{name}".encode(),)
            for name, trunk in table.trunks.items()
            if trunk.secret_header is not None
        }
        service = build(
            settings,
            Rehearsed(table, trunk_secrets=proven),
            accounts=tuple(self._accounts(upstream)),
            records=self.ledger,
            clock=clock,
            egress=Egress(Allow.parse(self.allow), client_context(), clock=clock, lookup=somewhere),
            tools=lambda others: StubbedTools(self.scenario.stubs, others, self.missing),
        )
        async with serving(service) as url:
            yield url

    def _accounts(self, upstream: str) -> Iterator[AccountSpec]:
        """The configuration's accounts, or the environment's one, at the simulator."""
        key, hooks = SecretSource(literal="scenario"), SecretSource(literal=self.secret)
        openai = AccountSpec(
            ENVIRONMENT_ACCOUNT, "openai", f"{upstream}/v1", webhook_secrets=hooks, api_keys=key
        )
        for spec in self.loaded.accounts or (openai,):
            root = "v1" if spec.provider == "openai" else "openai/v1"
            base_url = f"{upstream}/{root}"
            yield replace(spec, base_url=base_url, webhook_secrets=hooks, api_keys=key, entra=None)

    def _account(self) -> AccountName:
        """The account that the call comes to."""
        directories = self.loaded.table.directories
        chosen = self.scenario.call.account
        if chosen is not None:
            return AccountName(chosen)
        number = _NO_NUMBER.sub("", self.scenario.call.to)
        having = [
            name
            for name, each in directories.items()
            if each.listed(number) is not None or each.covering(number) is not None
        ]
        return next(iter(having or directories), ENVIRONMENT_ACCOUNT)

    async def _call(self, simulator: Simulator, standin: StandIn) -> Run:
        scenario = self.scenario
        self.ledger.when_decided = lambda call_id: self._plan_refers(simulator, call_id)
        call_id = await simulator.place_call(
            scenario.call.to,
            "".join(scenario.call.caller.split()),
            extra_headers=list(self._headers()),
            script=[dict(step.order) for step in scenario.script],
            as_written=True,
            stay=True,
            pace=PACE,
            reaction=0.5,
            refer={"outcome": "nothing"},
        )
        call = simulator.call(call_id)
        overdue = await self._wait(simulator, call)
        return Run(
            call=call,
            plan=self.ledger.plan,
            outcome=self.ledger.outcome,
            tools=tuple(self.ledger.tools),
            messages=tuple(self.ledger.messages),
            asked=tuple(standin.asked),
            problems=tuple(self._problems(call)),
            faults=tuple(self.ledger.faults),
            sent=tuple(self.places.get(uri, uri) for uri in _referred(call)),
            overdue=overdue,
            rejected=call.sip_status if call.state == "rejected" else None,
            notes=tuple(call.notes),
        )

    async def _wait(self, simulator: Simulator, call: SimulatedCall) -> bool:
        """Wait for the call's end; True if it did not end by itself."""
        try:
            async with asyncio.timeout(self.scenario.call.limit):
                await self.ledger.over.wait()
        except TimeoutError:
            simulator.hang_up(call.call_id)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ENDED_WITHIN):
                    await self.ledger.over.wait()
            return True
        return False

    def _plan_refers(self, simulator: Simulator, call_id: str) -> None:
        """Have each destination take the call as the scenario says."""
        plan = self.ledger.plan
        if plan is None:
            return
        names = {each.refer_to: str(each.destination) for each in plan.ways.destinations}
        if plan.fallback is not None:
            names[plan.fallback.refer_to] = str(plan.fallback.destination)
        if plan.refer_to is not None and plan.destination is not None:
            names[plan.refer_to] = str(plan.destination)
        simulator.plan_refers(
            call_id,
            [
                _refer(uri, self.scenario.transfers.get(name, Takes()))
                for uri, name in names.items()
            ],
        )
        self.places = names

    def _problems(self, call: SimulatedCall) -> Iterator[str]:
        """Names that the configuration does not have, and tools that have no answer."""
        asked, table = self.scenario.call, self.loaded.table
        for delivery in call.deliveries:
            if delivery["status"] != 200:
                yield f"the webhook was answered with {delivery['status'] or 'nothing'}"
        if asked.trunk is not None and TrunkName(asked.trunk) not in table.trunks:
            yield f"there is no trunk {asked.trunk}"
        if asked.account is not None and AccountName(asked.account) not in table.directories:
            yield f"there is no account {asked.account}"
        if self.ledger.plan is not None:
            for name in self.scenario.transfers:
                if name not in self.places.values():
                    yield f"the call cannot be sent to {name}"
        for name in self.missing:
            yield f"the tool {name} is not asked in a scenario: say under `tools` what it returns"

    def _headers(self) -> Iterable[dict[str, str]]:
        call = self.scenario.call
        for name, value in call.headers.items():
            yield {"name": name, "value": value}
        trunk = None if call.trunk is None else self.loaded.table.trunks.get(TrunkName(call.trunk))
        if trunk is not None and trunk.secret_header is not None:
            yield {"name": trunk.secret_header, "value": f"{_PROOF}-{trunk.name}"}
        if call.attestation is not None:
            header = None if trunk is None else trunk.attestation_header
            value = f"TN-Validation-Passed-{call.attestation}"
            yield {"name": header or _VERSTAT, "value": value}


def _referred(call: SimulatedCall) -> Iterator[str]:
    return (str(body["target_uri"]) for body in call.refers)


def _refer(uri: str, takes: Takes) -> dict[str, Any]:
    if takes.refused:
        return {"outcome": "refused", "to": uri}
    if takes.after is None:
        return {"outcome": "nothing", "to": uri}
    return {"outcome": "transferred", "after": takes.after, "to": uri}


def _port(url: str) -> int:
    return urlsplit(url).port or 0
