"""From a valid draft to the table that calls are routed by."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from sipagent.config.schema import Answer, Refusal, SpokenGreeting
from sipagent.config.session import session_of
from sipagent.model import DEFAULT_TENANT, AccountName, AgentName, AgentProfile, Edition
from sipagent.routing import (
    AnswerWith,
    NumberDirectory,
    RejectWith,
    Route,
    RoutingTable,
    Rule,
    TenantProfile,
)

TENANT: Final = DEFAULT_TENANT
ACCOUNT: Final = AccountName("default")

_HASH_LENGTH: Final = 12


def profile_of(name: AgentName, leaves: Mapping[str, Any]) -> AgentProfile:
    """The persona that the leaves write; instructions in a file are given as their text."""
    say, interruptible = _greeting(leaves.get("greeting"))
    edition = Edition(None, session_of(leaves), greeting=say, interruptible=interruptible)
    return AgentProfile(name, TENANT, (edition,))


def route_of(key: str, action: str | Answer | Refusal) -> Route:
    """One line of the number directory."""
    match action:
        case str():
            return Route(key, TENANT, (Rule(AnswerWith(AgentName(action))),))
        case Answer():
            return Route(key, TENANT, (Rule(AnswerWith(AgentName(action.agent))),))
        case Refusal():
            return Route(key, TENANT, (Rule(RejectWith(action.reject)),))


def table_of(
    profiles: Iterable[AgentProfile], routes: Iterable[Route], region: str | None
) -> RoutingTable:
    """The table, named by a hash of all that it holds."""
    agents = {(profile.tenant, profile.name): profile for profile in profiles}
    lines = tuple(routes)
    return RoutingTable(
        directories={ACCOUNT: NumberDirectory.of(lines)},
        agents=MappingProxyType(agents),
        tenants={TENANT: TenantProfile(TENANT, ACCOUNT)},
        config_hash=_hash(agents, lines, region),
        region=region,
    )


def _greeting(greeting: str | SpokenGreeting | None) -> tuple[str | None, bool]:
    match greeting:
        case SpokenGreeting():
            return greeting.say, greeting.interruptible
        case _:
            return greeting, True


def _hash(agents: Mapping[Any, AgentProfile], routes: tuple[Route, ...], region: str | None) -> str:
    """12 hex digits that change when anything changes that a call could notice."""
    digest = hashlib.sha256()
    for name in sorted(agents):
        digest.update(_canonical([name, repr(agents[name])]))
    for route in sorted(routes, key=lambda route: route.key):
        digest.update(_canonical([route.key, route.tenant, repr(route.rules)]))
    digest.update(_canonical(region))
    return digest.hexdigest()[:_HASH_LENGTH]


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
