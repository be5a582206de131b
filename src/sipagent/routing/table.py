"""All that a decision is made from: one valid version of the configuration."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sipagent.model import (
    AccountName,
    AgentName,
    AgentProfile,
    Cap,
    Colleague,
    Destination,
    DestinationName,
    Json,
    Otherwise,
    Privacy,
    Quota,
    Rate,
    Schedule,
    Skills,
    TenantName,
    TrunkName,
    Ways,
    Webhook,
)
from sipagent.model.limit import BUSY, UNAVAILABLE
from sipagent.model.privacy import OF_FORMER_TENANTS
from sipagent.routing.callers import Callers
from sipagent.routing.directory import NumberDirectory
from sipagent.routing.targets import Reach
from sipagent.routing.trunks import Trunk

AgentKey = tuple[TenantName, AgentName]

FORWARDS: Final = Rate(60, 3600.0)
"""The calls of a tenant that are sent on unanswered, where the operator does not say."""

_EMPTY = NumberDirectory.of(())


@dataclass(frozen=True, slots=True)
class TenantProfile:
    """Whose calls they are. A tenant without an account has numbers in all of
    them. `hours` are the tenant's opening hours by name, with those that the
    operator's files share; `forwards` caps calls that are sent on unanswered, and `silent` is the
    session in which nobody speaks until they are. `reach` is where the tenant's own file may have
    them sent. `fallback` is the destination where nothing else is left, `quota` what the calls may
    take; `when_full` and `when_spent` are what callers get beyond that. `webhooks` are where the
    tenant is told of its calls, by name, `callers` who gets through to all of its numbers."""

    name: TenantName
    account: AccountName | None = None
    timezone: str | None = None
    hours: Mapping[str, Schedule] = field(default_factory=dict)
    destinations: Mapping[DestinationName, Destination] = field(default_factory=dict)
    silent: Json = field(default_factory=dict)
    forwards: Rate = FORWARDS
    reach: Reach = field(default=Reach())
    fallback: DestinationName | None = None
    quota: Quota | None = None
    when_full: Otherwise = field(default=Otherwise(BUSY))
    when_spent: Otherwise = field(default=Otherwise(UNAVAILABLE))
    privacy: Privacy = field(default=Privacy())
    webhooks: Mapping[str, Webhook] = field(default_factory=dict)
    callers: Callers | None = None


def forwards_of(tenant: TenantProfile) -> Cap:
    """The tenant's calls that are sent on, unanswered or by an agent."""
    return Cap("forwards", f"forwards:{tenant.name}", tenant.forwards)


@dataclass(frozen=True, slots=True)
class Gear:
    """What an agent can do, made for a call. `as_offered`: the session of the configuration offers
    just these tools."""

    skills: Skills
    as_offered: bool
    ways: Ways
    colleagues: tuple[Colleague, ...] = ()


GearKey = tuple[TenantName, AgentName, str | None, TrunkName | None]
"""An agent in one of its languages, on calls by one trunk."""


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """Numbers and personas as one version of agents.yaml has them.

    `destinations` are those of the main file, to which the operator's orders send any call.
    Every agent, destination, tenant and trunk that a route names is here. `region` (ISO 3166-1
    alpha-2) is whose national spellings carriers send. `config_hash` names this version in plans,
    records and logs. `quotas` are what the calls of each account may take, `reserves` the calls
    that are kept for each tenant, `callers` who gets through to any number at all. `gear` is what
    has been made of this version for a call and is the same for all of them.
    """

    directories: Mapping[AccountName, NumberDirectory]
    agents: Mapping[AgentKey, AgentProfile]
    tenants: Mapping[TenantName, TenantProfile]
    config_hash: str
    trunks: Mapping[TrunkName, Trunk] = field(default_factory=dict)
    region: str | None = None
    destinations: Mapping[DestinationName, Destination] = field(default_factory=dict)
    quotas: Mapping[AccountName, Quota] = field(default_factory=dict)
    reserves: Mapping[TenantName, int] = field(default_factory=dict)
    callers: Callers | None = None
    gear: dict[GearKey, Gear] = field(default_factory=dict, compare=False, repr=False)

    def privacy(self, tenant: TenantName) -> Privacy:
        """What is kept of the tenant's calls, also of one that the file does not have."""
        known = self.tenants.get(tenant)
        return OF_FORMER_TENANTS if known is None else known.privacy

    def directory(self, account: AccountName) -> NumberDirectory:
        """The numbers of this account; none for an account that the file does not have."""
        return self.directories.get(account, _EMPTY)
