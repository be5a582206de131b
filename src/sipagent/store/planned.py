"""What of a plan is kept in the records. Pure.

Names of tools, destinations, agents and languages, figures, and the words that open the call. Not
what a template has made of a caller for a tool: its URL, headers, body and bound arguments. Numbers
of the call stand in columns of their own, as the tenant's numbers are stored.
"""

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any, Final

from sipagent.model import CallPlan, Colleague, Json, Silence, Skills, Tool, Ways
from sipagent.model.shared import OfShared

LEFT_OUT: Final = frozenset({"session", "fallback_session", "caller", "dialed"})
"""Fields of a plan that are not kept with it: sessions stand in a table of their own."""

_CREDENTIALS: Final = frozenset({"authorization", "headers"})
_CHOICES: Final = ("destinations", "languages", "agents", "server", "tool", "entry_point")


def kept(plan: CallPlan) -> dict[str, Any]:
    """What is kept of the plan, by the names of its fields."""
    return {name: of(plan) for name, of in KEPT.items()}


def without_credentials(session: Json) -> Json:
    """The session without what lets the provider in at MCP servers."""
    tools = session.get("tools")
    if not isinstance(tools, list) or not any(_is_hosted(tool) for tool in tools):
        return session
    bare = [
        {key: value for key, value in tool.items() if key not in _CREDENTIALS}
        if _is_hosted(tool)
        else tool
        for tool in tools
    ]
    return {**session, "tools": bare}


def tool_names(plan: CallPlan) -> frozenset[str]:
    """The tools that the plan's agents have: a model may ask for others, whose names are its own
    words."""
    everybody = (plan.skills, *(one.skills for one in plan.colleagues))
    return frozenset(tool.name for skills in everybody for tool in skills.tools)


def _is_hosted(tool: object) -> bool:
    return isinstance(tool, dict) and tool.get("type") == "mcp"


def _skills_of(skills: Skills) -> dict[str, Any]:
    return {
        "tools": [_tool(tool) for tool in skills.tools],
        "silence": None if skills.silence is None else _silence(skills.silence),
        "languages": [tongue.language for tongue in skills.tongues],
        "keys": skills.keys,
        "servers": [server.label for server in skills.servers],
    }


_skills: Final = OfShared(_skills_of)


def _tool(tool: Tool) -> dict[str, Any]:
    chosen = {name: found for name in _CHOICES if (found := getattr(tool.does, name, None))}
    return {
        "name": tool.name,
        "kind": tool.does.kind,
        "effects": tool.effects,
        "timeout": tool.timeout,
        "finish": tool.finish,
        "attestation": tool.requires and tool.requires.attestation,
        "pin": tool.requires is not None and tool.requires.pin is not None,
        **chosen,
    }


def _silence(silence: Silence) -> dict[str, Any]:
    return {"after": silence.after, "hang_up_after": silence.hang_up_after}


def _colleague(colleague: Colleague) -> dict[str, Any]:
    return {"agent": colleague.agent, "skills": _skills(colleague.skills)}


def _ways(ways: Ways) -> dict[str, Any]:
    destinations = [
        {"destination": one.destination, "on_failure": one.on_failure} for one in ways.destinations
    ]
    return {"destinations": destinations, "watch": ways.watch}


KEPT: Final[Mapping[str, Callable[[CallPlan], Any]]] = {
    **{
        name: attrgetter(name)
        for name in (
            *("call_id", "account", "tenant", "agent", "greeting", "config_hash", "language"),
            *("trunk", "refer_to", "destination", "ceilings", "prices", "on_failure", "fallback"),
            *("fallback_prices", "redact", "attested", "returned", "disclosure", "after_call"),
            "talk",
        )
    },
    "skills": lambda plan: _skills(plan.skills),
    "colleagues": lambda plan: [_colleague(one) for one in plan.colleagues],
    "ways": lambda plan: _ways(plan.ways),
}
"""How each field of a plan is kept."""
