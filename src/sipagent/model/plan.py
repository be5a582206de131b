"""The plan of an accepted call: all that its runner needs, whatever the configuration is now."""

from dataclasses import dataclass, field
from enum import StrEnum

from sipagent.model.aftercall import AfterCall
from sipagent.model.agent import Greeting
from sipagent.model.failure import ON_FAILURE, FailureStep
from sipagent.model.ids import (
    AccountName,
    AgentName,
    CallId,
    DestinationName,
    TenantName,
    TrunkName,
)
from sipagent.model.json import Json
from sipagent.model.limit import Ceilings
from sipagent.model.price import Prices
from sipagent.model.skills import AttestationLevel, Colleague, Returned, Skills, Ways


class Redaction(StrEnum):
    """What is left out of everything that was said before it is stored, shown or sent."""

    CARD = "card"
    SSN = "ssn"


@dataclass(frozen=True, slots=True)
class Fallback:
    """Where a call is sent when nothing else is left. It needs neither model nor socket."""

    destination: DestinationName
    refer_to: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What was decided for one call. A reload of agents.yaml does not reach it.

    Credentials are not part of it: they are resolved live through the account's name. A plan with
    `refer_to` (a `tel:` or `sip:` URI of the `destination`) sends the call there at once, and
    nobody speaks. `fallback_session` is the session of the model that answers where the provider
    refuses the first one, and `fallback_prices` are what that one costs. `skills` are those of
    the agent that answers, `colleagues` the agents that it may hand the call to, `ways` where they
    may send it. `attested` is the carrier's word for the caller's number, None where a trunk that
    is not proven, or nobody, has given it. What stands in `disclosure` must have been said. A
    `talk` is a call of somebody at a browser (WebRTC): it is answered before there is a plan of it,
    and nothing can send it on.
    """

    call_id: CallId
    account: AccountName
    tenant: TenantName
    agent: AgentName | None
    session: Json
    greeting: Greeting | None
    config_hash: str
    language: str | None = None
    trunk: TrunkName | None = None
    refer_to: str | None = field(default=None, repr=False)
    destination: DestinationName | None = None
    ceilings: Ceilings = field(default=Ceilings())
    prices: Prices = field(default=Prices())
    on_failure: tuple[FailureStep, ...] = ON_FAILURE
    fallback: Fallback | None = None
    fallback_session: Json | None = None
    fallback_prices: Prices = field(default=Prices())
    redact: tuple[Redaction, ...] = ()
    skills: Skills = field(default=Skills())
    colleagues: tuple[Colleague, ...] = ()
    ways: Ways = field(default=Ways())
    attested: AttestationLevel | None = None
    caller: str | None = field(default=None, repr=False)
    dialed: str | None = field(default=None, repr=False)
    returned: Returned | None = None
    disclosure: str | None = None
    after_call: AfterCall | None = None
    talk: bool = False
