"""The nouns that every other package speaks of: frozen, serialisable, free of I/O.

*Call* is one phone call. An *account* is one upstream project whose secret signed the webhook.
A *tenant* is who the call belongs to; an *agent profile* is who answers it. A *decision* says what
happens to an incoming call, and its *plan* is everything that a runner needs to hold it.
*Facts* are what a template may read of a call. A *destination* is where it may be sent, a *trunk*
the carrier's line that it came by. A *turn* is what one side said. Every call ends in exactly one
*outcome*.
"""

from sipagent.model.agent import AgentProfile, Edition, Greeting, Json
from sipagent.model.call import IncomingCall, MediaSecurity
from sipagent.model.decision import Accept, Decision, Forward, Reject, TraceStep, Verdict
from sipagent.model.destination import Destination
from sipagent.model.facts import (
    CallerFacts,
    CallFacts,
    HoursNow,
    NumberFacts,
    Schedule,
    Template,
    Text,
    rendered,
)
from sipagent.model.ids import (
    DEFAULT_TENANT,
    AccountName,
    AgentName,
    CallId,
    DestinationName,
    TenantName,
    TrunkName,
    WebhookId,
    is_call_id,
)
from sipagent.model.limit import Cap, Rate
from sipagent.model.outcome import CallOutcome, Fault, Kind, Reason
from sipagent.model.plan import CallPlan
from sipagent.model.turn import Speaker, Turn

__all__ = [
    "DEFAULT_TENANT",
    "Accept",
    "AccountName",
    "AgentName",
    "AgentProfile",
    "CallFacts",
    "CallId",
    "CallOutcome",
    "CallPlan",
    "CallerFacts",
    "Cap",
    "Decision",
    "Destination",
    "DestinationName",
    "Edition",
    "Fault",
    "Forward",
    "Greeting",
    "HoursNow",
    "IncomingCall",
    "Json",
    "Kind",
    "MediaSecurity",
    "NumberFacts",
    "Rate",
    "Reason",
    "Reject",
    "Schedule",
    "Speaker",
    "Template",
    "TenantName",
    "Text",
    "TraceStep",
    "TrunkName",
    "Turn",
    "Verdict",
    "WebhookId",
    "is_call_id",
    "rendered",
]
