"""The webhook as HTTP clients see it: every answer, and never a 5xx."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import time_machine
from fastapi import Request
from structlog.testing import capture_logs

from sipagent.api.sampling import Sampler
from sipagent.api.webhooks import WebhookReceiver
from sipagent.app import build
from sipagent.config import parse
from sipagent.metrics import Metrics
from sipagent.model import AccountName
from sipagent.providers.openai.webhooks import WebhookSecrets
from sipagent.settings import Settings
from sipagent.testing import MemoryRecords
from tests.providers.deliveries import GOOD, NOW, OTHER_SECRET, SECRET, VECTORS, Vector, headers, v1

AGENTS = """
version: 1
agents: {a: {model: m, instructions: i}}
numbers: {"+17134810111": a}
"""
ALLOWED = {200, 400, 401, 404, 405, 413, 415, 429}
Answer = tuple[int, dict[bytes, bytes], Any]
Post = Callable[..., Any]


@contextmanager
def at(now: float) -> Iterator[None]:
    with time_machine.travel(now, tick=False):
        yield


@pytest.fixture
async def post() -> AsyncIterator[Post]:
    """Posts a delivery to the application itself, headers as raw as a server hands them over."""
    settings = Settings.model_validate(
        {
            "OPENAI_API_KEY": "sk-test",
            "OPENAI_WEBHOOK_SECRET": f"{SECRET},{OTHER_SECRET}",
            "OPENAI_BASE_URL": "http://127.0.0.1:1/v1",
        }
    )
    table = parse(AGENTS, file="agents.yaml", base=Path.cwd()).table
    service = build(settings, table, records=MemoryRecords())

    async def send(
        body: bytes,
        raw: list[tuple[bytes, bytes]],
        *,
        path: str = "/webhooks/openai",
        method: str = "POST",
        chunk: int = 4096,
    ) -> Answer:
        chunks = [body[start : start + chunk] for start in range(0, len(body), chunk)] or [b""]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            part = chunks.pop(0) if chunks else b""
            return {"type": "http.request", "body": part, "more_body": bool(chunks)}

        async def take(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": raw,
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
            "state": {},
        }
        await service.app(scope, receive, take)
        start, *rest = sent
        text = b"".join(part.get("body", b"") for part in rest)
        return start["status"], dict(start["headers"]), json.loads(text)

    yield send
    await service.supervisor.abort()


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.label)
async def test_every_vector_gets_a_definite_answer(post: Post, vector: Vector) -> None:
    with at(vector.now):
        status, fields, answer = await post(vector.body, vector.headers)
    assert status in ALLOWED
    if status == 200:
        assert vector.code is None or vector.secret == OTHER_SECRET
        return
    assert fields[b"content-type"] == b"application/problem+json"
    assert answer["status"] == status
    assert answer["code"]
    assert answer["detail"]
    assert SECRET not in json.dumps(answer)


@pytest.mark.parametrize("secret", [SECRET, OTHER_SECRET])
async def test_each_of_several_secrets_is_valid(post: Post, secret: str) -> None:
    body = b'{"type": "response.completed"}'
    with at(NOW):
        status, _, answer = await post(body, headers(signature=v1(body=body, secret=secret)))
    assert (status, answer) == (200, {"result": "ignored"})


async def test_a_thousand_deliveries_in_a_rotation_are_all_taken(post: Post) -> None:
    answers = set()
    with at(NOW):
        for number in range(1_000):
            body = json.dumps({"type": "x", "n": number}).encode()
            signature = v1(body=body, secret=(SECRET, OTHER_SECRET)[number % 2])
            status, _, _ = await post(body, headers(signature=signature))
            answers.add(status)
    assert answers == {200}


@pytest.mark.parametrize(
    ("path", "method", "status", "code"),
    [
        ("/webhooks/nobody", "POST", 404, "unknown-account"),
        ("/webhooks/", "POST", 404, "not-found"),
        ("/webhooks/openai/", "POST", 404, "not-found"),
        ("/", "GET", 404, "not-found"),
        ("/docs", "GET", 404, "not-found"),
        ("/openapi.json", "GET", 404, "not-found"),
        ("/webhooks/openai", "GET", 405, "method-not-allowed"),
        ("/webhooks/openai", "PUT", 405, "method-not-allowed"),
    ],
)
async def test_what_is_not_there(
    post: Post, path: str, method: str, status: int, code: str
) -> None:
    answered, _, answer = await post(b"", [], path=path, method=method)
    assert (answered, answer["code"]) == (status, code)


async def test_the_environments_account_has_its_own_address(post: Post) -> None:
    body = b'{"type": "x"}'
    with at(NOW):
        status, _, _ = await post(body, headers(signature=v1(body=body)), path="/webhooks/default")
    assert status == 200


@pytest.mark.parametrize(("size", "status"), [(64 * 1024, 400), (64 * 1024 + 1, 413)])
async def test_a_body_has_its_bound(post: Post, size: int, status: int) -> None:
    answered, fields, _ = await post(b"x" * size, headers())
    assert answered == status
    assert (fields.get(b"connection") == b"close") == (status == 413)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"not json", 400, "invalid-json"),
        (b'{"type": "realtime.call.incoming"}', 400, "invalid-call-id"),
        (
            b'{"type": "realtime.call.incoming", "data": {"call_id": "../../x"}}',
            400,
            "invalid-call-id",
        ),
        (b"[]", 200, None),
        (b'{"type": "live.call.incoming", "data": {}}', 200, None),
    ],
)
async def test_what_is_signed_may_still_be_unusable(
    post: Post, body: bytes, status: int, code: str | None
) -> None:
    with at(NOW):
        answered, _, answer = await post(body, headers(signature=v1(body=body)))
    assert (answered, answer.get("code")) == (status, code)


async def test_a_delivery_that_was_signed_for_another_body_is_refused(post: Post) -> None:
    with at(NOW):
        status, _, answer = await post(b'{"type": "x"}', headers(signature=GOOD))
    assert (status, answer["code"]) == (400, "no-matching-signature")


async def test_a_flood_of_forged_deliveries_is_counted_and_sampled_in_the_log() -> None:
    now = 0.0
    metrics = Metrics()
    nobody: Any = None  # no forged delivery gets as far
    secrets = {AccountName("a"): WebhookSecrets.parse(SECRET)}
    receiver = WebhookReceiver(secrets, nobody, metrics, Sampler(lambda: now))

    async def nothing() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def forge() -> None:
        scope = {"type": "http", "method": "POST", "path": "/webhooks/a", "headers": []}
        assert (await receiver.receive("a", Request(scope, nothing))).status_code == 400

    with capture_logs() as lines:
        for _ in range(1000):
            await forge()
        now = 0.99
        await forge()
        assert [line["left_out"] for line in lines] == [None] * 10
        now = 1.0
        await forge()
    assert (len(lines), lines[-1]["left_out"]) == (11, 991)
    counted = 'sipagent_webhook_requests_total{result="missing-header"} 1002.0'
    assert counted in metrics.exposition().decode()
