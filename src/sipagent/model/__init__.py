"""The nouns that every other package speaks of: frozen, serialisable, free of I/O.

*Call* is one phone call. An *account* is one upstream project whose secret signed the webhook.
A *tenant* is who the call belongs to; an *agent profile* is who answers it. A *decision* says what
happens to an incoming call, and its *plan* is everything that a runner needs to hold it.
*Facts* are what a template may read of a call. A *destination* is where it may be sent, a *trunk*
the carrier's line that it came by. A *turn* is what one side said, a *happening* a step of the
call's story, *usage* what the provider bills for it. *Quotas* bound what calls may take. Every call
ends in exactly one *outcome*.
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
from sipagent.model.failure import ON_FAILURE, FailureStep
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
from sipagent.model.limit import Cap, Ceilings, Otherwise, Quota, QuotaScope, Rate
from sipagent.model.outcome import CallOutcome, Fault, Kind, Reason
from sipagent.model.plan import CallPlan, Fallback, Redaction
from sipagent.model.price import ModelPrice, Prices
from sipagent.model.privacy import PRIVACY, Privacy
from sipagent.model.story import Happening, Mark, Transfer
from sipagent.model.turn import Speaker, Turn
from sipagent.model.usage import Bill, Tokens, Usage, UsageKind

__all__ = [
    "DEFAULT_TENANT",
    "ON_FAILURE",
    "PRIVACY",
    "Accept",
    "AccountName",
    "AgentName",
    "AgentProfile",
    "Bill",
    "CallFacts",
    "CallId",
    "CallOutcome",
    "CallPlan",
    "CallerFacts",
    "Cap",
    "Ceilings",
    "Decision",
    "Destination",
    "DestinationName",
    "Edition",
    "FailureStep",
    "Fallback",
    "Fault",
    "Forward",
    "Greeting",
    "Happening",
    "HoursNow",
    "IncomingCall",
    "Json",
    "Kind",
    "Mark",
    "MediaSecurity",
    "ModelPrice",
    "NumberFacts",
    "Otherwise",
    "Prices",
    "Privacy",
    "Quota",
    "QuotaScope",
    "Rate",
    "Reason",
    "Redaction",
    "Reject",
    "Schedule",
    "Speaker",
    "Template",
    "TenantName",
    "Text",
    "Tokens",
    "TraceStep",
    "Transfer",
    "TrunkName",
    "Turn",
    "Usage",
    "UsageKind",
    "Verdict",
    "WebhookId",
    "is_call_id",
    "rendered",
]
