"""The simulator's own API."""

import asyncio
import contextlib
import json
from typing import Any

import httpx
import openai
import pytest
from standardwebhooks import Webhook
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from sipagent.simulator import Simulator, running_simulator
from tests.simulator.support import ACCEPT, SECRET, Receiver

TO = "+17134810111"


async def place(http: httpx.AsyncClient, **body: Any) -> str:
    response = await http.post("/simulator/calls", json={"to": TO, "deliver": False, **body})
    assert response.status_code == 201, response.text
    call_id: str = response.json()["call_id"]
    return call_id


async def show(http: httpx.AsyncClient, call_id: str) -> Any:
    return (await http.get(f"/simulator/calls/{call_id}")).json()


async def test_it_is_healthy(http: httpx.AsyncClient) -> None:
    assert (await http.get("/healthz")).json() == {"status": "ok"}


async def test_a_placed_call_is_delivered_and_says_how(
    sim: Simulator, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    receiver.answers = [400]
    body = {"to": TO, "from": "+14067704205", "deliver_to": receiver.url}
    response = await http.post("/simulator/calls", json=body)
    assert response.status_code == 201
    assert response.json()["delivery"]["status"] == 400
    call = await show(http, response.json()["call_id"])
    assert (call["state"], call["to"], call["from"]) == ("ringing", TO, "+14067704205")
    assert call["accepts"] == call["rejects"] == call["refers"] == call["hangups"] == []
    assert call["client_events"] == []


async def test_an_undelivered_call_has_no_delivery_and_can_be_accepted(
    http: httpx.AsyncClient, client: openai.AsyncOpenAI
) -> None:
    response = await http.post("/simulator/calls", json={"to": TO, "deliver": False})
    assert response.json()["delivery"] is None
    call_id = response.json()["call_id"]
    await client.realtime.calls.accept(call_id, **ACCEPT)
    call = await show(http, call_id)
    assert (call["state"], call["accepts"]) == ("accepted", [ACCEPT])


async def test_a_delivery_that_fails_says_why(http: httpx.AsyncClient) -> None:
    body = {"to": TO, "deliver_to": "http://127.0.0.1:1/"}
    delivery = (await http.post("/simulator/calls", json=body)).json()["delivery"]
    assert delivery["status"] is None
    assert delivery["error"].startswith("ConnectError")


async def test_given_headers_are_the_whole_invite(
    http: httpx.AsyncClient, receiver: Receiver
) -> None:
    headers = [
        {"name": "From", "value": "<sip:a@b>"},
        {"name": "X-Twice", "value": "1"},
        {"name": "x-twice", "value": "2"},
        {"name": "To", "value": ""},
    ]
    call_id = await place(http, headers=headers, call_id="rtc_mine", created_at=5)
    assert call_id == "rtc_mine"
    await http.post(f"/simulator/calls/{call_id}/deliver", json={"deliver_to": receiver.url})
    event = json.loads(receiver.deliveries[0][1])
    assert event["data"] == {"call_id": "rtc_mine", "sip_headers": headers}
    assert (event["created_at"], event["object"]) == (5, "event")


async def test_extra_headers_add_to_the_invite_or_replace_by_name(http: httpx.AsyncClient) -> None:
    extra = [{"name": "X-NUMBER", "value": "555"}, {"name": "X-Store", "value": "5"}]
    call = await show(http, await place(http, extra_headers=extra))
    assert [header["name"] for header in call["headers"]][-3:] == ["Call-ID", "X-NUMBER", "X-Store"]


async def test_a_redelivery_has_the_same_webhook_id_and_a_fresh_one_another(
    sim: Simulator, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    sim.deliver_to = receiver.url
    call_id = await place(http, webhook_id="wh_1")
    path = f"/simulator/calls/{call_id}/deliver"
    for body in ({}, {}, {"fresh": True}, {"webhook_id": "wh_2"}, {"timestamp": 1}):
        assert (await http.post(path, json=body)).json()["delivery"]["status"] == 200
    ids = [headers["webhook-id"] for headers, _ in receiver.deliveries]
    assert ids[0] == ids[1] == ids[4] == "wh_1"
    assert ids[2] not in {"wh_1", "wh_2"}
    assert ids[3] == "wh_2"
    assert receiver.deliveries[4][0]["webhook-timestamp"] == "1"
    assert len({body for _, body in receiver.deliveries}) == 1


async def test_any_event_is_delivered_signed(
    sim: Simulator, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    sim.deliver_to = receiver.url
    path = "/simulator/webhooks"
    await http.post(path, json={"type": "live.transport.incoming", "data": {"session_id": "l"}})
    await http.post(path, json={"event": {"any": 1}, "headers": {"x-extra": "1"}})
    first, second = receiver.deliveries
    event = Webhook(SECRET).verify(first[1], first[0])
    assert (event["type"], event["data"]) == ("live.transport.incoming", {"session_id": "l"})
    assert Webhook(SECRET).verify(second[1], second[0]) == {"any": 1}
    assert second[0]["x-extra"] == "1"


async def test_a_signature_can_be_forged(
    sim: Simulator, http: httpx.AsyncClient, receiver: Receiver
) -> None:
    options = {"deliver_to": receiver.url, "signature": "v1,AAAA"}
    await http.post(f"/simulator/calls/{await place(http)}/deliver", json=options)
    assert receiver.deliveries[0][0]["webhook-signature"] == "v1,AAAA"


async def test_calls_are_listed(sim: Simulator, http: httpx.AsyncClient) -> None:
    one, two = await place(http), await place(http)
    assert (await http.post(f"/simulator/calls/{two}/hangup")).json() == {"state": "ended"}
    listed = (await http.get("/simulator/calls")).json()["calls"]
    assert listed == [
        {"call_id": one, "state": "ringing", "ended_by": None},
        {"call_id": two, "state": "ended", "ended_by": "caller"},
    ]


async def test_the_caller_speaks_presses_keys_and_is_cut_off(
    sim: Simulator, http: httpx.AsyncClient, client: openai.AsyncOpenAI
) -> None:
    call_id = await place(http, script=[], stay=True)
    await client.realtime.calls.accept(call_id, **ACCEPT)
    path = f"/simulator/calls/{call_id}"
    async with client.realtime.connect(call_id=call_id) as connection:
        await sim.until(call_id, lambda call: call.attachments)
        assert (await http.post(f"{path}/say", json={"text": "Hi"})).status_code == 200
        while (await connection.recv()).type != "output_audio_buffer.stopped":
            pass
        assert (await http.post(f"{path}/dtmf", json={"digits": "*"})).status_code == 200
        pressed: Any = await connection.recv()
        assert (pressed.type, pressed.event) == ("input_audio_buffer.dtmf_event_received", "*")
        assert (await http.post(f"{path}/close", json={"code": 1000})).json() == {"closed": 1}
    call = await sim.until(call_id, lambda call: call.notes[-1]["type"] == "detached")
    assert (call.attachments, call.ended) == (1, False)
    assert call.transcript[0]["text"] == "Hi"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/simulator/calls", b"{", 400, "not JSON"),
        ("/simulator/calls", b"[]", 422, "JSON object"),
        ("/simulator/calls", b"{}", 422, "to: Field required"),
        ("/simulator/calls", b'{"to":5}', 422, "to: Input should be a valid string"),
        ("/simulator/calls", b'{"to":"+1","pace":-1}', 422, "pace: "),
        ("/simulator/calls", b'{"to":"+1","nope":1}', 422, "nope: Extra inputs"),
        ("/simulator/calls", b'{"to":"+1","script":[{"x":1}]}', 422, "script.0"),
        ("/simulator/calls", b'{"to":"+1"}', 422, "nowhere to deliver"),
        ("/simulator/calls/rtc_no/hangup", b"", 404, "no call rtc_no"),
        ("/simulator/calls/CALL/say", b'{"text":"Hi"}', 422, "nobody is on the line"),
        ("/simulator/calls/CALL/say", b"{}", 422, "text: "),
        ("/simulator/calls/CALL/dtmf", b'{"digits":"x"}', 422, "digits: "),
        ("/simulator/calls/CALL/close", b'{"code":5}', 422, "code: "),
        ("/simulator/calls/CALL/deliver", b'{"nope":5}', 422, "nope: "),
        ("/simulator/webhooks", b"{}", 422, "either event or type"),
        ("/simulator/faults", b'{"nope":{}}', 422, "faults.nope"),
    ],
)
async def test_a_wrong_body_is_refused_with_its_place(
    http: httpx.AsyncClient, path: str, body: bytes, status: int, message: str
) -> None:
    path = path.replace("CALL", await place(http))
    response = await http.post(path, content=body)
    assert response.status_code == status
    assert message in response.json()["error"]["message"]


async def test_a_call_id_is_placed_once(http: httpx.AsyncClient) -> None:
    await place(http, call_id="rtc_1")
    body = {"to": TO, "deliver": False, "call_id": "rtc_1"}
    assert (await http.post("/simulator/calls", json=body)).status_code == 422


async def test_global_faults_are_set_and_cleared(http: httpx.AsyncClient) -> None:
    path = f"/v1/realtime/calls/{await place(http)}/reject"
    key = {"authorization": "Bearer x"}
    faults = {"reject": {"status": 500}}
    assert (await http.post("/simulator/faults", json=faults)).status_code == 200
    assert (await http.post(path, headers=key)).status_code == 500
    assert (await http.delete("/simulator/faults")).status_code == 204
    assert (await http.post(path, headers=key)).status_code == 200


async def test_the_stream_tells_the_whole_call_and_ends_with_it(
    sim: Simulator, http: httpx.AsyncClient, client: openai.AsyncOpenAI
) -> None:
    script: list[dict[str, Any]] = [{"caller": "Stop", "barge_in": True}, {"agent": "Yes."}]
    call_id = await place(http, script=script)

    async def follow() -> list[Any]:
        async with http.stream("GET", f"/simulator/calls/{call_id}/events") as response:
            return [json.loads(line) async for line in response.aiter_lines()]

    async with asyncio.TaskGroup() as group:
        following = group.create_task(follow(), name="follow")
        await client.realtime.calls.accept(call_id, **ACCEPT)
        async with client.realtime.connect(call_id=call_id) as connection:
            await connection.response.create(response={"instructions": '"One two"'})
            with contextlib.suppress(ConnectionClosedError):
                while True:
                    await connection.recv_bytes()
    told = [(note["type"], note.get("who") or note.get("state")) for note in following.result()]
    assert told == [
        ("state", "ringing"),
        ("state", "accepted"),
        ("accept", None),
        ("attached", None),
        ("state", "active"),
        ("speech", "agent"),
        ("speech", "caller"),
        ("interrupted", "agent"),
        ("speech", "agent"),
        ("state", "ended"),
    ]
    assert following.result()[-1]["by"] == "caller"


async def test_the_stream_of_an_ended_call_is_its_history(
    sim: Simulator, http: httpx.AsyncClient
) -> None:
    call_id = await place(http)
    sim.hang_up(call_id)
    response = await http.get(f"/simulator/calls/{call_id}/events")
    assert response.headers["content-type"] == "application/x-ndjson"
    states = [json.loads(line)["state"] for line in response.text.splitlines()]
    assert states == ["ringing", "ended"]


async def test_client_events_beyond_the_cap_are_only_counted(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await sim.place_call(TO, deliver=False, stay=True)
    await client.realtime.calls.accept(call_id, **ACCEPT)
    url = sim.url.replace("http", "ws", 1) + f"/v1/realtime?call_id={call_id}"
    async with connect(url, additional_headers={"api-key": "x"}, proxy=None) as socket:
        for _ in range(1_005):
            await socket.send("{}")
        for _ in range(1_005):
            await socket.recv()
    described = sim.call(call_id).describe()
    assert (len(described["client_events"]), described["client_events_dropped"]) == (1_000, 5)


async def test_old_calls_lose_their_details_and_then_are_forgotten() -> None:
    async with running_simulator(SECRET, keep=3, keep_details=1) as sim:
        calls = [await sim.place_call(TO, deliver=False) for _ in range(5)]
        live = await sim.place_call(TO, deliver=False)
        for call_id in calls:
            sim.hang_up(call_id)
        assert [call.call_id for call in sim.calls] == [*calls[2:], live]
        assert [call.details_dropped for call in sim.calls] == [True, True, False, False]
        assert sim.call(calls[2]).describe()["ended_by"] == "caller"


async def test_a_closing_simulator_cuts_everybody_off_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    async with running_simulator(SECRET) as sim, httpx.AsyncClient(base_url=sim.url) as http:
        faults = {"accept": {"hang": True, "times": 1}}
        call_id = await sim.place_call(TO, deliver=False, stay=True, faults=faults)
        path = f"/v1/realtime/calls/{call_id}/accept"
        key = {"authorization": "Bearer x"}
        hanging = http.stream("GET", f"/simulator/calls/{call_id}/events")
        async with asyncio.TaskGroup() as group:
            post = http.post(path, headers=key, json=ACCEPT, timeout=0.05)
            waiting = group.create_task(_expect_timeout(post), name="hanging accept")
            await sim.until(call_id, lambda call: call.accepts)
        assert waiting.done()
        await http.post(path, headers=key, json=ACCEPT)
        url = sim.url.replace("http", "ws", 1) + f"/v1/realtime?call_id={call_id}"
        async with hanging, connect(url, additional_headers=key, proxy=None) as socket:
            await sim.until(call_id, lambda call: call.attachments)
            await sim.aclose()
            await socket.close()
    assert asyncio.all_tasks() == before


async def _expect_timeout(request: Any) -> None:
    with pytest.raises(httpx.TimeoutException):
        await request
