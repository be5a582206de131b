"""From a valid draft to the table that calls are routed by."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from sipagent.config.schema import Answer, Refusal, SpokenGreeting
from sipagent.config.session import session_of
from sipagent.model import AgentName, AgentProfile, Greeting, TenantName
from sipagent.routing import AnswerWith, NumberDirectory, RejectWith, Route, RoutingTable

TENANT: Final = TenantName("default")

_HASH_LENGTH: Final = 12


def profile_of(name: AgentName, leaves: Mapping[str, Any]) -> AgentProfile:
    """The persona that the leaves write; instructions in a file are given as their text."""
    return AgentProfile(name, TENANT, session_of(leaves), _greeting(leaves.get("greeting")))


def route_of(key: str, action: str | Answer | Refusal) -> Route:
    """One line of the number directory."""
    match action:
        case str():
            return Route(key, TENANT, AnswerWith(AgentName(action)))
        case Answer():
            return Route(key, TENANT, AnswerWith(AgentName(action.agent)))
        case Refusal():
            return Route(key, TENANT, RejectWith(action.reject))


def table_of(
    profiles: Iterable[AgentProfile], routes: Iterable[Route], region: str | None
) -> RoutingTable:
    """The table, named by a hash of all that it holds."""
    agents = {profile.name: profile for profile in profiles}
    lines = tuple(routes)
    return RoutingTable(
        directory=NumberDirectory.of(lines),
        agents=MappingProxyType(agents),
        config_hash=_hash(agents, lines, region),
        region=region,
    )


def _greeting(greeting: str | SpokenGreeting | None) -> Greeting | None:
    match greeting:
        case None:
            return None
        case str():
            return Greeting(greeting)
        case SpokenGreeting():
            return Greeting(greeting.say, greeting.interruptible)


def _hash(
    agents: Mapping[AgentName, AgentProfile], routes: tuple[Route, ...], region: str | None
) -> str:
    """12 hex digits that change when anything changes that a call could notice."""
    digest = hashlib.sha256()
    for name in sorted(agents):
        digest.update(_canonical(_facts(agents[name])))
    for route in sorted(routes, key=lambda route: route.key):
        digest.update(_canonical([route.key, route.tenant, _consequence(route)]))
    digest.update(_canonical(region))
    return digest.hexdigest()[:_HASH_LENGTH]


def _facts(profile: AgentProfile) -> list[Any]:
    greeting = profile.greeting
    words = None if greeting is None else [greeting.say, greeting.interruptible]
    return [profile.name, profile.tenant, profile.session, words]


def _consequence(route: Route) -> str | int:
    match route.action:
        case AnswerWith(agent):
            return agent
        case RejectWith(code):
            return code


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode() + b"\n"
