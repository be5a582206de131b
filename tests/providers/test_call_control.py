"""REST call control: what is sent, what is tried again, and what each answer means."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import respx
from openai.types.realtime.call_accept_params import CallAcceptParams
from pydantic import TypeAdapter

from sipagent.model import CallId, SecretName, TenantName
from sipagent.model.secret import secret_mark
from sipagent.providers.accounts import CAPABILITIES
from sipagent.providers.openai.control import OpenAICallControl
from sipagent.providers.openai.credentials import AuthHeaders, KeyRing
from sipagent.providers.openai.preflight import preflight
from sipagent.providers.openai.rest import Body, Rest, RestAnswer
from sipagent.sessions.machine.events import Answer
from sipagent.testing import a_profile
from tests.providers.keyed import an_account
from tests.providers.mocked import MockedRest

pytestmark = pytest.mark.virtual_time

CALL = CallId("rtc_1")
SESSION = a_profile().editions[0].session
Answers = list[httpx.Response | type[Exception]]


def answer(status: int, code: str | None = None, **headers: str) -> httpx.Response:
    body = {"error": {"code": code, "message": "m", "type": "t", "param": None}}
    return httpx.Response(status, json=body if code else None, headers=headers)


@pytest.fixture
async def control() -> AsyncIterator[OpenAICallControl]:
    account = an_account("https://api.test/v1", organization="org_1", project="proj_1")
    async with MockedRest() as rest:
        yield OpenAICallControl(account, rest)


@pytest.fixture
def upstream() -> Any:
    with respx.mock(base_url="https://api.test/v1/realtime/calls/rtc_1") as router:
        yield router


async def test_an_accept_carries_the_whole_session_and_the_accounts_headers(
    control: OpenAICallControl, upstream: respx.Router
) -> None:
    route = upstream.post("/accept").respond(200)
    accepted = await control.accept(CALL, SESSION, within=8)
    assert accepted.answer is Answer.DONE
    request = route.calls.last.request
    assert request.headers["authorization"] == "Bearer sk-test"
    assert request.headers["openai-organization"] == "org_1"
    assert request.headers["openai-project"] == "proj_1"
    TypeAdapter(CallAcceptParams).validate_json(request.content)


async def test_an_accept_opens_the_secrets_that_its_session_names(upstream: respx.Router) -> None:
    route = upstream.post("/accept").respond(200)
    mark = secret_mark(TenantName("acme"), SecretName("crm"))
    server = {"type": "mcp", "server_label": "s", "server_url": "https://m.example"}
    session = {**SESSION, "tools": [{**server, "authorization": mark}]}
    async with MockedRest() as rest:
        account = an_account("https://api.test/v1")
        control = OpenAICallControl(account, rest, lambda tenant, name: f"{tenant}'s {name}")
        await control.accept(CALL, session, within=8)
        await OpenAICallControl(account, rest).accept(CALL, session, within=8)
    sent = [json.loads(call.request.content)["tools"] for call in route.calls]
    assert sent == [[{**server, "authorization": "acme's crm"}], []]
    TypeAdapter(CallAcceptParams).validate_json(route.calls[0].request.content)


@pytest.mark.parametrize(
    ("answers", "expected", "requests"),
    [
        ([answer(200)], Answer.DONE, 1),
        ([answer(204)], Answer.DONE, 1),
        ([answer(404, "call_id_not_found")], Answer.GONE, 1),
        ([answer(404)], Answer.GONE, 1),
        ([httpx.Response(404, text="<html>")], Answer.GONE, 1),
        ([answer(404, "DeploymentNotFound")], Answer.REFUSED, 1),
        ([answer(404, "model_not_found")], Answer.REFUSED, 1),
        ([answer(404, "404")], Answer.REFUSED, 1),
        ([answer(400, "unknown_parameter")], Answer.REFUSED, 1),
        ([answer(401, "invalid_api_key")], Answer.REFUSED, 1),
        ([answer(403)], Answer.REFUSED, 1),
        ([answer(409)], Answer.DECIDED, 1),
        ([answer(400, "decision_already_made")], Answer.DECIDED, 1),
        ([answer(500), answer(200)], Answer.DONE, 2),
        ([answer(503), answer(502), answer(200)], Answer.DONE, 3),
        ([answer(501), answer(520), answer(200)], Answer.DONE, 3),
        ([answer(529, **{"retry-after": "60"})], Answer.SILENT, 1),
        ([answer(429, **{"retry-after": "1"}), answer(200)], Answer.DONE, 2),
        ([answer(429, **{"retry-after": "60"})], Answer.SILENT, 1),
        ([httpx.ConnectError, answer(200)], Answer.DONE, 2),
        ([httpx.ConnectError, answer(404)], Answer.GONE, 2),
        ([httpx.ProxyError, answer(200)], Answer.DONE, 2),
        ([httpx.ReadError, answer(404)], Answer.DECIDED, 2),
        ([httpx.ReadTimeout, answer(404)], Answer.DECIDED, 2),
        ([httpx.RemoteProtocolError, answer(409)], Answer.DECIDED, 2),
        ([answer(500), answer(404)], Answer.DECIDED, 2),
        ([answer(429), answer(404)], Answer.GONE, 2),
        ([httpx.ReadError, answer(400, "x")], Answer.REFUSED, 2),
    ],
    ids=lambda value: str(value) if isinstance(value, Answer | int) else None,
)
async def test_what_an_accept_leads_to(
    control: OpenAICallControl,
    upstream: respx.Router,
    answers: Answers,
    expected: Answer,
    requests: int,
) -> None:
    route = upstream.post("/accept").mock(side_effect=answers)
    accepted = await control.accept(CALL, SESSION, within=8)
    assert accepted.answer is expected
    # Only where no request before can have done it, somebody else has.
    assert accepted.elsewhere is (expected is Answer.DECIDED and requests == 1)
    assert route.call_count == requests


async def test_an_accept_that_nobody_answers_is_given_up_in_time(
    control: OpenAICallControl, upstream: respx.Router
) -> None:
    upstream.post("/accept").mock(side_effect=httpx.ConnectTimeout)
    began = asyncio.get_running_loop().time()
    accepted = await control.accept(CALL, SESSION, within=8)
    assert accepted.answer is Answer.SILENT
    assert asyncio.get_running_loop().time() - began <= 8


async def test_what_would_fail_is_not_sent(
    control: OpenAICallControl, upstream: respx.Router
) -> None:
    accepted = await control.accept(CALL, {"type": "realtime"}, within=8)
    assert accepted.answer is Answer.REFUSED
    assert accepted.detail == "preflight: session.model is missing"
    assert not upstream.calls


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda session: {}, None),
        (lambda session: {"type": "transcription"}, "session.type must be 'realtime'"),
        (lambda session: {"model": ""}, "session.model is missing"),
        (
            lambda session: {"audio": {"output": {"format": {"type": "audio/pcm"}}}},
            "session.audio.output.format must not be set on a phone call",
        ),
        (
            lambda session: {"instructions": "x" * 600_000},
            "session.instructions is longer than 524288 characters",
        ),
    ],
)
def test_preflight(change: Callable[[object], dict[str, Any]], problem: str | None) -> None:
    assert preflight({**SESSION, **change(SESSION)}) == ((problem,) if problem else ())


def test_azure_does_not_take_an_accept_without_instructions() -> None:
    (problem,) = preflight(SESSION, CAPABILITIES["azure"])
    assert problem == "session.instructions is missing, which this provider requires"
    assert preflight({**SESSION, "instructions": "Be kind."}, CAPABILITIES["azure"]) == ()


@pytest.mark.parametrize(
    ("action", "ask"),
    [
        ("accept", lambda control: control.accept(CALL, SESSION, within=8)),
        ("reject", lambda control: control.reject(CALL, 486)),
        ("hangup", lambda control: control.hang_up(CALL)),
        ("refer", lambda control: control.refer(CALL, "tel:+17134810199")),
    ],
)
async def test_a_refused_key_is_followed_by_the_next_one_at_once(
    upstream: respx.Router, action: str, ask: Callable[[OpenAICallControl], Any]
) -> None:
    route = upstream.post(f"/{action}").mock(side_effect=[answer(401), answer(401), answer(200)])
    account = an_account("https://api.test/v1", api_keys="sk-1\nsk-2\nsk-3")
    async with MockedRest() as rest:
        began = asyncio.get_running_loop().time()
        answered = await ask(OpenAICallControl(account, rest))
    assert asyncio.get_running_loop().time() == began
    assert getattr(answered, "answer", answered) is Answer.DONE
    keys = [call.request.headers["authorization"] for call in route.calls]
    assert keys == ["Bearer sk-1", "Bearer sk-2", "Bearer sk-3"]
    assert account.health.healthy


async def test_a_rejection_says_the_sip_code(
    control: OpenAICallControl, upstream: respx.Router
) -> None:
    route = upstream.post("/reject").respond(200)
    assert await control.reject(CALL, 486) is Answer.DONE
    assert route.calls.last.request.content == b'{"status_code":486}'


async def test_a_hang_up_is_tried_again_and_has_no_body(
    control: OpenAICallControl, upstream: respx.Router
) -> None:
    route = upstream.post("/hangup").mock(side_effect=[httpx.ReadTimeout, answer(200)])
    assert await control.hang_up(CALL) is Answer.DONE
    assert route.call_count == 2
    assert route.calls.last.request.content == b""


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"error": 5}', b'{"error": {"code": 5}}', b"\xff", b"[" * 100_000, b"null"],
)
async def test_an_error_without_a_readable_code_is_still_an_answer(
    control: OpenAICallControl, upstream: respx.Router, body: bytes
) -> None:
    upstream.post("/accept").respond(400, content=body)
    accepted = await control.accept(CALL, SESSION, within=8)
    assert (accepted.answer, accepted.detail) == (Answer.REFUSED, "accept answered 400")


@pytest.mark.parametrize(
    ("answers", "expected", "requests"),
    [
        ([answer(200)], Answer.DONE, 1),
        ([answer(403)], Answer.REFUSED, 1),
        ([answer(404)], Answer.GONE, 1),
        ([answer(500)], Answer.SILENT, 1),
        ([answer(504)], Answer.SILENT, 1),
        ([httpx.ReadError], Answer.SILENT, 1),
        ([httpx.ReadTimeout], Answer.SILENT, 1),
        ([httpx.ConnectError, answer(200)], Answer.DONE, 2),
        ([httpx.ConnectError, httpx.RemoteProtocolError], Answer.SILENT, 2),
    ],
    ids=lambda value: str(value) if isinstance(value, Answer | int) else None,
)
async def test_what_a_refer_leads_to(
    control: OpenAICallControl,
    upstream: respx.Router,
    answers: Answers,
    expected: Answer,
    requests: int,
) -> None:
    route = upstream.post("/refer").mock(side_effect=answers)
    assert await control.refer(CALL, "tel:+17134810199") is expected
    assert route.call_count == requests


@pytest.mark.parametrize("failure", [httpx.ConnectError("x"), answer(429)])
async def test_a_refer_that_could_never_be_sent_is_told_as_such(
    control: OpenAICallControl, upstream: respx.Router, failure: Any
) -> None:
    upstream.post("/refer").mock(side_effect=lambda request: _raised(failure))
    assert await control.refer(CALL, "tel:+17134810199") is Answer.UNSENT


def _raised(failure: Any) -> httpx.Response:
    if isinstance(failure, httpx.Response):
        return failure
    raise failure


class Stuck(Rest):
    """Requests that hang for ever: while the connection is opened, or after they are sent."""

    def __init__(self, *, sent: bool) -> None:
        super().__init__()
        self.sent = sent

    async def post(self, url: str, headers: Any, body: Body) -> RestAnswer:
        body.begun = self.sent
        return await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize(("sent", "expected"), [(False, Answer.UNSENT), (True, Answer.SILENT)])
async def test_a_refer_that_runs_out_of_time_may_have_been_sent_or_not(
    sent: bool, expected: Answer
) -> None:
    control = OpenAICallControl(an_account("https://api.test/v1"), Stuck(sent=sent))
    assert await control.refer(CALL, "tel:+17134810199") is expected
    assert asyncio.get_running_loop().time() == pytest.approx(5.0)


async def test_a_wait_for_a_token_has_no_effect_on_the_call(upstream: respx.Router) -> None:
    upstream.post("/accept").mock(side_effect=[answer(404, "call_id_not_found")])
    account = an_account("https://api.test/v1")
    prompt, account.credentials = account.credentials, Slow()
    async with MockedRest() as rest, asyncio.TaskGroup() as tasks:
        control = OpenAICallControl(account, rest)
        accepting = tasks.create_task(control.accept(CALL, SESSION, within=8))
        await asyncio.sleep(2.55)  # the first attempt has run out of its time
        account.credentials = prompt
    assert accepting.result().answer is Answer.GONE


class Slow(KeyRing):
    """A token that does not come."""

    def __init__(self) -> None: ...

    async def headers(self) -> AuthHeaders:
        return await asyncio.get_running_loop().create_future()


async def test_a_rejection_and_a_hang_up_take_no_longer_than_they_may() -> None:
    control = OpenAICallControl(an_account("https://api.test/v1"), Stuck(sent=True))
    loop = asyncio.get_running_loop()
    assert await control.reject(CALL, 503, within=0.4) is Answer.SILENT
    assert loop.time() <= 0.4
    assert await control.hang_up(CALL, within=0.4) is Answer.SILENT
    assert loop.time() <= 0.8
