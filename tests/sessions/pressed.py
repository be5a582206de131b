"""Plans of agents who have callers press keys, and the machine that waits for them."""

import dataclasses

from sipagent.model import (
    AgentName,
    CallPlan,
    Colleague,
    CollectDigits,
    DestinationName,
    Silence,
    Skills,
    ToolName,
)
from sipagent.sessions.machine import digits
from sipagent.sessions.machine.digits import Digits
from sipagent.sessions.machine.signals import (
    CallLive,
    DigitsAsked,
    GreetingOver,
)
from sipagent.testing import a_plan, a_profile
from tests.sessions.toolkit import a_tool

PIN = CollectDigits(length=4)
ANY = CollectDigits()
DESK, FRONT = AgentName("desk"), DestinationName("front")
NAME = ToolName("pin")


def plan(collects: CollectDigits = PIN, **keys: str) -> CallPlan:
    return dataclasses.replace(
        a_plan(a_profile(greeting=None)),
        skills=Skills(
            tools=(a_tool("pin", collects),),
            silence=Silence(5.0, "Hello?"),
            keys={key.removeprefix("key"): DestinationName(to) for key, to in keys.items()},
        ),
        colleagues=(Colleague(DESK, {}, Skills(keys={"9": DestinationName("back")})),),
    )


def held_digits(collects: CollectDigits, now: float = 0.0) -> Digits:
    """The machine alone, which collects."""
    state, _ = digits.step(digits.digits(plan(collects)), CallLive(), now)
    state, _ = digits.step(state, GreetingOver(), now)
    return digits.step(state, DigitsAsked("c1", NAME, collects), now)[0]
