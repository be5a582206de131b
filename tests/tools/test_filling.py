"""From arguments to a request: where they stand, and what they cannot become."""

import json
from typing import Any

import pytest

from sipagent.model import HttpRequest, ToolName
from sipagent.tools.filling import (
    ArgumentError,
    DigitsMissingError,
    Filled,
    as_text,
    fill,
    values_of,
)
from sipagent.tools.targets import LONGEST_URL

BASE = "https://api.test"


def request(url: str, method: str = "POST", **kwargs: Any) -> HttpRequest:
    return HttpRequest(method, BASE + url, **kwargs)


def filled(url: str, values: dict[str, Any], method: str = "POST", **kwargs: Any) -> Filled:
    return fill(request(url, method, **kwargs), values)


@pytest.mark.parametrize(
    ("url", "values", "expected"),
    [
        ("/orders/{no}", {"no": "A-1"}, "/orders/A-1"),
        ("/orders/{no}", {"no": 7}, "/orders/7"),
        ("/orders/{no}", {"no": True}, "/orders/true"),
        ("/orders/{no}", {"no": "a/b?c#d&e=f"}, "/orders/a%2Fb%3Fc%23d%26e%3Df"),
        ("/orders/{no}", {"no": "a\r\nHost: b"}, "/orders/a%0D%0AHost%3A%20b"),
        ("/orders/{no}", {"no": "a\0b"}, "/orders/a%00b"),
        ("/orders/{no}", {"no": "\u00fc\u4e16"}, "/orders/%C3%BC%E4%B8%96"),
        ("/orders/{no}", {"no": "{other}", "other": "x"}, "/orders/%7Bother%7D?other=x"),
        ("/orders/{no}", {"no": "%2e%2"}, "/orders/%252e%252"),
        ("/orders/{no}", {"no": "@evil.test"}, "/orders/%40evil.test"),
        ("/orders/{no}", {"no": "..."}, "/orders/..."),
        ("/a.{kind}", {"kind": "json"}, "/a.json"),
        ("/{a}/{b}/{a}", {"a": "1", "b": "2"}, "/1/2/1"),
        ("/q?no={no}&fixed=1", {"no": "a b&c"}, "/q?no=a%20b%26c&fixed=1"),
        ("/q?no={no}&fixed=1", {}, "/q?fixed=1"),
        ("/q?no={no}", {"no": None}, "/q"),
        ("/q?no={no}", {"no": ""}, "/q?no="),
        ("/q?at={a}-{b}", {"a": 1}, "/q?at=1-"),
        ("/q?flag", {}, "/q?flag"),
        (
            "/q",
            {"a": "1", "b": [1, None, "x y"], "c": None, "d": {"e": 1}},
            "/q?a=1&b=1&b=x%20y&d=%7B%22e%22%3A1%7D",
        ),
        ("/q?a=1", {"b&c": "d=e"}, "/q?a=1&b%26c=d%3De"),
        ("", {"a": 1}, "?a=1"),
    ],
)
def test_the_url(url: str, values: dict[str, Any], expected: str) -> None:
    assert filled(url, values, "GET") == Filled("GET", BASE + expected, None)


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("/orders/{no}", ".."),
        ("/orders/{no}", "."),
        ("/orders/{no}", ""),
        ("/orders/{no}", None),
        ("/orders/{no}", "../admin"),
        ("/orders/{no}", "a/../../admin"),
        ("/orders/{no}", "a\\..\\admin"),
        ("/orders/{no}", "%2e%2e"),
        ("/orders/{no}", "%2e%2e%2fadmin"),
        ("/orders/{no}", "%252e%252e"),
        ("/orders/{no}", "..;/admin"),
        ("/orders/{no}", "a%2f..%2fadmin"),
        ("/orders/.{no}", "."),
        ("/orders/{no}{no}", "."),
        ("/orders/{no}{no}", "%2e"),
        ("/orders/{no}", "%25252525252525252e"),
        ("/orders/{no}", "\ud800"),
    ],
)
def test_no_argument_leads_to_another_endpoint(url: str, value: str | None) -> None:
    with pytest.raises(ArgumentError) as raised:
        filled(url, {"no": value})
    assert "admin" not in str(raised.value)


def test_the_host_has_no_places() -> None:
    does = HttpRequest("GET", "https://{no}.test/{no}")
    assert fill(does, {"no": "a"}).url == "https://{no}.test/a"


def test_without_a_body_the_arguments_are_it() -> None:
    made = filled("/o/{no}?x={x}", {"no": "1", "x": "2", "name": "J\u00f6rg", "count": 2})
    assert made == Filled("POST", BASE + "/o/1?x=2", '{"name":"J\u00f6rg","count":2}'.encode())
    assert filled("/o", {}).body == b"{}"


def test_a_body_is_filled_and_its_places_keep_their_types() -> None:
    body = {
        "order": {"no": "{no}", "lines": ["{line}", "{none}", 5, None, True]},
        "note": "order {no}: {count} of {none}.",
        "count": "{count}",
        "gone": "{none}",
        "literal": "{ no }",
    }
    values = {"no": "7", "count": 2, "line": {"sku": "{no}"}, "unused": "x"}
    made = filled("/o", values, body=body)
    assert made.body is not None
    assert json.loads(made.body) == {
        "order": {"no": "7", "lines": [{"sku": "{no}"}, 5, None, True]},
        "note": "order 7: 2 of .",
        "count": 2,
        "literal": "{ no }",
    }
    assert made.url == BASE + "/o"


def test_a_text_cannot_leave_its_place_in_a_body() -> None:
    attack = '", "admin": true, "x": "'
    made = filled("/o", {"no": attack}, body={"no": "n: {no}"})
    assert made.body is not None
    assert json.loads(made.body) == {"no": f"n: {attack}"}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\udfff", object(), {1, 2}])
def test_what_is_no_json_is_refused(value: object) -> None:
    with pytest.raises(ArgumentError):
        filled("/o", {"a": value})


def test_what_we_fill_in_goes_over_what_the_model_gives() -> None:
    does = request("/o", bind={"caller": "+1", "store": "s"}, digits={"pin": ToolName("ask_pin")})
    arguments = {"caller": "+2", "pin": "0000", "no": "7"}
    values = values_of(does, arguments, {ToolName("ask_pin"): "1234"})
    assert values == {"caller": "+1", "store": "s", "pin": "1234", "no": "7"}
    with pytest.raises(DigitsMissingError) as missing:
        values_of(does, arguments, {})
    assert missing.value.tool == "ask_pin"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ("a", "a"), (1.5, "1.5"), (False, "false"), ([1, "\u00fc"], '[1,"\u00fc"]')],
)
def test_an_argument_as_text(value: object, text: str) -> None:
    assert as_text(value) == text


def test_arguments_that_no_url_can_hold_are_the_arguments_fault() -> None:
    does = HttpRequest("GET", "https://api.test/x")
    assert len(fill(does, {"q": "a" * 8_000}).url) < LONGEST_URL
    with pytest.raises(ArgumentError, match="too long"):
        fill(does, {"q": "a" * LONGEST_URL})
