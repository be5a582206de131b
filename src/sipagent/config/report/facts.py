"""A configuration laid out as settings, each one text: what two of them are compared by."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from sipagent.config.lines import LIMITS
from sipagent.config.loader import Loaded
from sipagent.config.places import source_of
from sipagent.config.report.money import (
    ceiling_facts,
    otherwise_text,
    price_facts,
    quota_facts,
    rate_text,
)
from sipagent.config.report.skills import skill_facts
from sipagent.config.report.wording import (
    answering,
    attestation_text,
    callers_text,
    masked,
    routes_of,
    rule_text,
)
from sipagent.config.schema import Entry
from sipagent.model import DEFAULT_TENANT, AgentProfile, Destination
from sipagent.providers.accounts import AccountSpec, ClientSecret, FederatedToken
from sipagent.providers.secrets import SecretSource
from sipagent.routing import Callers, Route, RoutingTable, TenantProfile, Trunk
from sipagent.routing.hours import Hours

Fact = str | tuple[str, ...]
"""A setting as one text, or the rules or days that it is a list of."""

Facts = Mapping[str, Mapping[str, Fact]]
"""The settings of each item of a section. A name that begins with `_` is told, not compared."""

_AUDIO: Final = ("audio.input.", "audio.output.")
_TEXT_LEAVES: Final = ("type", "instructions")
_ACCOUNT_SETTINGS: Final = ("provider", "base_url", "organization", "project")


def facts_of(loaded: Loaded) -> dict[str, Facts]:
    """All sections that matter to calls, tenants and accounts."""
    table = loaded.table
    base = None if loaded.gathered is None else loaded.gathered.main.path.parent
    reach = answering(table)
    agents = {
        f"{tenant}/{name}": {
            **_agent(profile),
            "_numbers": str(len(reach.get((tenant, name), ()))),
        }
        for (tenant, name), profile in table.agents.items()
    }
    return {
        "defaults": _defaults(table),
        "prices": price_facts(loaded.prices),
        "numbers": {key: _route(route) for key, route in routes_of(table).items()},
        "agents": agents,
        "destinations": _shared(loaded, _destinations),
        "hours": _shared(loaded, _hours),
        "tenants": {
            name: {
                **_tenant(tenant),
                **_reserved(table.reserves.get(name)),
                **_limits(loaded, "tenants", name),
                **_webhooks(loaded, tenant, base),
            }
            for name, tenant in table.tenants.items()
        },
        "trunks": {
            name: {**_trunk(trunk), **_where("secret", loaded.trunk_secrets.get(name), base)}
            for name, trunk in table.trunks.items()
        },
        "accounts": {
            spec.name: {
                **_account(spec, base),
                **quota_facts(table.quotas.get(spec.name)),
                **_limits(loaded, "accounts", spec.name),
            }
            for spec in loaded.accounts
        },
    }


def _defaults(table: RoutingTable) -> Facts:
    found = {"region": _written({"region": table.region})} if table.region else {}
    if table.callers is not None:
        found["callers"] = {"callers": _callers(table.callers)}
    return found


def _route(route: Route) -> dict[str, Fact]:
    calls = tuple(map(rule_text, route.rules))
    settings = {
        "tenant": route.tenant,
        "trunk": route.trunk,
        "timezone": route.timezone,
        "hours": route.hours,
        "language": route.language,
    }
    own = {f"vars.{key}": value for key, value in route.vars.items()}
    own |= {f"callers of {each.name}": _callers(each) for each in route.callers}
    return {"calls": calls or "no rule", **_written(settings), **quota_facts(route.quota), **own}


def _callers(callers: Callers) -> str:
    """What is said of callers; two lists are the same if they have the same digest."""
    digests = [each.digest[:8] for each in (callers.allow, callers.deny) if each is not None]
    return " ".join([callers_text(callers), *(f"({digest})" for digest in digests)])


def _agent(profile: AgentProfile) -> dict[str, str]:
    """The leaves by their flat names, and the texts of each language."""
    first = profile.editions[0]
    offered = {key: value for key, value in first.session.items() if key != "tools"}
    found = dict(_flat(offered)) | skill_facts(profile)
    if first.language is not None:
        found["languages"] = ", ".join(str(edition.language) for edition in profile.editions)
    for edition in profile.editions:
        own = "" if edition.language is None else f".{edition.language}"
        instructions = edition.instructions or edition.session.get("instructions")
        texts = {
            "instructions": _text(instructions),
            "greeting": _text(edition.greeting),
            "disclosure": _text(edition.disclosure),
        }
        found |= {f"{name}{own}": text for name, text in texts.items() if text is not None}
    found["greeting_interruptible"] = _json(first.interruptible)
    found |= ceiling_facts(profile)
    if profile.attestation is not None:
        found["attestation"] = attestation_text(profile.attestation)
    after = profile.after_call
    if after is not None:
        wanted = {"model": after.model, "summary": after.summary, "extract": after.extract}
        found["after_call"] = _json(wanted)
    return found | {f"vars.{key}": value for key, value in profile.vars.items()}


def _flat(value: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for key, below in value.items():
        steps = f"{path}{key}"
        if isinstance(below, dict):
            yield from _flat(below, f"{steps}.")
            continue
        for prefix in _AUDIO:
            steps = steps.removeprefix(prefix)
        if steps not in _TEXT_LEAVES:
            yield steps, below if isinstance(below, str) else _json(below)


def _shared(loaded: Loaded, facts: Any) -> Facts:
    """The items of all tenants, without those that a tenant only has from the main file."""
    tenants = loaded.table.tenants
    ours: Facts = facts(tenants[DEFAULT_TENANT])
    found = dict(ours)
    for tenant, profile in tenants.items():
        if tenant != DEFAULT_TENANT:
            own = facts(profile).items()
            found |= {f"{tenant}/{key}": item for key, item in own if ours.get(key) != item}
    return found


def _destinations(tenant: TenantProfile) -> Facts:
    return {name: _destination(item) for name, item in tenant.destinations.items()}


def _destination(destination: Destination) -> dict[str, str]:
    on_failure = ", ".join(destination.on_failure) or None
    hours, to = _text(destination.hours), _text(destination.to)
    return _written(
        {
            "to": to,
            "description": destination.purpose,
            "hours": hours,
            "on_failure": on_failure,
            "allow_any_number": "true" if destination.any_number else None,
        }
    )


def _hours(tenant: TenantProfile) -> Facts:
    return {
        name: {"open": tuple(schedule.text.split("; "))}
        if isinstance(schedule, Hours)
        else {"open": repr(schedule)}
        for name, schedule in tenant.hours.items()
    }


def _tenant(tenant: TenantProfile) -> dict[str, str]:
    settings = {
        "account": tenant.account,
        "timezone": tenant.timezone,
        "fallback": tenant.fallback,
        "forwards": rate_text(tenant.forwards),
        "when_full": otherwise_text(tenant.when_full),
        "when_spent": otherwise_text(tenant.when_spent),
    }
    if tenant.callers is not None:
        settings["callers"] = _callers(tenant.callers)
    return {**_written(settings), **quota_facts(tenant.quota)}


def _reserved(calls: int | None) -> dict[str, str]:
    return {"reserved_calls": str(calls)} if calls else {}


def _limits(loaded: Loaded, section: str, name: str) -> dict[str, str]:
    """What is written of a tenant or an account and is not in the table: grants."""
    if loaded.gathered is None:
        return {}
    entry = getattr(loaded.gathered.main.draft.file, section).get(name)
    if not isinstance(entry, Entry):
        return {}
    known = {"account", "timezone", "vars", "api_keys", "webhook_secrets", "entra", "endpoint"}
    known |= {
        *_ACCOUNT_SETTINGS,
        "region",
        *LIMITS,
        "reserved_calls",
        "when_full",
        "webhooks",
        "callers",
    }
    settings = _flat(_plain(entry))
    return {key: masked(text) for key, text in settings if key.partition(".")[0] not in known}


def _webhooks(loaded: Loaded, tenant: TenantProfile, base: Path | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, webhook in tenant.webhooks.items():
        key = f"webhooks.{name}"
        found |= {f"{key}.url": masked(webhook.url), f"{key}.events": ", ".join(webhook.told)}
        found |= _where(f"{key}.secret", loaded.webhook_secrets.get((tenant.name, name)), base)
    return found


def _trunk(trunk: Trunk) -> dict[str, str]:
    return _written(
        {
            "secret_header": trunk.secret_header,
            "dialed_header": trunk.dialed_header,
            "attestation": trunk.attestation_header,
            "expose": ", ".join(trunk.expose) or None,
            "refer": trunk.refer,
            "per_caller": None if trunk.per_caller is None else rate_text(trunk.per_caller),
        }
    )


def _account(spec: AccountSpec, base: Path | None) -> dict[str, str]:
    found = _written({name: getattr(spec, name) for name in _ACCOUNT_SETTINGS})
    for name in ("api_keys", "webhook_secrets"):
        found |= _where(name, getattr(spec, name), base)
    if spec.entra is None:
        return found
    identity = spec.entra.identity
    settings = {
        "entra": type(identity).__name__,
        "entra.tenant_id": getattr(identity, "tenant_id", None),
        "entra.client_id": identity.client_id,
        "entra.scope": spec.entra.scope,
        "entra.authority": spec.entra.authority,
    }
    match identity:
        case ClientSecret(secret=source) | FederatedToken(token=source):
            found |= _where("entra.secret", source, base)
    return found | _written(settings)


def _where(name: str, source: SecretSource | None, base: Path | None) -> dict[str, str]:
    """Where a secret stands: a file as it is written, which is the same in two folders."""
    if source is None:
        return {}
    file = source.file
    if file is not None and base is not None and file.is_relative_to(base):
        return {name: str(file.relative_to(base))}
    return {name: source.where}


def _plain(value: Any) -> Any:
    """What was written, as plain data."""
    match value:
        case Entry():
            return {key: _plain(below) for key, below in value.written().items()}
        case dict():
            return {key: _plain(below) for key, below in value.items()}
        case list():
            return [_plain(item) for item in value]
        case _:
            return value


def _text(text: Any) -> str | None:
    return source_of(text)


def _written(settings: Mapping[str, str | None]) -> dict[str, str]:
    return {name: str(value) for name, value in settings.items() if value is not None}


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
