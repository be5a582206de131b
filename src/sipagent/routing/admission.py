"""Who gets through to a number before anything is rendered for the call. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from sipagent.model import AgentName, AttestationLevel, AttestationRule, Cap, Reason, Reject
from sipagent.routing.callers import Callers
from sipagent.routing.circumstances import Circumstances, attested
from sipagent.routing.trace import Trace


def policies_of(around: Circumstances) -> Iterator[Callers]:
    """All that the caller must get through, from the widest to the narrowest: no narrower one lifts
    what a wider one refuses."""
    table, route = around.table, around.route
    if table.callers is not None:
        yield table.callers
    tenant = table.tenants.get(route.tenant)
    if tenant is not None and tenant.callers is not None:
        yield tenant.callers
    yield from route.callers


def caller_caps(around: Circumstances) -> tuple[Cap, ...]:
    """What must have room for one more call of this caller, each place for itself."""
    caller = around.call.invite.caller_e164
    who = "anonymous" if caller is None else caller.value
    return tuple(
        Cap("per_caller", f"{callers.name}:{who}", callers.per_caller)
        for callers in policies_of(around)
        if callers.per_caller is not None
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """How a caller gets through: to whom the call's rules lead, or to `agent` of the number's
    tenant."""

    agent: AgentName | None = None


def admitted(around: Circumstances, trace: Trace) -> Entry | Reject:
    """Whether the caller gets through to the number, as lists, withheld numbers and attestation
    have it."""
    entry = Entry()
    caller = around.call.invite.caller_e164
    for callers in policies_of(around):
        refusal = callers.refusal(None if caller is None else caller.value)
        if refusal is not None:
            code, because = refusal
            trace.add("callers", callers.name, held=True, because=because)
            return Reject(code, Reason.RULE, around.route.tenant)
        trace.add("callers", callers.name, held=False, because="the caller is not refused")
        if callers.attestation is not None:
            judged = judge(callers.attestation, around, callers.name, trace)
            if isinstance(judged, Reject):
                return judged
            entry = entry if judged is None else Entry(judged)
    return entry


def judge(
    rule: AttestationRule, around: Circumstances, place: str, trace: Trace
) -> Reject | AgentName | None:
    """What follows from the attestation of the caller: nothing, another agent, or a rejection."""
    level = attested(around)
    told = f"{_said(level)}, {rule.least} is wanted"
    considered = f"{place}: attestation"
    if rule.met_by(level):
        trace.add("callers", considered, held=False, because=told)
        return None
    if rule.otherwise == "flag":
        trace.add("callers", considered, held=False, because=f"{told}: flagged")
        return None
    if rule.agent is not None:
        trace.add("callers", considered, held=True, because=f"{told}: {rule.agent} answers")
        return rule.agent
    trace.add("callers", considered, held=True, because=told)
    return Reject(rule.code, Reason.RULE, around.route.tenant)


def _said(level: AttestationLevel | None) -> str:
    return "the number is not attested" if level is None else f"the number is attested {level}"
