"""Every recorded call and every hostile header means what the collection says it means."""

import json
from pathlib import Path
from typing import Any

import pytest

from sipagent.errors import SipSyntaxError
from sipagent.sip import Headers, Invite, number_in, parse_address, pick_dialed, read_invite

DATA = Path(__file__).parent.parent / "data"
CALLS: list[dict[str, Any]] = json.loads((DATA / "incoming_calls.json").read_text("utf-8"))
HOSTILE: list[dict[str, Any]] = json.loads((DATA / "hostile_headers.json").read_text("utf-8"))
VALUES = [case for case in HOSTILE if case["kind"] == "value"]
LISTS = [case for case in HOSTILE if case["kind"] == "headers"]


def by_id(case: dict[str, Any]) -> str:
    return str(case["id"])


def value_of(case: dict[str, Any]) -> str:
    template = case.get("value_template")
    if template is None:
        return str(case["value"])
    return str(template["prefix"] + template["repeat"] * template["times"] + template["suffix"])


def directory_of(case: dict[str, Any], dialed: str | None) -> set[str]:
    given = case.get("assume", {}).get("directory")
    return set(given) if given is not None else {dialed} - {None}


def meaning(invite: Invite, directory: set[str]) -> dict[str, str | None]:
    dialed = pick_dialed(invite, directory.__contains__)
    return {
        "dialed_e164": dialed.e164 if dialed else None,
        "dialed_source": dialed.source if dialed else None,
        "caller_e164": invite.caller_e164.value if invite.caller_e164 else None,
        "display_name": invite.display_name.value if invite.display_name else None,
    }


@pytest.mark.parametrize("case", CALLS, ids=by_id)
def test_recorded_call_is_understood(case: dict[str, Any]) -> None:
    expected = {key: value for key, value in case["expected"].items() if key != "notes"}
    headers = Headers.from_json(case["headers"])
    invite = read_invite(headers, region=case["assume"].get("region"))
    assert meaning(invite, directory_of(case, expected["dialed_e164"])) == expected


@pytest.mark.parametrize("case", CALLS, ids=by_id)
def test_recorded_call_without_a_directory_reports_nothing_from_an_unknown_header(
    case: dict[str, Any],
) -> None:
    invite = read_invite(Headers.from_json(case["headers"]), region=case["assume"].get("region"))
    dialed = pick_dialed(invite, set[str]().__contains__)
    assert dialed is None or not dialed.listed
    assert dialed is None or dialed.source not in {"x-telnyx-called-number", "x-roistat-phone"}


@pytest.mark.parametrize("case", VALUES, ids=by_id)
def test_hostile_value_is_concluded(case: dict[str, Any]) -> None:
    conclude = case["conclude"]
    if conclude["status"] == "reject":
        with pytest.raises(SipSyntaxError):
            parse_address(value_of(case))
        return
    address = parse_address(value_of(case))
    assert (address.user, address.host, address.display_name) == (
        conclude["user"],
        conclude["host"],
        conclude["display_name"],
    )
    assert number_in(address, case["region"]) == conclude["number"]
    if conclude["status"] != "reject-number":
        assert bool(address.flags) == (conclude["status"] == "accept-flagged")


@pytest.mark.parametrize("case", LISTS, ids=by_id)
def test_hostile_header_list_is_concluded(case: dict[str, Any]) -> None:
    conclude = case["conclude"]
    invite = read_invite(Headers.from_json(case["headers"]))
    found = meaning(invite, directory_of(case, conclude["dialed_e164"]))
    assert found["dialed_e164"] == conclude["dialed_e164"]
    assert found["caller_e164"] == conclude["caller_e164"]


@pytest.mark.parametrize("case", LISTS, ids=by_id)
def test_hostile_header_list_cannot_choose_a_listed_number(case: dict[str, Any]) -> None:
    directory = {"+14155550101", "+14155550102", "+14155550110"}
    invite = read_invite(Headers.from_json(case["headers"]))
    dialed = pick_dialed(invite, directory.__contains__)
    assert dialed is None or not dialed.listed


@pytest.mark.parametrize("repeated", ["b101", "b103"])
def test_contradicting_header_leaves_no_candidate_whatever_is_listed(repeated: str) -> None:
    case = next(case for case in LISTS if case["id"] == repeated)
    invite = read_invite(Headers.from_json(case["headers"]))
    assert invite.candidates == ()
    assert "ambiguous_dialed" in invite.flags
    assert pick_dialed(invite, lambda _: True) is None
