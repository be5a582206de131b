"""Signing in by a token: the cookie, what it is worth, how often it may be tried, and out again."""

import hmac
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import httpx
import pytest

from sipagent.api.console import session, signin
from sipagent.api.console.session import LIFE
from sipagent.api.v1.auth import MOST_FAILED
from tests.api.console.house import NOW, Read
from tests.api.console.stage import HOST, Stage, csrf_of, stage

SIGN_IN = "/console/sign-in"


@pytest.fixture
async def set_up(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(sqlite_url, tmp_path) as made:
        yield made


def word_of(page: httpx.Response) -> str:
    """The hidden word of a page's first form."""
    inputs = Read(page.text).all("input")
    return next(one.attributes["value"] for one in inputs if one.attributes["name"] == "csrf")


async def sign_in(
    client: httpx.AsyncClient, token: str, onward: str = "/console/live"
) -> httpx.Response:
    word = word_of(await client.get(SIGN_IN))
    return await client.post(SIGN_IN, data={"token": token, "csrf": word, "next": onward})


def cookie_of(answer: httpx.Response, name: str) -> dict[str, str]:
    """The attributes of a cookie that is set, in lower case; its value under `value`."""
    for text in answer.headers.get_list("set-cookie"):
        pair, *rest = text.split("; ")
        if pair.startswith(f"{name}="):
            found = {"value": pair.partition("=")[2]}
            for part in rest:
                key, _, value = part.lower().partition("=")
                found[key] = value
            return found
    raise AssertionError(answer.headers.get_list("set-cookie"))


async def test_who_is_not_signed_in_is_sent_to_the_form_and_back(set_up: Stage) -> None:
    async with set_up.client() as client:
        away = await client.get("/console/history?tenant=acme")
        assert away.status_code == 303
        assert away.headers["location"] == f"{SIGN_IN}?next=%2Fconsole%2Fhistory%3Ftenant%3Dacme"
        form = await client.get(away.headers["location"])
        assert Read(form.text).faults() == []
        (onward,) = (
            one.attributes["value"]
            for one in Read(form.text).all("input")
            if one.attributes["name"] == "next"
        )
        answer = await sign_in(client, "token-acme", onward)
        assert (answer.status_code, answer.headers["location"]) == (303, onward)
        assert (await client.get(onward)).status_code == 200


async def test_the_cookie_is_nobody_elses(set_up: Stage) -> None:
    async with set_up.client() as client:
        cookie = cookie_of(await sign_in(client, "token-acme"), session.PLAIN)
    assert "httponly" in cookie
    assert cookie["samesite"] == "strict"
    assert cookie["path"] == "/console"
    assert cookie["max-age"] == str(LIFE)
    assert "domain" not in cookie
    assert "secure" not in cookie


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_over_https_the_cookie_is_secure_also_behind_a_proxy(
    set_up: Stage, scheme: str
) -> None:
    """A proxy that ends TLS and does not say so: the browser's Origin does."""
    async with set_up.client(scheme=scheme) as client:
        word = word_of(await client.get(SIGN_IN))
        answer = await client.post(
            SIGN_IN,
            data={"token": "token-acme", "csrf": word},
            headers={"origin": f"https://{HOST}"},
        )
    cookie = cookie_of(answer, "__Secure-sipagent-console")
    assert "secure" in cookie
    assert "httponly" in cookie


async def test_a_session_holds_on_every_replica_and_ends_by_time(
    set_up: Stage, sqlite_url: str, tmp_path: Path
) -> None:
    """Another process, which has never heard of the session, takes it."""
    (tmp_path / "other").mkdir()
    async with stage(f"sqlite:///{tmp_path}/other.sqlite", tmp_path / "other") as other:
        async with set_up.client("acme") as client:
            cookies = dict(client.cookies)
            assert (await client.get("/console/live")).status_code == 200
        async with other.client() as client:
            client.cookies.update(cookies)
            assert (await client.get("/console/live")).status_code == 200
            other.clock.now = NOW + LIFE + 1
            assert (await client.get("/console/live")).status_code == 303


async def test_a_revoked_token_signs_out(set_up: Stage) -> None:
    async with set_up.client("acme") as client:
        assert (await client.get("/console/live")).status_code == 200
        set_up.people.revoked.add("token-acme")
        answer = await client.get("/console/live")
        assert (answer.status_code, answer.headers["location"][: len(SIGN_IN)]) == (303, SIGN_IN)
        assert cookie_of(answer, session.PLAIN)["max-age"] == "0"


async def test_htmx_is_told_to_go_to_the_form(set_up: Stage) -> None:
    answer = await set_up.get(None, "/console/live/calls", {"hx-request": "true"})
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, SIGN_IN)
    assert answer.text == ""


async def test_signing_out_forgets_the_session(set_up: Stage) -> None:
    async with set_up.client("acme") as client:
        word = csrf_of(client, NOW)
        assert (await client.post("/console/sign-out", data={"csrf": "x"})).status_code == 403
        assert (await client.get("/console/live")).status_code == 200
        answer = await client.post("/console/sign-out", data={"csrf": word})
        assert (answer.status_code, answer.headers["location"]) == (303, SIGN_IN)
        assert session.PLAIN not in client.cookies
        assert (await client.get("/console/live")).status_code == 303


async def test_another_site_signs_nobody_out(set_up: Stage) -> None:
    """The browser sends no cookie then, and must not be told to forget it."""
    answer = await set_up.get(None, "/console/live", {"sec-fetch-site": "cross-site"})
    assert "set-cookie" not in answer.headers
    async with set_up.client() as client:
        answer = await client.post("/console/sign-out")
    assert answer.status_code == 303
    assert "set-cookie" not in answer.headers


async def test_a_link_from_elsewhere_comes_again_with_the_cookie(set_up: Stage) -> None:
    """SameSite=Strict withholds it from whoever follows a link in a chat or an alert."""
    elsewhere = {"sec-fetch-site": "cross-site"}
    answer = await set_up.get(None, "/console/calls/rtc_1?a=%22%3E", elsewhere)
    (meta,) = (one for one in Read(answer.text).all("meta") if "http-equiv" in one.attributes)
    assert answer.status_code == 200
    assert meta.attributes["content"] == "0;url=/console/calls/rtc_1?a=%22%3E"
    again = await set_up.get(None, "/console/calls/rtc_1", {"sec-fetch-site": "same-origin"})
    assert again.status_code == 303


@pytest.mark.parametrize(
    "onward",
    [
        "https://evil.example/console/",
        "//evil.example",
        "/console//evil.example",
        "/console/\\evil",
        "javascript:alert(1)",
        "/api/v1/calls",
        "/console/live\r\nx: y",
        "",
    ],
)
async def test_nobody_is_sent_elsewhere_after_signing_in(set_up: Stage, onward: str) -> None:
    async with set_up.client() as client:
        answer = await sign_in(client, "token-acme", onward)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/live")
        page = await client.get(SIGN_IN, params={"next": onward})
        assert "evil" not in page.text


@pytest.mark.parametrize("token", ["", "nonsense", "x" * 5000, "tökén", "a\x00b", "token-acme."])
async def test_a_token_that_does_not_hold_gets_the_form_again(set_up: Stage, token: str) -> None:
    async with set_up.client() as client:
        answer = await sign_in(client, token)
        assert answer.status_code == 403
        assert session.PLAIN not in client.cookies
        assert "unknown, over, or revoked" in answer.text
        assert token not in answer.text or token == ""


async def test_attempts_of_an_address_are_limited(set_up: Stage) -> None:
    async with set_up.client() as client:
        for _ in range(MOST_FAILED):
            assert (await sign_in(client, "nonsense")).status_code == 403
        answer = await sign_in(client, "token-acme")
        assert answer.status_code == 429
        assert int(answer.headers["retry-after"]) > 0
        assert "Too many attempts" in Read(answer.text).text


async def test_attempts_of_all_addresses_are_limited_together(
    set_up: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = iter(range(10_000))
    monkeypatch.setattr(signin, "address_of", lambda _: f"192.0.2.{next(addresses)}")
    async with set_up.client() as client:
        word = word_of(await client.get(SIGN_IN))
        for _ in range(signin.MOST_FAILED):
            answer = await client.post(SIGN_IN, data={"token": "nonsense", "csrf": word})
            assert answer.status_code == 403
        answer = await client.post(SIGN_IN, data={"token": "token-acme", "csrf": word})
    assert answer.status_code == 429


async def test_whoever_was_there_before_is_not_shut_out_by_those_who_try(
    set_up: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = iter(range(10_000))
    monkeypatch.setattr(signin, "address_of", lambda _: f"192.0.2.{next(addresses)}")
    async with set_up.client() as client:
        assert (await sign_in(client, "token-acme")).status_code == 303
        word = word_of(await client.get(SIGN_IN))
        for _ in range(signin.MOST_FAILED):
            await client.post(SIGN_IN, data={"token": "nonsense", "csrf": word})
        answer = await client.post(SIGN_IN, data={"token": "token-acme", "csrf": word})
    assert answer.status_code == 303


async def test_while_tokens_cannot_be_looked_up_nobody_is_signed_out(set_up: Stage) -> None:
    set_up.people.away = True
    async with set_up.client("acme") as client:
        answer = await client.get("/console/live")
        assert answer.status_code == 503
        assert "set-cookie" not in answer.headers
        assert (await sign_in(client, "token-acme")).status_code == 503


async def test_a_page_elsewhere_cannot_sign_anybody_in(set_up: Stage) -> None:
    """Else whoever has a token could have others work under it."""
    async with set_up.client() as client:
        word = word_of(await client.get(SIGN_IN))
        fields = {"token": "token-acme", "csrf": word}
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": f"https://{HOST}.evil.example"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
        ):
            assert (await client.post(SIGN_IN, data=fields, headers=headers)).status_code == 403
        assert (await client.post(SIGN_IN, data={"token": "token-acme"})).status_code == 403
        client.cookies.clear()
        assert (await client.post(SIGN_IN, data=fields)).status_code == 403
        assert session.PLAIN not in client.cookies


def test_a_session_cannot_be_made_longer_or_anothers() -> None:
    cookie = session.begin("token-acme", NOW)
    began, word, seal, token = cookie.split(".", 3)

    def reads(value: str, now: float = NOW) -> bool:
        return session.read({session.PLAIN: value}, now) is not None

    assert reads(cookie)
    assert reads(cookie, NOW + LIFE - 1)
    assert not reads(cookie, NOW + LIFE)
    assert not reads(cookie, NOW - 3600)
    later = f"{int(NOW) + 100:x}"
    for forged in (
        f"{later}.{word}.{seal}.{token}",
        f"{began}.{word}x.{seal}.{token}",
        f"{began}.{word}.{seal}.token-beta",
        f"{began}.{word}.{seal}.",
        "....",
        "",
        "é" * 40,
    ):
        assert not reads(forged), forged


@pytest.mark.parametrize("began", ["", "zz", "-1", "1_0", " 1", "f" * 4000])
async def test_a_cookie_that_somebody_has_made_up_is_no_crash(set_up: Stage, began: str) -> None:
    """Its seal is by a token that they made up as well, and so it is right."""
    text = f"{began}.word"
    cookie = f"{text}.{hmac.new(b'mine', text.encode(), sha256).hexdigest()}.mine"
    async with set_up.client() as browser:
        answer = await browser.get("/console/live", headers={"Cookie": f"{session.PLAIN}={cookie}"})
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/console/sign-in")


def test_each_session_has_a_csrf_token_of_its_own() -> None:
    one, other = (
        session.read({session.PLAIN: session.begin("token-acme", NOW)}, NOW) for _ in range(2)
    )
    assert one is not None
    assert other is not None
    assert one.csrf != other.csrf
    assert "token-acme" not in repr(one)
