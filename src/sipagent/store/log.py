"""Records as structured log lines and metrics. Words that were spoken are in neither."""

from collections.abc import Callable
from typing import Final

import structlog

from sipagent.metrics import Metrics
from sipagent.model import (
    CallOutcome,
    CallPlan,
    Decision,
    Forward,
    Happening,
    IncomingCall,
    Message,
    Reject,
    Tokens,
    ToolUse,
    Transfer,
    Turn,
    Usage,
)
from sipagent.sip import mask_number
from sipagent.store.planned import tool_names
from sipagent.store.toolrows import UNKNOWN_TOOL

log = structlog.get_logger(__name__)

_LINES: Final = {
    Happening.DROPPED: "call dropped its socket",
    Happening.REATTACHED: "call reattached",
    Happening.RETRIED: "call retried",
    Happening.FELL_BACK: "call fell back",
    Happening.WOUND_DOWN: "call wound down",
    Happening.NOT_DISCLOSED: "call without its disclosure",
}
"""Steps of a call that are worth a line: the others show in its outcome."""


def _now(tell: Callable[[], None]) -> None:
    tell()


class LogRecords:
    """Every decision and every outcome is one line; numbers are masked."""

    def __init__(
        self, metrics: Metrics, later: Callable[[Callable[[], None]], None] = _now
    ) -> None:
        """`later` has the lines made that all calls have, in its own time."""
        self._metrics = metrics
        self._later = later
        self._tokens = {
            name: metrics.records.tokens.labels(name) for name in Tokens.__struct_fields__
        }

    def decided(self, call: IncomingCall, decision: Decision) -> None:
        self._later(lambda: _tell_decided(call, decision))

    def adopted(self, call: IncomingCall, decision: Decision, began_at: float) -> None:
        log.info("call adopted", call_id=call.call_id, tenant=decision.tenant)

    def happened(self, plan: CallPlan, what: Happening, detail: str | None = None) -> None:
        line = _LINES.get(what)
        if line is not None:
            self._metrics.calls.steps.labels(what.value).inc()
            log.info(
                line,
                call_id=plan.call_id,
                tenant=plan.tenant,
                agent=plan.agent,
                detail=detail,
            )

    def turn(self, plan: CallPlan, turn: Turn) -> None:
        self._metrics.turns.labels(turn.speaker).inc()

    def used(self, plan: CallPlan, usage: Usage) -> None:
        for name, counter in self._tokens.items():
            if count := getattr(usage.bill.tokens, name):
                counter.inc(count)
        if usage.cost:
            self._metrics.records.charge(plan.tenant, plan.agent, usage.cost)

    def transfer(self, plan: CallPlan, transfer: Transfer) -> None:
        known = {} if transfer.outcome is None else {"outcome": transfer.outcome}
        if transfer.outcome is not None:
            self._metrics.tools.transfers.labels(transfer.outcome).inc()
        log.info(
            "transfer ended" if known else "call referred",
            call_id=plan.call_id,
            tenant=plan.tenant,
            agent=plan.agent,
            attempt=transfer.number,
            destination=transfer.destination,
            answer=transfer.answer,
            **known,
        )

    def tool(self, plan: CallPlan, use: ToolUse) -> None:
        """Neither arguments nor output are told, nor a name that is not one of the agents' tools:
        they are words of a caller and a model."""
        name = use.name if use.name in tool_names(plan) else UNKNOWN_TOOL
        self._metrics.tools.used(name, use.result.value, use.ended - use.began)
        log.info(
            "tool used",
            call_id=plan.call_id,
            tenant=plan.tenant,
            agent=plan.agent if use.agent is None else use.agent,
            tool=name,
            status=use.result,
            detail=use.detail,
            ms=round((use.ended - use.began) * 1000),
        )

    async def message(self, plan: CallPlan, message: Message) -> None:
        log.info("message taken", call_id=plan.call_id, tenant=plan.tenant, agent=plan.agent)
        self._metrics.tools.messages.inc()

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

    def left(self, plan: CallPlan) -> None:
        log.info("call left", call_id=plan.call_id, tenant=plan.tenant, agent=plan.agent)

    def ended(self, outcome: CallOutcome) -> None:
        self._later(lambda: _tell_ended(outcome))
        self._metrics.calls.ended(outcome)


def _tell_decided(call: IncomingCall, decision: Decision) -> None:
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


def _tell_ended(outcome: CallOutcome) -> None:
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
