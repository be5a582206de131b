"""The routing table of compiled parts, named by a hash of all that a call could notice."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from types import MappingProxyType
from typing import Any, Final

import msgspec

from sipagent.config.places import Filled
from sipagent.config.privacy import privacy_facts
from sipagent.config.skills.requests import Unquoted
from sipagent.config.templates.compiled import CompiledTemplate
from sipagent.model import (
    AccountName,
    AgentProfile,
    AttestationRule,
    Destination,
    DestinationName,
    Quota,
    TenantName,
    ToolTemplate,
    TrunkName,
    Webhook,
)
from sipagent.providers.accounts import AccountSpec
from sipagent.providers.secrets import SecretSource
from sipagent.routing import (
    Action,
    AnswerWith,
    Callers,
    Condition,
    ConsultWith,
    DuringHours,
    ForwardTo,
    FromCaller,
    NumberDirectory,
    OnDates,
    RejectWith,
    Route,
    RoutingTable,
    TenantProfile,
    Trunk,
    WithHeader,
)
from sipagent.routing.hours import Hours
from sipagent.routing.table import AgentKey
from sipagent.tools.local import LocalServer

ENVIRONMENT_ACCOUNT: Final = AccountName("default")
"""The account that the environment describes, where the file has none."""

_HASH_LENGTH: Final = 12
_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Compiled:
    """All parts of one version. `secrets` say where they stand, by what has them."""

    agents: Mapping[AgentKey, AgentProfile]
    routes: tuple[Route, ...]
    tenants: Mapping[TenantName, TenantProfile]
    trunks: Mapping[TrunkName, Trunk]
    accounts: tuple[AccountSpec, ...]
    region: str | None
    destinations: Mapping[DestinationName, Destination]
    secrets: Mapping[Any, SecretSource]
    quotas: Mapping[AccountName, Quota]
    reserves: Mapping[TenantName, int]
    servers: Mapping[str, LocalServer]
    callers: Callers | None = None


def table_of(parts: Compiled) -> RoutingTable:
    """The table of one version. A number is in the directory of its tenant's account; one whose
    tenant has none is in all of them."""
    names = [spec.name for spec in parts.accounts] or [ENVIRONMENT_ACCOUNT]
    directories = {
        name: NumberDirectory.of(_of_account(parts.routes, parts.tenants, name)) for name in names
    }
    return RoutingTable(
        directories=MappingProxyType(directories),
        agents=MappingProxyType(dict(parts.agents)),
        tenants=MappingProxyType(dict(parts.tenants)),
        config_hash=_hash(parts),
        trunks=MappingProxyType(dict(parts.trunks)),
        region=parts.region,
        destinations=MappingProxyType(dict(parts.destinations)),
        quotas=MappingProxyType(dict(parts.quotas)),
        reserves=MappingProxyType(dict(parts.reserves)),
        callers=parts.callers,
    )


def _of_account(
    lines: tuple[Route, ...], tenants: Mapping[TenantName, TenantProfile], name: AccountName
) -> Iterable[Route]:
    return (line for line in lines if tenants[line.tenant].account in (None, name))


def _hash(parts: Compiled) -> str:
    """12 hex digits that change when anything changes that a call could notice."""
    digest = hashlib.sha256()
    for route in sorted(parts.routes, key=lambda route: route.key):
        digest.update(repr(route_facts(route)).encode())
    for facts in _facts(parts):
        digest.update(_canonical(facts))
    return digest.hexdigest()[:_HASH_LENGTH]


def _facts(parts: Compiled) -> Iterator[Any]:
    """Everything but the numbers, in an order that does not depend on how it is written."""
    yield from (agent_facts(agent) for _, agent in sorted(parts.agents.items()))
    yield from (_tenant_facts(tenant) for _, tenant in sorted(parts.tenants.items()))
    yield from (_trunk_facts(trunk) for _, trunk in sorted(parts.trunks.items()))
    yield from (_account_facts(spec) for spec in sorted(parts.accounts, key=lambda one: one.name))
    for named, secret in sorted(parts.secrets.items(), key=lambda item: repr(item[0])):
        yield [named, _place(secret)]
    yield from (_quota(quota) for _, quota in sorted(parts.quotas.items()))
    for label, server in sorted(parts.servers.items()):
        yield [label, list(server.command), sorted(server.environment.items())]
    yield caller_facts(parts.callers)
    yield parts.region
    yield [_destination(found) for _, found in sorted(parts.destinations.items())]


def _account_facts(spec: AccountSpec) -> list[Any]:
    """What an account is and where its secrets stand; the secrets themselves are read live."""
    entra = None
    if spec.entra is not None:
        identity = spec.entra.identity
        places = [
            _place(value) if isinstance(value, SecretSource) else value
            for value in (getattr(identity, field.name) for field in fields(identity))
        ]
        entra = [type(identity).__name__, places, spec.entra.scope, spec.entra.authority]
    return [
        spec.name,
        spec.provider,
        spec.base_url,
        spec.organization,
        spec.project,
        _place(spec.api_keys),
        _place(spec.webhook_secrets),
        entra,
    ]


def _place(secret: SecretSource | None) -> str | None:
    """Where a secret stands; of a file its name, as its folder may be written in several ways."""
    if secret is None:
        return None
    return secret.file.name if secret.file is not None else secret.where


def agent_facts(profile: AgentProfile) -> list[Any]:
    """Everything about a persona that a call could notice, as JSON."""
    editions = [
        [
            edition.language,
            edition.session,
            _text(edition.instructions),
            _text(edition.greeting),
            edition.interruptible,
            _text(edition.disclosure),
            astuple(edition.prices),
            edition.fallback_session,
            astuple(edition.fallback_prices),
            msgspec.to_builtins([edition.silence, edition.tongue]),
            _text(edition.asks),
        ]
        for edition in profile.editions
    ]
    limits = [astuple(profile.ceilings), list(profile.on_failure)]
    skills = [
        [tool_facts(template) for template in profile.tools],
        msgspec.to_builtins(profile.servers),
        sorted(profile.keys.items()),
        profile.watch,
    ]
    wanted = attestation_facts(profile.attestation)
    asks = [wanted, sorted(profile.declares.items()), msgspec.to_builtins(profile.after_call)]
    return [profile.tenant, profile.name, editions, dict(profile.vars), limits, skills, asks]


def tool_facts(template: ToolTemplate) -> list[Any]:
    """Everything about a tool; what a session offers of it stands there, too."""
    bind, headers = (
        {name: _text(text) for name, text in texts.items()}
        for texts in (template.bind, template.headers)
    )
    return [msgspec.to_builtins(template.tool), bind, headers, template.pin]


def route_facts(route: Route) -> list[Any]:
    """Everything about a number that a call could notice, in lists of texts and numbers."""
    rules = [
        [[_condition(condition) for condition in rule.conditions], action_facts(rule.action)]
        for rule in route.rules
    ]
    settings = [route.trunk, route.timezone, route.hours, route.language]
    quota, callers = _quota(route.quota), [caller_facts(each) for each in route.callers]
    return [route.key, route.tenant, rules, settings, sorted(route.vars.items()), quota, callers]


def caller_facts(callers: Callers | None) -> list[Any] | None:
    """Everything about who gets through that a call could notice; a list by its digest."""
    if callers is None:
        return None
    lists = [None if each is None else each.digest for each in (callers.allow, callers.deny)]
    rate = None if callers.per_caller is None else astuple(callers.per_caller)
    wanted = attestation_facts(callers.attestation)
    return [callers.name, lists, callers.withheld, wanted, rate, callers.code]


def attestation_facts(rule: AttestationRule | None) -> list[Any] | None:
    return None if rule is None else list(astuple(rule))


def action_facts(action: Action) -> list[Any]:
    match action:
        case AnswerWith(agent, split, given):
            return [
                "agent",
                agent,
                [list(share) for share in split],
                [list(each) for each in given],
            ]
        case ForwardTo(destination):
            return ["forward", destination]
        case RejectWith(code):
            return ["reject", code]
        case ConsultWith(url, secret, timeout, otherwise, agents):
            asked = [url, secret, timeout, sorted(agents)]
            return ["consult", asked, action_facts(otherwise)]


def _condition(condition: Condition) -> list[Any]:
    match condition:
        case DuringHours(name, _, negated):
            return ["hours", name, negated]
        case OnDates(spans):
            return ["dates", [[first.isoformat(), last.isoformat()] for first, last in spans]]
        case FromCaller(patterns):
            return ["caller", sorted(patterns)]
        case WithHeader(name, equals, prefix):
            return ["header", name, equals, prefix]


def _tenant_facts(tenant: TenantProfile) -> list[Any]:
    hours = {name: _hours(schedule) for name, schedule in tenant.hours.items()}
    destinations = [_destination(found) for _, found in sorted(tenant.destinations.items())]
    forwards = [tenant.forwards.count, tenant.forwards.seconds]
    return [
        tenant.name,
        tenant.account,
        tenant.timezone,
        hours,
        destinations,
        forwards,
        tenant.silent,
        [
            None if allowed is None else sorted(allowed)
            for allowed in (tenant.reach.regions, tenant.reach.hosts)
        ],
        privacy_facts(tenant.privacy),
        tenant.fallback,
        _quota(tenant.quota),
        [astuple(tenant.when_full), astuple(tenant.when_spent)],
        [_webhook(found) for _, found in sorted(tenant.webhooks.items())],
        caller_facts(tenant.callers),
    ]


def _webhook(webhook: Webhook) -> list[Any]:
    return [webhook.name, webhook.url, list(webhook.told)]


def _quota(quota: Quota | None) -> list[Any] | None:
    if quota is None:
        return None
    rate = None if quota.rate is None else astuple(quota.rate)
    sums = [quota.day, quota.month, list(quota.warn_at)]
    return [quota.key, quota.held, rate, sums, sorted(quota.reserves.items()), quota.zone]


def _hours(schedule: Any) -> str:
    return schedule.text if isinstance(schedule, Hours) else repr(schedule)


def _destination(destination: Destination) -> list[Any]:
    hours, to = _text(destination.hours), _text(destination.to)
    facts = [destination.purpose, destination.any_number]
    return [destination.name, to, hours, list(destination.on_failure), facts]


def _trunk_facts(trunk: Trunk) -> list[Any]:
    rate = trunk.per_caller
    return [
        trunk.name,
        trunk.secret_header,
        trunk.dialed_header,
        trunk.attestation_header,
        list(trunk.expose),
        trunk.refer,
        None if rate is None else [rate.count, rate.seconds],
    ]


def _text(text: Any) -> Any:
    if isinstance(text, Unquoted):
        return {"value": text.template.source}
    if isinstance(text, Filled):
        return {"template": text.template.source, "values": dict(text.values)}
    return {"template": text.source} if isinstance(text, CompiledTemplate) else text


def _canonical(value: Any) -> bytes:
    return _ENCODER.encode(value).encode() + b"\n"
