"""What agents can do, in words: for comparing two versions, and for a call that is tried."""

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from sipagent.config.compilation import tool_facts
from sipagent.config.report.wording import count
from sipagent.model import (
    AgentProfile,
    CallPlan,
    HttpRequest,
    McpCall,
    Reachable,
    Silence,
    SwitchAgent,
    TakeMessage,
    Tool,
    ToolTemplate,
    TransferTo,
)

_DIGEST: Final = 8


def skill_facts(profile: AgentProfile) -> dict[str, str]:
    """An agent's tools, each by its name, and what else it does beside talking. Two tools are the
    same if their digests are."""
    found = {
        f"tools.{template.tool.name}": f"{tool_text(template.tool)} ({_digest(template)})"
        for template in profile.tools
    }
    for server in profile.servers:
        allowed = "all tools" if server.allowed is None else ", ".join(server.allowed)
        found[f"tools.{server.label}"] = f"a server of the provider's: {allowed}"
    for edition in profile.editions:
        own = "" if edition.language is None else f".{edition.language}"
        if edition.silence is not None:
            asks = getattr(edition.asks, "source", None) or edition.silence.say
            found[f"silence{own}"] = silence_text(edition.silence, asks)
    if profile.keys:
        found["keys"] = ", ".join(f"{key}: {name}" for key, name in profile.keys.items())
    if profile.keys or profile.transfers:
        found["watch"] = f"{profile.watch:g}s"
    return found


def tool_text(tool: Tool) -> str:
    """What a tool does, and what it takes to use it. Nothing that only the caller's side knows."""
    match tool.does:
        case TransferTo(names) | SwitchAgent(names):
            told = f"{tool.does.kind} to {', '.join(names)}"
        case TakeMessage(fields):
            told = f"takes a message: {', '.join(fields)}"
        case HttpRequest(method, url):
            told = f"{method} {url}"
        case McpCall(server, name):
            told = f"{name} of the server {server}"
        case _:
            told = tool.does.kind
    if tool.requires is not None:
        needed = [f"attestation {tool.requires.attestation}"] if tool.requires.attestation else []
        needed += ["a PIN"] if tool.requires.pin is not None else []
        told += f"; needs {' and '.join(needed)}" if needed else ""
    return told


def silence_text(silence: Silence, asks: str | None) -> str:
    questions = count(silence.hang_up_after, "question")
    words = "in its own words" if asks is None else json.dumps(asks, ensure_ascii=False)
    return f"after {silence.after:g}s: {words}, {questions}"


def plan_skills(plan: CallPlan) -> dict[str, Any]:
    """What the agent of a plan can do, as data."""
    return {
        "tools": {tool.name: tool_text(tool) for tool in plan.skills.tools},
        "servers": [server.label for server in plan.skills.servers],
        "keys": dict(plan.skills.keys),
        "destinations": {way.destination: way_text(way) for way in plan.ways.destinations},
        "colleagues": [colleague.agent for colleague in plan.colleagues],
        "attested": plan.attested,
    }


def skill_lines(plan: CallPlan) -> Iterator[str]:
    """The same for people."""
    for name, told in plan_skills(plan)["tools"].items():
        yield f"{name}: {told}" if told != name else name
    for server in plan.skills.servers:
        yield f"{server.label}: a server of the provider's"
    for key, name in plan.skills.keys.items():
        yield f"key {key}: {name}"
    for way in plan.ways.destinations:
        yield f"to {way.destination}: {way_text(way)}"


def way_text(way: Reachable) -> str:
    """Where it leads, and whether somebody is there when the call begins."""
    if way.open is None:
        return way.refer_to
    now = any(begins <= 0 < ends for begins, ends in way.open)
    return f"{way.refer_to} ({'open' if now else 'closed'})"


def _digest(template: ToolTemplate) -> str:
    facts = json.dumps(tool_facts(template), sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()[:_DIGEST]
