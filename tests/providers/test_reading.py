"""A model reads a text: one request, and whatever comes back is an answer or a word why not."""

import json
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from openai.types.responses import Response, ResponseCreateParams
from pydantic import TypeAdapter

from sipagent.model import AccountName, Bill, Tokens
from sipagent.providers.accounts import AccountSpec
from sipagent.providers.openai.reading import Question
from sipagent.providers.registry import Accounts
from sipagent.providers.secrets import SecretSource
from sipagent.simulator import running_simulator
from sipagent.simulator.reading import simplest

SECRET = "whsec_" + "A" * 43 + "="
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"summary": {"type": "string"}},
    "required": ["summary"],
}
QUESTION = Question("gpt-5-mini", "Read it.", 'caller: "Hello."', SCHEMA)
NAME = AccountName("one")


class Api:
    """A Responses API that answers as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.answer: Any = {}
        self.status = 200
        self.asked: list[dict[str, Any]] = []

    async def respond(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        body = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        return web.Response(status=self.status, text=body, content_type="application/json")


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    found = Api()
    application = web.Application()
    application.router.add_post("/v1/responses", found.respond)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield found
    finally:
        await runner.cleanup()


def accounts(url: str) -> Accounts:
    keys, secrets = SecretSource(literal="sk-1"), SecretSource(literal=SECRET)
    spec = AccountSpec(NAME, "openai", url, api_keys=keys, webhook_secrets=secrets)
    return Accounts([spec], ssl.create_default_context(), lambda _: None)


def answered(text: str, **changes: Any) -> dict[str, Any]:
    message = {"type": "message", "content": [{"type": "output_text", "text": text}]}
    usage = {
        "input_tokens": 100,
        "input_tokens_details": {"cached_tokens": 40},
        "output_tokens": 20,
    }
    return {"id": "resp_1", "status": "completed", "output": [message], "usage": usage} | changes


async def test_a_model_reads_as_the_simulator_and_the_sdk_know_it() -> None:
    async with running_simulator(SECRET) as simulator, accounts(simulator.base_url) as ours:
        reply = await ours.ask(NAME, QUESTION, 5.0)
        assert reply.text == '{"summary": "simulated"}'
        assert reply.bill == Bill(Tokens(text_in=4, text_out=6))
        (asked,) = simulator.reading.asked
    TypeAdapter(ResponseCreateParams).validate_python(asked)
    assert asked["text"]["format"]["schema"] == SCHEMA


async def test_the_simulator_s_answer_is_one_of_the_sdk_s() -> None:
    async with running_simulator(SECRET) as simulator:
        import httpx

        body = {"model": "m", "input": "a", "text": {"format": {"schema": SCHEMA}}}
        async with httpx.AsyncClient() as client:
            headers = {"Authorization": "Bearer sk-1"}
            answer = await client.post(
                f"{simulator.base_url}/responses", json=body, headers=headers
            )
    Response.model_validate(answer.json())


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array"}, []),
        ({"type": "integer", "minimum": 3}, 3),
        ({"type": "null"}, None),
        ({"enum": ["a", "b"]}, "a"),
        ({"type": "object", "properties": {"a": {"type": "boolean"}}}, {"a": True}),
    ],
)
def test_the_simplest_value_of_a_schema(schema: dict[str, Any], value: Any) -> None:
    assert simplest(schema) == value


async def test_an_answer_and_its_bill(api: Api) -> None:
    api.answer = answered('{"summary": "a"}')
    async with accounts(api.url) as ours:
        reply = await ours.ask(NAME, QUESTION, 5.0)
    assert (reply.text, reply.id) == ('{"summary": "a"}', "resp_1")
    assert reply.bill == Bill(Tokens(text_in=100, text_cached=40, text_out=20))


@pytest.mark.parametrize(
    ("status", "again"),
    [(400, False), (401, True), (404, False), (408, True), (429, True), (500, True), (503, True)],
)
async def test_what_is_refused_is_no_trouble_of_the_account(
    api: Api, status: int, again: bool
) -> None:
    api.status = status
    async with accounts(api.url) as ours:
        reply = await ours.ask(NAME, QUESTION, 5.0)
        assert ours.health()[NAME].healthy
    assert (reply.text, reply.trouble, reply.again) == (None, str(status), again)


@pytest.mark.parametrize(
    ("answer", "trouble"),
    [
        ("not JSON", "answer unreadable"),
        ("[]", "answer unreadable"),
        ({"id": "resp_1"}, "answer unreadable"),
        (answered("{}", output=[{"type": "message"}]), "answer unreadable"),
        (answered("{}", output=[{"type": "reasoning"}]), "no answer"),
        (answered("{}", status="incomplete"), "answer incomplete"),
        (answered("{}", output="text"), "answer unreadable"),
    ],
)
async def test_what_cannot_be_read(api: Api, answer: Any, trouble: str) -> None:
    api.answer = answer
    async with accounts(api.url) as ours:
        reply = await ours.ask(NAME, QUESTION, 5.0)
    assert (reply.text, reply.trouble, reply.again) == (None, trouble, False)


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"input_tokens": -1, "output_tokens": 1}, {"input_tokens": "1"}, {"a": 1}, "text"],
)
async def test_usage_that_cannot_be_makes_no_bill(api: Api, usage: Any) -> None:
    api.answer = answered("{}", usage=usage)
    async with accounts(api.url) as ours:
        reply = await ours.ask(NAME, QUESTION, 5.0)
    assert (reply.text, reply.bill) == ("{}", None)


async def test_who_cannot_be_asked(api: Api) -> None:
    async with accounts("http://127.0.0.1:1/v1") as ours:
        away = await ours.ask(NAME, QUESTION, 5.0)
        gone = await ours.ask(AccountName("two"), QUESTION, 5.0)
    assert (away.text, away.again) == (None, True)
    assert (gone.text, gone.trouble, gone.again) == (None, "the account is gone", False)
