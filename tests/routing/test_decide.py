"""Decisions: tables of headers, directories and what follows."""

import pytest

from sipagent.model import (
    DEFAULT_TENANT,
    Accept,
    AccountName,
    AgentName,
    CallId,
    Decision,
    Forward,
    IncomingCall,
    Reason,
    Reject,
    WebhookId,
)
from sipagent.routing import AnswerWith, RejectWith, Route, Rule, decide
from sipagent.sip import Headers, read_invite
from sipagent.testing import a_profile, a_table

TENANT = DEFAULT_TENANT
NOW = 1_790_000_000.0
PROJECT = ("To", "<sip:proj_A@sip.api.openai.com;transport=tls>")


def decided(
    headers: list[tuple[str, str]], routes: dict[str, str | int], region: str | None = None
) -> Decision:
    table = a_table(
        [
            Route(
                key,
                TENANT,
                (
                    Rule(
                        RejectWith(action)
                        if isinstance(action, int)
                        else AnswerWith(AgentName(action))
                    ),
                ),
            )
            for key, action in routes.items()
        ],
        [a_profile(name, model=name) for name in ("reception", "billing", "night")],
        region=region,
    )
    raw = [{"name": name, "value": value} for name, value in headers]
    call = IncomingCall(
        CallId("rtc_1"),
        WebhookId("wh_1"),
        AccountName("default"),
        read_invite(Headers.from_json(raw), region=region),
    )
    return decide(call, table, NOW)


def verdict(decision: Decision) -> str | int:
    match decision.verdict:
        case Accept(plan):
            return str(plan.session["model"])
        case Reject(code):
            return code
        case Forward(_, destination):
            return destination


WAVIX = [PROJECT, ("x-number", "17134810111"), ("From", "<sip:+14067704205@x>")]
TWILIO = [PROJECT, ("Diversion", "<sip:+17134810111@twilio.com>;reason=unconditional")]
DIVERTED = [
    ("To", "<sip:+18330000000@trunk.example>"),
    ("Diversion", "<sip:+17134810111@twilio.com>"),
]


@pytest.mark.parametrize(
    ("headers", "routes", "expected"),
    [
        (WAVIX, {"+17134810111": "reception"}, "reception"),
        (TWILIO, {"+17134810111": "reception"}, "reception"),
        (DIVERTED, {"+17134810111": "reception"}, "reception"),
        (DIVERTED, {"+17134810111": "reception", "+18330000000": "billing"}, "billing"),
        (DIVERTED, {"+1*": "night", "+17134810111": "reception"}, "reception"),
        (DIVERTED, {"+1*": "night", "+1833*": "billing"}, "billing"),
        (WAVIX, {"+1*": "night", "+1713*": "billing", "default": 404}, "billing"),
        (WAVIX, {"+44*": "night"}, 404),
        (WAVIX, {"+17134810111": 486}, 486),
        (WAVIX, {"+44*": "night", "default": "reception"}, "reception"),
        (WAVIX, {"default": 603}, 603),
        (WAVIX, {}, 404),
        ([], {"default": "reception"}, "reception"),
        ([], {"+1*": "night"}, 404),
        # The caller's number never routes, even where it is one of ours.
        ([PROJECT, ("From", "<sip:+17134810111@x>")], {"+17134810111": "reception"}, 404),
        # A number in a header that nobody vouches for chooses only among listed ones.
        ([PROJECT, ("X-Vendor", "17134810111")], {"+17134810111": "reception"}, "reception"),
        ([PROJECT, ("X-Vendor", "17134810111")], {"+1713*": "night"}, 404),
        # Two contradicting values of one header are no number at all.
        (
            [PROJECT, ("x-number", "17134810111"), ("X-Number", "17134810122")],
            {"+17134810111": "reception", "+17134810122": "billing", "default": 603},
            603,
        ),
        (
            [("To", "<sip:+17134810111@x>, <sip:+17134810122@x>"), ("Diversion", "<sip:+1777@x>")],
            {"+17134810111": "reception", "+17134810122": "billing", "default": 603},
            603,
        ),
        # The caller's number in another spelling is still the caller's.
        (
            [PROJECT, ("From", "<sip:+17134810111@x>"), ("X-Foo", "01117134810111")],
            {"+17134810111": "reception"},
            404,
        ),
        ([("To", "<sip:2001@pbx>")], {"2001": "billing"}, "billing"),
        ([("To", "<sip:01117134810111@x>")], {"+17134810111": "reception"}, "reception"),
        ([("To", "<sip:0017134810111@x>")], {"+17134810111": "reception"}, "reception"),
    ],
)
def test_what_answers_a_call(
    headers: list[tuple[str, str]], routes: dict[str, str | int], expected: str | int
) -> None:
    assert verdict(decided(headers, routes)) == expected


def test_the_plan_is_the_profile_at_the_moment_of_the_decision() -> None:
    plan = decided(WAVIX, {"+17134810111": "billing"}).verdict
    assert isinstance(plan, Accept)
    assert plan.plan.config_hash == "abc"
    assert plan.plan.session == a_profile(model="billing").editions[0].session


def test_a_decision_says_what_it_rests_on() -> None:
    decision = decided(DIVERTED, {"+17134810111": "reception"})
    assert (decision.dialed, decision.dialed_source) == ("+17134810111", "diversion[0]")
    assert decision.listed
    assert [(step.source, step.considered, step.held) for step in decision.trace] == [
        ("to", "+18330000000", False),
        ("diversion[0]", "+17134810111", True),
        ("numbers", "+17134810111", True),
    ]


def test_an_unlisted_number_is_reported_and_called_unlisted() -> None:
    decision = decided(WAVIX, {"default": "night"})
    assert (decision.dialed, decision.listed) == ("+17134810111", False)
    assert decision.verdict != Reject(404, Reason.UNKNOWN_NUMBER, TENANT)


def test_without_a_default_an_unknown_number_is_not_found() -> None:
    decision = decided(WAVIX, {})
    assert decision.verdict == Reject(404, Reason.UNKNOWN_NUMBER, TENANT)
    assert decision.trace[-1].because == "there is none"


def test_a_number_that_a_prefix_covers_is_the_dialed_one() -> None:
    headers = [("To", "<sip:+442079460000@x>"), ("Diversion", "<sip:+17134810111@x>")]
    decision = decided(headers, {"+1713*": "reception"})
    assert (decision.dialed, decision.dialed_source) == ("+17134810111", "diversion[0]")
    assert decision.listed
    assert decision.trace[-1].because == "covers +17134810111"


def test_a_default_that_rejects_says_that_the_number_is_unknown() -> None:
    assert decided(WAVIX, {"default": 480}).verdict == Reject(480, Reason.UNKNOWN_NUMBER, TENANT)


def test_a_repr_shows_no_number() -> None:
    decision = decided(WAVIX, {"+17134810111": 486})
    assert "713481" not in repr(decision)


def test_national_spellings_are_read_in_the_configured_region() -> None:
    headers = [("To", "<sip:login@x>"), ("x-roistat-phone", "84996382584")]
    routes: dict[str, str | int] = {"+74996382584": "reception"}
    assert verdict(decided(headers, routes, region="RU")) == "reception"
    assert verdict(decided(headers, routes)) == 404
