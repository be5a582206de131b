"""Destinations, and calls that may be sent to them, for playbooks."""

import json
from typing import Any

from sipagent.model import (
    Cap,
    DestinationName,
    Happening,
    Rate,
    Reachable,
    Transfer,
    TransferEnd,
    TransferTo,
    Ways,
)
from sipagent.sessions.machine.call import _pass_round
from sipagent.sessions.machine.commands import RecordStep, RecordTransfer, Refer, SendOutput
from sipagent.sessions.machine.events import (
    Answer,
    AudioStarted,
    AudioStopped,
    FunctionCall,
    Referred,
    ResponseCreated,
    ResponseDone,
)
from sipagent.sessions.machine.signals import TransferAsked
from sipagent.testing import Playbook, Some
from tests.sessions.toolkit import MESSAGE, a_tool, held, responds

DESK, CENTRE, NIGHT = (DestinationName(name) for name in ("desk", "centre", "night"))
HOURLY = Cap("forwards", "forwards:default", Rate(40, 3600.0))
TRANSFER = a_tool(
    "transfer",
    TransferTo((DESK, CENTRE, NIGHT)),
    {
        "type": "object",
        "properties": {"destination": {"type": "string", "enum": ["desk", "centre", "night"]}},
        "required": ["destination"],
        "additionalProperties": False,
    },
)


def uri(destination: str) -> str:
    return f"sip:{destination}@pbx.example"


def a_way(destination: str, *on_failure: str, **fields: Any) -> Reachable:
    name = DestinationName(destination)
    return Reachable(name, uri(destination), on_failure=on_failure, **fields)


def ways(*destinations: Reachable, cap: Cap | None = HOURLY) -> Ways:
    return Ways(destinations or (a_way("desk"), a_way("centre"), a_way("night")), cap)


def talking(*destinations: Reachable, message: bool = False, **fields: Any) -> Playbook:
    """A call that is attached, and may be sent to these destinations."""
    tools = (TRANSFER, MESSAGE) if message else (TRANSFER,)
    return held(*tools, ways=ways(*destinations), **fields)


def wants(destination: str = "desk", call: str = "t1") -> FunctionCall:
    return FunctionCall(call, "transfer", json.dumps({"destination": destination}))


def announced(call: Playbook, destination: str = "desk") -> Playbook:
    """The model has said that it connects the caller, and asks for it. It is still heard."""
    responds(call, wants(destination), response="words", spoken=True)
    call.commands = []
    return call


def refer(destination: str = "desk", number: int = 1) -> Some:
    mark = f"refer:{number}:{destination}"
    return Some(Refer, target_uri=uri(destination), mark=mark, destination=destination, cap=HOURLY)


def referring(*destinations: Reachable, **fields: Any) -> Playbook:
    """A call whose REFER to the first of these destinations is on its way."""
    call = announced(talking(*destinations, **fields))
    call.feed(AudioStopped("words")).expect(refer())
    return call


def watching(*destinations: Reachable, **fields: Any) -> Playbook:
    call = referring(*destinations, **fields).feed(Referred(Answer.DONE))
    call.commands = []
    return call


def of(call: Playbook, kind: type) -> list[Any]:
    return [command for command in call.commands if isinstance(command, kind)]


def outcomes(call: Playbook) -> list[tuple[int, str | None, str, TransferEnd | None]]:
    """The attempts as they are recorded: number, destination, answer, and what came of them."""
    told: list[Transfer] = [one.transfer for one in of(call, RecordTransfer)]
    return [(one.number, one.destination, one.answer, one.outcome) for one in told]


def output(call: Playbook, tool_call: str = "t1") -> dict[str, str]:
    (sent,) = (one for one in of(call, SendOutput) if one.id == tool_call)
    return dict(json.loads(sent.output))


def step_kinds(call: Playbook) -> list[Happening]:
    return [one.what for one in of(call, RecordStep)]


def press(call: Playbook, destination: str = "desk") -> Playbook:
    """The caller presses the key of a destination."""
    asked = TransferAsked(None, DestinationName(destination))
    call.state, commands = _pass_round(call.state, asked, call.now)
    call.commands += commands
    return call


def speaks(call: Playbook, response: str, tag: str | None) -> Playbook:
    """The model says something, and the caller hears it."""
    call.feed(ResponseCreated(response, tag), AudioStarted(response))
    return call.feed(ResponseDone(response, completed=True, spoken=True), AudioStopped(response))
