"""The bare server: answers a call, greets, and listens. What sipagent is measured against.

One file of FastAPI, httpx and websockets as their documentation shows them: the signature is
verified, each call has one task, one fixed session and the words that were spoken. No routing, no
duplicates, no retries, no deadlines, no logs, no metrics, no end that would be told apart.
"""

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from standardwebhooks import Webhook, WebhookVerificationError
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

BASE_URL = os.environ["OPENAI_BASE_URL"]
HEADERS = {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"}
SESSION: dict[str, Any] = {
    "type": "realtime",
    "model": "gpt-realtime-2.1",
    "instructions": "You answer the telephone of Acme. Be brief and friendly.",
    "audio": {
        "input": {
            "transcription": {"model": "gpt-live-transcribe"},
            "turn_detection": {"type": "server_vad"},
        },
        "output": {"voice": "marin"},
    },
}
NOTHING = {"type": "object", "properties": {}, "additionalProperties": False}
TOOLS = {
    "hang_up": ("End the call, after you have said goodbye.", NOTHING),
    "wait": ("The caller has asked for a moment: say nothing until they speak.", NOTHING),
    "take_message": ("Take a message.", {**NOTHING, "properties": {"message": {"type": "string"}}}),
    "transfer": (
        "Put the caller through.",
        {**NOTHING, "properties": {"destination": {"type": "string", "enum": ["front_desk"]}}},
    ),
    "order_status": (
        "Look up where an order is.",
        {**NOTHING, "properties": {"order_no": {"type": "string", "maxLength": 12}}},
    ),
}
SESSION["tools"] = [
    {"type": "function", "name": name, "description": text, "parameters": parameters}
    for name, (text, parameters) in TOOLS.items()
]
GREETING = {
    "type": "response.create",
    "response": {"instructions": 'Say exactly: "Thank you for calling Acme, this is Alex."'},
}

webhook = Webhook(os.environ["OPENAI_WEBHOOK_SECRET"])
client: httpx.AsyncClient
context: ssl.SSLContext | None = None
calls: set[asyncio.Task[None]] = set()


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    global client, context
    trusted = ssl.create_default_context()
    if BASE_URL.startswith("https:"):
        context = trusted  # a default one for each call would cost 15 ms
    async with httpx.AsyncClient(headers=HEADERS, verify=trusted) as client:
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/readyz")
async def ready() -> Response:
    return Response()


@app.post("/webhooks/openai")
async def incoming(request: Request) -> Response:
    body = await request.body()
    try:
        event = webhook.verify(body, dict(request.headers))
    except WebhookVerificationError:
        return Response(status_code=400)
    if event["type"] == "realtime.call.incoming":
        task = asyncio.create_task(answer(event["data"]["call_id"]))
        calls.add(task)
        task.add_done_callback(calls.discard)
    return Response()


async def answer(call_id: str) -> None:
    """Hold one call from its accept to its end."""
    accepted = await client.post(f"{BASE_URL}/realtime/calls/{call_id}/accept", json=SESSION)
    accepted.raise_for_status()
    url = f"ws{BASE_URL.removeprefix('http')}/realtime?call_id={call_id}"
    tls: dict[str, Any] = {"ssl": context} if context is not None else {}
    transcript: list[str] = []
    async with connect(url, additional_headers=HEADERS, compression=None, **tls) as socket:
        await socket.send(json.dumps(GREETING))
        try:
            async for message in socket:
                event = json.loads(message)
                match event["type"]:
                    case "conversation.item.input_audio_transcription.completed":
                        transcript.append(f"caller: {event['transcript']}")
                    case "response.output_audio_transcript.done":
                        transcript.append(f"agent: {event['transcript']}")
        except ConnectionClosedError:
            pass  # the caller hung up: the provider sends no close frame then


if __name__ == "__main__":
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
    )
