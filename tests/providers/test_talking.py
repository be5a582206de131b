"""Calls by WebRTC, and client secrets: what is sent, what is tried again, what answers mean."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes
from email.policy import HTTP
from typing import Any

import httpx
import pytest
import respx
from openai.types.realtime import ClientSecretCreateParams
from openai.types.realtime.call_create_params import CallCreateParams
from pydantic import TypeAdapter

from sipagent.model import SecretName, TenantName
from sipagent.model.secret import secret_mark
from sipagent.providers.accounts import CAPABILITIES
from sipagent.providers.openai.account import Account
from sipagent.providers.openai.talking import OpenAITalking
from sipagent.sessions.machine.events import Answer
from sipagent.testing import a_profile
from tests.offers import an_offer
from tests.providers.keyed import an_account
from tests.providers.mocked import MockedRest

pytestmark = pytest.mark.virtual_time

SESSION = a_profile().editions[0].session
CALLS, SECRETS = "/realtime/calls", "/realtime/client_secrets"
HERE = {"location": "/v1/realtime/calls/rtc_u1_2"}
MADE = httpx.Response(201, text="v=0\r\nanswer", headers=HERE)
Answers = list[httpx.Response | type[Exception]]


def answer(status: int, code: str | None = None, **headers: str) -> httpx.Response:
    body = {"error": {"code": code, "message": "m", "type": "t", "param": None}}
    return httpx.Response(status, json=body if code else None, headers=headers)


@pytest.fixture
async def open_talking() -> AsyncIterator[Callable[..., OpenAITalking]]:
    async with MockedRest() as rest:

        def opened(provider: Any = "openai", **more: Any) -> OpenAITalking:
            account: Account = an_account("https://api.test/v1")
            account.capabilities = CAPABILITIES[provider]
            return OpenAITalking(account, rest, **more)

        yield opened


@pytest.fixture
def upstream() -> Any:
    with respx.mock(base_url="https://api.test/v1") as router:
        yield router


def form_of(request: httpx.Request) -> dict[str, tuple[str, str]]:
    """The parts of a form by their names, as the standard library reads them."""
    head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
    message: Any = message_from_bytes(head + request.content, policy=HTTP)
    return {
        part.get_param("name", header="content-disposition"): (
            part.get_content_type(),
            part.get_payload(decode=True).decode().replace("\r\n", "\n"),
        )
        for part in message.iter_parts()
    }


async def test_a_call_is_made_of_the_offer_and_the_whole_session(
    open_talking: Callable[..., OpenAITalking], upstream: respx.Router
) -> None:
    route = upstream.post(CALLS).mock(return_value=MADE)
    offer = an_offer()
    created = await open_talking().create(offer, SESSION)
    assert (created.answer, created.call_id) == (Answer.DONE, "rtc_u1_2")
    assert created.sdp == "v=0\r\nanswer"
    request = route.calls.last.request
    assert request.headers["authorization"] == "Bearer sk-test"
    parts = form_of(request)
    assert parts["sdp"] == ("application/sdp", offer.replace("\r\n", "\n"))
    kind, session = parts["session"]
    assert kind == "application/json"
    official = {"sdp": offer, "session": json.loads(session)}
    assert TypeAdapter(CallCreateParams).validate_python(official) == official
    assert official["session"] == SESSION
    assert offer.encode() in request.content


@pytest.mark.parametrize(
    ("answers", "expected", "requests"),
    [
        ([MADE], Answer.DONE, 1),
        ([answer(400, "invalid_offer")], Answer.REFUSED, 1),
        ([answer(404)], Answer.REFUSED, 1),
        ([answer(401, "invalid_api_key")], Answer.REFUSED, 1),
        ([answer(409)], Answer.REFUSED, 1),
        ([answer(429, **{"retry-after": "1"}), MADE], Answer.DONE, 2),
        ([answer(429, **{"retry-after": "60"})], Answer.UNSENT, 1),
        ([httpx.ConnectError, MADE], Answer.DONE, 2),
        ([answer(500)], Answer.SILENT, 1),
        ([httpx.ReadError], Answer.SILENT, 1),
        ([httpx.ReadTimeout], Answer.SILENT, 1),
        ([httpx.Response(201, text="v=0")], Answer.SILENT, 1),
        ([httpx.Response(201, text="<html>", headers=HERE)], Answer.SILENT, 1),
        ([httpx.Response(201, text="v=0", headers={"location": "/a b"})], Answer.SILENT, 1),
    ],
    ids=lambda value: str(value) if isinstance(value, Answer | int) else None,
)
async def test_what_may_have_made_a_call_is_not_sent_again(
    open_talking: Callable[..., OpenAITalking],
    upstream: respx.Router,
    answers: Answers,
    expected: Answer,
    requests: int,
) -> None:
    route = upstream.post(CALLS).mock(side_effect=answers)
    created = await open_talking().create(an_offer(), SESSION)
    assert created.answer is expected
    assert route.call_count == requests
    assert bool(created.sdp) is (expected is Answer.DONE)


async def test_a_call_that_is_made_and_cannot_be_used_is_told_by_its_id(
    open_talking: Callable[..., OpenAITalking], upstream: respx.Router
) -> None:
    upstream.post(CALLS).mock(return_value=httpx.Response(201, text="<html>", headers=HERE))
    created = await open_talking().create(an_offer(), SESSION)
    assert (created.answer, created.call_id) == (Answer.SILENT, HERE["location"].rpartition("/")[2])


async def test_a_call_that_nobody_makes_is_given_up_in_time(
    open_talking: Callable[..., OpenAITalking], upstream: respx.Router
) -> None:
    upstream.post(CALLS).mock(side_effect=httpx.ConnectTimeout)
    began = asyncio.get_running_loop().time()
    created = await open_talking().create(an_offer(), SESSION, within=3)
    assert created.answer is Answer.UNSENT
    assert asyncio.get_running_loop().time() - began <= 3


async def test_a_session_with_an_audio_format_is_not_sent(
    open_talking: Callable[..., OpenAITalking], upstream: respx.Router
) -> None:
    audio = {**SESSION["audio"], "output": {"format": {"type": "audio/pcmu"}}}
    talking = open_talking()
    created = await talking.create(an_offer(), {**SESSION, "audio": audio})
    issued = await talking.client_secret({**SESSION, "audio": audio}, 60)
    assert (created.answer, issued.answer) == (Answer.REFUSED, Answer.REFUSED)
    assert "format" in created.detail
    assert not upstream.calls


async def test_secrets_of_the_session_are_opened_where_it_is_sent(
    open_talking: Callable[..., OpenAITalking], upstream: respx.Router
) -> None:
    route = upstream.post(CALLS).mock(return_value=MADE)
    mark = secret_mark(TenantName("acme"), SecretName("crm"))
    server = {"type": "mcp", "server_label": "s", "server_url": "https://m.example"}
    session = {**SESSION, "tools": [{**server, "authorization": mark}]}
    talking = open_talking(secrets=lambda tenant, name: f"{tenant}'s {name}")
    created = await talking.create(an_offer(), session)
    sent = json.loads(form_of(route.calls.last.request)["session"][1])
    assert sent["tools"] == [{**server, "authorization": "acme's crm"}]
    assert "crm" not in repr(created)


async def test_on_azure_a_client_secret_makes_the_call(
    open_talking: Callable[..., OpenAITalking], upstream: respx.Router
) -> None:
    told = {"value": "ek_1", "expires_at": 1_900_000_000, "session": {}}
    issue = upstream.post(SECRETS).respond(200, json=told)
    route = upstream.post(CALLS).mock(return_value=MADE)
    session = {**SESSION, "instructions": "Be kind."}
    created = await open_talking("azure").create(an_offer(), session)
    assert (created.answer, created.call_id) == (Answer.DONE, "rtc_u1_2")
    asked = json.loads(issue.calls.last.request.content)
    assert asked["session"] == session
    request = route.calls.last.request
    assert request.headers["authorization"] == "Bearer ek_1"
    assert request.headers["content-type"] == "application/sdp"
    assert request.content == an_offer().encode()


async def test_on_azure_there_is_no_call_without_a_secret(
    open_talking: Callable[..., OpenAITalking], upstream: respx.Router
) -> None:
    upstream.post(SECRETS).mock(return_value=answer(403, "forbidden"))
    session = {**SESSION, "instructions": "Be kind."}
    created = await open_talking("azure").create(an_offer(), session)
    assert created.answer is Answer.REFUSED
    assert created.detail == "client_secrets answered 403 forbidden"


async def test_a_client_secret_is_asked_for_as_the_sdk_would(
    open_talking: Callable[..., OpenAITalking], upstream: respx.Router
) -> None:
    told = {"value": "ek_2", "expires_at": 1_900_000_000, "session": {}}
    route = upstream.post(SECRETS).mock(side_effect=[answer(500), httpx.Response(200, json=told)])
    issued = await open_talking().client_secret(SESSION, 120)
    assert (issued.answer, issued.value, issued.expires_at) == (
        Answer.DONE,
        "ek_2",
        1_900_000_000.0,
    )
    body = json.loads(route.calls.last.request.content)
    assert TypeAdapter(ClientSecretCreateParams).validate_python(body) == body
    assert body["expires_after"] == {"anchor": "created_at", "seconds": 120}
    assert "ek_2" not in repr(issued)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"value": "ek"}',
        b'{"value": "e\\u0000", "expires_at": 1}',
        b'{"value": "e", "expires_at": "x"}',
    ],
)
async def test_an_answer_without_a_secret_is_none(
    open_talking: Callable[..., OpenAITalking], upstream: respx.Router, body: bytes
) -> None:
    upstream.post(SECRETS).respond(200, content=body)
    issued = await open_talking().client_secret(SESSION, 120)
    assert (issued.answer, issued.value) == (Answer.REFUSED, "")
