"""Records as structured log lines and metrics. Words that were spoken are in neither."""

import structlog

from sipagent.metrics import Metrics
from sipagent.model import CallOutcome, CallPlan, Decision, Forward, IncomingCall, Reject, Turn
from sipagent.sip import mask_number

log = structlog.get_logger(__name__)


class LogRecords:
    """Every decision and every outcome is one line; numbers are masked."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        invite, verdict = call.invite, decision.verdict
        plan = None if isinstance(verdict, Reject) else verdict.plan
        caller, attestation = invite.caller_e164, invite.attestation
        log.info(
            "call decided",
            call_id=call.call_id,
            tenant=verdict.tenant if isinstance(verdict, Reject) else verdict.plan.tenant,
            agent=None if plan is None else plan.agent,
            destination=verdict.destination if isinstance(verdict, Forward) else None,
            trunk=call.trunk,
            trunk_proven=call.verified,
            config_hash=None if plan is None else plan.config_hash,
            account=call.account,
            verdict=type(verdict).__name__.lower(),
            dialed=mask_number(decision.dialed) if decision.dialed else None,
            dialed_source=decision.dialed_source,
            listed=decision.listed,
            caller=mask_number(caller.value) if caller else None,
            attestation=attestation.level or attestation.verdict if attestation else None,
            forwarded=len(invite.forwarded_from),
            media=call.media_security,
            flags=sorted(invite.flags),
        )

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        self._metrics.turns.labels(turn.speaker).inc()

    def fault(self, plan: CallPlan, kind: str, code: str) -> None:
        log.warning(
            "provider error",
            call_id=plan.call_id,
            tenant=plan.tenant,
            agent=plan.agent,
            kind=kind,
            code=code,
        )
        self._metrics.provider_errors.labels(kind).inc()

    def ended(self, outcome: CallOutcome) -> None:
        log.info(
            "call ended",
            call_id=outcome.call_id,
            tenant=outcome.tenant,
            agent=outcome.agent,
            outcome=outcome.name,
            at_fault=outcome.reason.at_fault,
            detail=outcome.detail,
            sip_code=outcome.sip_code,
            seconds=round(outcome.duration, 3),
            turns=outcome.turns,
        )
        self._metrics.calls.ended(outcome)
