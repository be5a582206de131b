"""All that a decision is made from: one valid version of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from sipagent.model import (
    AccountName,
    AgentName,
    AgentProfile,
    Destination,
    DestinationName,
    Json,
    Rate,
    Schedule,
    TenantName,
    TrunkName,
)
from sipagent.routing.directory import NumberDirectory
from sipagent.routing.targets import Reach
from sipagent.routing.trunks import Trunk

AgentKey = tuple[TenantName, AgentName]

_EMPTY = NumberDirectory.of(())


@dataclass(frozen=True, slots=True)
class TenantProfile:
    """Whose calls they are. A tenant without an account has numbers in all of
    them. `hours` are the tenant's opening hours by name, with those that the
    operator's files share; `forwards` caps calls that are sent on unanswered, and `silent` is the
    session in which nobody speaks until they are. `reach` is where the tenant's own file may have
    them sent."""

    name: TenantName
    account: AccountName | None = None
    timezone: str | None = None
    hours: Mapping[str, Schedule] = field(default_factory=dict)
    destinations: Mapping[DestinationName, Destination] = field(default_factory=dict)
    silent: Json = field(default_factory=dict)
    forwards: Rate = field(default=Rate(60, 3600.0))
    reach: Reach = field(default=Reach())


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Numbers and personas as one version of agents.yaml has them.

    `destinations` are those of the main file, to which the operator's orders send any call.
    Every agent, destination, tenant and trunk that a route names is here. `region` (ISO 3166-1
    alpha-2) is whose national spellings carriers send. `config_hash` names this version in plans,
    records and logs.
    """

    directories: Mapping[AccountName, NumberDirectory]
    agents: Mapping[AgentKey, AgentProfile]
    tenants: Mapping[TenantName, TenantProfile]
    config_hash: str
    trunks: Mapping[TrunkName, Trunk] = field(default_factory=dict)
    region: str | None = None
    destinations: Mapping[DestinationName, Destination] = field(default_factory=dict)

    def directory(self, account: AccountName) -> NumberDirectory:
        """The numbers of this account; none for an account that the file does not have."""
        return self.directories.get(account, _EMPTY)
