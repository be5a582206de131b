"""People at a browser who talk to agents, by the service's own way in, against the simulator."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

import pytest
from openai.types.realtime.call_create_params import CallCreateParams
from pydantic import TypeAdapter

from sipagent.errors import TalkError
from sipagent.model import DEFAULT_TENANT, AgentName, CallId, DestinationName, Speaker
from sipagent.model.request import CallRequest, HangUp, Replied, Reply, TransferTo, Typed
from sipagent.routing.talks import LONGEST_TALK, Talk
from sipagent.sessions.machine.events import Answer
from sipagent.sessions.talks import MOST_OF_ONE, TalkBegun
from tests.offers import an_offer
from tests.waiting import eventually

Open = Callable[..., AbstractAsyncContextManager[Any]]
RECEPTION = "+17134810111"
SCRIPT = [{"caller": "Are you open on Sunday?"}, {"agent": "No, we are closed on Sunday."}]
AGENTS = """
version: 1
defaults: {model: gpt-realtime-2.1, transcription: gpt-live-transcribe}
tenants: {default: {max_concurrent_calls: 2}}
destinations: {front_desk: {to: "+17134810199"}}
agents:
  reception:
    instructions: "You answer for {{ vars.shop }}."
    greeting: "Thank you for calling {{ vars.shop }}."
    vars: {shop: {default: Acme}}
    tools: [{transfer: [front_desk]}]
  strict:
    instructions: "You answer for {{ vars.shop }}."
    vars: {shop: required}
  hosted:
    instructions: You look things up.
    tools: [{mcp: {server_label: docs, server_url: "https://docs.example/mcp"}}]
  plain: {instructions: You talk.}
numbers:
  "+1 713 481 0111": {agent: reception, vars: {shop: Bolt Hardware}}
"""


def a_talk(agent: str = "reception", **more: Any) -> Talk:
    return Talk(DEFAULT_TENANT, AgentName(agent), "Ann", **more)


async def begun(home: Any, talk: Talk | None = None, offer: str | None = None) -> TalkBegun:
    started: TalkBegun = await home.service.talks.begin(
        talk or a_talk(), offer or an_offer(), who="tok_1"
    )
    return started


async def refusal(home: Any, talk: Talk, who: str = "tok_1") -> str:
    with pytest.raises(TalkError) as refused:
        await home.service.talks.begin(talk, an_offer(), who=who)
    return refused.value.code


def act(home: Any, call_id: CallId, request: CallRequest) -> Replied:
    reply: Reply = home.service.supervisor.act(call_id, request, key=str(uuid4()))
    return reply.answer


async def test_a_talk_is_greeted_held_and_recorded(house: Open) -> None:
    async with house(AGENTS) as home:
        home.simulator.set_talks(script=SCRIPT)
        talk = await begun(home)
        assert talk.sdp.startswith("v=0\r\n")
        await home.simulator.until(talk.call_id, lambda call: len(call.transcript) == 3)
        await eventually(lambda: len(home.records.turns) == 3)
        act(home, talk.call_id, HangUp())
        (outcome,) = await home.outcomes()
        call = home.simulator.call(talk.call_id)
        ((came, decision),) = home.records.decisions
    assert outcome.name == "completed.operator_hung_up"
    assert outcome.answered_at is not None
    assert outcome.heard_at is not None
    turns = sorted(home.records.turns, key=lambda turn: turn.sequence)
    assert [(turn.speaker, turn.text) for turn in turns] == [
        (Speaker.AGENT, "Thank you for calling Acme."),
        (Speaker.CALLER, "Are you open on Sunday?"),
        (Speaker.AGENT, "No, we are closed on Sunday."),
    ]
    assert (call.ended_by, call.attachments, len(call.creates)) == ("hangup", 1, 1)
    assert (call.accepts, call.rejects, call.refers) == ([], [], [])
    assert (decision.dialed, decision.dialed_source) == (None, "talk")
    assert (came.talk, came.invite.caller_e164) == (True, None)
    assert came.invite.display_name.value == "Ann"
    assert decision.verdict.plan.ceilings.duration == LONGEST_TALK


async def test_what_is_sent_is_what_the_official_sdk_would_send(house: Open) -> None:
    async with house(AGENTS) as home:
        talk = await begun(home)
        (session,) = home.simulator.call(talk.call_id).creates
    body = {"sdp": an_offer(), "session": session}
    assert TypeAdapter(CallCreateParams).validate_python(body) == body
    assert "format" not in str(session["audio"])
    assert session["audio"]["input"]["turn_detection"]["create_response"] is False


async def test_a_number_lends_the_talk_its_values(house: Open) -> None:
    async with house(AGENTS) as home:
        talk = await begun(home, a_talk(number="+1 713 481 0111"))
        (session,) = home.simulator.call(talk.call_id).creates
        ((_, decision),) = home.records.decisions
        assert await refusal(home, a_talk("strict")) == "not-renderable"
        other = await begun(home, a_talk("plain", number="17134810111"))
    assert session["instructions"] == "You answer for Bolt Hardware."
    assert (decision.dialed, decision.listed) == (RECEPTION, True)
    assert other.agent == "plain"


@pytest.mark.parametrize(
    ("talk", "code"),
    [
        (a_talk("nobody"), "no-agent"),
        (a_talk(number="+19995550100"), "no-number"),
        (a_talk(language="fr"), "no-language"),
    ],
)
async def test_whom_there_is_not_nobody_talks_to(house: Open, talk: Talk, code: str) -> None:
    async with house(AGENTS) as home:
        assert await refusal(home, talk) == code
        assert not home.simulator.calls
        assert not home.records.decisions


async def test_a_tenant_without_room_talks_to_nobody_more(house: Open) -> None:
    async with house(AGENTS) as home:
        first = await begun(home)
        await begun(home)
        assert await refusal(home, a_talk(), who="tok_2") == "no-room"
        third = home.simulator.calls[2]
        await home.simulator.wait_ended(third.call_id)
        (outcome,) = await home.outcomes()
        assert outcome.name == "rejected.quota"
        act(home, first.call_id, HangUp())
        await home.outcomes(2)
        assert await begun(home)
    assert third.ended_by == "hangup"
    assert third.rejects == []


async def test_one_person_has_a_few_talks_at_a_time(house: Open) -> None:
    agents = AGENTS.replace("max_concurrent_calls: 2", "max_concurrent_calls: 9")
    async with house(agents) as home:
        talks = [await begun(home) for _ in range(MOST_OF_ONE)]
        assert await refusal(home, a_talk()) == "too-many"
        assert len(home.simulator.calls) == MOST_OF_ONE
        assert await home.service.talks.begin(a_talk(), an_offer(), who="tok_2")
        act(home, talks[0].call_id, HangUp())
        await home.outcomes()
        assert await begun(home)


async def test_talks_that_begin_at_once_are_counted_too(house: Open) -> None:
    agents = AGENTS.replace("max_concurrent_calls: 2", "max_concurrent_calls: 9")
    async with house(agents) as home:
        every = await asyncio.gather(
            *(begun(home) for _ in range(MOST_OF_ONE + 2)), return_exceptions=True
        )
    refused = [one.code for one in every if isinstance(one, TalkError)]
    assert refused == ["too-many"] * 2


async def test_a_transfer_is_told_to_be_impossible(house: Open) -> None:
    script = [
        {"caller": "Connect me."},
        {"tool": {"name": "transfer", "arguments": {"destination": "front_desk"}}},
        {"agent": "That is not possible here."},
    ]
    async with house(AGENTS) as home:
        home.simulator.set_talks(script=script)
        talk = await begun(home)
        call = await home.simulator.until(talk.call_id, lambda call: len(call.transcript) == 3)
        sent = [e["item"]["output"] for e in call.client_events if "output" in e.get("item", {})]
    (output,) = sent
    assert "cannot be transferred from the browser" in output
    assert "front_desk" in output
    assert call.refers == []


async def test_whoever_is_on_duty_cannot_transfer_it_either(house: Open) -> None:
    async with house(AGENTS) as home:
        talk = await begun(home)
        await eventually(lambda: home.records.turns)
        wanted = TransferTo(DestinationName("front_desk"))
        assert act(home, talk.call_id, wanted) is Replied.REFUSED
        assert home.simulator.call(talk.call_id).refers == []


async def test_without_a_microphone_what_is_typed_is_answered(house: Open) -> None:
    async with house(AGENTS) as home:
        home.simulator.set_talks(script=SCRIPT)
        talk = await begun(home, offer=an_offer("recvonly"))
        await eventually(lambda: home.records.turns)
        assert act(home, talk.call_id, Typed("Are you open today?")) is Replied.DONE
        await eventually(lambda: len(home.records.turns) == 3)
        act(home, talk.call_id, HangUp())
        (outcome,) = await home.outcomes()
    turns = sorted(home.records.turns, key=lambda turn: turn.sequence)
    assert [(turn.speaker, turn.text) for turn in turns] == [
        (Speaker.AGENT, "Thank you for calling Acme."),
        (Speaker.CALLER, "Are you open today?"),
        (Speaker.AGENT, "No, we are closed on Sunday."),
    ]
    assert outcome.turns == 3


async def test_a_call_that_the_provider_refuses_is_none(house: Open) -> None:
    async with house(AGENTS) as home:
        home.simulator.set_faults({"create": [{"status": 403, "times": 1}, {"status": 500}]})
        assert await refusal(home, a_talk()) == "provider-refused"
        assert await refusal(home, a_talk()) == "provider-silent"
        assert not home.records.decisions
        home.simulator.clear_faults()
        assert await begun(home)


async def test_a_call_whose_answer_was_lost_has_nobody_and_is_not_made_twice(house: Open) -> None:
    async with house(AGENTS) as home:
        home.simulator.set_faults({"create": [{"reset_after_effect": True}]})
        assert await refusal(home, a_talk()) == "provider-silent"
        (call,) = home.simulator.calls
        assert (call.attachments, call.client_events) == (0, [])
        assert home.service.supervisor.live == 0


async def test_whoever_asks_and_goes_leaves_a_call_that_is_held(house: Open) -> None:
    async with house(AGENTS) as home:
        home.simulator.set_faults({"create": [{"latency": 0.2}]})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await begun(home)
        assert home.service.supervisor.live == 1
        (call,) = home.simulator.calls
        await home.simulator.until(call.call_id, lambda call: call.attachments == 1)


async def test_a_process_that_drains_begins_no_talk(house: Open) -> None:
    async with house(AGENTS) as home:
        home.service.give_up()
        assert await refusal(home, a_talk()) == "draining"
        assert not home.simulator.calls


async def test_the_models_spare_answers_where_the_first_is_refused(house: Open) -> None:
    agents = AGENTS.replace(
        "defaults: {model: gpt-realtime-2.1,",
        "models: {standard: {model: gpt-realtime-2.1, fallback: economy},"
        " economy: {model: gpt-realtime-2.1-mini}}\ndefaults: {model: standard,",
    )
    async with house(agents) as home:
        home.simulator.set_faults({"create": [{"status": 400, "times": 1}]})
        talk = await begun(home)
        (session,) = home.simulator.call(talk.call_id).creates
    assert session["model"] == "gpt-realtime-2.1-mini"


async def test_a_client_secret_is_given_only_for_what_needs_nobody_here(house: Open) -> None:
    async with house(AGENTS) as home:
        talks = home.service.talks
        issued = await talks.client_secret(a_talk("plain"), 60, without_tools=False)
        assert (issued.answer, issued.value[:3]) == (Answer.DONE, "ek_")
        with pytest.raises(TalkError) as refused:
            await talks.client_secret(a_talk("reception"), 60, without_tools=False)
        assert refused.value.code == "own-tools"
        issued = await talks.client_secret(a_talk("reception"), 60, without_tools=True)
        assert issued.value.startswith("ek_")
        assert (await talks.client_secret(a_talk("hosted"), 60, without_tools=False)).value
        assert not home.records.decisions
