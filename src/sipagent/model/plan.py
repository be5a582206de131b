"""The plan of an accepted call: all that its runner needs, whatever the configuration is now."""

from dataclasses import dataclass, field

from sipagent.model.agent import Greeting, Json
from sipagent.model.ids import AccountName, AgentName, CallId, TenantName, TrunkName


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What was decided for one call. A reload of agents.yaml does not reach it.

    Credentials are not part of it: they are resolved live through the account's name. A plan with
    `refer_to` (a `tel:` or `sip:` URI) sends the call there at once, and nobody speaks.
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
