"""The configuration with everything merged, as YAML: what `sipagent print-config` prints.

Leaves are taken as they are written in the files, so that `${NAME}` stays what it is and a value
from the environment is never printed.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import yaml

from sipagent.config.findings import Steps
from sipagent.config.gathering import Gathered, SourceFile
from sipagent.config.leaves import ancestry, leaves_of
from sipagent.config.loader import Loaded
from sipagent.config.places import source_of
from sipagent.config.report.money import quota_facts
from sipagent.config.report.wording import (
    agents_of,
    callers_text,
    condition_text,
    masked,
    reached_of,
    routes_of,
)
from sipagent.config.spaces import Space, spaces_of
from sipagent.config.yamlfile.document import Listing, Node, Scalar, Table
from sipagent.config.yamlfile.scalars import core_value
from sipagent.model import AgentProfile
from sipagent.routing import (
    Action,
    AgentKey,
    AnswerWith,
    ConsultWith,
    ForwardTo,
    RejectWith,
    Route,
    RoutingTable,
    Rule,
)

_TEXTS = ("instructions", "greeting", "disclosure")
_SECTIONS = ("accounts", "trunks", "models", "prices")


def printed(loaded: Loaded, gathered: Gathered) -> dict[str, Any]:
    """The whole configuration."""
    table = loaded.table
    main = gathered.main
    spaces = spaces_of(gathered)
    as_written = {name: _written(main, (name,)) for name in _SECTIONS}
    return {
        "config_hash": table.config_hash,
        **{name: value for name, value in as_written.items() if value},
        **({} if table.callers is None else {"callers": callers_text(table.callers)}),
        "tenants": {name: _tenant(spaces[name], table) for name in table.tenants},
        "agents": _agents(loaded, gathered, table.agents),
        "numbers": {key: _route(route) for key, route in routes_of(table).items()},
    }


def printed_number(loaded: Loaded, gathered: Gathered, key: str) -> dict[str, Any]:
    """One number, with the agents that its calls may lead to and its tenant."""
    table = loaded.table
    route = routes_of(table)[key]
    default = table.directories[next(iter(table.directories))].default
    agents = reached_of(table, route)
    if default is not None and all(rule.conditions for rule in route.rules):
        agents += agents_of(default)
    return {
        "config_hash": table.config_hash,
        "tenants": {route.tenant: _tenant(spaces_of(gathered)[route.tenant], table)},
        "agents": _agents(loaded, gathered, agents),
        "numbers": {key: _route(route)},
    }


def printed_agent(loaded: Loaded, gathered: Gathered, agent: AgentKey) -> dict[str, Any]:
    """One agent, with the numbers that it answers."""
    routes = routes_of(loaded.table).items()
    return {
        "config_hash": loaded.table.config_hash,
        "agents": _agents(loaded, gathered, [agent]),
        "numbers": {key: _route(route) for key, route in routes if agent in agents_of(route)},
    }


def to_yaml(data: Mapping[str, Any]) -> str:
    """The data as YAML, in the order that it has; long texts as blocks."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2)


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stand as they are, and nothing is abbreviated by an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", str(text), style=style)


_Dumper.add_representer(str, _Dumper.represent_text)
_Dumper.add_multi_representer(str, _Dumper.represent_text)


def _tenant(space: Space, table: RoutingTable) -> dict[str, Any]:
    """What the operator says of a tenant, and its hours and destinations as they are in force."""
    profile = table.tenants[space.tenant]
    main = space.gathered.main
    found: dict[str, Any] = dict(_written(main, ("tenants", space.tenant)) or {})
    values = space.values()
    hours = {name: getattr(item, "text", repr(item)) for name, item in profile.hours.items()}
    destinations = {}
    for name, destination in profile.destinations.items():
        entry = {
            "to": _source(destination.to),
            "description": destination.purpose,
            "allow_any_number": destination.any_number,
            "hours": _source(destination.hours),
            "on_failure": [*destination.on_failure],
        }
        destinations[str(name)] = {key: value for key, value in entry.items() if value}
    more = {"vars": values, "hours": hours, "destinations": destinations}
    return found | {key: value for key, value in more.items() if value}


def _agents(
    loaded: Loaded, gathered: Gathered, agents: Collection[AgentKey]
) -> dict[str, dict[str, Any]]:
    spaces = spaces_of(gathered)
    return {
        f"{tenant}/{name}": _agent(loaded.table.agents[tenant, name], spaces[tenant])
        for tenant, name in dict.fromkeys(agents)
    }


def _agent(profile: AgentProfile, space: Space) -> dict[str, Any]:
    """Every leaf of an agent, wherever it was written, and its texts in full."""
    chain = ancestry(space, profile.name)
    leaves = leaves_of(space, chain)
    found = {
        name: _written(leaf.source, leaf.steps)
        for name, leaf in leaves.items()
        if name not in _TEXTS
    }
    if (model := found.pop("model", None)) is not None:
        found = {"model": model, **found}
    return found | dict(_texts(profile)) | ({"vars": dict(profile.vars)} if profile.vars else {})


def _texts(profile: AgentProfile) -> Iterator[tuple[str, Any]]:
    """The texts, by language where the agent has several."""
    for name in _TEXTS:
        texts = {}
        for edition in profile.editions:
            text = getattr(edition, name)
            if name == "instructions":
                text = text or edition.session.get("instructions")
            if text is not None:
                texts[edition.language] = _source(text)
        if texts:
            yield name, texts.get(None, texts)
    if not profile.editions[0].interruptible:
        yield "greeting_interruptible", False


def _route(route: Route) -> dict[str, Any]:
    settings = {
        "tenant": str(route.tenant),
        "trunk": route.trunk,
        "timezone": route.timezone,
        "hours": route.hours,
        "language": route.language,
        **quota_facts(route.quota),
        "callers": [callers_text(callers) for callers in route.callers] or None,
        "vars": dict(route.vars) or None,
        "rules": [_rule(rule) for rule in route.rules],
    }
    return {key: value for key, value in settings.items() if value is not None}


def _rule(rule: Rule) -> dict[str, Any]:
    conditions = [condition_text(condition) for condition in rule.conditions]
    return ({"when": ", ".join(conditions)} if conditions else {}) | _action(rule.action)


def _action(action: Action) -> dict[str, Any]:
    match action:
        case AnswerWith(agent, split, given):
            found: dict[str, Any] = {"agent": agent}
            if split:
                found["split"] = {name: f"{share * 100:g}%" for name, share in split}
            return found | ({"vars": dict(given)} if given else {})
        case ForwardTo(destination):
            return {"forward": destination}
        case RejectWith(code):
            return {"reject": code}
        case ConsultWith(url, secret, timeout, otherwise, agents):
            consult = {
                "url": url,
                "secret": {"secret": str(secret)},
                "timeout": f"{timeout * 1000:g}ms",
                "agents": list(agents) or None,
                "otherwise": _action(otherwise),
            }
            return {"consult": {key: value for key, value in consult.items() if value}}


def _source(text: Any) -> Any:
    return source_of(text)


def _written(source: SourceFile[Any], steps: Steps) -> Any:
    """The value at these steps as it stands in the file, None where there is none."""
    node: Node = source.document.root
    for step in steps:
        match node, step:
            case Table(), str() if step in node.rows:
                node = node.rows[step].value
            case Listing(), int() if step < len(node.items):
                node = node.items[step]
            case _:
                return None
    return _plain(node)


def _plain(node: Node) -> Any:
    match node:
        case Scalar(plain=True):
            return core_value(masked(node.text))
        case Scalar():
            return masked(node.text)
        case Listing():
            return [_plain(item) for item in node.items]
        case Table():
            return {key: _plain(row.value) for key, row in node.rows.items()}
