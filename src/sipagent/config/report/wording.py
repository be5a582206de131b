"""Rules, verdicts and orders in words, for people who read what a configuration does."""

import re
from collections.abc import Iterable, Iterator
from typing import Final, assert_never
from urllib.parse import urlsplit

from sipagent.config.report.money import rate_text
from sipagent.model import AttestationRule
from sipagent.routing import (
    Action,
    AgentKey,
    AnswerWith,
    Callers,
    Condition,
    ConsultWith,
    DuringHours,
    ForwardTo,
    FromCaller,
    OnDates,
    RejectWith,
    Route,
    RoutingTable,
    Rule,
    WithHeader,
)

_WITH_DEFAULT: Final = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*):-[^}]*\}")


def rules_text(rules: Iterable[Rule]) -> str:
    """What happens to a call, one rule after the other."""
    return "; ".join(rule_text(rule) for rule in rules) or "no rule"


def rule_text(rule: Rule) -> str:
    """A rule as it was written, in one line."""
    conditions = ", ".join(condition_text(condition) for condition in rule.conditions)
    action = action_text(rule.action)
    return f"when {conditions}: {action}" if conditions else action


def action_text(action: Action) -> str:
    """What follows where a rule holds."""
    match action:
        case AnswerWith(agent, split, given):
            shares = "".join(f", {share * 100:g}% {name}" for name, share in split)
            values = "".join(f", {name}={value}" for name, value in given)
            return f"agent {agent}{shares}{values}"
        case ForwardTo(destination):
            return f"forward {destination}"
        case RejectWith(code):
            return f"reject {code}"
        case ConsultWith(url, _, timeout, otherwise, agents):
            chosen = f" for {', '.join(agents)}" if agents else ""
            host = urlsplit(url).hostname
            return (
                f"consult {host}{chosen} within {timeout:g} s, otherwise {action_text(otherwise)}"
            )
        case _:
            assert_never(action)


def condition_text(condition: Condition) -> str:
    """One condition as it was written."""
    match condition:
        case DuringHours(name, _, negated):
            return f"hours: {'not ' if negated else ''}{name}"
        case OnDates(spans):
            days = (f"{a}" if a == b else f"{a}..{b}" for a, b in spans)
            return f"dates: {', '.join(days)}"
        case FromCaller(patterns):
            return f"caller: {', '.join(patterns)}"
        case WithHeader(name, equals, prefix):
            value = f"equals {equals}" if equals is not None else f"begins with {prefix}"
            return f"header: {name} {value}"
        case _:
            assert_never(condition)


def routes_of(table: RoutingTable) -> dict[str, Route]:
    """Every line of all directories by its key, in the order of keys, `default` last."""
    found: dict[str, Route] = {}
    for directory in table.directories.values():
        listed = (*directory.exact.values(), *directory.prefixes)
        found |= {route.key: route for route in listed}
        if directory.default is not None:
            found[directory.default.key] = directory.default
    return dict(sorted(found.items(), key=lambda item: (item[0] == "default", item[0])))


def agents_of(route: Route) -> Iterator[AgentKey]:
    """Every agent that what is said of this number may lead to, each once."""
    names = [
        name
        for rule in route.rules
        if isinstance(rule.action, AnswerWith | ConsultWith)
        for name in rule.action.answering
    ]
    wanted = [callers.attestation for callers in route.callers if callers.attestation]
    names += [rule.agent for rule in wanted if rule.agent is not None]
    for name in dict.fromkeys(names):
        yield route.tenant, name


def reached_of(table: RoutingTable, route: Route) -> list[AgentKey]:
    """Every agent that may answer this number, also for callers of whom the carrier says little."""
    waiting = list(agents_of(route))
    everyone = table.tenants[route.tenant].callers
    if everyone is not None and everyone.attestation is not None and everyone.attestation.agent:
        waiting.append((route.tenant, everyone.attestation.agent))
    found: dict[AgentKey, None] = {}
    while waiting:
        key = waiting.pop(0)
        if key in found or key not in table.agents:
            continue
        found[key] = None
        rule = table.agents[key].attestation
        if rule is not None and rule.agent is not None:
            waiting.append((key[0], rule.agent))
    return list(found)


def callers_text(callers: Callers) -> str:
    """What is said of callers, in one line; a list by how many are in it."""
    told = [
        f"{name}: {count(len(found), 'pattern')}"
        for name, found in (("allow", callers.allow), ("deny", callers.deny))
        if found is not None
    ]
    if callers.withheld is not None:
        told.append(f"anonymous: {callers.withheld}")
    if callers.attestation is not None:
        told.append(f"attestation: {attestation_text(callers.attestation)}")
    if callers.per_caller is not None:
        told.append(f"per_caller: {rate_text(callers.per_caller)}")
    return ", ".join([*told, f"code: {callers.code}"])


def attestation_text(rule: AttestationRule) -> str:
    """What must be said of callers, and what follows otherwise."""
    otherwise = f"reject {rule.code}" if rule.otherwise == "reject" else "flag"
    return f"{rule.least}, otherwise {otherwise if rule.agent is None else f'agent {rule.agent}'}"


def answering(table: RoutingTable) -> dict[AgentKey, list[str]]:
    """The numbers that each agent answers."""
    found: dict[AgentKey, list[str]] = {}
    for route in routes_of(table).values():
        for agent in reached_of(table, route):
            found.setdefault(agent, []).append(route.key)
    return found


def some(names: Iterable[str], most: int = 3) -> str:
    """The first names, and how many more there are."""
    listed = list(names)
    shown = ", ".join(listed[:most])
    return shown if len(listed) <= most else f"{shown} and {len(listed) - most} more"


def count(number: int, one: str, many: str | None = None) -> str:
    """`1 number`, `2 numbers`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def masked(text: str) -> str:
    """The text in which `${NAME:-text}` is only `${NAME}`: the text may be a secret."""
    return _WITH_DEFAULT.sub(r"${\1}", text)
