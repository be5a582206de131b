"""All accounts: how they change live, and what is done for them in the background."""

import asyncio
import gc
import ssl
import threading
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
import structlog

from sipagent.errors import SettingsError
from sipagent.model import AccountName, CallId
from sipagent.providers.accounts import (
    AccountSpec,
    ClientSecret,
    EntraSpec,
    ManagedIdentity,
)
from sipagent.providers.openai.credentials import KeyRing
from sipagent.providers.openai.rest import Rest
from sipagent.providers.registry import Accounts
from sipagent.providers.secrets import SecretSource
from sipagent.sessions.machine.events import Answer
from tests.providers.keyed import SECRET, a_spec
from tests.providers.mocked import MockedRest

CALL = CallId("rtc_1")
OTHER_SECRET = "whsec_" + "A" * 40
A, B = AccountName("a"), AccountName("b")
virtual = pytest.mark.virtual_time


@asynccontextmanager
async def registry(*specs: AccountSpec) -> AsyncIterator[Accounts]:
    context = ssl.create_default_context()
    async with Accounts(specs, context, lambda oddity: None, pool=MockedRest) as accounts:
        yield accounts


def test_accounts_that_cannot_be_used_are_all_named(tmp_path: Path) -> None:
    broken = [
        a_spec("a", api_keys=tmp_path / "none"),
        a_spec("b", webhook_secrets="plain-s3cret"),
        a_spec(
            "c",
            provider="azure",
            api_keys=None,
            entra=EntraSpec(ClientSecret("t", "c", SecretSource(file=tmp_path / "gone"))),
        ),
    ]
    with pytest.raises(SettingsError) as refused:
        Accounts(broken, ssl.create_default_context(), lambda oddity: None)
    assert refused.value.problems == (
        f"account a: {tmp_path / 'none'}: No such file or directory",
        "account b: a literal: webhook secret 1 does not begin with whsec_",
        f"account c: {tmp_path / 'gone'}: No such file or directory",
    )


async def test_the_view_of_webhook_secrets_follows_files_and_accounts(tmp_path: Path) -> None:
    path = tmp_path / "hooks"
    path.write_text(SECRET)
    async with registry(a_spec("a", webhook_secrets=path)) as accounts:
        view = accounts.webhook_secrets
        assert len(view[A]) == 1
        path.write_text(f"{SECRET}\n{OTHER_SECRET}")
        await accounts.refresh()
        assert len(view[A]) == 2
        path.write_text("nonsense")
        await accounts.refresh()
        assert len(view[A]) == 2
        ((name, trouble),) = accounts.troubles()
        assert (name, trouble.code) == (A, "stale-secrets")
        assert str(path) in trouble.detail
        assert not accounts.useless
        path.write_text(OTHER_SECRET)
        await accounts.refresh()
        assert not list(accounts.troubles())
        await accounts.replace([a_spec("b")])
        assert list(view) == [B]


async def test_a_reload_keeps_what_has_not_changed_and_what_calls_still_need() -> None:
    first, second = a_spec("a"), a_spec("b")
    async with registry(first, second) as accounts:
        controls = accounts.control(A), accounts.control(B)
        await accounts.replace([first, replace(second, project="proj_2")])
        assert (accounts.control(A), accounts.control(B)) == controls
        await accounts.replace([first])
        assert accounts.control(B) is controls[1]
        assert B not in accounts.webhook_secrets
        await accounts.replace([replace(first, base_url="https://eu.api.test/v1"), second])
        assert accounts.control(A) is not controls[0]
        assert accounts.control(B) is controls[1]
        with pytest.raises(KeyError):
            accounts.control(AccountName("never"))


async def test_keys_and_secrets_that_are_both_unreadable_are_both_told(tmp_path: Path) -> None:
    keys, hooks = tmp_path / "keys", tmp_path / "hooks"
    keys.write_text("sk-1")
    hooks.write_text(SECRET)
    async with registry(a_spec("a", api_keys=keys, webhook_secrets=hooks)) as accounts:
        for path in (keys, hooks):
            path.write_text("")
        await accounts.refresh()
        ((_, trouble),) = accounts.troubles()
    assert trouble.detail == f"{keys}: holds no secret; {hooks}: holds no secret"


async def test_a_reload_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    async with registry(a_spec("a")) as accounts:
        before = accounts.specs, accounts.control(A)
        with pytest.raises(SettingsError):
            await accounts.replace([a_spec("b"), a_spec("a", api_keys=tmp_path / "none")])
        assert (accounts.specs, accounts.control(A)) == before
        assert list(accounts.webhook_secrets) == [A]


async def test_a_held_calls_requests_carry_the_keys_of_the_reload() -> None:
    with respx.mock:
        route = respx.post("https://api.test/v1/realtime/calls/rtc_1/hangup").respond(200)
        async with registry(a_spec("a", api_keys="sk-old")) as accounts:
            control = accounts.control(A)
            await accounts.replace([a_spec("a", api_keys="sk-new")])
            assert await control.hang_up(CALL) is Answer.DONE
            await accounts.replace([])
            assert await control.hang_up(CALL) is Answer.DONE
    sent_keys = [call.request.headers["authorization"] for call in route.calls]
    assert sent_keys == ["Bearer sk-new"] * 2


@virtual
async def test_an_account_that_does_not_work_is_asked_until_it_does() -> None:
    refused, unknown = httpx.Response(401), httpx.Response(404)
    with respx.mock:
        respx.post("https://api.test/v1/realtime/calls/rtc_1/reject").mock(return_value=refused)
        check = respx.post("https://api.test/v1/realtime/calls/rtc_sipagent_check/hangup")
        check.mock(side_effect=[refused, httpx.Response(503), httpx.ConnectError, unknown])
        async with registry(a_spec("a"), a_spec("b", base_url="https://b.test/v1")) as accounts:
            assert await accounts.control(A).reject(CALL, 503) is Answer.REFUSED
            ((name, trouble),) = accounts.troubles()
            assert (name, trouble.code, accounts.useless) == (A, "unauthorized", False)
            await asyncio.sleep(120)
            assert accounts.health()[A].healthy
            asked = check.call_count
            await asyncio.sleep(120)
            assert check.call_count == asked


@virtual
async def test_an_identity_without_a_token_shows_before_the_first_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("IDENTITY_ENDPOINT", raising=False)
    with respx.mock:
        respx.get(host="169.254.169.254").respond(400, json={"error": "invalid_request"})
        spec = a_spec("a", provider="azure", api_keys=None, entra=EntraSpec(ManagedIdentity()))
        async with registry(spec) as accounts:
            await asyncio.sleep(1)
            ((_, trouble),) = accounts.troubles()
            assert trouble.code == "no-token"
            assert trouble.detail == "Microsoft Entra gives no token: invalid_request."
            assert accounts.useless
            assert await accounts.control(A).reject(CALL, 503) is Answer.REFUSED
            assert await accounts.sideband(A).dial(CALL).probe() is None


@virtual
async def test_an_idle_account_whose_token_has_ended_shows_it_and_recovers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("IDENTITY_ENDPOINT", raising=False)
    given = httpx.Response(200, json={"access_token": "eyJ.1", "expires_in": 3600})
    spec = a_spec("a", provider="azure", api_keys=None, entra=EntraSpec(ManagedIdentity()))
    with respx.mock:
        entra = respx.get(host="169.254.169.254").mock(return_value=given)
        check = respx.post("https://api.test/v1/realtime/calls/rtc_sipagent_check/hangup")
        check.respond(404)
        async with registry(spec) as accounts:
            await asyncio.sleep(1)
            entra.mock(return_value=httpx.Response(400, json={"error": "invalid_request"}))
            await asyncio.sleep(3500)
            assert accounts.health()[A].healthy  # the old token still serves for more than a minute
            await asyncio.sleep(130)
            ((_, trouble),) = accounts.troubles()
            assert (trouble.code, accounts.useless) == ("no-token", True)
            entra.mock(return_value=given)
            await asyncio.sleep(60)
            assert accounts.health()[A].healthy


@virtual
async def test_what_is_done_in_the_background_belongs_to_no_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("IDENTITY_ENDPOINT", raising=False)
    seen: list[dict[str, Any]] = []

    def note(status: int, **body: Any) -> Any:
        def answer(request: httpx.Request) -> httpx.Response:
            seen.append(structlog.contextvars.get_contextvars())
            return httpx.Response(status, json=body)

        return answer

    spec = a_spec("a", provider="azure", api_keys=None, entra=EntraSpec(ManagedIdentity()))
    with respx.mock:
        entra = respx.get(host="169.254.169.254")
        entra.mock(side_effect=note(200, access_token="eyJ.1", expires_in=100))
        respx.post(url__regex=".*/reject").respond(403)
        check = respx.post("https://api.test/v1/realtime/calls/rtc_sipagent_check/hangup")
        check.mock(side_effect=note(404))
        async with registry() as accounts:
            with structlog.contextvars.bound_contextvars(call_id="rtc_1"):
                await accounts.replace([spec])
                assert await accounts.control(A).reject(CALL, 503) is Answer.REFUSED
            await asyncio.sleep(200)
        assert entra.call_count > 1
        assert check.call_count > 1
    assert {frozenset(variables) for variables in seen} == {frozenset()}


@virtual
async def test_whoever_asks_after_an_account_goes_on_after_a_crash() -> None:
    with respx.mock:
        respx.post("https://api.test/v1/realtime/calls/rtc_1/reject").respond(401)
        check = respx.post("https://api.test/v1/realtime/calls/rtc_sipagent_check/hangup")
        check.mock(side_effect=[RuntimeError("a bug"), httpx.Response(404)])
        async with registry(a_spec("a")) as accounts:
            await accounts.control(A).reject(CALL, 503)
            await asyncio.sleep(20)
            assert not accounts.health()[A].healthy
            await asyncio.sleep(20)
            assert accounts.health()[A].healthy


async def at_once(work: Any, *given: Any) -> Any:
    """In place of a thread, for which virtual time would not wait."""
    return work(*given)


class TestForgetting:
    """What reloads have replaced goes once no call can need it any more."""

    @pytest.fixture(autouse=True)
    def no_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asyncio, "to_thread", at_once)

    @virtual
    async def test_credentials_are_kept_for_the_longest_call_and_no_longer(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        closed: list[KeyRing] = []
        kept: list[weakref.ref[KeyRing]] = []
        made = KeyRing.__init__

        async def close(ring: KeyRing) -> None:
            closed.append(ring)

        def make(ring: KeyRing, *given: Any) -> None:
            kept.append(weakref.ref(ring))
            made(ring, *given)

        monkeypatch.setattr(KeyRing, "close", close)
        monkeypatch.setattr(KeyRing, "__init__", make)
        async with registry(a_spec("a")) as accounts:
            for number in range(20):
                await accounts.replace([a_spec("a", api_keys=f"sk-{number}")])
            await asyncio.sleep(65 * 60)
            assert closed == []
            await asyncio.sleep(6 * 60)
            assert len(closed) == 20
            closed.clear()
            gc.collect()
            assert sum(ring() is not None for ring in kept) == 1

    @virtual
    async def test_a_removed_account_is_forgotten_unless_it_has_come_back(self) -> None:
        async with registry(a_spec("a"), a_spec("b")) as accounts:
            await accounts.replace([])
            await accounts.replace([a_spec("b")])
            await asyncio.sleep(65 * 60)
            accounts.control(A)
            await accounts.replace([])
            await asyncio.sleep(6 * 60)
            accounts.control(B)
            with pytest.raises(KeyError):
                accounts.control(A)


async def test_pools_are_made_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[int] = []

    def pool(context: ssl.SSLContext, proxy: str | None) -> Rest:
        threads.append(threading.get_ident())
        return Rest(context, proxy)

    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    context = ssl.create_default_context()
    async with Accounts((), context, lambda oddity: None, pool=pool) as accounts:
        await accounts.replace([a_spec("a")])
        monkeypatch.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
        with pytest.raises(SettingsError, match="only http"):
            await accounts.replace([a_spec("b")])
    assert threads == [threading.get_ident()]
