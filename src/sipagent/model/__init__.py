"""The nouns that every other package speaks of: frozen, serialisable, free of I/O.

*Call* is one phone call. An *account* is one upstream project whose secret signed the webhook.
A *tenant* is who the call belongs to; an *agent profile* is who answers it. A *decision* says what
happens to an incoming call, and its *plan* is everything that a runner needs to hold it.
*Facts* are what a template may read of a call. A *destination* is where it may be sent, a *trunk*
the carrier's line that it came by. A *turn* is what one side said, a *happening* a step of the
call's story, *usage* what the provider bills for it. *Skills* are what an agent can do beside
talking, by *tools*. *Quotas* bound what calls may take. Every call
ends in exactly one *outcome*.
"""

from sipagent.model.aftercall import AfterCall
from sipagent.model.agent import AgentProfile, Edition, Greeting, ToolTemplate
from sipagent.model.attestation import AttestationRule
from sipagent.model.call import IncomingCall, MediaSecurity
from sipagent.model.decision import (
    Accept,
    Advice,
    Consult,
    Consulted,
    Decision,
    Forward,
    Reject,
    TraceStep,
    Verdict,
)
from sipagent.model.destination import Destination
from sipagent.model.event import EventType, Webhook
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
    SecretName,
    TenantName,
    ToolName,
    TrunkName,
    WebhookId,
    is_call_id,
)
from sipagent.model.json import Json
from sipagent.model.limit import Cap, Ceilings, Otherwise, Quota, QuotaScope, Rate
from sipagent.model.outcome import CallOutcome, Fault, Kind, Reason
from sipagent.model.plan import CallPlan, Fallback, Redaction
from sipagent.model.price import ModelPrice, Prices
from sipagent.model.privacy import PRIVACY, Privacy
from sipagent.model.skills import (
    AttestationLevel,
    Colleague,
    McpServer,
    Reachable,
    Returned,
    Silence,
    Skills,
    Tongue,
    Ways,
)
from sipagent.model.story import Happening, Mark, Transfer, TransferEnd
from sipagent.model.tool import (
    CollectDigits,
    Effects,
    HangUp,
    HttpRequest,
    McpCall,
    Message,
    PythonCall,
    Requirement,
    SetLanguage,
    SwitchAgent,
    TakeMessage,
    Tool,
    ToolResult,
    ToolStatus,
    ToolUse,
    TransferTo,
    Wait,
)
from sipagent.model.turn import Speaker, Turn
from sipagent.model.usage import Bill, Tokens, Usage, UsageKind

__all__ = [
    "DEFAULT_TENANT",
    "ON_FAILURE",
    "PRIVACY",
    "Accept",
    "AccountName",
    "Advice",
    "AfterCall",
    "AgentName",
    "AgentProfile",
    "AttestationLevel",
    "AttestationRule",
    "Bill",
    "CallFacts",
    "CallId",
    "CallOutcome",
    "CallPlan",
    "CallerFacts",
    "Cap",
    "Ceilings",
    "Colleague",
    "CollectDigits",
    "Consult",
    "Consulted",
    "Decision",
    "Destination",
    "DestinationName",
    "Edition",
    "Effects",
    "EventType",
    "FailureStep",
    "Fallback",
    "Fault",
    "Forward",
    "Greeting",
    "HangUp",
    "Happening",
    "HoursNow",
    "HttpRequest",
    "IncomingCall",
    "Json",
    "Kind",
    "Mark",
    "McpCall",
    "McpServer",
    "MediaSecurity",
    "Message",
    "ModelPrice",
    "NumberFacts",
    "Otherwise",
    "Prices",
    "Privacy",
    "PythonCall",
    "Quota",
    "QuotaScope",
    "Rate",
    "Reachable",
    "Reason",
    "Redaction",
    "Reject",
    "Requirement",
    "Returned",
    "Schedule",
    "SecretName",
    "SetLanguage",
    "Silence",
    "Skills",
    "Speaker",
    "SwitchAgent",
    "TakeMessage",
    "Template",
    "TenantName",
    "Text",
    "Tokens",
    "Tongue",
    "Tool",
    "ToolName",
    "ToolResult",
    "ToolStatus",
    "ToolTemplate",
    "ToolUse",
    "TraceStep",
    "Transfer",
    "TransferEnd",
    "TransferTo",
    "TrunkName",
    "Turn",
    "Usage",
    "UsageKind",
    "Verdict",
    "Wait",
    "Ways",
    "Webhook",
    "WebhookId",
    "is_call_id",
    "rendered",
]
