"""`sipagent simulate serve` and `sipagent simulate call`."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest
from typer.testing import CliRunner, Result
from websockets.exceptions import ConnectionClosed

from sipagent.cli.simulate import app
from sipagent.simulator import Simulator
from tests.simulator.support import ACCEPT, SECRET, Receiver

TO = "+17134810111"


@contextlib.asynccontextmanager
async def answering(client: openai.AsyncOpenAI, receiver: Receiver) -> AsyncIterator[None]:
    """A small service: accepts every call, greets, and holds the socket to its end."""
    async with asyncio.TaskGroup() as group:

        async def on_call(call_id: str) -> None:
            await client.realtime.calls.accept(call_id, **ACCEPT)
            group.create_task(hold(client, call_id), name=f"hold {call_id}")

        receiver.on_call = on_call
        yield


async def hold(client: openai.AsyncOpenAI, call_id: str) -> None:
    async with client.realtime.connect(call_id=call_id) as connection:
        await connection.response.create(response={"instructions": 'Say exactly: "Hello"'})
        with contextlib.suppress(ConnectionClosed):
            while True:
                await connection.recv_bytes()


async def invoke(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(arguments))


async def test_a_call_is_printed_as_it_goes(
    sim: Simulator, client: openai.AsyncOpenAI, receiver: Receiver
) -> None:
    sim.deliver_to = receiver.url
    async with answering(client, receiver):
        arguments = ["call", TO, "--from", "+15550100", "--pace", "0", "--simulator", sim.url]
        result = await invoke(*arguments, "--header", "X-Store: 5")
    assert result.exit_code == 0, result.output
    (call,) = sim.calls
    assert (call.order.from_, call.order.headers[-1]) == ("+15550100", ("X-Store", "5"))
    told = [line.split(maxsplit=2)[1:] for line in result.output.splitlines()]
    assert told[0] == ["ringing", call.call_id]
    assert ["agent", "Hello"] in told
    assert ["caller", "Great, thank you. Goodbye."] in told
    assert told.index(["delivery", "200"])
    assert told[-2] == ["ended", "by caller"] or told[-1] == ["ended", "by caller"]


async def test_a_script_file_and_json_lines(
    sim: Simulator, client: openai.AsyncOpenAI, receiver: Receiver, tmp_path: Path
) -> None:
    script = tmp_path / "script.json"
    steps = [{"caller": "Only this."}, {"agent": "Fine."}]
    script.write_text(json.dumps({"script": steps, "pace": 0, "refer": {"outcome": "nothing"}}))
    sim.deliver_to = receiver.url
    async with answering(client, receiver):
        result = await invoke("call", TO, "--script", str(script), "--json", "--simulator", sim.url)
    assert result.exit_code == 0, result.output
    told: list[Any] = [json.loads(line) for line in result.output.splitlines()]
    said = [(note["who"], note["text"]) for note in told if note["type"] == "speech"]
    assert said == [("agent", "Hello"), ("caller", "Only this."), ("agent", "Fine.")]


async def test_a_rejected_call_exits_with_1(
    sim: Simulator, client: openai.AsyncOpenAI, receiver: Receiver
) -> None:
    async def reject(call_id: str) -> None:
        await client.realtime.calls.reject(call_id, status_code=486)

    receiver.on_call = reject
    result = await invoke("call", TO, "--deliver-to", receiver.url, "--simulator", sim.url)
    assert result.exit_code == 1
    assert "rejected" in result.output


async def test_a_call_whose_webhook_is_refused_exits_with_1(
    sim: Simulator, receiver: Receiver
) -> None:
    receiver.answers = [404]
    result = await invoke("call", TO, "--deliver-to", receiver.url, "--simulator", sim.url)
    assert result.exit_code == 1
    assert "delivery   404" in result.output


async def test_a_simulator_that_is_not_there_exits_with_3() -> None:
    result = await invoke("call", TO, "--simulator", "http://127.0.0.1:1")
    assert result.exit_code == 3
    assert "no simulator answers at http://127.0.0.1:1" in result.stderr


async def test_a_call_that_cannot_be_placed_exits_with_3(sim: Simulator) -> None:
    result = await invoke("call", TO, "--simulator", sim.url)
    assert result.exit_code == 3
    assert "nowhere to deliver" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--header", "X-Store"], "write 'Name: value'"),
        (["--script", "{bad}"], "bad.json"),
        (["--script", "{number}"], "list of steps"),
        (["--script", "missing.json"], "missing.json"),
        (["--pace", "-1"], "pace"),
    ],
)
def test_wrong_usage_exits_with_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    files = {"bad": tmp_path / "bad.json", "number": tmp_path / "number.json"}
    files["bad"].write_text("{")
    files["number"].write_text("5")
    given = [argument.format(**files) for argument in arguments]
    result = CliRunner().invoke(app, ["call", TO, *given])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("secret", "message"), [("", "is not set"), (" , ", "is not set"), ("whsec_!", "not base64")]
)
def test_serve_needs_a_usable_secret(secret: str, message: str) -> None:
    environment = {"OPENAI_WEBHOOK_SECRET": secret}
    result = CliRunner().invoke(app, ["serve", "--port", "0"], env=environment)
    assert result.exit_code == 78
    assert message in result.stderr


async def test_serve_signs_with_the_first_secret_and_stops_on_sigterm(receiver: Receiver) -> None:
    code = "from sipagent.cli.simulate import app; app()"
    command = [sys.executable, "-c", code, "serve", "--port", "0", "--deliver-to", receiver.url]
    environment = {**os.environ, "OPENAI_WEBHOOK_SECRET": f"{SECRET}, whsec_b2xk"}
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    url = line.split()[3].rstrip(",")
    result = await invoke("call", TO, "--simulator", url, "--deliver-to", "http://127.0.0.1:1")
    assert result.exit_code == 1
    receiver.answers = [503]
    await invoke("call", TO, "--simulator", url)
    headers, body = receiver.deliveries[0]
    openai.AsyncOpenAI(api_key="x").webhooks.unwrap(body, headers, secret=SECRET)
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 0
