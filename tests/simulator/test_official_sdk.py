"""The official SDK, unchanged, against the running simulator."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import openai
import pytest
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from sipagent.errors import SimulatorError
from sipagent.simulator import Simulator
from tests.simulator.support import ACCEPT, SECRET, Receiver, assert_official

TO = "+17134810111"


async def drain(connection: Any) -> tuple[list[dict[str, Any]], Exception]:
    """All events until the socket closes, and how it closed."""
    events = []
    while True:
        try:
            event = json.loads(await connection.recv_bytes())
        except (ConnectionClosedError, ConnectionClosedOK) as closed:
            return events, closed
        assert_official(event)
        events.append(event)


async def accepted(sim: Simulator, client: openai.AsyncOpenAI, **options: Any) -> str:
    call_id = await sim.place_call(TO, deliver=False, **options)
    await client.realtime.calls.accept(call_id, **ACCEPT)
    return call_id


async def test_unwrap_verifies_a_delivered_webhook(
    sim: Simulator, client: openai.AsyncOpenAI, receiver: Receiver
) -> None:
    sim.deliver_to = receiver.url
    call_id = await sim.place_call(TO, "+14067704205", sip_media_security="srtp")
    headers, body = receiver.deliveries[0]
    event: Any = client.webhooks.unwrap(body, headers)
    assert (event.type, event.data.call_id) == ("realtime.call.incoming", call_id)
    assert event.data.sip_media_security == "srtp"
    names = [header.name for header in event.data.sip_headers]
    assert names == ["From", "To", "Call-ID", "x-number"]
    assert event.data.sip_headers[3].value == "17134810111"
    assert sim.call(call_id).deliveries[0]["status"] == 200


async def test_a_secret_without_prefix_signs_as_the_sdk_reads_it(
    sim: Simulator, client: openai.AsyncOpenAI, receiver: Receiver
) -> None:
    call_id = await sim.place_call(TO, deliver=False)
    await sim.deliver(call_id, deliver_to=receiver.url, secret="plain secret")
    headers, body = receiver.deliveries[0]
    client.webhooks.unwrap(body, headers, secret="plain secret")
    with pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body, headers, secret=SECRET)


async def test_a_whole_call_runs_through_the_sdk(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await accepted(
        sim, client, script=[{"caller": "Hi"}, {"agent": "Good morning."}, {"caller": "Bye"}]
    )
    async with client.realtime.connect(call_id=call_id) as connection:
        await connection.session.update(session={"type": "realtime", "instructions": "New."})
        await connection.response.create(response={"instructions": 'Say exactly: "Hello"'})
        events, closed = await drain(connection)
    assert isinstance(closed, ConnectionClosedError)
    assert (closed.rcvd, closed.sent) == (None, None)
    assert events[0]["type"] == "session.updated"
    call = await sim.wait_ended(call_id)
    assert call.ended_by == "caller"
    assert [(line["who"], line["text"]) for line in call.transcript][:4] == [
        ("agent", "Hello"),
        ("caller", "Hi"),
        ("agent", "Good morning."),
        ("caller", "Bye"),
    ]
    kinds = [event["type"] for event in call.client_events]
    assert kinds == ["session.update", "response.create"]
    assert call.accepts == [ACCEPT]
    assert call.session is not None
    assert call.session["instructions"] == "New."
    usages = [e["response"]["usage"] for e in events if e["type"] == "response.done"]
    assert call.usage is not None
    assert call.usage["output_tokens"] == sum(usage["output_tokens"] for usage in usages)


async def test_reject_answers_603_by_default_and_ends_the_call(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await sim.place_call(TO, deliver=False)
    await client.realtime.calls.reject(call_id)
    call = sim.call(call_id)
    assert (call.state, call.ended_by, call.rejects) == ("rejected", "reject", [{}])
    assert call.sip_status == 603
    with pytest.raises(openai.ConflictError):
        await client.realtime.calls.reject(call_id, status_code=486)


@pytest.mark.parametrize(
    ("variant", "error"),
    [
        (409, openai.ConflictError),
        (404, openai.NotFoundError),
        (400, openai.BadRequestError),
    ],
)
async def test_a_second_accept_is_refused(
    sim: Simulator, client: openai.AsyncOpenAI, variant: int, error: type[openai.APIStatusError]
) -> None:
    call_id = await accepted(sim, client, second_decision=variant)
    with pytest.raises(error) as refused:
        await client.realtime.calls.accept(call_id, **ACCEPT)
    expected = "call_id_not_found" if variant == 404 else "decision_already_made"
    assert refused.value.code == expected
    assert sim.call(call_id).answers["accept"] == [200, variant]
    assert sim.call(call_id).state == "accepted"


@pytest.mark.parametrize("action", ["accept", "reject", "refer", "hangup"])
async def test_an_unknown_call_is_not_found(client: openai.AsyncOpenAI, action: str) -> None:
    calls = client.realtime.calls
    requests: dict[str, Callable[[], Awaitable[None]]] = {
        "accept": lambda: calls.accept("rtc_no", type="realtime"),
        "reject": lambda: calls.reject("rtc_no"),
        "refer": lambda: calls.refer("rtc_no", target_uri="tel:+1"),
        "hangup": lambda: calls.hangup("rtc_no"),
    }
    with pytest.raises(openai.NotFoundError) as refused:
        await requests[action]()
    assert refused.value.code == "call_id_not_found"


async def test_an_ended_call_is_not_found(sim: Simulator, client: openai.AsyncOpenAI) -> None:
    call_id = await sim.place_call(TO, deliver=False)
    sim.hang_up(call_id)
    with pytest.raises(openai.NotFoundError):
        await client.realtime.calls.accept(call_id, **ACCEPT)


async def test_a_wrong_accept_leaves_the_call_ringing(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await sim.place_call(TO, deliver=False)
    with pytest.raises(openai.BadRequestError) as refused:
        await client.realtime.calls.accept(call_id, **ACCEPT, extra_body={"temperature": 1})
    assert refused.value.code == "unknown_parameter"
    assert refused.value.param == "session.temperature"
    assert sim.call(call_id).state == "ringing"
    await client.realtime.calls.accept(call_id, **ACCEPT)


async def test_without_a_key_nothing_is_answered(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await sim.place_call(TO, deliver=False)
    bare = {"Authorization": openai.Omit()}
    with pytest.raises(openai.AuthenticationError):
        await client.realtime.calls.accept(call_id, **ACCEPT, extra_headers=bare)
    assert sim.call(call_id).accepts == []


async def test_azures_path_and_key_header_work_too(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await sim.place_call(TO, deliver=False)
    azure = client.with_options(base_url=f"{sim.url}/openai/v1")
    headers = {"Authorization": openai.Omit(), "api-key": "k"}
    await azure.realtime.calls.accept(call_id, **ACCEPT, extra_headers=headers)
    assert sim.call(call_id).state == "accepted"


async def test_a_format_is_taken_and_marked_as_static_noise(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    clean = await accepted(sim, client)
    noisy = await sim.place_call(TO, deliver=False)
    audio: Any = {"output": {"format": {"type": "audio/pcm", "rate": 24000}}}
    await client.realtime.calls.accept(noisy, type="realtime", audio=audio)
    assert [sim.call(call_id).static_noise for call_id in (clean, noisy)] == [False, True]


async def test_a_format_in_an_update_is_static_noise_too(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await accepted(sim, client, stay=True)
    async with client.realtime.connect(call_id=call_id) as connection:
        audio: Any = {"input": {"format": {"type": "audio/pcmu"}}}
        await connection.session.update(session={"type": "realtime", "audio": audio})
        assert (await connection.recv()).type == "session.updated"
    assert sim.call(call_id).static_noise


async def test_hangup_closes_the_socket_with_1000(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await accepted(sim, client, stay=True)
    async with client.realtime.connect(call_id=call_id) as connection:
        await client.realtime.calls.hangup(call_id)
        _, closed = await drain(connection)
    assert isinstance(closed, ConnectionClosedOK)
    call = sim.call(call_id)
    assert (call.ended_by, call.hangups) == ("hangup", [{}])


@pytest.mark.parametrize(("code", "seen"), [(1000, 1000), (1001, 1001), (None, None)])
async def test_the_callers_hangup_closes_the_socket_as_asked(
    sim: Simulator, client: openai.AsyncOpenAI, code: int | None, seen: int | None
) -> None:
    call_id = await accepted(sim, client, stay=True)
    async with client.realtime.connect(call_id=call_id) as connection:
        await sim.until(call_id, lambda call: call.attachments)
        sim.hang_up(call_id, **({"close": code} if code else {}))
        _, closed = await drain(connection)
    assert isinstance(closed, ConnectionClosedError | ConnectionClosedOK)
    assert (closed.rcvd.code if closed.rcvd else None) == seen


async def test_a_transfer_ends_the_call_after_a_while(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await accepted(sim, client, stay=True, refer={"after": 0.05})
    async with client.realtime.connect(call_id=call_id) as connection:
        await client.realtime.calls.refer(call_id, target_uri="tel:+14155550123")
        assert not sim.call(call_id).ended
        _, closed = await drain(connection)
    assert isinstance(closed, ConnectionClosedOK)
    call = sim.call(call_id)
    assert (call.ended_by, call.refers) == ("refer", [{"target_uri": "tel:+14155550123"}])


async def test_a_transfer_may_come_to_nothing_or_fail(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    lost = await accepted(sim, client, stay=True, refer={"outcome": "nothing"})
    await client.realtime.calls.refer(lost, target_uri="tel:+14155550123")
    broken = await accepted(sim, client, stay=True, refer={"outcome": "error500"})
    with pytest.raises(openai.InternalServerError):
        await client.realtime.calls.refer(broken, target_uri="tel:+14155550123")
    assert not sim.call(lost).ended
    assert not sim.call(broken).ended


@pytest.mark.parametrize("state", ["unknown", "ringing", "ended"])
async def test_a_socket_is_refused_where_there_is_no_live_call(
    sim: Simulator, client: openai.AsyncOpenAI, state: str
) -> None:
    call_id = "rtc_no" if state == "unknown" else await sim.place_call(TO, deliver=False)
    if state == "ended":
        await client.realtime.calls.accept(call_id, **ACCEPT)
        sim.hang_up(call_id)
    with pytest.raises(InvalidStatus) as refused:
        await client.realtime.connect(call_id=call_id).enter()
    response = refused.value.response
    assert response.status_code == 404
    assert json.loads(response.body or b"")["error"]["code"] == "call_id_not_found"


async def test_session_created_comes_only_when_asked_for(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await accepted(sim, client, stay=True, session_created=True)
    async with client.realtime.connect(call_id=call_id) as connection:
        assert (await connection.recv()).type == "session.created"


async def test_two_sockets_both_get_every_event(sim: Simulator, client: openai.AsyncOpenAI) -> None:
    call_id = await accepted(sim, client, script=[])
    async with (
        client.realtime.connect(call_id=call_id) as one,
        client.realtime.connect(call_id=call_id) as two,
    ):
        await sim.until(call_id, lambda call: call.attachments == 2)
        await one.response.create(response={"instructions": '"Hello"'})
        first, _ = await drain(one)
        second, _ = await drain(two)
    assert first == second != []


async def test_a_second_socket_can_be_refused_or_replace_the_first(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    refusing = await accepted(sim, client, stay=True, second_socket="refuse")
    async with client.realtime.connect(call_id=refusing):
        await sim.until(refusing, lambda call: call.attachments)
        with pytest.raises(InvalidStatus):
            await client.realtime.connect(call_id=refusing).enter()
    replacing = await accepted(sim, client, stay=True, second_socket="replace")
    async with (
        client.realtime.connect(call_id=replacing) as one,
        client.realtime.connect(call_id=replacing),
    ):
        _, closed = await drain(one)
    assert isinstance(closed, ConnectionClosedOK)
    assert not sim.call(replacing).ended


async def test_a_call_outlives_its_socket_and_can_be_attached_again(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await accepted(sim, client, stay=True)
    async with client.realtime.connect(call_id=call_id) as connection:
        await connection.session.update(session={"type": "realtime", "instructions": "Kept."})
        await connection.recv()
    async with client.realtime.connect(call_id=call_id) as connection:
        await connection.session.update(session={"type": "realtime"})
        updated: Any = await connection.recv()
    assert updated.session.instructions == "Kept."
    assert sim.call(call_id).attachments == 2


async def test_a_call_that_nobody_answers_stops_ringing(sim: Simulator) -> None:
    call_id = await sim.place_call(TO, deliver=False, ring_timeout=0.02)
    call = await sim.wait_ended(call_id)
    assert (call.state, call.ended_by, call.answered) == ("ended", "no_answer", False)


async def test_an_expired_session_closes_with_1001(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await accepted(sim, client, stay=True, max_duration=0.1)
    async with client.realtime.connect(call_id=call_id) as connection:
        events, closed = await drain(connection)
    assert events[-1]["error"]["code"] == "session_expired"
    assert isinstance(closed, ConnectionClosedOK)
    assert closed.rcvd is not None
    assert closed.rcvd.code == 1001


async def test_saying_something_to_nobody_is_an_error(sim: Simulator) -> None:
    call_id = await sim.place_call(TO, deliver=False)
    with pytest.raises(SimulatorError):
        sim.say(call_id, "Hello?")
    with pytest.raises(SimulatorError):
        sim.press(call_id, "1")
    with pytest.raises(SimulatorError):
        sim.call("rtc_no")


LOOK: Any = {"type": "function", "name": "look", "parameters": {"type": "object"}}
CRM: Any = {"type": "mcp", "server_label": "crm", "server_url": "https://crm.example/mcp"}


async def test_tools_are_called_and_answered_through_the_sdk(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    script = [
        {"tool": [{"name": "look", "arguments": {"n": 1}}, {"name": "look"}]},
        {"mcp": {"server": "crm", "name": "find", "output": "[]"}},
        {"agent": "Found."},
    ]
    call_id = await sim.place_call(TO, deliver=False, script=script, stay=True, as_written=True)
    await client.realtime.calls.accept(call_id, **ACCEPT, tools=[LOOK, CRM])
    async with client.realtime.connect(call_id=call_id) as connection:
        await connection.response.create()
        async for event in connection:
            if event.type == "response.done" and await _answered(connection, event.response):
                break
    notes = [note["type"] for note in sim.call(call_id).notes]
    assert [kind for kind in notes if kind in {"tool", "approval", "served"}] == [
        *["tool"] * 2,
        *["approval", "served"],
    ]
    assert sim.call(call_id).transcript[-1]["text"] == "Found."


async def _answered(connection: Any, response: Any) -> bool:
    """Answer what the response asks for; True once it has spoken instead."""
    for item in response.output:
        match item.type:
            case "message":
                return True
            case "function_call":
                output = {"type": "function_call_output", "call_id": item.call_id, "output": "{}"}
                await connection.conversation.item.create(item=output)
            case "mcp_approval_request":
                answer = {
                    "type": "mcp_approval_response",
                    "id": "approval_1",
                    "approval_request_id": item.id,
                    "approve": True,
                }
                await connection.conversation.item.create(item=answer)
                return False
    await connection.response.create()
    return False


async def test_an_output_of_an_unknown_call_is_an_error_through_the_sdk(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await accepted(sim, client, stay=True)
    async with client.realtime.connect(call_id=call_id) as connection:
        item: Any = {"type": "function_call_output", "call_id": "call_no", "output": "{}"}
        await connection.conversation.item.create(item=item, event_id="mine")
        error: Any = await connection.recv()
    assert (error.error.code, error.error.event_id) == ("invalid_tool_call_id", "mine")


async def test_each_refer_has_the_outcome_that_is_planned_for_it(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    refers = [
        {"outcome": "nothing", "to": "tel:+1"},
        {"outcome": "refused", "to": "tel:+1"},
        {"outcome": "error500", "to": "tel:+1"},
        {"outcome": "transferred", "after": 0, "to": "tel:+2"},
    ]
    call_id = await accepted(sim, client, stay=True, refer=refers[:1])
    sim.plan_refers(call_id, refers)
    async with client.realtime.connect(call_id=call_id):
        await client.realtime.calls.refer(call_id, target_uri="tel:+1")
        with pytest.raises(openai.PermissionDeniedError):
            await client.realtime.calls.refer(call_id, target_uri="tel:+1")
        for _ in range(2):
            with pytest.raises(openai.InternalServerError):
                await client.realtime.calls.refer(call_id, target_uri="tel:+1")
        assert not sim.call(call_id).ended
        await client.realtime.calls.refer(call_id, target_uri="tel:+2")
        assert (await sim.wait_ended(call_id)).ended_by == "refer"
