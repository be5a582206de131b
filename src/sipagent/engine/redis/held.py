"""A call that a replica holds, as it has to know it to tell the engine of it again."""

from dataclasses import dataclass, field

import structlog

from sipagent.engine.claims import call_to_json, decision_to_json
from sipagent.model import CallOutcome, Decision, IncomingCall
from sipagent.sessions.ports import FIRST_EPOCH

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Held:
    """A call of ours, with all that is needed to register it again. One that is not `registered`
    was taken while the engine was away (`alone`), or the engine has forgotten it: nobody else
    knows it, unless its claim reached the engine and only the answer was lost: `unsure_from` is
    when such a claim was sent, and its lease may have begun."""

    call: IncomingCall
    decision: Decision
    claimed_at: float
    epoch: int = FIRST_EPOCH
    registered: bool = True
    alone: bool = False
    marks: dict[str, float] = field(default_factory=dict)
    outcome: CallOutcome | None = None
    unsure_from: float | None = None


def ids_of(call: IncomingCall) -> tuple[str, str]:
    """Under what a call is remembered."""
    return f"call:{call.call_id}", f"webhook:{call.webhook_id}"


def written(call: IncomingCall, decision: Decision) -> tuple[bytes, bytes]:
    """The call and the decision as they stand in the engine."""
    try:
        return call_to_json(call), decision_to_json(decision)
    except Exception as error:  # the call must be answered; only a take-over would lose it
        log.exception("claim not writable", call_id=call.call_id, error=type(error).__name__)
        return b"", b""
