"""`sipagent route` on callers who do not get through, and on endpoints that are asked."""

import pytest

from tests.cli.support import Place
from tests.cli.test_route import OPEN, why

NUMBER = "+17134810111"
MONTANA, TEXAS = ("--from", "+14067704205"), ("--from", "+17135550199")


@pytest.fixture
def guarded(place: Place) -> Place:
    place.change(
        "  model: standard\n",
        '  model: standard\n  callers: {deny: ["+44*"], per_caller: 30/1h}\n',
    )
    place.change(
        '"+1 713 481 0111": {tenant: acme, agent: store, trunk: any}',
        '"+1 713 481 0111": {tenant: acme, agent: store, trunk: any, callers: {deny: "+1406*"}}',
    )
    place.change("twilio.key}, ", "twilio.key}, attestation: X-Twilio-VerStat, ")
    return place


def test_who_gets_through_and_who_does_not(guarded: Place) -> None:
    refused = guarded.run("route", NUMBER, *MONTANA, *OPEN)
    assert refused.exit_code == 1
    assert "decision  reject: 603, rejected.rule (tenant acme)" in refused.stdout
    assert "limit" not in refused.stdout
    assert why(guarded, NUMBER, *MONTANA, *OPEN)[-2:] == [
        "no  callers: defaults: the caller is not refused",
        f"yes callers: numbers.{NUMBER}: the caller is one of deny",
    ]
    let = guarded.run("route", NUMBER, *TEXAS, *OPEN)
    assert let.exit_code == 0
    assert "limit     per_caller, 30 in 3600 s" in let.stdout


@pytest.mark.parametrize(
    ("words", "code", "step"),
    [
        (
            ("--trunk", "twilio-us", "--header", "X-Twilio-VerStat: TN-Validation-Passed-A"),
            0,
            "no  callers: acme/store: attestation: the number is attested A, B is wanted",
        ),
        (
            ("--trunk", "twilio-us", "--header", "X-Twilio-VerStat: TN-Validation-Passed-C"),
            1,
            "yes callers: acme/store: attestation: the number is attested C, B is wanted",
        ),
        (
            ("--header", "X-Twilio-VerStat: TN-Validation-Passed-A"),
            1,
            "yes callers: acme/store: attestation: the number is not attested, B is wanted",
        ),
    ],
)
def test_what_the_carrier_says_of_the_number(
    guarded: Place, words: tuple[str, ...], code: int, step: str
) -> None:
    guarded.change(
        '    instructions: "You are',
        '    attestation: {min: B}\n    instructions: "You are',
        guarded.acme,
    )
    assert guarded.run("route", NUMBER, *TEXAS, *OPEN, *words).exit_code == code
    assert step in why(guarded, NUMBER, *TEXAS, *OPEN, *words)


def test_an_endpoint_is_named_and_not_asked(place: Place) -> None:
    place.change(
        "  acme: {account: us-1,",
        "  acme: {account: us-1, grants: {secrets: {hook: {file: hook}}},",
    )
    asked = "url: https://calls.invalid/x, secret: {secret: hook}, otherwise: store"
    place.change(
        '"+1 713 481 0111": {tenant: acme, agent: store, trunk: any}',
        f'"+1 713 481 0111": {{tenant: acme, trunk: any, consult: {{{asked}}}}}',
    )
    place.acme.write_text(place.acme.read_text().partition("numbers:")[0])
    shown = place.run("route", NUMBER, *TEXAS, *OPEN)
    assert shown.exit_code == 0, shown.output
    assert (
        "decision  consult: calls.invalid within 0.8 s, otherwise accept: the agent acme/store"
        " answers in en" in shown.stdout
    )
    assert "no  consult: calls.invalid: is asked first, and has 0.8 s" in shown.stdout
    told = place.json("route", NUMBER, *TEXAS, *OPEN)
    assert (told["verdict"], told["consult"]["timeout"]) == ("accept", 0.8)
    assert told["consult"]["known"]["caller"] == "+17135550199"
