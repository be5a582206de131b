"""Tokens of Entra: how they are asked for, and that no call waits for one that is still good."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
import respx

from sipagent.errors import SecretError, TokenError
from sipagent.providers.accounts import (
    ClientSecret,
    EntraSpec,
    FederatedToken,
    ManagedIdentity,
)
from sipagent.providers.entra import (
    EntraCredentials,
    EntraIssuer,
    Token,
    read_token,
    renew_after,
)
from sipagent.providers.secrets import SecretSource
from tests.providers.keyed import a_spec

TENANT = "https://login.microsoftonline.com/t-1/oauth2/v2.0/token"
GOOD = {"token_type": "Bearer", "access_token": "eyJ.1", "expires_in": 3599}


def an_entra(identity: Any, **more: Any) -> EntraSpec:
    return EntraSpec(identity, **more)


@pytest.fixture(autouse=True)
def no_identity_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IDENTITY_ENDPOINT", "IDENTITY_HEADER"):
        monkeypatch.delenv(name, raising=False)


async def asked(spec: EntraSpec) -> Token:
    return await EntraIssuer(spec, ssl.create_default_context()).token()


async def test_a_client_secret_is_posted_to_the_tenants_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("# new first\ns-new\ns-old\n")
    identity = ClientSecret("t-1", "c-1", SecretSource(file=path))
    with respx.mock:
        route = respx.post(TENANT).mock(
            side_effect=[
                httpx.Response(401, json={"error": "invalid_client"}),
                httpx.Response(200, json=GOOD),
            ]
        )
        token = await asked(an_entra(identity))
    forms = [parse_qs(call.request.content.decode()) for call in route.calls]
    assert token.value == "eyJ.1"
    assert 3590 < token.life <= 3599
    assert [form["client_secret"] for form in forms] == [["s-new"], ["s-old"]]
    assert forms[0]["grant_type"] == ["client_credentials"]
    assert forms[0]["client_id"] == ["c-1"]
    assert forms[0]["scope"] == ["https://cognitiveservices.azure.com/.default"]


async def test_a_federated_token_is_read_at_each_renewal(tmp_path: Path) -> None:
    path = tmp_path / "token"
    identity = FederatedToken("t-1", "c-1", SecretSource(file=path))
    spec = an_entra(identity, authority="https://login.microsoftonline.us/", scope="https://x/y")
    with respx.mock:
        route = respx.post("https://login.microsoftonline.us/t-1/oauth2/v2.0/token")
        route.respond(json=GOOD)
        for text in ("jwt-1", "jwt-2\n"):
            path.write_text(text)
            await asked(spec)
    forms = [parse_qs(call.request.content.decode()) for call in route.calls]
    assert [form["client_assertion"] for form in forms] == [["jwt-1"], ["jwt-2"]]
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    assert {form["client_assertion_type"][0] for form in forms} == {kind}
    assert forms[0]["scope"] == ["https://x/y"]


async def test_a_machines_identity_is_asked_for_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with respx.mock:
        route = respx.get("http://169.254.169.254/metadata/identity/oauth2/token")
        route.respond(json={**GOOD, "expires_in": "86399"})
        token = await asked(an_entra(ManagedIdentity("c-1")))
    request = route.calls.last.request
    assert request.headers["metadata"] == "true"
    assert dict(request.url.params) == {
        "api-version": "2018-02-01",
        "resource": "https://cognitiveservices.azure.com",
        "client_id": "c-1",
    }
    assert token.life == 86_399


async def test_an_apps_identity_is_asked_for_where_its_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:41999/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "h-1")
    with respx.mock:
        route = respx.get("http://127.0.0.1:41999/msi/token")
        route.respond(json={"access_token": "eyJ.2", "expires_on": "4102444800"})
        token = await asked(an_entra(ManagedIdentity()))
    request = route.calls.last.request
    assert request.headers["x-identity-header"] == "h-1"
    assert dict(request.url.params) == {
        "api-version": "2019-08-01",
        "resource": "https://cognitiveservices.azure.com",
    }
    assert token.life > 1e9


@pytest.mark.parametrize(
    ("status", "body", "code", "refused"),
    [
        (
            401,
            b'{"error": "invalid_client", "error_description": "s3cret"}',
            "invalid_client",
            True,
        ),
        (400, b'{"error": "unauthorized_client"}', "unauthorized_client", True),
        (400, b'{"error": "temporarily_unavailable"}', "temporarily_unavailable", False),
        (503, b"<html>", "status-503", False),
        (302, b"", "status-302", False),
        (404, b'{"error": "not\\nprintable"}', "status-404", False),
        (200, b"not json", "unusable-answer", False),
        (200, b'{"access_token": "two words", "expires_in": 60}', "unusable-answer", False),
        (200, b'{"access_token": "eyJ.1"}', "unusable-answer", False),
        (200, b'{"access_token": "eyJ.1", "expires_in": 0}', "unusable-answer", False),
        (200, b'{"access_token": "eyJ.1", "expires_in": true}', "unusable-answer", False),
    ],
)
def test_what_is_no_token(status: int, body: bytes, code: str, refused: bool) -> None:
    with pytest.raises(TokenError) as found:
        read_token(status, body, 0.1)
    assert (found.value.code, found.value.refused) == (code, refused)


def test_the_end_in_unix_seconds_is_counted_from_before_the_question() -> None:
    body = b'{"access_token": "eyJ.1", "expires_on": "1000060"}'
    assert read_token(200, body, 1.5, now=1_000_001.5) == Token("eyJ.1", 60.0)


async def test_nobody_there_and_no_proof_are_told_by_a_word(tmp_path: Path) -> None:
    identity = ClientSecret("t-1", "c-1", SecretSource(file=tmp_path / "none"))
    with pytest.raises(TokenError, match="unreadable-proof"):
        await asked(an_entra(identity))
    with pytest.raises(SecretError):
        await EntraIssuer(an_entra(identity), ssl.create_default_context()).check()
    with respx.mock:
        respx.get("http://169.254.169.254/metadata/identity/oauth2/token").mock(
            side_effect=httpx.ConnectError
        )
        with pytest.raises(TokenError, match="ConnectError"):
            await asked(an_entra(ManagedIdentity()))


@pytest.mark.parametrize(
    ("life", "after"), [(3600, 2700), (86_400, 64_800), (600, 300), (400, 100), (310, 30), (60, 45)]
)
def test_when_a_token_is_renewed(life: float, after: float) -> None:
    assert renew_after(life) == after


class FakeIssuer:
    """Issues tokens after `takes` seconds; `error` is raised in place of one."""

    def __init__(self, life: float = 3600.0, takes: float = 0.0) -> None:
        self.life, self.takes = life, takes
        self.error: TokenError | None = None
        self.asked_at: list[float] = []

    async def token(self) -> Token:
        self.asked_at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes)
        if self.error is not None:
            raise self.error
        return Token(f"t{len(self.asked_at)}", self.life)

    async def check(self) -> None: ...


@asynccontextmanager
async def credentials(issuer: FakeIssuer) -> AsyncIterator[EntraCredentials]:
    spec = a_spec(provider="azure", api_keys=None, entra=EntraSpec(ManagedIdentity()))
    made = EntraCredentials(spec, issuer)
    try:
        yield made
    finally:
        await made.close()


virtual = pytest.mark.virtual_time


@virtual
async def test_a_token_is_cached_and_renewed_ahead_without_anyone_waiting() -> None:
    issuer = FakeIssuer(takes=1.0)
    async with credentials(issuer) as made:
        first = await made.headers()
        assert first.lines == (("Authorization", "Bearer t1"),)
        issuer.takes = 5.0
        await asyncio.sleep(2702)  # in the midst of the renewal
        began = asyncio.get_running_loop().time()
        assert await made.headers() is first
        assert asyncio.get_running_loop().time() == began
        await asyncio.sleep(10)
        assert (await made.headers()).lines == (("Authorization", "Bearer t2"),)
    assert issuer.asked_at == [0, 2701]


@virtual
async def test_a_fresh_token_suspends_nobody() -> None:
    async with credentials(FakeIssuer()) as made:
        first = await made.headers()
        question = made.headers()
        with pytest.raises(StopIteration) as done:
            question.send(None)
        assert done.value.value is first


@virtual
async def test_all_who_wait_share_one_renewal_and_one_who_gives_up_harms_nobody() -> None:
    issuer = FakeIssuer(takes=1.0)
    async with credentials(issuer) as made, asyncio.TaskGroup() as group:
        impatient = group.create_task(made.headers(), name="impatient")
        tasks = [group.create_task(made.headers(), name="waiting") for _ in range(50)]
        await asyncio.sleep(0.5)
        impatient.cancel()
    assert len({id(task.result()) for task in tasks}) == 1
    assert issuer.asked_at == [0]


@virtual
async def test_a_renewal_that_fails_leaves_the_old_token_until_its_end() -> None:
    issuer = FakeIssuer(life=3600)
    async with credentials(issuer) as made:
        first = await made.headers()
        issuer.error = TokenError("ConnectError")
        await asyncio.sleep(3599)
        assert await made.headers() is first
        tries = len(issuer.asked_at)
        assert 100 < tries < 200  # three attempts each 16 seconds, from 75 % of the life on
        await asyncio.sleep(2)
        with pytest.raises(TokenError, match="ConnectError"):
            await made.headers()
        issuer.error = None
        assert (await made.headers()).lines != first.lines


@virtual
async def test_a_renewal_goes_on_by_itself_after_a_refusal() -> None:
    issuer = FakeIssuer()
    issuer.error = TokenError("invalid_client", refused=True)
    async with credentials(issuer) as made:
        with pytest.raises(TokenError, match="invalid_client") as found:
            await made.headers()
        assert found.value.refused
        assert len(issuer.asked_at) == 1
        issuer.error = None
        await asyncio.sleep(16)
        assert len(issuer.asked_at) == 2


@virtual
async def test_a_refused_token_is_renewed_at_once_and_only_once() -> None:
    issuer = FakeIssuer()
    async with credentials(issuer) as made:
        first = await made.headers()
        await asyncio.sleep(60)
        second = await made.another([first])
        assert second is not None
        assert second is not first
        assert await made.another([first]) is second  # another request's, meanwhile
        assert await made.another([first, second]) is None
    assert issuer.asked_at == [0, 60]


@virtual
async def test_a_token_that_is_refused_when_it_is_new_is_not_asked_for_again() -> None:
    issuer = FakeIssuer()
    async with credentials(issuer) as made:
        assert await made.another([await made.headers()]) is None
    assert len(issuer.asked_at) == 1


@virtual
async def test_a_retired_identity_gets_tokens_only_when_somebody_asks() -> None:
    issuer = FakeIssuer(life=100)
    async with credentials(issuer) as made:
        await made.headers()
        made.retire()
        await asyncio.sleep(1000)
        assert len(issuer.asked_at) == 1
        await made.headers()
    assert len(issuer.asked_at) == 2


@virtual
async def test_an_endpoint_that_hangs_is_given_up() -> None:
    issuer = FakeIssuer(takes=1e6)
    async with credentials(issuer) as made:
        with pytest.raises(TokenError, match="TimeoutError"):
            await made.headers()
        assert asyncio.get_running_loop().time() == 10


@virtual
async def test_a_crash_of_the_issuer_is_a_missing_token() -> None:
    def crash() -> Token:
        raise RuntimeError("a bug")

    issuer = FakeIssuer()
    broken: Callable[[], Any] = crash
    issuer.token = broken  # type: ignore[method-assign]
    async with credentials(issuer) as made:
        with pytest.raises(TokenError, match="renewal-broken-off"):
            await made.headers()
