"""What happens to an incoming call between its signed webhook and its task."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import structlog

from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AccountName,
    CallId,
    Consulted,
    Decision,
    Forward,
    IncomingCall,
    MediaSecurity,
    Quota,
    Reason,
    Reject,
    Returned,
    TenantName,
    WebhookId,
)
from sipagent.routing import (
    Arrival,
    Controls,
    RoutingTable,
    arrival,
    decide,
    invite_of,
    within_process,
)
from sipagent.sessions.machine.life import SERVICE_UNAVAILABLE
from sipagent.sessions.ports import (
    Claim,
    Claims,
    Clock,
    Configuration,
    Consultant,
    RecentCallers,
    Records,
)
from sipagent.sessions.supervisor import Supervisor
from sipagent.sip import Headers, Invite

log = structlog.get_logger(__name__)

ACCEPT_WITHIN: Final = 6.5
"""Seconds for the provider to take an accept, retries included. With the rejection that follows
a caller rings for at most ten seconds until the carrier may try elsewhere."""

_LEAST: Final = 1.0
"""Seconds that an accept is given in any case."""

_NOBODY_BACK: Final[Mapping[TenantName, Returned]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a signed webhook says of a call. `sip_headers` is JSON of any shape, unread.

    `created_at` is when the call came to the provider, `sent_at` when this delivery was signed,
    both in unix seconds by the provider's clock.
    """

    call_id: CallId
    webhook_id: WebhookId
    account: AccountName
    sent_at: float
    created_at: float | None
    sip_headers: object
    media_security: MediaSecurity


class Taken(StrEnum):
    """What became of a delivery. None of these is a reason for the provider to deliver again."""

    ACCEPTED = "accepted"
    CONSULTED = "consulted"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class _Case:
    """An incoming call, and what is decided from: the same however often it is decided."""

    call: IncomingCall
    table: RoutingTable
    at: float
    controls: Controls
    returned: Mapping[TenantName, Returned]

    def decided(self, consulted: Consulted | None = None) -> Decision:
        return decide(
            self.call,
            self.table,
            self.at,
            self.controls,
            returned=self.returned,
            consulted=consulted,
        )


class Intake:
    """Claims each incoming call once and hands it to the supervisor, without waiting for anyone.

    `ring_window` is how many seconds after its creation a call may still ring, `process` what all
    calls may take together. `consultant` asks tenants' own endpoints, `recent` knows who has just
    been a caller. While it is `draining` calls are refused; while it is `leaving` they are taken,
    and others go on with them.
    """

    def __init__(
        self,
        *,
        configuration: Configuration,
        engine: Claims,
        supervisor: Supervisor,
        records: Records,
        ring_window: float,
        clock: Clock,
        process: Quota | None = None,
        consultant: Consultant | None = None,
        recent: RecentCallers | None = None,
    ) -> None:
        self._configuration = configuration
        self._clock = clock
        self._engine = engine
        self._supervisor = supervisor
        self._records = records
        self._ring_window = ring_window
        self._process = process
        self._consultant = consultant
        self._recent = recent
        self.draining = False
        self.leaving = False

    def closed(self) -> bool:
        """Whether whoever can ask again should ask another process."""
        return self.draining or self.leaving

    async def take(self, announced: Announcement) -> Taken:
        """Decide on a call and see to it. Its accept or reject, and whoever is asked about it
        before, go on after this returns."""
        age = 0.0
        if announced.created_at is not None:
            # Both by the provider's clock: ours being minutes off must not silence a number.
            age = max(0.0, announced.sent_at - announced.created_at)
        if age > self._ring_window:
            log.warning("stale delivery", call_id=announced.call_id, account=announced.account)
            return Taken.STALE
        case, call, decision = self._decide(announced)
        began_at = self._clock.wall()
        offer = await self._engine.offer(call, decision)
        if offer.claim is Claim.DUPLICATE:
            return Taken.DUPLICATE
        within = min(ACCEPT_WITHIN, max(_LEAST, self._ring_window - age))
        if case is not None and offer.decision.consult is not None:
            work = self._consult(case, offer.decision, within, began_at)
            self._supervisor.consult(call, offer.decision, work)
            return Taken.CONSULTED
        self._records.decided(call, offer.decision)
        return self._follow(call, offer.decision, within, began_at)

    def _follow(
        self, call: IncomingCall, decision: Decision, within: float, began_at: float
    ) -> Taken:
        """See to a claimed call as it was decided."""
        match decision.verdict:
            case Accept(plan) | Forward(plan):
                try:
                    self._supervisor.answer(plan, within=within, began_at=began_at)
                except Exception:  # the crash boundary of a call that cannot even begin
                    log.exception("call not begun", call_id=call.call_id)
                    refused = Reject(SERVICE_UNAVAILABLE, Reason.INTERNAL_ERROR, plan.tenant)
                    self._supervisor.refuse(call, refused)
                    return Taken.REJECTED
                return Taken.ACCEPTED
            case Reject() as verdict:
                self._supervisor.refuse(call, verdict)
                return Taken.REJECTED

    async def _consult(self, case: _Case, before: Decision, within: float, began_at: float) -> None:
        """Ask the tenant's own endpoint, decide again with what came of it, and see to the call
        with what is left of its time."""
        began, consult = self._clock.monotonic(), before.consult
        assert consult is not None
        if self._consultant is None:
            consulted = Consulted(None, "nobody can be asked here")
        else:
            consulted = await self._consultant.ask(case.call.call_id, consult)
        offer = await self._engine.revise(case.call, before, self._decided(case, consulted))
        if offer.claim is Claim.LOST:
            return
        self._records.decided(case.call, offer.decision)
        left = within - (self._clock.monotonic() - began)
        self._follow(case.call, offer.decision, max(_LEAST, left), began_at)

    def _decide(self, announced: Announcement) -> tuple[_Case | None, IncomingCall, Decision]:
        """The decision; a failure to decide is a rejection, so that the fallback can ring."""
        try:
            table = self._configuration.table
            arrived = arrival(
                Headers.from_json(announced.sip_headers),
                table.trunks,
                self._configuration.trunk_secrets,
            )
            call = _call(announced, invite_of(arrived, table.trunks, table.region), arrived)
            controls, at = self._configuration.controls, self._clock.wall()
            case = _Case(call, table, at, controls, self._returned(call))
            return case, call, self._decided(case)
        except Exception:
            log.exception("decision failed", call_id=announced.call_id)
            verdict = Reject(SERVICE_UNAVAILABLE, Reason.INTERNAL_ERROR, DEFAULT_TENANT)
            return None, _call(announced, Invite()), Decision(verdict, trace=())

    def _decided(self, case: _Case, consulted: Consulted | None = None) -> Decision:
        decision = case.decided(consulted)
        if self._process is not None:
            decision = within_process(decision, self._process, case.table)
        if self.draining and decision.held:
            refused = Reject(SERVICE_UNAVAILABLE, Reason.DRAINING, decision.tenant)
            return replace(decision, verdict=refused, caps=(), quotas=(), consult=None)
        return decision

    def _returned(self, call: IncomingCall) -> Mapping[TenantName, Returned]:
        caller = call.invite.caller_e164
        if self._recent is None or caller is None:
            return _NOBODY_BACK
        return self._recent.returned(caller.value)


def _call(announced: Announcement, invite: Invite, arrived: Arrival | None = None) -> IncomingCall:
    trunk = None if arrived is None else arrived.trunk
    return IncomingCall(
        call_id=announced.call_id,
        webhook_id=announced.webhook_id,
        account=announced.account,
        invite=invite,
        created_at=announced.created_at,
        media_security=announced.media_security,
        headers=Headers() if arrived is None else arrived.headers,
        trunk=None if trunk is None else trunk.name,
        verified=arrived is not None and arrived.verified,
    )
