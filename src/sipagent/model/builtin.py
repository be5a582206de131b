"""The tools that every agent may be given: what the model is told of them, and what it may say.

Names and enums are all that a model chooses from. A description says when to use the tool and what
happens then, as the model cannot know either.
"""

from collections.abc import Mapping
from typing import Final

from sipagent.model.ids import AgentName, DestinationName, ToolName
from sipagent.model.json import Json
from sipagent.model.tool import (
    CollectDigits,
    HangUp,
    SetLanguage,
    SwitchAgent,
    TakeMessage,
    Tool,
    TransferTo,
    Wait,
)

HANG_UP: Final = ToolName("hang_up")
WAIT: Final = ToolName("wait")
TRANSFER: Final = ToolName("transfer")
TAKE_MESSAGE: Final = ToolName("take_message")
SET_LANGUAGE: Final = ToolName("set_language")
SWITCH_AGENT: Final = ToolName("switch_agent")
COLLECT_DIGITS: Final = ToolName("collect_digits")

_HANG_UP: Final = (
    "End the telephone call. Use it once the caller has nothing more to ask, or says goodbye: say"
    " goodbye first, in the same answer, and then use this tool. The call ends when the caller has"
    " heard all of it. Never use it while the caller waits for an answer."
)
_WAIT: Final = (
    "Say nothing until the caller speaks again. Use it when the caller asks for a moment, looks for"
    " something, or talks to somebody else in the room. Do not announce it and do not fill the"
    " silence."
)
_TRANSFER: Final = (
    "Send the caller to somebody else on the telephone. Use it when the caller asks for a person or"
    " for one of these places, or needs what only they can do. Say first whom you connect them to."
    " It may be that nobody answers: what follows then you are told, so promise nothing."
)
_TAKE_MESSAGE: Final = (
    "Keep a message for the people who call back. Use it when all of it has been said and the"
    " caller has confirmed it, names and numbers above all. Use it once for each message. Tell the"
    " caller that it is taken only after this tool has said so."
)
_SET_LANGUAGE: Final = (
    "Go on in another language. Use it as soon as the caller speaks, or asks for, another one of"
    " these languages than the one you speak now. Then answer in it."
)
_SWITCH_AGENT: Final = (
    "Have a colleague go on with this call, who knows more about what the caller needs. The caller"
    " stays on the line and hears the same voice: say in one short sentence what happens."
)
_COLLECT_DIGITS: Final = (
    "Have the caller press digits on the telephone's keys. Use it after you have asked for them and"
    " have said what they are for. Say nothing while the caller presses them."
)
_UNTOLD: Final = " You are not told which they are, only how many: never ask for them aloud."

_LONGEST_FIELD: Final = 2000


def hang_up() -> Tool:
    return Tool(HANG_UP, HangUp(), _HANG_UP, _nothing())


def wait() -> Tool:
    return Tool(WAIT, Wait(), _WAIT, _nothing())


def transfer(purposes: Mapping[DestinationName, str | None]) -> Tool:
    """Sends to one of these destinations; of each the model knows its name and purpose."""
    names = tuple(purposes)
    choice = _choice(names, "Where the caller goes.", purposes)
    return Tool(TRANSFER, TransferTo(names), _TRANSFER, _object({"destination": choice}))


def take_message(fields: tuple[str, ...], description: str | None = None) -> Tool:
    """Takes a message with these fields, all of which must be said."""
    each = {
        name: {
            "type": "string",
            "minLength": 1,
            "maxLength": _LONGEST_FIELD,
            "description": f"The message's {name.replace('_', ' ')}, as the caller said it.",
        }
        for name in fields
    }
    does = TakeMessage(fields)
    return Tool(TAKE_MESSAGE, does, description or _TAKE_MESSAGE, _object(each), finish=True)


def set_language(languages: tuple[str, ...]) -> Tool:
    choice = _choice(languages, "The language to go on in.")
    return Tool(SET_LANGUAGE, SetLanguage(languages), _SET_LANGUAGE, _object({"language": choice}))


def switch_agent(agents: tuple[AgentName, ...]) -> Tool:
    choice = _choice(agents, "Who goes on with the call.")
    return Tool(SWITCH_AGENT, SwitchAgent(agents), _SWITCH_AGENT, _object({"agent": choice}))


def collect_digits(
    digits: CollectDigits, name: ToolName = COLLECT_DIGITS, description: str | None = None
) -> Tool:
    known = _COLLECT_DIGITS + (_UNTOLD if digits.sensitive else "")
    return Tool(name, digits, description or known, _nothing())


def offer(tool: Tool) -> Json:
    """The tool as a session offers it to the model."""
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.parameters,
    }


def _choice(
    names: tuple[str, ...], what: str, purposes: Mapping[DestinationName, str | None] | None = None
) -> Json:
    told = [
        f"{name}: {purpose}" for name, purpose in (purposes or {}).items() if purpose is not None
    ]
    return {"type": "string", "enum": list(names), "description": " ".join([what, *told])}


def _object(properties: Mapping[str, Json]) -> Json:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _nothing() -> Json:
    return {"type": "object", "properties": {}, "additionalProperties": False}
