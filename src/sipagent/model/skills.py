"""What an agent can do in a call: its tools, its languages, its patience."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from sipagent.model.ids import AgentName, DestinationName
from sipagent.model.json import Json
from sipagent.model.limit import Cap
from sipagent.model.tool import Tool

AttestationLevel = Literal["A", "B", "C"]

WATCH: Final = 45.0
"""Seconds in which a transfer counts as under way."""


@dataclass(frozen=True, slots=True)
class Silence:
    """What happens when nobody speaks for `after` seconds: the agent asks, and the call ends when
    `hang_up_after` questions have had no answer. Without words of its own to `say` the agent asks
    in its own."""

    after: float
    say: str | None = None
    hang_up_after: int = 2


@dataclass(frozen=True, slots=True)
class Tongue:
    """The agent in one of its languages. `session` is the change of session that makes it speak
    and understand it; `asks` is what it says when nobody speaks."""

    language: str
    session: Json
    asks: str | None = None


@dataclass(frozen=True, slots=True)
class McpServer:
    """An MCP server that the provider asks. Only tools in `allowed` are approved, None is all."""

    label: str
    allowed: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Skills:
    """What one agent can do. `keys` are destinations by the key that sends a caller there; there
    are as many `tongues` as the agent has languages to choose from, none if it has one."""

    tools: tuple[Tool, ...] = ()
    silence: Silence | None = None
    tongues: tuple[Tongue, ...] = ()
    keys: Mapping[str, DestinationName] = field(default_factory=dict)
    servers: tuple[McpServer, ...] = ()


@dataclass(frozen=True, slots=True)
class Colleague:
    """Another agent that may go on with the call. `session` is the change of session that makes
    the model be that agent: voice and model stay, as the provider has it."""

    agent: AgentName
    session: Json
    skills: Skills


@dataclass(frozen=True, slots=True)
class Reachable:
    """A destination that the call may be sent to, and the URI of its REFER. `open` are the times
    in which it can be reached, in seconds since the call began, None if it always can. `on_failure`
    are the steps that follow where nobody takes the call: `resume`, `take_message`, `hang_up` or
    another destination's name."""

    destination: DestinationName
    refer_to: str = field(repr=False)
    open: tuple[tuple[float, float], ...] | None = None
    on_failure: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Ways:
    """Where a call may be sent while an agent holds it. `cap` bounds how often the tenant's calls
    are, `watch` is how many seconds each attempt is given."""

    destinations: tuple[Reachable, ...] = ()
    cap: Cap | None = None
    watch: float = WATCH


@dataclass(frozen=True, slots=True)
class Returned:
    """The caller was here `ago` seconds before, and the call was sent to `destination`, or dropped
    where there is none. Nothing that was said then is known."""

    ago: float
    destination: DestinationName | None = None
