"""What an operator's own tools are written with. `sipagent.toolkit` is its public name."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

from sipagent.model import AgentName, CallId, Effects, TenantName
from sipagent.model.tool import TOOL_WITHIN

SETTINGS: Final = "__sipagent_tool__"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The call that a tool is run for. `id` is the tool call's own, the same if it is ever
    repeated. `caller` is who the carrier says is calling: anybody can claim a number. `attested` is
    the carrier's word for it, A at best, None where there is none."""

    id: str
    call_id: CallId
    tenant: TenantName
    agent: AgentName | None
    caller: str | None = field(default=None, repr=False)
    dialed: str | None = field(default=None, repr=False)
    attested: Literal["A", "B", "C"] | None = None


class ToolError(Exception):
    """A tool cannot do what it was asked. The words are for the model: what was wrong, and what
    to do next."""

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """What a function says of itself as a tool."""

    effects: Effects = Effects.IDEMPOTENT
    timeout: float = TOOL_WITHIN


Function = TypeVar("Function", bound=Callable[..., Awaitable[Any]])


def tool(
    *,
    effects: Literal["none", "idempotent", "once"] = "idempotent",
    timeout: float = TOOL_WITHIN,  # the bound is the caller's to keep
) -> Callable[[Function], Function]:
    """Say what happens if a function runs twice, and how many seconds it may take."""
    if not 0 < timeout <= 300:
        raise ValueError("a tool's timeout is more than 0 and at most 300 seconds")
    settings = ToolSettings(Effects(effects), timeout)

    def note(function: Function) -> Function:
        setattr(function, SETTINGS, settings)
        return function

    return note
