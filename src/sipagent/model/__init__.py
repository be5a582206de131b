"""The nouns that every other package speaks of: frozen, serialisable, free of I/O.

*Call* is one phone call. An *account* is one upstream project whose secret signed the webhook.
A *tenant* is who the call belongs to; an *agent profile* is who answers it. A *decision* says what
happens to an incoming call, and its *plan* is everything that a runner needs to hold it.
A *turn* is what one side said. Every call ends in exactly one *outcome*.
"""

from sipagent.model.agent import AgentProfile, Greeting, Json
from sipagent.model.call import IncomingCall, MediaSecurity
from sipagent.model.decision import Accept, Decision, Reject, TraceStep, Verdict
from sipagent.model.ids import (
    AccountName,
    AgentName,
    CallId,
    TenantName,
    WebhookId,
    is_call_id,
)
from sipagent.model.outcome import CallOutcome, Fault, Kind, Reason
from sipagent.model.plan import CallPlan
from sipagent.model.turn import Speaker, Turn

__all__ = [
    "Accept",
    "AccountName",
    "AgentName",
    "AgentProfile",
    "CallId",
    "CallOutcome",
    "CallPlan",
    "Decision",
    "Fault",
    "Greeting",
    "IncomingCall",
    "Json",
    "Kind",
    "MediaSecurity",
    "Reason",
    "Reject",
    "Speaker",
    "TenantName",
    "TraceStep",
    "Turn",
    "Verdict",
    "WebhookId",
    "is_call_id",
]
