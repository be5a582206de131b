"""What is told of a call: LiveEvents as a tenant's own people may see them. Pure.

Numbers are masked, in words as well; of tools there are neither arguments nor outputs.
"""

from dataclasses import dataclass, field

from sipagent.model import AgentName, CallId, CallOutcome, CallPlan, Json, TenantName
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.sip import mask_number
from sipagent.store.shown import iso, said
from sipagent.watching import ids


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose call it is that something is told of."""

    call_id: CallId
    tenant: TenantName
    agent: AgentName | None = None

    @classmethod
    def of(cls, plan: CallPlan) -> "Subject":
        return cls(plan.call_id, plan.tenant, plan.agent)

    def event(self, kind: LiveKind, at: float, data: Json, *, what: str = "") -> LiveEvent:
        """An event with an id by which it is found again, `what` of its kind it is."""
        named = ids.event_id(self.call_id, what or kind)
        return LiveEvent(named, at, kind, self.call_id, self.tenant, self.agent, data)


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided; numbers as the tenant's numbers are stored."""

    verdict: str
    dialed: str | None = field(repr=False)
    caller: str | None = field(repr=False)
    trunk: str | None
    destination: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended."""

    outcome: str
    at_fault: str | None
    detail: str | None
    sip_code: int | None
    began_at: float
    answered_at: float | None
    heard_at: float | None
    ended_at: float
    turns: int | None

    @classmethod
    def of(cls, outcome: CallOutcome) -> "Ended":
        return cls(
            outcome.name,
            outcome.reason.at_fault.value,
            outcome.detail,
            outcome.sip_code,
            outcome.began_at,
            outcome.answered_at,
            outcome.heard_at,
            outcome.ended_at,
            outcome.turns,
        )


def decided(of: Subject, at: float, made: Decided) -> LiveEvent:
    data: Json = {
        "verdict": made.verdict,
        "dialed": _masked(made.dialed),
        "caller": _masked(made.caller),
        "trunk": made.trunk,
        "destination": made.destination,
    }
    return of.event(LiveKind.DECIDED, at, data)


def come(of: Subject, kind: LiveKind, at: float) -> LiveEvent:
    """The call has come so far: answered, attached, heard."""
    return of.event(kind, at, {})


def ended(of: Subject, end: Ended) -> LiveEvent:
    data: Json = {
        "outcome": end.outcome,
        "at_fault": end.at_fault,
        "detail": end.detail,
        "sip_code": end.sip_code,
        "seconds": round(end.ended_at - end.began_at, 3),
        "turns": end.turns,
        "answered_at": iso(end.answered_at),
        "heard_at": iso(end.heard_at),
    }
    return of.event(LiveKind.ENDED, end.ended_at, data)


def words(of: Subject, at: float, speaker: str, item: str, text: str) -> LiveEvent:
    """A piece of an utterance; the turn that it becomes is told when it is over."""
    data: Json = {"speaker": speaker, "item": item, "text": text}
    return LiveEvent("", at, LiveKind.WORDS, of.call_id, of.tenant, of.agent, data)


def turn(
    of: Subject, at: float, sequence: int, speaker: str, text: str | None, *, interrupted: bool
) -> LiveEvent:
    data: Json = {
        "sequence": sequence,
        "speaker": speaker,
        "text": None if text is None else said(text, numbers=False),
        "interrupted": interrupted,
    }
    return of.event(LiveKind.TURN, at, data, what=ids.of_turn(sequence))


def tool(
    of: Subject, at: float, use: str, name: str, status: str, detail: str | None, seconds: float
) -> LiveEvent:
    data: Json = {
        "name": name,
        "status": status,
        "detail": detail,
        "seconds": round(seconds, 3),
    }
    return of.event(LiveKind.TOOL, at, data, what=ids.of_tool(use))


def transfer(
    of: Subject,
    at: float,
    number: int,
    destination: str | None,
    answer: str,
    outcome: str | None,
) -> LiveEvent:
    data: Json = {
        "number": number,
        "destination": destination,
        "answer": answer,
        "outcome": outcome,
    }
    return of.event(LiveKind.TRANSFER, at, data, what=ids.of_transfer(number, outcome))


def step(of: Subject, at: float, what: str, detail: str | None) -> LiveEvent:
    data: Json = {"what": what, "detail": detail}
    return of.event(LiveKind.STEP, at, data, what=ids.of_step(what, at))


def gap(of: Subject, at: float, why: str, missed: int | None = None) -> LiveEvent:
    """Something has not been told: `why`, and how many events if that is known. Whoever names an
    event afterwards names the one before."""
    data: Json = {"why": why, "missed": missed}
    return LiveEvent("", at, LiveKind.GAP, of.call_id, of.tenant, of.agent, data)


NOBODYS = Subject(CallId(""), TenantName(""))
"""Of a gap that is no single call's."""


def _masked(number: str | None) -> str | None:
    return None if number is None else mask_number(number)
