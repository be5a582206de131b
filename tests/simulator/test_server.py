"""Serving: ports, TLS, and thousands of chattering calls."""

import asyncio
import json
import ssl
import subprocess
from pathlib import Path
from typing import Any

import openai
import pytest
from websockets.asyncio.client import ClientConnection, connect

from sipagent.errors import SimulatorError
from sipagent.simulator import Simulator, running_simulator
from sipagent.simulator.sockets import text_frame
from tests.simulator.support import ACCEPT, SECRET, assert_official

TO = "+17134810111"
KEY = {"authorization": "Bearer x"}


async def hold(
    sim: Simulator,
    client: openai.AsyncOpenAI,
    tls: ssl.SSLContext | None = None,
    **options: Any,
) -> connect:
    call_id = await sim.place_call(TO, deliver=False, **options)
    await client.realtime.calls.accept(call_id, **ACCEPT)
    url = sim.url.replace("http", "ws", 1) + f"/v1/realtime?call_id={call_id}"
    return connect(url, additional_headers=KEY, proxy=None, ssl=tls)


async def read(socket: ClientConnection, events: int) -> list[dict[str, Any]]:
    return [json.loads(await socket.recv()) for _ in range(events)]


async def test_chatter_is_a_stream_of_official_turns_with_ids_of_their_own(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    chatter = {"events_per_second": 1000, "after": 0}
    async with await hold(sim, client, chatter=chatter) as socket:
        events = await read(socket, 90)
    for event in events:
        assert_official(event)
    ids = [event["event_id"] for event in events]
    assert len(set(ids)) == len(ids)
    responses = [e["response"]["id"] for e in events if e["type"] == "response.done"]
    assert len(set(responses)) == len(responses) >= 2
    kinds = {event["type"] for event in events}
    assert "conversation.item.input_audio_transcription.completed" in kinds
    assert "response.output_audio_transcript.done" in kinds


async def test_chatter_keeps_its_rate(sim: Simulator, client: openai.AsyncOpenAI) -> None:
    loop = asyncio.get_running_loop()
    chatter = {"events_per_second": 200, "after": 0}
    async with await hold(sim, client, chatter=chatter) as socket:
        await read(socket, 1)
        started = loop.time()
        await read(socket, 60)
        assert 0.2 < loop.time() - started < 5


async def test_a_chattering_call_is_greeted_before_it_chatters(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    chatter = {"events_per_second": 1000, "after": 0.05}
    async with await hold(sim, client, chatter=chatter) as socket:
        instructions = {"instructions": 'Say "Hello"'}
        await socket.send(json.dumps({"type": "response.create", "response": instructions}))
        events = await read(socket, 20)
    first = next(e for e in events if e["type"] == "response.output_audio_transcript.done")
    assert first["transcript"] == "Hello"
    kinds = [event["type"] for event in events]
    assert kinds.index("output_audio_buffer.stopped") < kinds.index(
        "input_audio_buffer.speech_started"
    )


async def test_a_response_beside_chatters_response_is_refused(
    sim: Simulator, client: openai.AsyncOpenAI
) -> None:
    chatter = {"events_per_second": 50, "after": 0}
    async with await hold(sim, client, chatter=chatter) as socket:
        while (await read(socket, 1))[0]["type"] != "response.created":
            pass
        await socket.send('{"type":"response.create"}')
        while (event := (await read(socket, 1))[0])["type"] != "error":
            assert event["type"] != "response.done"
    assert event["error"]["code"] == "conversation_already_has_active_response"


async def test_a_taken_port_is_a_clear_error(sim: Simulator) -> None:
    port = int(sim.url.rsplit(":", 1)[1])
    with pytest.raises(SimulatorError, match=f"cannot listen on 127.0.0.1:{port}"):
        async with running_simulator(SECRET, port=port):
            pass


async def test_a_simulator_that_is_not_served_has_no_url() -> None:
    with pytest.raises(SimulatorError):
        _ = Simulator(SECRET).url


async def test_it_runs_over_tls(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    context = ssl.create_default_context(cafile=str(certificate))
    async with running_simulator(SECRET, ssl_certfile=certificate, ssl_keyfile=key) as sim:
        assert sim.url.startswith("https://127.0.0.1:")
        client = openai.DefaultAsyncHttpxClient(verify=context)
        async with openai.AsyncOpenAI(base_url=sim.base_url, api_key="x", http_client=client) as ai:
            socket = await hold(sim, ai, context, script=[])
            async with socket as connection:
                await connection.send('{"type":"session.update","session":{"type":"realtime"}}')
                (event,) = await read(connection, 1)
    assert event["type"] == "session.updated"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536, 100_000])
def test_a_frame_carries_its_length(size: int) -> None:
    frame = text_frame(b"x" * size)
    header = {True: 2, 126 <= size < 65_536: 4, size >= 65_536: 10}[True]
    assert frame[0] == 0x81
    assert len(frame) == header + size
    if header > 2:
        assert int.from_bytes(frame[2:header], "big") == size
