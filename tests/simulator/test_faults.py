"""Every scripted fault, as its victim sees it."""

import asyncio
import json
from typing import Any

import httpx
import openai
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, InvalidMessage, InvalidStatus

from sipagent.errors import SimulatorError
from sipagent.simulator import Simulator
from tests.simulator.support import ACCEPT

TO = "+17134810111"
KEY = {"authorization": "Bearer x"}


async def place(sim: Simulator, **faults: Any) -> str:
    return await sim.place_call(TO, deliver=False, stay=True, script=[], faults=faults)


async def accept(sim: Simulator, client: openai.AsyncOpenAI, **faults: Any) -> str:
    call_id = await place(sim, **faults)
    await client.realtime.calls.accept(call_id, **ACCEPT)
    return call_id


def attach(sim: Simulator, call_id: str, **options: Any) -> connect:
    url = sim.url.replace("http", "ws", 1) + f"/v1/realtime?call_id={call_id}"
    return connect(url, additional_headers=KEY, proxy=None, compression=None, **options)


async def recv(connection: ClientConnection) -> Any:
    return json.loads(await connection.recv())


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
async def test_a_status_is_answered_as_often_as_it_says(
    sim: Simulator, client: openai.AsyncOpenAI, status: int, error: type[openai.APIStatusError]
) -> None:
    call_id = await place(sim, accept={"status": status, "times": 2, "retry_after": 0.5})
    for _ in range(2):
        with pytest.raises(error) as refused:
            await client.realtime.calls.accept(call_id, **ACCEPT)
        assert refused.value.response.headers["retry-after"] == "0.5"
        assert refused.value.response.json()["error"]["type"]
    assert sim.call(call_id).state == "ringing"
    await client.realtime.calls.accept(call_id, **ACCEPT)
    assert sim.call(call_id).answers["accept"] == [status, status, 200]


async def test_a_fault_may_bring_its_own_body(sim: Simulator, client: openai.AsyncOpenAI) -> None:
    body = {"error": {"code": "insufficient_quota", "message": "No money."}}
    call_id = await place(sim, accept={"status": 429, "body": body})
    with pytest.raises(openai.RateLimitError) as refused:
        await client.realtime.calls.accept(call_id, **ACCEPT)
    assert refused.value.code == "insufficient_quota"


async def test_faults_in_a_list_follow_each_other(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    faults = [{"status": 500, "times": 1}, {"status": 429, "times": 1}]
    call_id = await place(sim, accept=faults)
    for error in (openai.InternalServerError, openai.RateLimitError):
        with pytest.raises(error):
            await client.realtime.calls.accept(call_id, **ACCEPT)
    await client.realtime.calls.accept(call_id, **ACCEPT)


async def test_latency_delays_the_answer(sim: Simulator, client: openai.AsyncOpenAI) -> None:
    loop = asyncio.get_running_loop()
    call_id = await place(sim, accept={"latency": 0.1})
    started = loop.time()
    await client.realtime.calls.accept(call_id, **ACCEPT)
    assert loop.time() - started >= 0.1


async def test_a_reset_drops_the_connection_and_does_nothing(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await place(sim, accept={"reset": True, "times": 1})
    with pytest.raises(openai.APIConnectionError):
        await client.realtime.calls.accept(call_id, **ACCEPT)
    assert (sim.call(call_id).state, sim.call(call_id).answers["accept"]) == ("ringing", [0])
    await client.realtime.calls.accept(call_id, **ACCEPT)


async def test_a_reset_after_effect_has_taken_effect(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await place(sim, accept={"reset_after_effect": True, "times": 1})
    with pytest.raises(openai.APIConnectionError):
        await client.realtime.calls.accept(call_id, **ACCEPT)
    assert sim.call(call_id).state == "accepted"
    with pytest.raises(openai.ConflictError):
        await client.realtime.calls.accept(call_id, **ACCEPT)


@pytest.mark.parametrize("action", ["reject", "refer", "hangup"])
async def test_the_other_endpoints_fail_too(
    sim: Simulator, client: openai.AsyncOpenAI, action: str
) -> None:
    call_id = await place(sim, **{action: {"status": 500}})
    if action != "reject":
        await client.realtime.calls.accept(call_id, **ACCEPT)
    body = {"target_uri": "tel:+1"} if action == "refer" else {}
    async with httpx.AsyncClient(base_url=sim.base_url, headers=KEY) as http:
        response = await http.post(f"/realtime/calls/{call_id}/{action}", json=body)
    assert response.status_code == 500
    assert not sim.call(call_id).ended


async def test_a_hang_never_answers(sim: Simulator, client: openai.AsyncOpenAI) -> None:
    call_id = await place(sim, accept={"hang": True})
    with pytest.raises(openai.APITimeoutError):
        await client.realtime.calls.accept(call_id, **ACCEPT, timeout=0.1)
    await sim.until(call_id, lambda call: call.answers["accept"] == [0])
    assert sim.call(call_id).state == "ringing"


async def test_global_faults_hold_for_all_calls_until_cleared(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    sim.set_faults({"accept": {"status": 503}})
    with pytest.raises(openai.InternalServerError):
        await accept(sim, client)
    call_id = await accept(sim, client, accept={"latency": 0.0})
    assert sim.call(call_id).state == "accepted"
    sim.clear_faults()
    await accept(sim, client)


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_an_upgrade_is_refused_with_the_status(
    sim: Simulator, client: openai.AsyncOpenAI, status: int
) -> None:
    call_id = await accept(sim, client, attach={"status": status, "times": 1, "retry_after": 2})
    with pytest.raises(InvalidStatus) as refused:
        await attach(sim, call_id)
    assert refused.value.response.status_code == status
    assert refused.value.response.headers["retry-after"] == "2"
    async with attach(sim, call_id):
        pass


async def test_an_upgrade_can_be_reset(sim: Simulator, client: openai.AsyncOpenAI) -> None:
    call_id = await accept(sim, client, attach={"reset": True})
    with pytest.raises((OSError, InvalidMessage)):
        await attach(sim, call_id)
    assert sim.call(call_id).attachments == 0


async def test_an_upgrade_can_hang(sim: Simulator, client: openai.AsyncOpenAI) -> None:
    call_id = await accept(sim, client, attach={"hang": True})
    with pytest.raises(TimeoutError):
        await attach(sim, call_id, open_timeout=0.1)


async def test_a_silent_socket_takes_everything_and_says_nothing(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await accept(sim, client, socket={"silence": True})
    async with attach(sim, call_id) as connection:
        await connection.send('{"type":"response.create"}')
        await sim.until(call_id, lambda call: call.client_events)
        await (await connection.ping())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(connection.recv(), 0.05)


async def test_a_black_hole_answers_no_ping(sim: Simulator, client: openai.AsyncOpenAI) -> None:
    call_id = await accept(sim, client, socket={"blackhole": True})
    async with attach(sim, call_id, close_timeout=0.05) as connection:
        await sim.until(call_id, lambda call: call.attachments)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(await connection.ping(), 0.1)


async def test_a_socket_may_begin_with_an_error_and_with_rubbish(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    fault = {"error_first": {"code": "insufficient_quota"}, "malformed": ["{", "[]", "null"]}
    call_id = await accept(sim, client, socket=fault)
    async with attach(sim, call_id) as connection:
        first = await recv(connection)
        assert (first["type"], first["error"]["code"]) == ("error", "insufficient_quota")
        assert [await connection.recv() for _ in range(3)] == ["{", "[]", "null"]


async def test_a_socket_closes_after_so_many_events(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    fault = {"close": 1011, "after_events": 3, "times": 1}
    call_id = await accept(sim, client, socket=fault)
    async with attach(sim, call_id) as connection:
        await connection.send('{"type":"response.create"}')
        kinds = [(await recv(connection))["type"] for _ in range(3)]
        with pytest.raises(ConnectionClosedError) as closed:
            await connection.recv()
    assert kinds[0] == "response.created"
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert not sim.call(call_id).ended
    async with attach(sim, call_id) as connection:
        await connection.send('{"type":"session.update","session":{"type":"realtime"}}')
        assert (await recv(connection))["type"] == "session.updated"


async def test_a_socket_is_aborted_without_a_close_frame(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    call_id = await accept(sim, client, socket={"abort": True})
    async with attach(sim, call_id) as connection:
        with pytest.raises(ConnectionClosedError) as closed:
            await connection.recv()
    assert closed.value.rcvd is None


@pytest.mark.parametrize("options", [{"abort": True}, {"code": 1006}, {"code": 1012}])
async def test_sockets_can_be_closed_while_the_call_goes_on(
    sim: Simulator, client: openai.AsyncOpenAI, options: dict[str, Any]
) -> None:
    call_id = await accept(sim, client)
    async with attach(sim, call_id) as connection:
        await sim.until(call_id, lambda call: call.attachments)
        assert sim.close_sockets(call_id, **options) == 1
        with pytest.raises(ConnectionClosedError) as closed:
            await connection.recv()
    code = closed.value.rcvd.code if closed.value.rcvd else None
    assert code == (options["code"] if options.get("code") == 1012 else None)
    assert not sim.call(call_id).ended


@pytest.mark.parametrize(
    "faults",
    [{"accpt": {}}, {"accept": {"sttus": 1}}, {"accept": {"status": "500"}}, {"socket": 5}],
)
async def test_a_fault_that_does_not_exist_is_an_error(sim: Simulator, faults: Any) -> None:
    with pytest.raises(SimulatorError, match="faults"):
        sim.set_faults(faults)
