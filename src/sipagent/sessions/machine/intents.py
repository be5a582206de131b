"""What a tool of the call's own asks of the other machines. Pure."""

from typing import Final

from sipagent.model import (
    AgentName,
    CollectDigits,
    DestinationName,
    HangUp,
    Json,
    SetLanguage,
    SwitchAgent,
    Tool,
    TransferTo,
    Wait,
)
from sipagent.sessions.machine.outputs import output
from sipagent.sessions.machine.signals import (
    AgentAsked,
    DigitsAsked,
    HangUpAsked,
    IntentEnded,
    LanguageAsked,
    TransferAsked,
    WaitBegun,
)

KINDS: Final = (HangUp, Wait, TransferTo, SetLanguage, SwitchAgent, CollectDigits)

Intended = (
    HangUpAsked | WaitBegun | TransferAsked | LanguageAsked | AgentAsked | DigitsAsked | IntentEnded
)

_WAITING: Final = output({"status": "waiting", "next": "say nothing until the caller speaks"})
_NOTHING: Final = output({"error": "this tool does nothing"})


def begun(
    tool: Tool, call_id: str, arguments: Json, response_id: str, *, spoken: bool
) -> tuple[Intended, ...]:
    """What begins when the model uses this tool. The arguments fulfil the tool's schema, which
    names what may be chosen."""
    match tool.does:
        case HangUp():
            return (HangUpAsked(call_id, response_id, spoken),)
        case Wait():
            return (WaitBegun(), IntentEnded(call_id, _WAITING, speak=False))
        case TransferTo(destinations):
            chosen = _chosen(arguments, "destination", tuple(destinations))
            destination = DestinationName(chosen)
            return (TransferAsked(call_id, destination, response_id, spoken),)
        case SetLanguage(languages):
            return (LanguageAsked(call_id, _chosen(arguments, "language", languages)),)
        case SwitchAgent(agents):
            return (AgentAsked(call_id, AgentName(_chosen(arguments, "agent", tuple(agents)))),)
        case CollectDigits():
            return (DigitsAsked(call_id, tool.name, tool.does),)
        case _:
            return (IntentEnded(call_id, _NOTHING, done=False),)


def _chosen(arguments: Json, name: str, choices: tuple[str, ...]) -> str:
    """What the model has chosen; the only choice where it need not say."""
    chosen = arguments.get(name, choices[0] if len(choices) == 1 else "")
    return chosen if chosen in choices else ""
