"""What a list of headers says about the caller, and what the caller keeps to himself."""

import pytest

from sipagent.sip import Attestation, Headers, Invite, read_invite

NUMBER = "+14505550103"
OTHER = "+14155550199"
FROM = ("From", f'"Alice" <sip:{NUMBER}@x.com>;tag=1')
PAI = ("P-Asserted-Identity", f'"Bob" <sip:{OTHER}@x.com>, <tel:{OTHER}>')
RPID = ("Remote-Party-ID", f'"Carol" <sip:{OTHER}@x.com>;party=calling;screen=yes;privacy=off')
PPI = ("P-Preferred-Identity", f'"Dan" <sip:{OTHER}@x.com>')
LOGIN = ("From", '"Shop" <sip:2001@pbx>')


def invite_of(*pairs: tuple[str, str], region: str | None = None) -> Invite:
    headers = Headers.from_json([{"name": name, "value": value} for name, value in pairs])
    return read_invite(headers, region=region)


CALLERS = {
    "from": ([FROM], NUMBER, "Alice"),
    "from-before-all": ([PPI, RPID, PAI, FROM], NUMBER, "Alice"),
    "from-without-name-borrows-none": ([("f", f"<sip:{NUMBER}@x>"), PAI], NUMBER, None),
    "from-without-plus": ([("From", f"<sip:{NUMBER[1:]}@x>")], NUMBER, None),
    "from-bare": ([("From", NUMBER)], NUMBER, None),
    "from-name-only-without-number": ([("From", '"Alice" <sip:alice@x>')], None, "Alice"),
    "pai-if-from-is-an-extension": ([LOGIN, PAI, RPID], OTHER, "Bob"),
    "pai-second-entry": (
        [LOGIN, ("P-Asserted-Identity", f"<sip:a@x>, tel:{OTHER}")],
        OTHER,
        "Shop",
    ),
    "pai-without-name-takes-from's": (
        [LOGIN, ("P-Asserted-Identity", f"<tel:{OTHER}>")],
        OTHER,
        "Shop",
    ),
    "pai-if-no-from": ([PAI], OTHER, "Bob"),
    "pai-if-from-is-unreadable": ([("From", "<nonsense"), PAI], OTHER, "Bob"),
    "rpid-before-ppi": ([LOGIN, PPI, RPID], OTHER, "Carol"),
    "ppi-last": ([LOGIN, PPI], OTHER, "Dan"),
    "rpid-of-the-called-party": (
        [LOGIN, ("Remote-Party-ID", f"<sip:{OTHER}@x>;party=called")],
        None,
        "Shop",
    ),
    "rpid-without-party": ([LOGIN, ("Remote-Party-ID", f"<sip:{OTHER}@x>")], OTHER, "Shop"),
    "pai-unreadable": ([LOGIN, ("P-Asserted-Identity", "<nonsense"), RPID], OTHER, "Carol"),
    "from-repeated": ([FROM, FROM], NUMBER, "Alice"),
    "from-repeats-its-number": ([FROM, ("From", NUMBER)], NUMBER, "Alice"),
    "nobody": ([], None, None),
}


@pytest.mark.parametrize(("pairs", "number", "name"), CALLERS.values(), ids=CALLERS.keys())
def test_caller_is_found(
    pairs: list[tuple[str, str]], number: str | None, name: str | None
) -> None:
    invite = invite_of(*pairs)
    assert (invite.caller_e164 and invite.caller_e164.value) == number
    assert (invite.display_name and invite.display_name.value) == name
    assert "caller_withheld" not in invite.flags
    assert "ambiguous_caller" not in invite.flags


WITHHELD = {
    "privacy-id": [FROM, PAI, ("Privacy", "id")],
    "privacy-user": [FROM, ("privacy", "user")],
    "privacy-header": [FROM, ("Privacy", "HEADER")],
    "privacy-critical-in-list": [FROM, ("Privacy", "session; Critical")],
    "privacy-comma": [FROM, ("Privacy", "none,id")],
    "privacy-second-line": [FROM, ("Privacy", "none"), ("Privacy", "id")],
    "anonymous": [("From", '"Anonymous" <sip:anonymous@anonymous.invalid>;tag=1'), PAI],
    "anonymous-user": [("From", "<sip:Anonymous@x.com>"), PAI],
    "anonymous-host": [("From", "<sip:c8oqz84zk7z@Anonymous.Invalid.>"), PAI],
    "anonymous-name-with-number": [("From", f"Anonymous <sip:{NUMBER}@x>"), PAI],
    "restricted": [("From", "<sip:Restricted@x.com>"), PAI],
    "unavailable": [("From", "<sip:unavailable@unknown.invalid>"), PAI],
    "private": [("From", '"Private" <sip:private@x>'), RPID],
    "one-of-two-from": [FROM, ("From", "<sip:anonymous@anonymous.invalid>")],
    "rpid-privacy-full": [("Remote-Party-ID", f"<sip:{OTHER}@x>;privacy=full"), FROM],
}


@pytest.mark.parametrize("pairs", WITHHELD.values(), ids=WITHHELD.keys())
def test_withheld_caller_is_nobody(pairs: list[tuple[str, str]]) -> None:
    invite = invite_of(*pairs)
    assert (invite.caller_e164, invite.display_name) == (None, None)
    assert "caller_withheld" in invite.flags


@pytest.mark.parametrize(
    "value", ["", "none", "session", "history", "identity", "critical-ish", "\ud800"]
)
def test_other_privacy_withholds_nothing(value: str) -> None:
    assert invite_of(FROM, ("Privacy", value)).caller_e164 is not None


def test_name_of_a_failed_name_lookup_withholds_nothing() -> None:
    assert invite_of(("From", f'"Unavailable" <sip:{NUMBER}@x>')).caller_e164 is not None


def test_known_privacy_tokens_are_kept() -> None:
    invite = invite_of(("Privacy", "ID; nonsense;history"), ("Privacy", "session"))
    assert invite.privacy == {"id", "history", "session"}


@pytest.mark.parametrize(
    "second",
    [f"<sip:{OTHER}@x>", "<sip:alice@x>", "<nonsense"],
    ids=["other-number", "no-number", "unreadable"],
)
def test_second_from_is_ambiguous_and_the_asserted_one_counts(second: str) -> None:
    invite = invite_of(FROM, ("From", second), ("P-Asserted-Identity", f"<tel:{NUMBER}>"))
    assert "ambiguous_caller" in invite.flags
    assert invite.caller_e164 is not None
    assert invite.display_name is None
    assert invite_of(FROM, ("From", second)).caller_e164 is None


def test_national_caller_needs_a_region() -> None:
    national = ("From", "<sip:0493363501@x>")
    assert invite_of(national).caller_e164 is None
    invite = invite_of(national, region="FR")
    assert invite.caller_e164 is not None
    assert invite.caller_e164.value == "+33493363501"


TELNYX = f"<sip:{NUMBER}@sip.telnyx.com;verstat="
OTHERS = f"<sip:{NUMBER}@x.com;verstat="
ATTESTATIONS = {
    "nothing": ([FROM], None),
    "twilio-a": (
        [("X-Twilio-VerStat", "TN-Validation-Passed-A")],
        Attestation("A", "passed", "x-twilio-verstat"),
    ),
    "twilio-c": (
        [("X-Twilio-VerStat", " tn-validation-passed-c ")],
        Attestation("C", "passed", "x-twilio-verstat"),
    ),
    "twilio-failed": (
        [("X-Twilio-VerStat", "TN-Validation-Failed-B")],
        Attestation("B", "failed", "x-twilio-verstat"),
    ),
    "twilio-none": (
        [("X-Twilio-VerStat", "No-TN-Validation")],
        Attestation(None, "none", "x-twilio-verstat"),
    ),
    "nonsense": ([("X-Twilio-VerStat", "TN-Validation-Passed-AA")], None),
    "telnyx-plain-is-a": (
        [("P-Asserted-Identity", f"{TELNYX}TN-Validation-Passed>")],
        Attestation("A", "passed", "p-asserted-identity"),
    ),
    "telnyx-b": (
        [("P-Asserted-Identity", f"{TELNYX}TN-Validation-Passed-B>")],
        Attestation("B", "passed", "p-asserted-identity"),
    ),
    "telnyx-failed": (
        [("P-Asserted-Identity", f"{TELNYX}TN-Validation-Failed>")],
        Attestation(None, "failed", "p-asserted-identity"),
    ),
    "telnyx-without-host": (
        [("P-Asserted-Identity", f"<sip:{NUMBER};verstat=TN-Validation-Passed>")],
        Attestation("A", "passed", "p-asserted-identity"),
    ),
    "plain-elsewhere": (
        [("P-Asserted-Identity", f"{OTHERS}TN-Validation-Passed>")],
        Attestation(None, "passed", "p-asserted-identity"),
    ),
    "plain-tel": (
        [("P-Asserted-Identity", f"<tel:{NUMBER};verstat=TN-Validation-Passed>")],
        Attestation(None, "passed", "p-asserted-identity"),
    ),
    "name-that-ends-like-telnyx": (
        [("P-Asserted-Identity", f"<sip:{NUMBER}@eviltelnyx.com;verstat=TN-Validation-Passed>")],
        Attestation(None, "passed", "p-asserted-identity"),
    ),
    "in-the-user-part": (
        [("From", f"<sip:{NUMBER};verstat=TN-Validation-Passed-A@x.com;user=phone>")],
        Attestation("A", "passed", "from"),
    ),
    "indicator-beside-verstat": (
        [
            ("P-Attestation-Indicator", "B"),
            ("P-Asserted-Identity", f"{OTHERS}TN-Validation-Passed>"),
        ],
        Attestation("B", "passed", "p-asserted-identity"),
    ),
    "indicator-alone": (
        [("P-Attestation-Indicator", "a")],
        Attestation("A", "none", "p-attestation-indicator"),
    ),
    "indicator-twice": (
        [("P-Attestation-Indicator", "A"), ("P-Attestation-Indicator", "C")],
        Attestation("C", "none", "p-attestation-indicator"),
    ),
    "indicator-nonsense": ([("P-Attestation-Indicator", "Z")], None),
    "the-least-counts": (
        [
            ("X-Twilio-VerStat", "TN-Validation-Passed-A"),
            ("X-Twilio-VerStat", "TN-Validation-Passed-C"),
            ("P-Asserted-Identity", f"{OTHERS}TN-Validation-Passed-B>"),
        ],
        Attestation("C", "passed", "x-twilio-verstat"),
    ),
    "failure-counts-most": (
        [
            ("X-Twilio-VerStat", "TN-Validation-Passed-A"),
            ("P-Asserted-Identity", f"{OTHERS}TN-Validation-Failed>"),
        ],
        Attestation(None, "failed", "p-asserted-identity"),
    ),
}


@pytest.mark.parametrize(("pairs", "expected"), ATTESTATIONS.values(), ids=ATTESTATIONS.keys())
def test_attestation_is_reported(
    pairs: list[tuple[str, str]], expected: Attestation | None
) -> None:
    assert invite_of(*pairs).attestation == expected


SEEN = {
    "a-verstat-in-pai": (
        "p-asserted-identity",
        [("P-Asserted-Identity", f"{TELNYX}TN-Validation-Passed>")],
        Attestation("A", "passed", "p-asserted-identity"),
    ),
    "b-verstat-in-pai": (
        "p-asserted-identity",
        [("P-Asserted-Identity", f"{TELNYX}TN-Validation-Passed-B>")],
        Attestation("B", "passed", "p-asserted-identity"),
    ),
    "c-verstat-in-pai": (
        "p-asserted-identity",
        [("P-Asserted-Identity", f"{TELNYX}TN-Validation-Passed-C>")],
        Attestation("C", "passed", "p-asserted-identity"),
    ),
    "failed-verstat-in-pai": (
        "p-asserted-identity",
        [("P-Asserted-Identity", f"{TELNYX}TN-Validation-Failed>")],
        Attestation(None, "failed", "p-asserted-identity"),
    ),
    "no-verstat-in-pai": (
        "p-asserted-identity",
        [("P-Asserted-Identity", f"{TELNYX}No-TN-Validation>")],
        Attestation(None, "none", "p-asserted-identity"),
    ),
    "two-in-pai": (
        "p-asserted-identity",
        [
            ("P-Asserted-Identity", f"{TELNYX}TN-Validation-Passed>"),
            ("P-Asserted-Identity", f"{TELNYX}TN-Validation-Passed-C>"),
        ],
        Attestation("C", "passed", "p-asserted-identity"),
    ),
    "pai-without-verstat": ("p-asserted-identity", [PAI], None),
    "from": (
        "from",
        [("From", f"{TELNYX}TN-Validation-Passed-B>")],
        Attestation("B", "passed", "from"),
    ),
    "twilio": (
        "x-twilio-verstat",
        [("X-Twilio-VerStat", "TN-Validation-Passed-A")],
        Attestation("A", "passed", "x-twilio-verstat"),
    ),
    "twilio-none": (
        "x-twilio-verstat",
        [("X-Twilio-VerStat", "No-TN-Validation")],
        Attestation(None, "none", "x-twilio-verstat"),
    ),
    "plivo-verified": (
        "x-plivo-stir-verification",
        [("X-Plivo-Stir-Verification", "Verified")],
        Attestation(None, "passed", "x-plivo-stir-verification"),
    ),
    "plivo-not-verified": (
        "x-plivo-stir-verification",
        [("X-Plivo-Stir-Verification", " Not  Verified ")],
        Attestation(None, "failed", "x-plivo-stir-verification"),
    ),
    "plivo-not-applicable": (
        "x-plivo-stir-verification",
        [("X-Plivo-Stir-Verification", "not applicable")],
        Attestation(None, "none", "x-plivo-stir-verification"),
    ),
    "plivo-twice": (
        "x-plivo-stir-verification",
        [
            ("X-Plivo-Stir-Verification", "Verified"),
            ("X-Plivo-Stir-Verification", "Not Verified"),
        ],
        Attestation(None, "failed", "x-plivo-stir-verification"),
    ),
    "indicator": (
        "p-attestation-indicator",
        [("P-Attestation-Indicator", "b")],
        Attestation("B", "none", "p-attestation-indicator"),
    ),
    "indicator-twice": (
        "p-attestation-indicator",
        [("P-Attestation-Indicator", "A"), ("P-Attestation-Indicator", "C")],
        Attestation("C", "none", "p-attestation-indicator"),
    ),
    "nonsense": ("x-anything", [("X-Anything", "AAA")], None),
    "absent": ("x-twilio-verstat", [FROM], None),
    "no-header-at-all": ("", [FROM], None),
}

# What somebody writes who wants to be believed; no trunk above reads any of these for another.
FORGED = [
    ("X-Twilio-VerStat", "TN-Validation-Passed-A"),
    ("X-Plivo-Stir-Verification", "Verified"),
    ("P-Attestation-Indicator", "A"),
    ("P-Asserted-Identity", f"{TELNYX}TN-Validation-Passed>"),
    ("From", f"{TELNYX}TN-Validation-Passed-A>"),
    ("X-Attestation", "A"),
]


@pytest.mark.parametrize(("header", "pairs", "expected"), SEEN.values(), ids=SEEN.keys())
def test_attestation_is_read_in_the_trunks_header_only(
    header: str, pairs: list[tuple[str, str]], expected: Attestation | None
) -> None:
    own = {name.lower() for name, _ in pairs} | {header}
    forged = [pair for pair in FORGED if pair[0].lower() not in own]
    for all_pairs in (pairs, [*pairs, *forged], [*forged, *pairs]):
        raw = [{"name": name, "value": value} for name, value in all_pairs]
        invite = read_invite(Headers.from_json(raw), attestation_header=header)
        assert invite.attestation == expected
