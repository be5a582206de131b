"""Calls that people on duty act on, against the simulator over real sockets."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from sipagent.engine.desk import LocalDesk
from sipagent.model import CallId, DestinationName, Happening, TransferEnd
from sipagent.model.request import (
    CallRequest,
    HangUp,
    HoldReplies,
    Replied,
    ResumeReplies,
    Say,
    TransferTo,
    Typed,
    Whisper,
)
from tests.service.test_transfer import AGENTS, DESK, DIALED, refers
from tests.waiting import eventually

Open = Callable[..., AbstractAsyncContextManager[Any]]
QUIET = "+17134810122"


async def placed(home: Any, number: str = QUIET, **options: Any) -> str:
    options = {"stay": True, "script": [], "pace": 30, **options}
    call_id: str = await home.simulator.place_call(number, **options)
    await home.simulator.until(call_id, lambda call: call.attachments == 1)
    await eventually(lambda: Happening.ATTACHED in [what for _, what, _ in home.records.happenings])
    return call_id


async def asked(home: Any, call_id: str, request: CallRequest) -> None:
    """It is done."""
    desk = LocalDesk(home.service.supervisor.act)
    reply = await desk.ask(CallId(call_id), request)
    assert (reply.answer, reply.why) == (Replied.DONE, None)


def lines(home: Any, call_id: str, who: str = "agent") -> list[str]:
    return [line["text"] for line in home.simulator.call(call_id).transcript if line["who"] == who]


def sent(home: Any, call_id: str, kind: str) -> list[Any]:
    events = home.simulator.call(call_id).client_events
    return [event for event in events if event["type"] == kind]


async def test_the_agent_says_nothing_while_its_replies_are_held_and_answers_afterwards(
    house: Open,
) -> None:
    async with house() as home:
        call_id = await placed(home)
        await asked(home, call_id, HoldReplies())
        await home.simulator.until(
            call_id, lambda call: any(one["type"] == "session.update" for one in call.client_events)
        )
        home.simulator.say(call_id, "Is somebody there?")
        await eventually(lambda: [turn.text for turn in home.records.turns])
        assert lines(home, call_id) == []
        await asked(home, call_id, ResumeReplies())
        await eventually(lambda: lines(home, call_id))
        home.simulator.say(call_id, "And now?")
        await eventually(lambda: len(lines(home, call_id)) == 2)
        home.simulator.hang_up(call_id)
        await home.outcomes()
        made = sent(home, call_id, "response.create")
    assert len(made) == 1  # voice detection answers by itself again
    assert home.records.faults == []


async def test_what_is_said_and_written_is_heard_and_answered(house: Open) -> None:
    async with house() as home:
        call_id = await placed(home)
        await asked(home, call_id, Whisper("They are known here."))
        await asked(home, call_id, Say("One moment, please."))
        await eventually(lambda: lines(home, call_id) == ["One moment, please."])
        await asked(home, call_id, Typed("Where is my order?"))
        await eventually(lambda: len(lines(home, call_id)) == 2)
        await asked(home, call_id, HangUp(goodbye=True))
        (outcome,) = await home.outcomes()
    assert outcome.name == "completed.operator_hung_up"
    assert "Where is my order?" in [turn.text for turn in home.records.turns]
    told = [detail for _, what, detail in home.records.happenings if what is Happening.STEPPED_IN]
    assert told == ["message", "say", "hang_up"]


async def test_a_call_is_transferred_by_somebody_on_duty(house: Open) -> None:
    async with house(AGENTS) as home:
        call_id = await placed(home, DIALED, refer={"after": 0.3})
        await asked(home, call_id, TransferTo(DestinationName("desk")))
        (outcome,) = await home.outcomes()
    assert outcome.name == "completed.transferred"
    assert refers(home, call_id) == [DESK]
    assert [one.outcome for one in home.records.transfers][-1] is TransferEnd.TAKEN
