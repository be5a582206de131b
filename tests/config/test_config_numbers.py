"""Keys of `numbers`, and where the calls to them go."""

from pathlib import Path

import pytest

from sipagent.config import parse
from sipagent.config.compilation import ENVIRONMENT_ACCOUNT
from sipagent.config.findings import Complaint
from sipagent.config.numbers import directory_key
from sipagent.model import AgentName, TenantName
from sipagent.routing import AnswerWith, NumberDirectory, RejectWith, Route, Rule

TENANT = TenantName("default")
A, B = (Rule(AnswerWith(AgentName(name))) for name in "ab")
HEAD = "version: 1\ndefaults: {model: gpt-realtime-2.1}\nagents: {a: {}, b: {}}\nnumbers:\n"


def directory(lines: str) -> NumberDirectory:
    return parse(HEAD + lines, file="f", base=Path()).table.directory(ENVIRONMENT_ACCOUNT)


def route(key: str, rule: Rule) -> Route:
    return Route(key, TENANT, (rule,))


@pytest.mark.parametrize(
    ("text", "region", "key"),
    [
        ("+1 713 481 0111", None, "+17134810111"),
        ("1-713-481-0111", None, "+17134810111"),
        ("0017134810111", None, "+17134810111"),
        ("00 44 20 7946 0133", None, "+442079460133"),
        ("17134810111", None, "+17134810111"),
        ("+17134810111", None, "+17134810111"),
        (" +17134810111 ", None, "+17134810111"),
        ("+1.713.481.0111", None, "+17134810111"),
        ("+1 (713) 481-0111", None, "+17134810111"),
        ("(713) 481-0111", "US", "+17134810111"),
        ("713 481 0111", "US", "+17134810111"),
        ("020 7946 0133", "GB", "+442079460133"),
        ("442079460133", "US", "+442079460133"),
        ("011 44 20 7946 0133", "US", "+442079460133"),
        ("6581234567", "SG", "+6581234567"),
        ("+442079460133", "US", "+442079460133"),
        ("10", None, "10"),
        ("101", None, "101"),
        ("100100", None, "100100"),
        ("100100", "GB", "100100"),
        ("default", None, "default"),
        ("+1713*", None, "+1713*"),
        ("+1 713 *", None, "+1713*"),
        ("+1 (713) *", None, "+1713*"),
        ("001713*", None, "+1713*"),
        ("00 1 713 *", None, "+1713*"),
        ("+1*", None, "+1*"),
    ],
)
def test_a_number_in_any_spelling(text: str, region: str | None, key: str) -> None:
    assert directory_key(text, region) == key


@pytest.mark.parametrize(
    ("text", "region", "message"),
    [
        ("7134810111", None, "this may be a number of any country"),
        ("481 0111", None, "this may be a number of any country"),
        ("1", None, "this may be a number of any country"),
        ("020 7946 0133", None, "this may be a number of any country"),
        ("011 44 20 7946 0133", None, "this may be a number of any country"),
        ("1", "US", "this is no telephone number"),
        ("48101111", "US", "this is no number of US"),
        ("1 0 1", None, "this may be a number of any country"),
        ("+1 713 481 0111 ext 5", None, "this is no telephone number"),
        ("tel:+17134810111", None, "this is no telephone number"),
        ("sip:alice@example.com", None, "this is no telephone number"),
        ("+12345", None, "this is no telephone number"),
        ("+1234567890123456", None, "this is no telephone number"),
        ("+44 (0)20 7946 0133", None, "the (0) is not dialed from abroad"),
        ("*", None, "this prefix has no digits"),
        ("+*", None, "this prefix has no digits"),
        ("00*", None, "this is no prefix of a telephone number"),
        ("0044*20*", None, "this is no prefix of a telephone number"),
        ("713*", "US", "this is no prefix of a telephone number"),
        ("٠٠١٧١٣*", None, "this is no prefix of a telephone number"),
    ],
)
def test_keys_that_are_no_number(text: str, region: str | None, message: str) -> None:
    refused = directory_key(text, region)
    assert isinstance(refused, Complaint)
    assert refused.message == message
    assert refused.hint


@pytest.mark.parametrize(
    "line",
    [
        "+17134810111: a",
        "17134810111: a",
        "0017134810111: a",
        "1-713-481-0111: a",
        '"+1 713 481 0111": {agent: a}',
    ],
)
def test_unquoted_numbers_keep_their_digits(line: str) -> None:
    found = directory(f"  {line}\n")
    assert found.exact["+17134810111"] == route("+17134810111", A)


def test_actions_prefixes_and_default_become_routes() -> None:
    found = directory(
        "  +1713*: a\n  +1 713 481 *: {agent: b}\n  +17134810111: {reject: 486}\n"
        "  101: b\n  default: {reject: 404}\n"
    )
    assert found.listed("17134810111") == route("+17134810111", Rule(RejectWith(486)))
    assert found.listed("101") == route("101", B)
    assert found.covering("+17134819999") == route("+1713481*", B)
    assert found.covering("+17139999999") == route("+1713*", A)
    assert found.covering("+442079460133") is None
    assert found.default == route("default", Rule(RejectWith(404)))


def test_default_may_be_absent() -> None:
    assert directory("  +17134810111: a\n").default is None


def test_norway_is_a_region() -> None:
    text = (
        "version: 1\ndefaults: {model: x, region: NO}\nagents: {a: {}}\nnumbers: {22 12 34 56: a}\n"
    )
    table = parse(text, file="f", base=Path()).table
    assert table.region == "NO"
    assert table.directory(ENVIRONMENT_ACCOUNT).listed("+4722123456") is not None
