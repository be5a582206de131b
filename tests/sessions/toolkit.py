"""Tools and plans with them, for playbooks."""

from dataclasses import replace
from typing import Any

from sipagent.model import (
    AgentName,
    CallPlan,
    CollectDigits,
    DestinationName,
    Effects,
    HangUp,
    HttpRequest,
    SetLanguage,
    Skills,
    SwitchAgent,
    TakeMessage,
    Tool,
    ToolName,
    TransferTo,
    Wait,
)
from sipagent.sessions.machine.events import (
    AcceptAnswered,
    Answer,
    AudioStarted,
    FunctionCall,
    ResponseCreated,
    ResponseDone,
    SocketOpened,
)
from sipagent.testing import Playbook, a_plan, a_profile

NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}
ORDER: dict[str, Any] = {
    "type": "object",
    "properties": {"order_no": {"type": "string", "maxLength": 12}},
    "required": ["order_no"],
    "additionalProperties": False,
}


def a_tool(name: str, does: Any, parameters: Any = NOTHING, **more: Any) -> Tool:
    return Tool(ToolName(name), does, f"Does {name}.", parameters, **more)


def lookup(name: str = "order_status", **more: Any) -> Tool:
    """A tool that reaches beyond the call."""
    return a_tool(name, HttpRequest("POST", "https://api.example/orders"), ORDER, **more)


HANG_UP = a_tool("hang_up", HangUp())
WAIT = a_tool("wait", Wait())
MESSAGE = a_tool(
    "take_message",
    TakeMessage(),
    {"type": "object", "properties": {"message": {"type": "string"}}, "required": ["message"]},
    effects=Effects.ONCE,
    finish=True,
)


FRONT, BACK = DestinationName("front"), DestinationName("back")
BILLING = AgentName("billing")


def choice(name: str, *values: str) -> dict[str, object]:
    return {"type": "object", "properties": {name: {"enum": [*values]}}, "required": [name]}


EVERYTHING = (
    HANG_UP,
    WAIT,
    MESSAGE,
    lookup(say_while_waiting="One moment."),
    a_tool("transfer", TransferTo((FRONT, BACK)), choice("destination", "front", "back")),
    a_tool("set_language", SetLanguage(("en", "es")), choice("language", "en", "es")),
    a_tool("switch_agent", SwitchAgent((BILLING,)), choice("agent", "billing")),
    a_tool("collect_digits", CollectDigits(length=3)),
)
"""One of each kind."""


def a_plan_with(*tools: Tool, greeting: str | None = None, **fields: Any) -> CallPlan:
    skills = Skills(tools=tools)
    return replace(a_plan(a_profile(greeting=greeting)), skills=skills, **fields)


def held(*tools: Tool, **fields: Any) -> Playbook:
    """A call without a greeting that is attached, with these tools."""
    call = Playbook(a_plan_with(*tools, **fields))
    call.feed(AcceptAnswered(Answer.DONE), SocketOpened())
    call.commands = []
    return call


def asks(
    call: str, name: str = "order_status", arguments: str = '{"order_no":"A1"}'
) -> FunctionCall:
    return FunctionCall(call, name, arguments)


def responds(
    call: Playbook,
    *calls: FunctionCall,
    response: str = "r1",
    tag: str | None = None,
    spoken: bool = False,
) -> Playbook:
    """The model makes a response that asks for these tools."""
    call.feed(ResponseCreated(response, tag))
    if spoken:
        call.feed(AudioStarted(response))
    return call.feed(ResponseDone(response, completed=True, calls=calls, spoken=spoken))
