"""`sipagent route`: the decision, the rules, and every way to describe a call."""

import json
from pathlib import Path
from typing import Any

import pytest

from sipagent.config import load
from sipagent.config.report.explanation import headers_of, hours_text
from tests.cli.support import Place

OPEN = ("--at", "2026-11-23T10:00")


def why(place: Place, *words: str) -> list[str]:
    text = place.run("route", *words).stdout
    return [line.strip() for line in text.partition("why\n")[2].splitlines()]


def test_the_decision_the_rule_and_what_was_not_reached(place: Place) -> None:
    result = place.run("route", "+1 (713) 481-0111", *OPEN)
    assert result.exit_code == 0, result.output
    version, rules = load(place.main).table.config_hash, "numbers.+17134810111"
    told = f"""\
dialed    +17134810111 (header to, listed)
account   us-1
time      Mon 2026-11-23 10:00:00 America/Chicago
trunk     wavix-eu (not proven)
version   {version}
decision  accept: the agent acme/store answers in en
limit     per_caller, 3 in 600 s

why
  yes to: +17134810111: listed
  yes numbers: +17134810111: covers +17134810111
  yes {rules}: rule 1: when hours: weekdays: agent store: weekdays is open until Mon 18:00
  no  {rules}: rule 2: when caller: +1406*: reject 603: not reached
  no  {rules}: rule 3: forward call_centre: not reached
"""
    assert result.stdout == told


def test_why_other_rules_did_not_hold(place: Place) -> None:
    result = place.run(
        "route", "+17134810111", "--at", "2026-11-21T08:00", "--from", "+14067704205"
    )
    assert result.exit_code == 1
    assert "decision  reject: 603, rejected.rule (tenant acme)" in result.stdout
    steps, rules = why(place, "+17134810111", "--at", "2026-11-22T08:00"), "numbers.+17134810111"
    assert steps[2:] == [
        (
            f"no  {rules}: rule 1: when hours: weekdays: agent store: weekdays is closed until Mon"
            " 09:00"
        ),
        f"no  {rules}: rule 2: when caller: +1406*: reject 603: the caller is not listed",
        f"yes {rules}: rule 3: forward call_centre: no condition",
        "yes destinations: call_centre: the call is sent there",
    ]


def test_a_forwarded_call_is_no_failure(place: Place) -> None:
    result = place.run("route", "+17134810111", "--at", "2026-11-22T08:00")
    assert result.exit_code == 0
    assert "forward: to acme/call_centre, tel:+18005550100" in result.stdout


def test_where_no_rule_holds_default_decides(place: Place) -> None:
    steps = why(place, "+17134810199", "--at", "2026-11-23T19:00")
    assert [step.partition(":")[0] for step in steps[2:]] == [
        "no  numbers.+17134810199",
        "no  numbers.+17134810199",
        "yes numbers.default",
    ]
    assert steps[2].endswith("office is closed until Tue 09:00")


@pytest.mark.parametrize(
    ("at", "local"),
    [
        ("2026-11-23T10:00", "Mon 2026-11-23 10:00:00 America/Chicago"),
        ("2026-11-23T10:00Z", "Mon 2026-11-23 04:00:00 America/Chicago"),
        ("2026-11-23 10:00+09:00", "Sun 2026-11-22 19:00:00 America/Chicago"),
    ],
)
def test_times_are_the_numbers_unless_they_say_otherwise(place: Place, at: str, local: str) -> None:
    assert f"time      {local}\n" in place.run("route", "+17134810111", "--at", at).stdout


def test_a_trunk_is_proven_by_its_secret_or_by_the_option(place: Place) -> None:
    refused = place.run("route", "+17134810122")
    assert refused.exit_code == 1
    assert "rejected.untrusted_trunk" in refused.stdout
    assert "agent store" not in refused.stdout.partition("why")[2]
    assert "--trunk NAME" in refused.stderr
    proven = place.json("route", "+17134810122", "--header", "X-Trunk-Key: proof")
    assert (proven["trunk"], proven["trunk_proven"]) == ("twilio-us", True)
    assert "proof" not in json.dumps(proven)
    assert place.json("route", "+17134810122", "--header", "X-Trunk-Key: no")["code"] == 603
    pretended = place.json("route", "+17134810122", "--trunk", "twilio-us")
    assert (pretended["verdict"], pretended["agent"]) == ("accept", "store")
    unknown = place.run("route", "+17134810122", "--trunk", "twilio")
    assert (unknown.exit_code, unknown.stderr) == (2, "there is no trunk twilio\n")


def test_headers_are_added_and_replace_those_of_their_name(place: Place) -> None:
    told = place.json("route", "+19995550100", "--header", "x-number: 17134810111", *OPEN)
    assert (told["dialed"], told["dialed_source"]) == ("+17134810111", "x-number")
    told = place.json("route", "+19995550100", "--header", "To: <sip:+17134810111@x>", *OPEN)
    assert told["dialed"] == "+17134810111"
    assert place.run("route", "+17134810111", "--header", "nothing").exit_code == 2


def test_what_the_agent_is_told_and_says(place: Place) -> None:
    shown = place.run("route", "+17134810111", *OPEN, "--show").stdout
    assert "greeting\n  I'm Acme Hardware's virtual assistant. Hello\n" in shown
    assert "instructions\n  You are Acme Hardware.\n" in shown
    told: Any = place.json("route", "+17134810111", *OPEN, "--show")
    assert told["session"]["instructions"] == (
        "You are Acme Hardware.\n\n# Languages\n\n"
        "- You speak English (en) and Spanish (es), and no other language.\n"
        "- Speak English (en); change to another one of these only if the caller speaks it."
    )
    assert told["skills"]["tools"] == {}
    assert "session" not in place.json("route", "+17134810111", *OPEN)


def test_what_the_agent_can_do(place: Place) -> None:
    place.change(
        "agents:\n  night: {",
        "destinations: {desk: {to: '+17135550100', hours: office}}\n"
        "agents:\n  night: {tools: [hang_up, {transfer: [desk]}], keys: {'0': desk}, ",
    )
    shown = place.run("route", "17134810199", *OPEN, "--show").stdout
    assert (
        "tools\n  hang_up\n  transfer: transfer to desk\n  key 0: desk\n"
        "  to desk: tel:+17135550100 (open)\n"
    ) in shown
    told: Any = place.json("route", "17134810199", *OPEN, "--show")
    assert told["skills"] == {
        "tools": {"hang_up": "hang_up", "transfer": "transfer to desk"},
        "servers": [],
        "keys": {"0": "desk"},
        "destinations": {"desk": "tel:+17135550100 (open)"},
        "colleagues": [],
        "attested": None,
    }


def test_a_stored_webhook(place: Place, tmp_path: Path) -> None:
    body = {
        "type": "realtime.call.incoming",
        "created_at": 1790085200,
        "data": {
            "call_id": "rtc_1",
            "sip_headers": [
                {"name": "From", "value": "<sip:+14067704205@x>"},
                {"name": "To", "value": "<sip:+17134810111@x>"},
                "no header",
            ],
        },
    }
    path = tmp_path / "event.json"
    path.write_text(json.dumps(body))
    told = place.json("route", "--payload", str(path))
    assert (told["at"], told["code"]) == ("2026-09-22T08:53:20-05:00", 603)
    assert place.json("route", "--payload", str(path), *OPEN)["verdict"] == "accept"
    for content, problem in (("{", "is not JSON"), ("[]", "holds 0 events")):
        path.write_text(content)
        result = place.run("route", "--payload", str(path))
        assert result.exit_code == 2
        assert problem in result.stderr
    assert place.run("route").exit_code == 2
    assert place.run("route", "+17134810111", "--payload", str(path)).exit_code == 2


def test_the_orders_of_the_operator_precede(place: Place) -> None:
    assert place.run("numbers", "pause", "+17134810111").exit_code == 0
    steps = why(place, "+17134810111", *OPEN)
    assert steps[-1] == "yes controls: number +17134810111: paused"
    assert place.run("route", "+17134810111", *OPEN).exit_code == 1
    assert place.run("route", "+17134810111", *OPEN, "--ignore-orders").exit_code == 0
    (place.data / "orders" / "controls.json").write_text("{")
    assert place.run("route", "+17134810111", *OPEN).exit_code == 78


def test_what_cannot_be_asked(place: Place) -> None:
    for at in ("noon", "0001-01-01", "9999-12-31", "9999-12-31T23:59-23:00"):
        result = place.run("route", "+17134810111", "--at", at)
        assert (result.exit_code, result.stdout) == (2, ""), at
    unknown = place.run("route", "+17134810111", "--account", "eu")
    assert (unknown.exit_code, unknown.stderr) == (2, "there is no account eu\n")
    assert place.run("route", "+17134810111", *OPEN, "--account", "us-1").exit_code == 0
    place.change("version: 1", "version: 2")
    assert place.run("route", "+17134810111").exit_code == 78


def test_a_mistake_of_the_decision_is_no_mistake_of_the_question(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr("sipagent.config.report.explanation.decide", crash)
    result = place.run("route", "+17134810111", *OPEN)
    assert isinstance(result.exception, KeyError)


def test_a_number_becomes_a_header_and_a_header_stays() -> None:
    assert headers_of("tel:+17134810111", None) == (("To", "tel:+17134810111"),)
    assert headers_of("(713) 481-0111", None) == (("To", "<sip:7134810111@sip.api.openai.com>"),)


def test_hours_that_change_late_or_never(place: Place) -> None:
    from datetime import UTC, datetime

    from sipagent.config.hours import compile_hours

    at = datetime(2026, 11, 23, 10, tzinfo=UTC)
    late = compile_hours({"open": {"2026-12-24": "10:00-12:00"}})
    assert hours_text("x", late, at) == "x is closed until 2026-12-24 10:00"  # type: ignore[arg-type]
    always = compile_hours("24/7")
    assert hours_text("x", always, at) == "x is open"  # type: ignore[arg-type]
