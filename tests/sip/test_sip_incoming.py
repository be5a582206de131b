"""What a list of headers says about the dialed number."""

from collections.abc import Iterable

import pytest

from sipagent.sip import Headers, Invite, pick_dialed, read_invite

DID = "+13255550187"
OTHER = "+14155550199"
CALLER = "+14505550103"
PROJECT = "<sip:proj_AAAAAAAAAAAAAAAAAAAAAAAA@sip.api.openai.com;transport=tls>"

Pairs = Iterable[tuple[str, str]]


def invite_of(
    *pairs: tuple[str, str], region: str | None = None, dialed_header: str | None = None
) -> Invite:
    headers = Headers.from_json([{"name": name, "value": value} for name, value in pairs])
    return read_invite(headers, region=region, dialed_header=dialed_header)


def picked(invite: Invite, *listed: str) -> tuple[str, str | None, bool] | None:
    dialed = pick_dialed(invite, set(listed).__contains__)
    return (dialed.source, dialed.e164, dialed.listed) if dialed else None


def sources(invite: Invite) -> list[str]:
    return [candidate.source for candidate in invite.candidates]


EVERYWHERE = (
    ("History-Info", "<sip:+13000000011@x>;index=1, <sip:+13000000012@x>;index=1.1"),
    ("Diversion", "<sip:+13000000009@x>, <sip:+13000000010@x>"),
    ("X-Vendor-Did", "+13000000008"),
    ("To", "<sip:+13000000007@x>"),
    ("P-Called-Party-ID", "<tel:+13000000006>"),
    ("X-Original-To", "<sip:+13000000005@x>"),
    ("X-Dialed-Number", "13000000004"),
    ("X-Called-Number", "sip:+13000000003@x"),
    ("X-DID", "+13000000002"),
    ("CALLED_DID", "13000000001"),
    ("X-Number", "13000000000"),
)
ORDER = [
    "x-number",
    "called_did",
    "x-did",
    "x-called-number",
    "x-dialed-number",
    "x-original-to",
    "p-called-party-id",
    "to",
    "x-vendor-did",
    "diversion[0]",
    "diversion[1]",
    "history-info[1]",
    "history-info[0]",
]


def test_candidates_stand_in_the_carriers_order() -> None:
    assert sources(invite_of(*EVERYWHERE)) == ORDER


@pytest.mark.parametrize(
    ("configured", "first"),
    [
        ("X-Vendor-Did", ["x-vendor-did"]),
        ("x-dialed-number", ["x-dialed-number"]),
        ("T", ["to"]),
        ("diversion", ["diversion[0]", "diversion[1]"]),
        ("History-Info", ["history-info[1]", "history-info[0]"]),
    ],
)
def test_configured_header_comes_first_and_only_once(configured: str, first: list[str]) -> None:
    invite = invite_of(*EVERYWHERE, dialed_header=configured)
    assert sources(invite) == first + [source for source in ORDER if source not in first]
    assert not invite.candidates[0].listed_only


@pytest.mark.parametrize("configured", ["From", "f", "P-Asserted-Identity", "Contact", "bad name"])
def test_caller_header_cannot_be_configured(configured: str) -> None:
    assert sources(invite_of(*EVERYWHERE, ("From", CALLER), dialed_header=configured)) == ORDER


@pytest.mark.parametrize("source", ORDER)
def test_first_listed_candidate_wins_wherever_it_stands(source: str) -> None:
    invite = invite_of(*EVERYWHERE)
    number = next(one.e164 for one in invite.candidates if one.source == source)
    assert number is not None
    assert picked(invite, number) == (source, number, True)


def test_nothing_listed_reports_the_first_that_may_be_reported() -> None:
    assert picked(invite_of(*EVERYWHERE)) == ("x-number", "+13000000000", False)
    assert picked(invite_of(("X-Vendor-Did", DID))) is None
    assert picked(invite_of(("X-Vendor-Did", DID), ("Diversion", OTHER))) == (
        "diversion[0]",
        OTHER,
        False,
    )


SPELLINGS = {
    "raw-national": (("To", "<sip:0493363501@x>"), "0493363501", None),
    "national-with-wrong-guess": (("To", "<sip:4155550100@x>"), "+4155550100", "+4155550100"),
    "011-without-region": (("To", "<sip:01114155550100@x>"), "+14155550100", "+14155550100"),
    "phone-context": (
        ("To", "<tel:863-1234;phone-context=+1-914-555>"),
        "+19145558631234",
        "+19145558631234",
    ),
    "extension": (("To", "<sip:2001@pbx>"), "2001", None),
    "didww-category": (("To", "<sip:1800386427901@x>"), "+18003864279", "+18003864279"),
    "didww-exact-first": (("To", "<sip:1800386427901@x>"), "+1800386427901", "+1800386427901"),
    "plivo-escape": (("X-PH-DID", "%2B13255550187"), DID, DID),
    "vendor-national": (("x-roistat-phone", "0493363501"), "0493363501", None),
    "vendor-address": (("X-Vendor", f'"Shop" <sip:{DID}@x>;a=b'), DID, DID),
    "vendor-upper-case": (("X-Vendor", f"SIP:{DID}@x"), DID, DID),
    "vendor-tel": (("X-Vendor", f" tel:{DID}"), DID, DID),
    "vendor-short-form": (("Acme", DID), DID, DID),
}


@pytest.mark.parametrize(("pair", "key", "e164"), SPELLINGS.values(), ids=SPELLINGS.keys())
def test_daring_reading_counts_if_the_directory_has_it(
    pair: tuple[str, str], key: str, e164: str | None
) -> None:
    dialed = pick_dialed(invite_of(pair), {key}.__contains__)
    assert dialed is not None
    assert (dialed.source, dialed.key, dialed.e164) == (pair[0].lower(), key, e164)


@pytest.mark.parametrize(
    "value",
    ["<sip:0493363501@x>", "<tel:863-1234;phone-context=+1-914-555>", "<sip:2001@pbx>", "911"],
)
def test_daring_reading_is_never_reported(value: str) -> None:
    assert picked(invite_of(("To", value))) is None
    assert picked(invite_of(("To", value), ("Diversion", DID))) == ("diversion[0]", DID, False)


NO_CANDIDATE = {
    "project": ("To", PROJECT),
    "login": ("To", "<sip:mikoteam@198.51.100.20>"),
    "no-user": ("To", "<sip:x.com>"),
    "display-name": ("To", f'"{DID}" <sip:alice@x>'),
    "uri-parameter": ("To", f"<sip:alice@x;did={DID}>"),
    "header-parameter": ("To", f"<sip:alice@x>;did={DID}"),
    "uri-headers": ("To", f"<sip:alice@x?X-DID=%2B{DID[1:]}>"),
    "routing-number": ("To", f"<sip:alice;rn={DID}@x>"),
    "escaped-parameter": ("To", f"<sip:{DID}%3Bx=1@x>"),
    "plus-and-0": ("To", "<sip:+0114155550100@x>"),
    "two-in-one-header": ("X-Number", f"{DID},{OTHER}"),
    "text-behind": ("X-Number", f"{DID[1:]}; DROP TABLE dids"),
    "nul": ("X-Number", f"{DID}\x00"),
    "vendor-two": ("X-Vendor", f"{DID}, {OTHER}"),
    "vendor-text": ("X-Vendor", f"call {DID}"),
    "vendor-timestamp-is-too-short": ("X-Vendor", "123456"),
    "vendor-uuid": ("X-Vendor", "3255550187-aaaa"),
    "from": ("From", DID),
    "compact-from": ("f", DID),
    "pai": ("P-Asserted-Identity", f"<tel:{DID}>"),
    "ppi": ("P-Preferred-Identity", f"<tel:{DID}>"),
    "rpid": ("Remote-Party-ID", f"<sip:{DID}@x>;party=called"),
    "contact": ("m", f"<sip:{DID}@x>"),
    "call-id": ("Call-ID", DID),
    "identity": ("y", DID),
    "user-to-user": ("User-to-User", DID),
    "referred-by": ("b", f"<sip:{DID}@x>"),
    "reply-to": ("Reply-To", f"<sip:{DID}@x>"),
    "charge-info": ("P-Charge-Info", f"<sip:{DID}@x>"),
    "subject": ("s", DID),
    "record-route": ("Record-Route", f"<sip:{DID}@x;lr>"),
    "x-caller": ("X-HLAI-Caller", DID),
    "x-callerid": ("X-CallerID", DID),
    "x-calling": ("X-Calling-Number", DID),
    "x-from": ("x-FROM_NUMBER", DID),
    "x-fromnumber": ("X-FromNumber", DID),
    "x-forwarded-from": ("X-Forwarded-From", DID),
    "x-ani": ("X-ANI", DID),
    "x-cli": ("X-Cli", DID),
    "x-pai": ("X-PAI", f"<sip:{DID}@x>"),
    "x-originating": ("X-Originating-Number", DID),
    "x-identity": ("X-Identity", DID),
    "x-billing": ("X-Billing-Number", DID),
    "x-account": ("X-AccountCode", DID),
    "x-contact": ("X-Contact", f"<sip:{DID}@x>"),
    "x-token": ("X-Token", DID),
}


@pytest.mark.parametrize(("name", "value"), NO_CANDIDATE.values(), ids=NO_CANDIDATE.keys())
def test_header_never_names_the_dialed_number(name: str, value: str) -> None:
    invite = invite_of((name, value))
    assert pick_dialed(invite, lambda key: key in {DID, DID[1:], OTHER}) is None


def test_callers_own_number_in_an_unknown_header_is_no_candidate() -> None:
    for header in ("From", "P-Asserted-Identity", "Remote-Party-ID", "P-Preferred-Identity"):
        invite = invite_of((header, f"<sip:{CALLER}@x>"), ("X-Vendor", CALLER), ("Privacy", "id"))
        assert invite.candidates == ()
        assert picked(invite, CALLER) is None


@pytest.mark.parametrize("name", ["To", "X-Number", "CALLED_DID", "X-DID", "P-Called-Party-ID"])
def test_single_header_with_two_numbers_leaves_no_candidate(name: str) -> None:
    rest = (("Diversion", DID), ("X-Original-To", DID))
    invite = invite_of((name, f"<sip:{DID}@x>"), (name.lower(), f"<sip:{OTHER}@x>"), *rest)
    assert invite.candidates == ()
    assert "ambiguous_dialed" in invite.flags
    assert picked(invite, DID, OTHER) is None


def test_configured_header_with_two_numbers_leaves_no_candidate() -> None:
    pairs = (("X-Vendor", DID), ("X-Vendor", OTHER), ("To", DID))
    assert invite_of(*pairs, dialed_header="X-Vendor").candidates == ()


def test_from_with_two_numbers_leaves_no_candidate() -> None:
    invite = invite_of(("From", CALLER), ("From", OTHER), ("To", DID))
    assert invite.candidates == ()
    assert invite.flags == {"ambiguous_dialed", "ambiguous_caller"}


def test_single_header_that_repeats_its_number_is_one_candidate() -> None:
    invite = invite_of(("X-Number", DID), ("x-number", DID[1:]), ("X-Number", DID))
    assert sources(invite) == ["x-number"]
    assert invite.flags == frozenset()


def test_single_header_that_is_not_one_number_twice_is_no_candidate() -> None:
    invite = invite_of(("To", DID), ("To", PROJECT), ("Diversion", OTHER))
    assert sources(invite) == ["diversion[0]"]
    assert invite.flags == {"repeated-header"}


def test_unknown_header_with_two_numbers_chooses_nothing_if_one_is_listed() -> None:
    pairs = (("X-Vendor", DID), ("X-Vendor", OTHER), ("Diversion", CALLER))
    invite = invite_of(*pairs)
    assert invite.flags == {"ambiguous_extension"}
    assert picked(invite, OTHER, CALLER) is None
    assert picked(invite, CALLER) == ("diversion[0]", CALLER, True)
    assert picked(invite_of(*pairs, ("To", "+13000000000")), "+13000000000", DID) == (
        "to",
        "+13000000000",
        True,
    )


def test_unknown_header_that_is_no_address_is_no_finding() -> None:
    assert invite_of(("X-Time", "12:30"), ("X-A", "1"), ("X-A", "2:x")).flags == frozenset()


def test_unreadable_routing_header_is_a_finding() -> None:
    for name in ("To", "X-Number", "Diversion", "History-Info"):
        assert invite_of((name, "<nonsense")).flags == {"unreadable-header"}


def test_dropped_headers_are_a_finding() -> None:
    assert read_invite(Headers.from_json("{}")).flags == {"dropped-headers"}


@pytest.mark.parametrize("region", [None, "US"])
def test_region_reads_national_numbers(region: str | None) -> None:
    invite = invite_of(("To", "<sip:3255550187@x>"), region=region)
    assert picked(invite, DID) == (("to", DID, True) if region else ("to", "+3255550187", False))


def test_diversion_entries_keep_their_place_across_lines() -> None:
    invite = invite_of(
        ("Diversion", "<sip:login@x>, <sip:+13000000001@x>"),
        ("Diversion", "nonsense"),
        ("Diversion", "<sip:+13000000002@x>"),
    )
    assert sources(invite) == ["diversion[1]", "diversion[2]"]


def test_history_after_the_project_is_not_read() -> None:
    history = f"<sip:+13000000001@x>, <sip:+13000000002@x>, {PROJECT}, <sip:+13000000003@x>"
    assert sources(invite_of(("History-Info", history))) == ["history-info[1]", "history-info[0]"]


def test_endless_lists_are_cut() -> None:
    line = ", ".join(f"<sip:+1300000{n:04}@x>" for n in range(30))
    invite = invite_of(("Diversion", line), ("Diversion", line), ("Diversion", line))
    assert len(invite.candidates) == 32
    vendors = [(f"X-Vendor{n}", f"+1300000{n:04}") for n in range(60)]
    assert len(invite_of(*vendors).candidates) == 32


def forwarders(*pairs: tuple[str, str], listed: str = DID) -> list[str]:
    dialed = pick_dialed(invite_of(*pairs), {listed}.__contains__)
    assert dialed is not None
    return [number.value for number in dialed.forwarded_from]


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        ([("Diversion", f"<sip:{DID}@x>, <sip:{OTHER}@y>;reason=unknown")], [OTHER]),
        ([("To", DID), ("Diversion", f'"Sales" <sip:{OTHER}@x>')], [OTHER]),
        ([("To", DID), ("Diversion", DID)], []),
        ([("Diversion", f"{DID}, {OTHER}, {OTHER[1:]}"), ("History-Info", OTHER)], [OTHER]),
        ([("History-Info", f"{OTHER}, {DID}, {PROJECT}")], [OTHER]),
        ([("To", DID), ("Diversion", f"<sip:{OTHER}@x>;privacy=full")], []),
        ([("To", DID), ("Diversion", f"<sip:{OTHER}@x>;privacy=off")], [OTHER]),
        ([("To", DID), ("History-Info", f"<sip:{OTHER}@x?Privacy=history>")], []),
        ([("To", DID), ("History-Info", OTHER), ("Privacy", "History")], []),
        ([("To", DID), ("Diversion", "<sip:2001@pbx>")], []),
    ],
    ids=[
        "second-entry",
        "to-is-dialed",
        "own-number",
        "each-once",
        "history",
        "diversion-privacy",
        "diversion-privacy-off",
        "uri-privacy",
        "privacy-header",
        "extension",
    ],
)
def test_those_who_diverted_the_call_are_kept(
    pairs: list[tuple[str, str]], expected: list[str]
) -> None:
    assert forwarders(*pairs) == expected


def test_printed_invite_shows_no_number() -> None:
    invite = invite_of(("From", f'"Alice" <sip:{CALLER}@x>'), *EVERYWHERE)
    printed = repr(invite) + repr(pick_dialed(invite, lambda _: True))
    assert "+1" not in printed
    assert "Alice" not in printed
    assert "3000000" not in printed
