"""The plan of an accepted call: all that its runner needs, whatever the configuration is now."""

from dataclasses import dataclass

from sipagent.model.agent import Greeting, Json
from sipagent.model.ids import AccountName, AgentName, CallId, TenantName


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What was decided for one call. A reload of agents.yaml does not reach it.

    Credentials are not part of it: they are resolved live through the account's name.
    """

    call_id: CallId
    account: AccountName
    tenant: TenantName
    agent: AgentName
    session: Json
    greeting: Greeting | None
    config_hash: str
