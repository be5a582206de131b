"""How a call ended. Every call has exactly one outcome; `kind.reason` is its name."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sipagent.model.ids import AccountName, AgentName, CallId, TenantName


class Kind(StrEnum):
    COMPLETED = "completed"
    REJECTED = "rejected"
    ABANDONED = "abandoned"
    FAILED = "failed"
    LOST = "lost"


class Fault(StrEnum):
    """Who is at fault. UNKNOWN where nothing proves it: a closed socket proves no hang-up."""

    NOBODY = "nobody"
    CALLER = "caller"
    CARRIER = "carrier"
    PROVIDER = "provider"
    OPERATOR = "operator"
    SERVICE = "service"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    LINE_CLOSED = "line_closed"
    AGENT_HUNG_UP = "agent_hung_up"
    MAX_DURATION = "max_duration"
    BUDGET = "budget"
    OPERATOR_HUNG_UP = "operator_hung_up"
    TRANSFERRED = "transferred"
    SILENCE = "silence"
    UNKNOWN_NUMBER = "unknown_number"
    RULE = "rule"
    QUOTA = "quota"
    BUSY = "busy"
    UNTRUSTED_TRUNK = "untrusted_trunk"
    DRAINING = "draining"
    NO_RECORDS = "no_records"
    CALLER_GONE = "caller_gone"
    NOBODY_THERE = "nobody_there"
    ACCEPT_REFUSED = "accept_refused"
    ACCEPT_TIMEOUT = "accept_timeout"
    ATTACH_FAILED = "attach_failed"
    REFER_FAILED = "refer_failed"
    PROVIDER_ERROR = "provider_error"
    SESSION_EXPIRED = "session_expired"
    INTERNAL_ERROR = "internal_error"
    CONNECTION_LOST = "connection_lost"
    REPLICA_LOST = "replica_lost"

    @property
    def kind(self) -> Kind:
        return _NATURE[self][0]

    @property
    def at_fault(self) -> Fault:
        """Who is at fault when a call ends so."""
        return _NATURE[self][1]


_NATURE: Final[dict[Reason, tuple[Kind, Fault]]] = {
    Reason.LINE_CLOSED: (Kind.COMPLETED, Fault.NOBODY),
    Reason.AGENT_HUNG_UP: (Kind.COMPLETED, Fault.NOBODY),
    Reason.MAX_DURATION: (Kind.COMPLETED, Fault.NOBODY),
    Reason.BUDGET: (Kind.COMPLETED, Fault.NOBODY),
    Reason.OPERATOR_HUNG_UP: (Kind.COMPLETED, Fault.OPERATOR),
    Reason.TRANSFERRED: (Kind.COMPLETED, Fault.NOBODY),
    Reason.SILENCE: (Kind.COMPLETED, Fault.NOBODY),
    Reason.UNKNOWN_NUMBER: (Kind.REJECTED, Fault.OPERATOR),
    Reason.RULE: (Kind.REJECTED, Fault.NOBODY),
    Reason.QUOTA: (Kind.REJECTED, Fault.NOBODY),
    Reason.BUSY: (Kind.REJECTED, Fault.PROVIDER),
    Reason.UNTRUSTED_TRUNK: (Kind.REJECTED, Fault.CARRIER),
    Reason.DRAINING: (Kind.REJECTED, Fault.OPERATOR),
    Reason.NO_RECORDS: (Kind.REJECTED, Fault.SERVICE),
    Reason.CALLER_GONE: (Kind.ABANDONED, Fault.CALLER),
    Reason.NOBODY_THERE: (Kind.ABANDONED, Fault.CALLER),
    Reason.ACCEPT_REFUSED: (Kind.FAILED, Fault.PROVIDER),
    Reason.ACCEPT_TIMEOUT: (Kind.FAILED, Fault.PROVIDER),
    Reason.ATTACH_FAILED: (Kind.FAILED, Fault.UNKNOWN),
    Reason.REFER_FAILED: (Kind.FAILED, Fault.CARRIER),
    Reason.PROVIDER_ERROR: (Kind.FAILED, Fault.PROVIDER),
    Reason.SESSION_EXPIRED: (Kind.FAILED, Fault.PROVIDER),
    Reason.INTERNAL_ERROR: (Kind.FAILED, Fault.SERVICE),
    Reason.CONNECTION_LOST: (Kind.LOST, Fault.UNKNOWN),
    Reason.REPLICA_LOST: (Kind.LOST, Fault.SERVICE),
}


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """The one end of one call.

    Times are unix seconds, None where the call did not come so far: `answered_at`, the provider
    took the accept; `attached_at`, our socket was open; `heard_at`, the caller began to hear the
    agent. `detail` is a short technical word or two, never what a caller said or dialed.
    `usage_complete`: every response that began has told its usage; otherwise costs are at least
    what is recorded.
    """

    call_id: CallId
    account: AccountName
    tenant: TenantName
    agent: AgentName | None
    reason: Reason
    began_at: float
    ended_at: float
    answered_at: float | None = None
    attached_at: float | None = None
    heard_at: float | None = None
    detail: str | None = None
    sip_code: int | None = None
    turns: int = 0
    usage_complete: bool = True

    @property
    def name(self) -> str:
        return f"{self.reason.kind}.{self.reason}"

    @property
    def duration(self) -> float:
        """Seconds from the webhook to the end."""
        return self.ended_at - self.began_at
