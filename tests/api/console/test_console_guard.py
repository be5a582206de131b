"""What holds for every page: headers, who may see it, forms that prove where they come from."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from sipagent.api.console.guarding import POLICY
from sipagent.errors import StoreError
from tests.api.console.house import Read
from tests.api.console.stage import HOST, Stage, stage
from tests.store.kept import a_call, a_live, put

OPEN = {"/sign-in", "/"}
"""What everybody gets."""

ELSEWHERE = [("GET", "/nowhere"), ("PUT", "/live"), ("GET", "/static/0/console.css")]


@pytest.fixture
async def set_up(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(sqlite_url, tmp_path) as made:
        await put(made.engine, a_call("rtc_1"))
        yield made


def ways(set_up: Stage) -> Iterator[tuple[str, str]]:
    """Each method and path of the console, as they are described: new ones are covered too."""
    paths: dict[str, Any] = set_up.pages.openapi()["paths"]
    for path, methods in paths.items():
        for method in methods:
            yield method.upper(), path


def filled(path: str) -> str:
    for name in ("call_id", "name", "call", "mark", "what", "token_id", "number", "key", "tenant"):
        path = path.replace(f"{{{name}}}", "rtc_1")
    assert "{" not in path, path
    return f"/console{path}"


def test_routes_are_found_by_their_description(set_up: Stage) -> None:
    found = set(ways(set_up))
    assert {("GET", "/live"), ("POST", "/calls/{name}/do/{what}"), ("GET", "/history")} <= found


async def test_every_answer_has_the_headers(set_up: Stage) -> None:
    for who in (None, "operator"):
        for method, path in {*ways(set_up), *ELSEWHERE}:
            async with set_up.client(who) as client:
                answer = await client.request(method, filled(path))
            headers = answer.headers
            assert answer.status_code < 500, (method, path)
            assert headers["content-security-policy"] == POLICY, (method, path)
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["x-frame-options"] == "DENY"
            assert headers["cache-control"] == "no-store", (method, path)
            listens = "microphone=(self)" in headers["permissions-policy"]
            assert listens is path.startswith("/talk"), (method, path)
            assert "camera=()" in headers["permissions-policy"]


def test_the_policy_lets_nothing_in_from_elsewhere_and_nothing_inline() -> None:
    parts = dict(part.split(" ", 1) for part in POLICY.split("; "))
    assert parts["default-src"] == "'none'"
    assert parts["frame-ancestors"] == "'none'"
    assert parts["base-uri"] == "'none'"
    assert set(parts.values()) == {"'none'", "'self'"}


async def test_nobody_gets_a_page_without_a_session(set_up: Stage) -> None:
    for method, path in ways(set_up):
        if path in OPEN:
            continue
        async with set_up.client() as client:
            answer = await client.request(method, filled(path))
        assert answer.status_code == 303, (method, path)
        assert answer.headers["location"].startswith("/console/sign-in"), (method, path)
        assert answer.text == ""


async def test_no_form_is_taken_without_the_sessions_token(set_up: Stage) -> None:
    for method, path in ways(set_up):
        if method == "GET" or path in OPEN:
            continue
        for headers, csrf in (
            ({}, "wrong"),
            ({}, ""),
            ({"sec-fetch-site": "cross-site"}, None),
            ({"sec-fetch-site": "same-site"}, None),
            ({"origin": "https://evil.example"}, None),
            ({"x-csrf": "wrong"}, None),
        ):
            answer = await set_up.post("operator", filled(path), headers=headers, csrf=csrf)
            assert answer.status_code == 403, (method, path, headers)
    assert set_up.desk.asked == []
    assert set_up.audit.deeds == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"},
        {"origin": f"https://{HOST}"},
        {"origin": "null", "sec-fetch-site": "same-origin"},
        {"origin": "null"},
    ],
    ids=str,
)
async def test_a_form_of_a_page_of_ours_is_taken(set_up: Stage, headers: dict[str, str]) -> None:
    """`null` is what browsers send under our referrer policy."""
    answer = await set_up.post("acme", "/console/sign-out", headers=headers)
    assert answer.status_code == 303


async def test_each_form_of_a_page_has_the_sessions_token(set_up: Stage) -> None:
    async with set_up.client("operator") as client:
        page = Read((await client.get("/console/calls/rtc_1")).text)
        words = {
            one.attributes["value"] for one in page.all("input") if one.attributes["name"] == "csrf"
        }
        assert len(words) == 1
        (word,) = words
        answer = await client.post("/console/sign-out", data={"csrf": word})
        assert answer.status_code == 303


@pytest.mark.parametrize("size", [70_000, 2_000_000])
async def test_a_form_that_is_too_large_is_refused(set_up: Stage, size: int) -> None:
    answer = await set_up.post("operator", "/console/calls/rtc_1/words", {"reason": "x" * size})
    assert answer.status_code == 413


@pytest.mark.parametrize("body", [b"\xff\xfe=1", b"a=1&" * 500, b"%ff=%ff&csrf=%ff"])
async def test_a_form_that_cannot_be_read_is_refused(set_up: Stage, body: bytes) -> None:
    async with set_up.client("operator") as client:
        answer = await client.post(
            "/console/calls/rtc_1/words",
            content=body,
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
    assert answer.status_code in (400, 403)


async def test_what_goes_wrong_is_a_page_or_a_toast(set_up: Stage) -> None:
    page = await set_up.get("acme", "/console/nowhere")
    assert page.status_code == 404
    assert "There is no such page." in Read(page.text).text
    toast = await set_up.get("acme", "/console/nowhere", {"hx-request": "true"})
    assert (toast.headers["hx-retarget"], toast.headers["hx-reswap"]) == ("#toasts", "beforeend")
    assert toast.text.strip() == '<div class="toast wrong">There is no such page.</div>'


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (RuntimeError("of +14065550100"), 500),
        (StoreError("/data/secret", "is gone"), 503),
        (TimeoutError("of +14065550100"), 503),
    ],
    ids=repr,
)
async def test_an_error_tells_nothing_of_itself(
    set_up: Stage, error: Exception, status: int
) -> None:
    await put(set_up.engine, a_live("rtc_2"))
    set_up.desk.error = error
    answer = await set_up.post("operator", "/console/calls/rtc_2/do/hold")
    assert answer.status_code == status
    assert answer.headers["content-security-policy"] == POLICY
    for word in ("+1406", "secret", "Error", "Traceback"):
        assert word not in answer.text.replace("Internal Server Error", "")


async def test_htmx_gets_the_main_part_of_a_page(set_up: Stage) -> None:
    swaps = {"hx-request": "true", "hx-request-type": "partial"}
    part = await set_up.get("acme", "/console/live", swaps)
    assert "<title>Live" in part.text
    assert "<html" not in part.text
    assert "<h1>Live</h1>" in part.text
    whole = await set_up.get("acme", "/console/live", {**swaps, "hx-request-type": "full"})
    assert "<html" in whole.text
