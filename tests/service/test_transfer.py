"""Agents that send their callers to somebody, against the simulator over real sockets."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from sipagent.model import TransferEnd
from sipagent.routing import RoutingTable

Open = Callable[..., AbstractAsyncContextManager[Any]]
DIALED, FORWARDED = "+17134810111", "+17134810122"
DESK, PBX = "tel:+17134810199", "sip:desk@pbx.example"
AGENTS = f"""
version: 1
defaults: {{model: gpt-realtime-2.1}}
tenants: {{default: {{grants: {{transfers_per_hour: 5}}}}}}
agents:
  reception:
    instructions: You answer the telephone of Acme.
    greeting: Hello.
    tools: [hang_up, take_message, {{transfer: [desk, centre]}}]
    keys: {{"0": centre}}
destinations:
  desk: {{to: "{DESK}", on_failure: [centre, take_message]}}
  centre: {{to: "{PBX}"}}
numbers:
  "{DIALED}": reception
  "{FORWARDED}": {{forward: desk}}
"""
WORDS = "One moment, I am connecting you."


def asks(destination: str, say: str = WORDS) -> dict[str, Any]:
    return {"tool": {"name": "transfer", "arguments": {"destination": destination}}, "say": say}


def script(destination: str = "desk", **more: Any) -> list[Any]:
    return [{"caller": "A person, please."}, asks(destination, **more)]


STAY: dict[str, Any] = {"stay": True}
NOBODY: dict[str, Any] = {"outcome": "nothing"}


def soon(watch: float) -> Callable[[RoutingTable], RoutingTable]:
    """The table whose agents watch transfers for so many seconds only."""

    def shaped(table: RoutingTable) -> RoutingTable:
        agents = {key: replace(agent, watch=watch) for key, agent in table.agents.items()}
        return replace(table, agents=agents)

    return shaped


def refers(home: Any, call_id: str) -> list[str]:
    return [body["target_uri"] for body in home.simulator.call(call_id).refers]


def attempts(home: Any) -> list[tuple[int, str | None, str, TransferEnd]]:
    """The attempts that have come to their end, as they are recorded."""
    return [
        (one.number, one.destination, one.answer, one.outcome)
        for one in home.records.transfers
        if one.outcome is not None
    ]


async def test_a_caller_is_sent_to_the_desk_once_the_words_have_been_heard(house: Open) -> None:
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(
            DIALED, script=script(), pace=30, refer={"after": 0.3}, **STAY
        )
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (outcome.name, outcome.agent) == ("completed.transferred", "reception")
    assert (refers(home, call_id), call.ended_by, call.hangups) == ([DESK], "refer", [])
    assert call.transcript[-1] == {"who": "agent", "text": WORDS, "interrupted": False}
    assert attempts(home) == [(1, "desk", "done", TransferEnd.TAKEN)]


async def test_an_agent_that_says_nothing_says_it_before(house: Open) -> None:
    async with house(AGENTS) as home:
        say = {"agent": "I am connecting you now."}
        call_id = await home.simulator.place_call(
            DIALED, script=[*script(say=""), say], pace=30, refer={"after": 0.2}, **STAY
        )
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (outcome.name, refers(home, call_id)) == ("completed.transferred", [DESK])
    assert call.transcript[-1]["text"] == "I am connecting you now."


async def test_a_call_that_nobody_takes_goes_on_with_its_agent(house: Open) -> None:
    spoken = [*script("centre"), {"agent": "Nobody is there."}, {"caller": "Too bad. Goodbye."}]
    async with house(AGENTS, soon(0.6)) as home:
        call_id = await home.simulator.place_call(DIALED, script=spoken, refer=NOBODY)
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (outcome.name, call.ended_by) == ("completed.line_closed", "caller")
    assert refers(home, call_id) == [PBX]
    assert attempts(home) == [(1, "centre", "done", TransferEnd.NOT_TAKEN)]
    words = [line["text"] for line in call.transcript]
    assert words.index("Nobody is there.") + 1 == words.index("Too bad. Goodbye.")


async def test_the_agent_answers_a_caller_who_speaks_while_it_rings(house: Open) -> None:
    spoken = [*script("centre"), {"caller": "Are you still there?"}, {"agent": "I am, hold on."}]
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(
            DIALED, script=spoken, pace=30, refer={"after": 2.0}, **STAY
        )
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (outcome.name, refers(home, call_id)) == ("completed.transferred", [PBX])
    assert [line["text"] for line in call.transcript][-1] == "I am, hold on."


@pytest.mark.parametrize(
    ("plan", "faults", "first"),
    [
        ([{**NOBODY, "to": DESK}, {"to": PBX}], {}, TransferEnd.NOT_TAKEN),
        ([{"outcome": "refused", "to": DESK}, {"to": PBX}], {}, TransferEnd.REFUSED),
        ([{}], {"refer": {"status": 400, "times": 1}}, TransferEnd.REFUSED),
    ],
    ids=["not taken", "refused", "not understood"],
)
async def test_the_next_destination_is_tried_where_the_first_one_says_so(
    house: Open, plan: list[Any], faults: dict[str, Any], first: TransferEnd
) -> None:
    spoken = [*script(), {"agent": "I am trying somebody else."}]
    async with house(AGENTS, soon(1.0)) as home:
        call_id = await home.simulator.place_call(
            DIALED, script=spoken, refer=plan, faults=faults, **STAY
        )
        (outcome,) = await home.outcomes()
    assert outcome.name == "completed.transferred"
    assert refers(home, call_id) == [DESK, PBX]
    assert [(one[0], one[1], one[3]) for one in attempts(home)] == [
        (1, "desk", first),
        (2, "centre", TransferEnd.TAKEN),
    ]


async def test_when_nobody_is_reached_the_agent_offers_to_take_a_message(house: Open) -> None:
    async with house(AGENTS, soon(0.3)) as home:
        call_id = await home.simulator.place_call(DIALED, script=script(), refer=NOBODY, **STAY)
        await home.simulator.until(call_id, lambda call: "take_message" in str(call.client_events))
        home.simulator.hang_up(call_id)
        (outcome,) = await home.outcomes()
    assert (outcome.name, refers(home, call_id)) == ("completed.line_closed", [DESK, PBX])
    assert [one[3] for one in attempts(home)] == [TransferEnd.NOT_TAKEN] * 2


async def test_a_key_sends_the_caller_to_its_destination(house: Open) -> None:
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(DIALED, script=[{"dtmf": "0"}], **STAY)
        (outcome,) = await home.outcomes()
    assert (outcome.name, refers(home, call_id)) == ("completed.transferred", [PBX])


async def test_a_key_beside_a_tool_call_leads_to_one_refer(house: Open) -> None:
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(
            DIALED, script=script(), pace=20, refer={"after": 0.4}, **STAY
        )
        heard = WORDS.split()[0]
        await home.simulator.until(call_id, lambda call: heard in str(call.transcript[-1:]))
        home.simulator.press(call_id, "00")
        (outcome,) = await home.outcomes()
    assert outcome.name == "completed.transferred"
    # Whichever came first: the other one is refused.
    assert refers(home, call_id) in ([DESK], [PBX])


async def test_a_caller_who_leaves_as_the_refer_goes_leaves_one_outcome(house: Open) -> None:
    async with house(AGENTS) as home:
        faults = {"refer": {"latency": 0.3}}
        call_id = await home.simulator.place_call(DIALED, script=script(), faults=faults, **STAY)
        while not home.simulator.call(call_id).refers:
            await asyncio.sleep(0.01)
        home.simulator.hang_up(call_id)
        (outcome,) = await home.outcomes()
    # The provider says that there is no such call, so that nothing has been relayed.
    assert outcome.name == "completed.line_closed"
    assert attempts(home) == [(1, "desk", "gone", TransferEnd.GONE)]


async def test_a_socket_that_drops_meanwhile_breaks_off_no_transfer(house: Open) -> None:
    async with house(AGENTS) as home:
        call_id = await home.simulator.place_call(
            DIALED, script=script(), refer={"after": 1.0}, **STAY
        )
        while not home.simulator.call(call_id).refers:
            await asyncio.sleep(0.01)
        home.simulator.close_sockets(call_id, abort=True)
        (outcome,) = await home.outcomes()
        call = home.simulator.call(call_id)
    assert (outcome.name, call.ended_by, call.hangups) == ("completed.transferred", "refer", [])
    assert attempts(home) == [(1, "desk", "done", TransferEnd.TAKEN)]


async def test_transfers_an_hour_are_counted_exactly_with_calls_that_are_sent_on(
    house: Open,
) -> None:
    async with house(AGENTS) as home:
        for _ in range(2):
            await home.simulator.place_call(FORWARDED, **STAY)
        await home.outcomes(2)
        ids = [await home.simulator.place_call(DIALED, script=script("centre")) for _ in range(9)]
        outcomes = await home.outcomes(11)
        sent = [call_id for call_id in ids if home.simulator.call(call_id).refers]
    assert len(sent) == 3
    names = [outcome.name for outcome in outcomes]
    assert names.count("completed.transferred") == 5
    assert [one[3] for one in attempts(home)].count(TransferEnd.BARRED) == 6
