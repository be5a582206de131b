"""The agents: who they are, what they can do, and who would answer a call.

Neither instructions nor other texts of the agents file are told: they are the tenant's know-how,
and whoever may change them has the file. Secrets are named and never told.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import APIRouter, Path
from fastapi import Query as QueryOf
from pydantic import Field

from sipagent.api.problems import Problem
from sipagent.api.v1.base import (
    Behind,
    Limit,
    Model,
    Name,
    Query,
    Reader,
    TenantWanted,
    missing,
    whose,
)
from sipagent.api.v1.errors import described
from sipagent.api.v1.numbers import routes_of
from sipagent.api.v1.ports import Backend
from sipagent.model import (
    AgentProfile,
    Edition,
    HttpRequest,
    Json,
    McpCall,
    SwitchAgent,
    TakeMessage,
    TenantName,
    Tool,
    TransferTo,
)
from sipagent.routing import AgentKey

router = APIRouter(prefix="/api/v1/agents", tags=["agents"])

_TEXTS: Final = frozenset(
    {"instructions", "prompt", "tools", "metadata", "keywords", "authorization", "headers"}
)
"""Parts of a session that hold somebody's texts, or are told by themselves."""

AgentNamed = Annotated[Name, Path(description="The agent's name.", examples=["reception"])]


class Agent(Model):
    """One agent of a tenant's."""

    tenant: str = Field(description="Whose it is.", examples=["acme"])
    name: str = Field(description="Its name.", examples=["reception"])
    languages: list[str] = Field(description="What it speaks.", examples=[["en", "de"]])
    model: str | None = Field(description="Its model.", examples=["gpt-realtime-2.1"])
    voice: str | None = Field(description="Its voice.", examples=["marin"])
    numbers: list[str] = Field(
        description="The numbers that it may answer.", examples=[["+442079460018"]]
    )


class Agents(Model):
    """Some agents, by tenant and name."""

    agents: list[Agent]
    next: str | None = Field(description="Give this as `after` for the agents that follow.")


class ToolTold(Model):
    """One tool: what it is, not how it is done."""

    name: str = Field(description="Its name.", examples=["order_status"])
    does: str = Field(description="What kind it is of.", examples=["http"])
    where: str | None = Field(
        description="Whom it asks: method and host, or a server.", examples=["GET api.example.com"]
    )
    targets: list[str] = Field(
        description="Destinations, agents or fields that it names.", examples=[["front_desk"]]
    )


class AgentTold(Agent):
    """What an agent is."""

    session: dict[str, Any] = Field(
        description="The Realtime session of its first language, without texts and tools.",
        examples=[{"type": "realtime", "model": "gpt-realtime-2.1"}],
    )
    tools: list[ToolTold] = Field(description="What it can do.")
    servers: list[str] = Field(description="MCP servers that the provider asks.")
    keys: dict[str, str] = Field(
        description="Destinations by the key that leads there.", examples=[{"0": "front_desk"}]
    )
    on_failure: list[str] = Field(
        description="What is tried when the model fails.", examples=[["retry", "fallback"]]
    )
    greets: bool = Field(description="Whether it speaks first.")


class AgentsAsked(Query):
    """Which agents are wanted."""

    tenant: TenantWanted = None
    limit: Limit = 100
    after: Name | None = Field(
        default=None, description="Go on after this one.", examples=["acme/reception"]
    )


class AgentAsked(Query):
    """Whose agent is wanted."""

    tenant: TenantWanted = None


@router.get("", operation_id="list_agents", responses=described())
async def agents(by: Reader, behind: Behind, wanted: Annotated[AgentsAsked, QueryOf()]) -> Agents:
    """List the agents of the configuration in force."""
    tenant = whose(by, wanted.tenant)
    after = tuple((wanted.after or "").split("/", 1))
    keys = [
        key
        for key in sorted(behind.config.table.agents)
        if tenant in (None, key[0]) and key > after
    ]
    page, numbers = keys[: wanted.limit], _numbers(behind, tenant)
    told = [Agent(**_facts(behind, key, numbers)) for key in page]
    return Agents(agents=told, next="/".join(page[-1]) if len(keys) > len(page) else None)


@router.get("/{agent}", operation_id="get_agent", responses=described(404, 409))
async def agent_(
    agent: AgentNamed, by: Reader, behind: Behind, wanted: Annotated[AgentAsked, QueryOf()]
) -> AgentTold:
    """Tell what an agent is: its session, tools and destinations, without its texts."""
    tenant = whose(by, wanted.tenant)
    table = behind.config.table
    found = [key for key in table.agents if key[1] == agent and tenant in (None, key[0])]
    if not found:
        raise missing("agent")
    if len(found) > 1:
        raise Problem(409, "ambiguous", "Several tenants have an agent of this name: add `tenant`.")
    profile = table.agents[found[0]]
    edition = profile.editions[0]
    return AgentTold(
        **_facts(behind, found[0], _numbers(behind, profile.tenant)),
        session=_without_texts(edition.session),
        tools=[_tool(template.tool) for template in profile.tools],
        servers=[server.label for server in profile.servers],
        keys={key: str(name) for key, name in profile.keys.items()},
        on_failure=[step.value for step in profile.on_failure],
        greets=edition.greeting is not None,
    )


def _facts(behind: Backend, key: AgentKey, numbers: Mapping[AgentKey, list[str]]) -> dict[str, Any]:
    profile: AgentProfile = behind.config.table.agents[key]
    edition: Edition = profile.editions[0]
    model, voice = edition.session.get("model"), _voice(edition.session)
    return {
        "tenant": str(profile.tenant),
        "name": str(profile.name),
        "languages": [one.language for one in profile.editions if one.language is not None],
        "model": model if isinstance(model, str) else None,
        "voice": voice if isinstance(voice, str) else None,
        "numbers": numbers.get(key, []),
    }


def _voice(session: Json) -> Any:
    audio: Any = session.get("audio") or {}
    return (audio.get("output") or {}).get("voice")


def _numbers(behind: Backend, tenant: TenantName | None) -> Mapping[AgentKey, list[str]]:
    """The numbers that each agent may answer, of this tenant or of all."""
    found: dict[AgentKey, list[str]] = {}
    for route in routes_of(behind.config.table, tenant):
        for key in behind.config.answering(route):
            found.setdefault(key, []).append(route.key)
    return found


def _without_texts(value: Any) -> Any:
    """A part of a session as plain data, in which nobody's texts are, and no secret is told."""
    if isinstance(value, Mapping):
        if "$secret" in value:
            return {"$secret": str(value["$secret"])}
        return {key: _without_texts(one) for key, one in value.items() if key not in _TEXTS}
    if isinstance(value, list | tuple):
        return [_without_texts(one) for one in value]
    return value


def _tool(tool: Tool) -> ToolTold:
    where = None
    match tool.does:
        case HttpRequest(method, url):
            where = f"{method} {urlsplit(url).hostname or ''}".strip()
        case McpCall(server, name):
            where = f"{name} of {server}"
    return ToolTold(name=tool.name, does=tool.does.kind, where=where, targets=[*_targets(tool)])


def _targets(tool: Tool) -> Iterator[str]:
    match tool.does:
        case TransferTo(names):
            yield from names
        case SwitchAgent(agents):
            yield from agents
        case TakeMessage(fields):
            yield from fields
