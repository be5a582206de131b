"""Calls of people at a browser: made at the provider, claimed, and held like all others.

The order is one that no death of this process can make expensive. The provider makes the call and
gives its id; it is claimed under it; only then does the browser get the SDP answer, without which
it has no connection. So a call that nobody has claimed has nobody at its other end: it says nothing
and costs nothing, and the provider ends it in time.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import structlog

from sipagent.concurrency import finish
from sipagent.errors import TalkError
from sipagent.model import (
    Accept,
    AccountName,
    AgentName,
    CallId,
    CallPlan,
    Decision,
    IncomingCall,
    Json,
    Quota,
    Reason,
    Reject,
    TenantName,
)
from sipagent.model.secret import holds_credentials
from sipagent.routing import within_process
from sipagent.routing.talks import Talk, decide_talk, named
from sipagent.sessions.machine.events import Answer
from sipagent.sessions.machine.life import SERVICE_UNAVAILABLE
from sipagent.sessions.machine.opening import opening_session
from sipagent.sessions.ports import Claim, Claims, Clock, Configuration, Providers, Records
from sipagent.sessions.supervisor import Supervisor
from sipagent.sessions.webrtc import TALK_WITHIN, Created, Issued, Talkers, Talking

log = structlog.get_logger(__name__)

MOST_OF_ONE: Final = 3
"""Calls that one person may have at a time, by this process."""

MOST_OF_TENANT: Final = 20
"""Calls that the people of one tenant may have, so that others find room as well."""

MOST_AT_ONCE: Final = 50
"""Calls of browsers that this process holds at a time. They are for trying, not for trade."""

_AT_ONCE: Final = 8.0
"""Seconds in which an answered call is attached, or given up."""


@dataclass(frozen=True, slots=True)
class TalkBegun:
    """A call that is held. The browser is to be given the SDP answer."""

    call_id: CallId
    sdp: str = field(repr=False)
    tenant: TenantName
    agent: AgentName


class Accounts(Talkers, Providers, Protocol):
    """The accounts, for making calls and for ending them."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What calls of browsers need."""

    configuration: Configuration
    accounts: Accounts
    engine: Claims
    supervisor: Supervisor
    records: Records
    clock: Clock


class Talks:
    """Begins calls of people at a browser, unless this process takes no new calls (`closed`).
    `process` is what all calls may take together."""

    def __init__(
        self, ports: Ports, closed: Callable[[], bool], process: Quota | None = None
    ) -> None:
        self._ports = ports
        self._closed = closed
        self._process = process
        self._of: dict[CallId, str] = {}
        self._beginning: list[tuple[str, TenantName]] = []

    async def begin(self, talk: Talk, offer: str, *, who: str) -> TalkBegun:
        """The call of `who` (an id), made of the browser's SDP offer. Raises TalkError."""
        if self._closed():
            raise _draining()
        self._verify_room(who, talk.tenant)
        call, decision, plan = decide_talk(talk, self._ports.configuration.table, self._now())
        if self._process is not None:
            table = self._ports.configuration.table
            decision = within_process(decision, self._process, table)
        mine = who, talk.tenant
        self._beginning.append(mine)
        # Whoever has asked may go away; a call that is made is claimed, and theirs, all the same.
        return await finish(self._begin_for(mine, call, decision, plan, offer), name="talk")

    async def client_secret(self, talk: Talk, lasts: int, *, without_tools: bool) -> Issued:
        """A secret with which another program may begin calls to the agent by itself, for so many
        seconds. Nothing of such calls is held, limited or recorded here. Raises TalkError."""
        call, _, plan = decide_talk(talk, self._ports.configuration.table, self._now())
        session = _given_away(plan.session, without_tools=without_tools)
        issued = await self._talking(call.account).client_secret(session, lasts)
        if issued.answer is not Answer.DONE:
            raise _failed(issued.answer, issued.detail)
        return issued

    def _now(self) -> float:
        return self._ports.clock.wall()

    def _verify_room(self, who: str, tenant: TenantName) -> None:
        """Raises TalkError where this one, the tenant, or all together, have enough calls."""
        plans = [one.plan for one in self._ports.supervisor.held() if one.plan.talk]
        held = {plan.call_id for plan in plans}
        self._of = {call_id: whose for call_id, whose in self._of.items() if call_id in held}
        own = [*self._of.values(), *(one for one, _ in self._beginning)].count(who)
        if own >= MOST_OF_ONE:
            detail = f"You have {own} calls from the browser already: hang one of them up."
            raise TalkError("too-many", detail)
        tenants = [*(plan.tenant for plan in plans), *(whose for _, whose in self._beginning)]
        if tenants.count(tenant) >= MOST_OF_TENANT:
            detail = f"The tenant has {MOST_OF_TENANT} calls from browsers: hang one of them up."
            raise TalkError("too-many", detail)
        if len(held) + len(self._beginning) >= MOST_AT_ONCE:
            detail = f"{MOST_AT_ONCE} calls from browsers are held by this process already."
            raise TalkError("too-many", detail)

    def _talking(self, account: AccountName) -> Talking:
        try:
            return self._ports.accounts.talking(account)
        except (KeyError, ValueError):
            raise TalkError("no-account", "The agent's account cannot be used.") from None

    async def _begin_for(
        self,
        mine: tuple[str, TenantName],
        call: IncomingCall,
        decision: Decision,
        plan: CallPlan,
        offer: str,
    ) -> TalkBegun:
        try:
            begun = await self._begin(call, decision, plan, offer)
            self._of[begun.call_id] = mine[0]
            return begun
        finally:
            self._beginning.remove(mine)

    async def _begin(
        self, call: IncomingCall, decision: Decision, plan: CallPlan, offer: str
    ) -> TalkBegun:
        began_at = self._now()
        created, plan = await self._create(call, plan, offer)
        if self._closed():  # since then: nothing may be begun that this process would not hold
            await self._hang_up(plan)
            raise _draining()
        call, decision = named(decision, call, plan)
        try:
            offered = await self._ports.engine.offer(call, decision)
        except BaseException:
            await self._hang_up(plan)
            raise
        if offered.claim is Claim.DUPLICATE:  # whoever has it holds it
            raise TalkError("provider-refused", "The provider has given a call id twice.")
        self._ports.records.decided(call, offered.decision)
        verdict = offered.decision.verdict
        if not isinstance(verdict, Accept):
            refused = verdict if isinstance(verdict, Reject) else _no_answer(plan)
            self._ports.supervisor.refuse(call, refused)
            raise _without_room(refused)
        try:
            self._ports.supervisor.answer(verdict.plan, within=_AT_ONCE, began_at=began_at)
        except Exception:  # the crash boundary of a call that cannot even begin
            log.exception("call not begun", call_id=plan.call_id)
            self._ports.supervisor.refuse(call, _no_answer(plan))
            raise TalkError("not-begun", "The call could not be begun: the log says why.") from None
        assert plan.agent is not None
        return TalkBegun(plan.call_id, created.sdp, plan.tenant, plan.agent)

    async def _create(
        self, call: IncomingCall, plan: CallPlan, offer: str
    ) -> tuple[Created, CallPlan]:
        """The call as the provider has made it, and its plan: with the other model's session where
        the provider refuses the first one."""
        talking = self._talking(call.account)
        created = await talking.create(offer, opening_session(plan, plan.session))
        spare = plan.fallback_session
        if created.answer is Answer.REFUSED and spare is not None:
            plan = replace(plan, session=spare, prices=plan.fallback_prices)
            created = await talking.create(offer, opening_session(plan, spare))
        if created.answer is not Answer.DONE:
            if created.call_id:
                await self._hang_up(replace(plan, call_id=created.call_id))
            raise _failed(created.answer, created.detail)
        return created, replace(plan, call_id=created.call_id, fallback_session=None)

    async def _hang_up(self, plan: CallPlan) -> None:
        """End a call that is nobody's. Should that fail, nobody is at its other end."""
        try:
            await self._ports.accounts.control(plan.account).hang_up(plan.call_id)
        except Exception as error:  # noqa: BLE001  # why it is to end is told in any case
            log.warning("hang-up failed", call_id=plan.call_id, error=type(error).__name__)


def _no_answer(plan: CallPlan) -> Reject:
    return Reject(SERVICE_UNAVAILABLE, Reason.INTERNAL_ERROR, plan.tenant)


def _draining() -> TalkError:
    return TalkError("draining", "This process takes no new calls: try again in a moment.")


def _failed(answer: Answer, detail: str) -> TalkError:
    if answer is Answer.REFUSED:
        return TalkError("provider-refused", f"The provider refuses the call: {detail}.")
    return TalkError("provider-silent", f"The provider has given no usable answer: {detail}.")


def _without_room(refused: Reject) -> TalkError:
    match refused.reason:
        case Reason.QUOTA:
            detail = "There is no room, or no money left, for one more call of the tenant's."
        case Reason.BUSY:
            detail = "The agent's account takes no new calls now: it fails, or has no room."
        case Reason.NO_RECORDS:
            detail = "No call is taken while it cannot be recorded."
        case _:
            detail = "The call is refused."
    return TalkError("no-room", detail)


def _given_away(session: Json, *, without_tools: bool) -> Json:
    """The session as another program may have it. Raises TalkError."""
    if without_tools:
        left_out = ("tools", "tool_choice", "parallel_tool_calls")
        return {name: value for name, value in session.items() if name not in left_out}
    if holds_credentials(session):
        raise TalkError(
            "own-credentials",
            "The agent's session holds credentials of its MCP servers, which whoever has the secret"
            " could use. Ask with without_tools, or let people talk to the agent by /api/v1/talk.",
        )
    if any(tool.get("type") == "function" for tool in session.get("tools", ())):
        raise TalkError(
            "own-tools",
            "The agent has tools that only this service can run, and it holds no call that another"
            " program begins. Ask with without_tools, or let people talk to the agent by"
            " /api/v1/talk.",
        )
    return session


__all__ = ["MOST_AT_ONCE", "MOST_OF_ONE", "TALK_WITHIN", "Ports", "Talk", "TalkBegun", "Talks"]
