"""What happens to an incoming call between its signed webhook and its task."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import structlog

from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AccountName,
    CallId,
    Decision,
    Forward,
    IncomingCall,
    MediaSecurity,
    Quota,
    Reason,
    Reject,
    WebhookId,
)
from sipagent.routing import Arrival, arrival, decide, invite_of, within_process
from sipagent.sessions.machine.life import SERVICE_UNAVAILABLE
from sipagent.sessions.ports import Claim, Claims, Clock, Configuration, Records
from sipagent.sessions.supervisor import Supervisor
from sipagent.sip import Headers, Invite

log = structlog.get_logger(__name__)

ACCEPT_WITHIN: Final = 6.5
"""Seconds for the provider to take an accept, retries included. With the rejection that follows
a caller rings for at most ten seconds until the carrier may try elsewhere."""


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
    REJECTED = "rejected"
    DUPLICATE = "duplicate"
    STALE = "stale"


class Intake:
    """Claims each incoming call once and hands it to the supervisor, without waiting for anyone.

    `ring_window` is how many seconds after its creation a call may still ring, `process` what all
    calls may take together.
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
    ) -> None:
        self._configuration = configuration
        self._clock = clock
        self._engine = engine
        self._supervisor = supervisor
        self._records = records
        self._ring_window = ring_window
        self._process = process
        self.draining = False

    async def take(self, announced: Announcement) -> Taken:
        """Decide on a call and see to it. Its accept or reject goes on after this returns."""
        age = 0.0
        if announced.created_at is not None:
            # Both by the provider's clock: ours being minutes off must not silence a number.
            age = max(0.0, announced.sent_at - announced.created_at)
        if age > self._ring_window:
            log.warning("stale delivery", call_id=announced.call_id, account=announced.account)
            return Taken.STALE
        call, decision = self._decide(announced)
        began_at = self._clock.wall()
        offer = await self._engine.offer(call, decision)
        if offer.claim is Claim.DUPLICATE:
            return Taken.DUPLICATE
        self._records.decided(call, offer.decision)
        match offer.decision.verdict:
            case Accept(plan) | Forward(plan):
                within = min(ACCEPT_WITHIN, max(1.0, self._ring_window - age))
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

    def _decide(self, announced: Announcement) -> tuple[IncomingCall, Decision]:
        """The decision; a failure to decide is a rejection, so that the fallback can ring."""
        try:
            table = self._configuration.table
            arrived = arrival(
                Headers.from_json(announced.sip_headers),
                table.trunks,
                self._configuration.trunk_secrets,
            )
            call = _call(announced, invite_of(arrived, table.trunks, table.region), arrived)
            decision = decide(call, table, self._clock.wall(), self._configuration.controls)
            if self._process is not None:
                decision = within_process(decision, self._process, table)
        except Exception:
            log.exception("decision failed", call_id=announced.call_id)
            verdict = Reject(SERVICE_UNAVAILABLE, Reason.INTERNAL_ERROR, DEFAULT_TENANT)
            return _call(announced, Invite()), Decision(verdict, trace=())
        if self.draining and not isinstance(decision.verdict, Reject):
            tenant = decision.verdict.plan.tenant
            verdict = Reject(SERVICE_UNAVAILABLE, Reason.DRAINING, tenant)
            decision = replace(decision, verdict=verdict, caps=(), quotas=())
        return call, decision


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
