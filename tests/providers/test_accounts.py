"""Accounts: their addresses, their keys one after the other, and how they do."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sipagent.model import AccountName, CallId
from sipagent.providers.accounts import (
    AccountSpec,
    EntraSpec,
    ManagedIdentity,
    azure_base_url,
    openai_base_url,
)
from sipagent.providers.openai.account import Account
from sipagent.providers.openai.credentials import AuthHeaders, KeyRing
from sipagent.providers.openai.health import AccountHealth
from sipagent.providers.secrets import SecretSource
from tests.providers.keyed import a_spec, source

CALL = CallId("rtc_1")
OTHER_SECRET = "whsec_" + "A" * 40
A, B = AccountName("a"), AccountName("b")
virtual = pytest.mark.virtual_time


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (openai_base_url(), "https://api.openai.com/v1"),
        (openai_base_url("eu"), "https://eu.api.openai.com/v1"),
        (openai_base_url("eu", "http://proxy:1/v1/"), "http://proxy:1/v1"),
        (
            azure_base_url("https://acme.openai.azure.com"),
            "https://acme.openai.azure.com/openai/v1",
        ),
        (azure_base_url("https://acme.openai.azure.com/openai/v1/"),) * 2,
    ],
)
def test_where_an_account_is(found: str, expected: str) -> None:
    assert found == expected.rstrip("/")


@pytest.mark.parametrize(
    "url", ["acme", "ftp://h", "https://u:p@h", "https://h?x=1", "https://h é", "http://h:0"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    for build in (azure_base_url, lambda given: openai_base_url(None, given)):
        with pytest.raises(ValueError, match=r"URL|has a query"):
            build(url)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"api_keys": None}, "either api_keys or entra"),
        ({"entra": EntraSpec(ManagedIdentity())}, "either api_keys or entra"),
        ({"api_keys": None, "entra": EntraSpec(ManagedIdentity())}, "entra is for azure"),
        ({"project": "p\r\nX: y"}, "not the value of a header"),
    ],
)
def test_an_account_that_cannot_be(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        a_spec(**given)


def test_rest_and_socket_are_on_one_host() -> None:
    for base, root in (
        (openai_base_url("eu"), "eu.api.openai.com/v1"),
        (azure_base_url("https://acme.openai.azure.com"), "acme.openai.azure.com/openai/v1"),
    ):
        ring = KeyRing(a_spec(), source("sk"))
        account = Account(A, base, ring, AccountHealth(A))
        assert account.call_url(CALL, "accept") == f"https://{root}/realtime/calls/rtc_1/accept"
        assert account.sockets_url == f"wss://{root}/realtime"


async def sent(spec: AccountSpec) -> tuple[tuple[str, str], ...]:
    assert spec.api_keys is not None
    return (await KeyRing(spec, spec.api_keys).headers()).lines


async def test_what_carries_a_key() -> None:
    spec = a_spec(organization="org_1", project="proj_1", api_keys="sk-1\nsk-2")
    assert await sent(spec) == (
        ("Authorization", "Bearer sk-1"),
        ("OpenAI-Organization", "org_1"),
        ("OpenAI-Project", "proj_1"),
    )
    assert await sent(a_spec(provider="azure", api_keys="k-1")) == (("api-key", "k-1"),)
    spec = a_spec()
    assert spec.api_keys is not None
    ring = KeyRing(spec, spec.api_keys)
    headers = await ring.headers()
    assert headers is await ring.headers()
    assert "sk-test" not in repr((spec, headers))
    assert headers.raw == ((b"Authorization", b"Bearer sk-test"),)


def key(headers: AuthHeaders | None) -> str | None:
    return None if headers is None else headers.lines[0][1].removeprefix("Bearer ")


@virtual
async def test_a_refused_key_comes_last_for_a_minute() -> None:
    ring = KeyRing(a_spec(), source("sk-1\nsk-2\nsk-3"))
    first = await ring.headers()
    second = await ring.another([first])
    assert second is not None
    assert (key(first), key(second)) == ("sk-1", "sk-2")
    assert key(await ring.headers()) == "sk-2"
    await asyncio.sleep(10)
    third = await ring.another([second])
    assert key(third) == "sk-3"
    assert key(await ring.headers()) == "sk-3"
    await asyncio.sleep(51)
    assert key(await ring.headers()) == "sk-1"


@virtual
async def test_when_all_keys_are_refused_each_request_still_tries_each_once() -> None:
    ring = KeyRing(a_spec(), source("sk-1\nsk-2"))
    for _ in range(3):
        tried = [await ring.headers()]
        while (following := await ring.another(tried)) is not None:
            tried.append(following)
        assert sorted(str(key(one)) for one in tried) == ["sk-1", "sk-2"]
        await asyncio.sleep(1)


@virtual
async def test_a_file_is_read_again_before_giving_up_at_most_once_a_second(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("sk-1")
    ring = KeyRing(a_spec(), SecretSource(file=path))
    first = await ring.headers()
    assert await ring.another([first]) is None
    path.write_text("sk-2\nsk-1")
    assert await ring.another([first]) is None  # within the same second
    await asyncio.sleep(1)
    following = await asyncio.gather(*(ring.another([first]) for _ in range(20)))
    assert {key(headers) for headers in following} == {"sk-2"}
    assert key(await ring.headers()) == "sk-2"


@virtual
@pytest.mark.parametrize("content", [None, "", "# none", "sk 1", "sk-\u00e9"])
async def test_a_broken_file_leaves_the_keys_that_were_there(
    tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "keys"
    path.write_text("sk-1\nsk-2")
    ring = KeyRing(a_spec(), SecretSource(file=path))
    first = await ring.headers()
    path.unlink() if content is None else path.write_text(content)
    second = await ring.another([first])
    assert second is not None
    assert await ring.another([first, second]) is None
    assert await ring.headers() is first


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([200], None),
        ([401], "unauthorized"),
        ([403], "forbidden"),
        ([401, 500], "unauthorized"),
        ([401, 429, 400], "unauthorized"),
        ([401, 404], None),
        ([403, 200], None),
        ([403, 404], "forbidden"),
        ([401, 403], "forbidden"),
        ([404, 500], None),
    ],
)
def test_what_answers_say_of_an_accounts_health(statuses: list[int], code: str | None) -> None:
    fell: list[None] = []
    health = AccountHealth(A, lambda: fell.append(None), wall=lambda: 7.0)
    for status in statuses:
        health.answered(status, "accept")
    found = health.trouble
    assert (found.code if found else None, health.healthy) == (code, code is None)
    assert found is None or found.since == 7.0
    assert len(fell) == any(status in (401, 403) for status in statuses)


@pytest.mark.parametrize(
    ("answers", "healthy"),
    [
        ([("accept", 403), ("reject", 200), ("hangup", 404)], False),
        ([("accept", 403), ("accept", 200)], True),
        ([("accept", 403), ("reject", 403), ("reject", 200)], False),
        ([("reject", 403), ("hangup", 200)], False),
        ([("reject", 403), ("reject", 404)], True),
        ([("reject", 403), ("accept", 200)], True),
        ([("reject", 403), ("accept", 404)], False),
        ([("hangup", 403), ("hangup", 404)], True),
        ([("refer", 403)], True),
        ([("accept", 403), ("refer", 403), ("refer", 200)], False),
        ([("accept", 403), ("wait", 299), ("hangup", 404)], False),
        ([("accept", 403), ("wait", 300), ("hangup", 404)], True),
        ([("accept", 403), ("wait", 200), ("accept", 403), ("wait", 200), ("hangup", 404)], False),
    ],
    ids=str,
)
def test_what_is_forbidden_is_healed_by_its_like_or_by_time(
    answers: list[tuple[str, int]], healthy: bool
) -> None:
    now = 0.0
    health = AccountHealth(A, monotonic=lambda: now)
    for action, status in answers:
        if action == "wait":
            now += status
        else:
            health.answered(status, action)
    assert health.healthy is healthy
