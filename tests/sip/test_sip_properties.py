"""What holds for every input: no surprise exceptions, linear time, agreement with an oracle."""

import contextlib
import time
from collections.abc import Callable

import pytest
import sipmessage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sipagent.errors import SipSyntaxError
from sipagent.sip import (
    E164,
    Headers,
    Untrusted,
    is_e164,
    mask_number,
    parse_address,
    parse_address_list,
    pick_dialed,
    read_invite,
    spellings,
    to_e164,
)
from sipagent.sip import address as address_module

quick = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)

anything = st.text(st.characters(exclude_categories=()), max_size=60)
WORDS = r"""< > " \ ; , : @ ? = % %2B %00 %zz %e2 [ ] [::1] sip: SIP: tel: sips: + +14155550100
17134810111 proj_1 x.com :5060 tag=1 phone-context=+1 a Privacy=history anonymous"""
ODD_LETTERS = "é\u0661\ud800\u200b\x00\x1b \n\r\t"
PIECES = [*WORDS.split(), *ODD_LETTERS, "\r\n "]
near_address = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
text = anything | near_address
NAME_WORDS = """To From f t Diversion History-Info X-Number X-DID P-Asserted-Identity
Remote-Party-ID Privacy X-Vendor X-Twilio-VerStat P-Attestation-Indicator"""
NAMES = NAME_WORDS.split()
json_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
header = st.fixed_dictionaries(
    {"name": st.sampled_from(NAMES) | text, "value": near_address | json_value}
)
header_list = st.lists(header | json_value, max_size=8) | json_value


@quick
@given(text)
def test_any_text_is_read_or_refused(value: str) -> None:
    for parse in (parse_address, parse_address_list):
        with contextlib.suppress(SipSyntaxError):
            assert parse(value)


@quick
@given(text)
def test_single_address_is_a_list_of_one(value: str) -> None:
    try:
        address = parse_address(value)
    except SipSyntaxError:
        return
    assert parse_address_list(value) == (address,)


@quick
@given(near_address, near_address)
def test_read_address_holds_no_control_character(head: str, tail: str) -> None:
    try:
        address = parse_address(f"{head}<sip:{tail}")
    except SipSyntaxError:
        return
    held = [address.display_name, address.user, address.host]
    params = (*address.user_params, *address.uri_params, *address.header_params)
    held += [part for pair in params for part in pair]
    assert not any(ord(letter) < 32 or letter == "\x7f" for part in held for letter in part or "")


@quick
@given(header_list, st.sampled_from([None, "US", "RU", "XX"]), st.sampled_from([None, *NAMES, ""]))
def test_any_json_is_an_invite(raw: object, region: str | None, dialed_header: str | None) -> None:
    headers = Headers.from_json(raw)
    invite = read_invite(headers, region=region, dialed_header=dialed_header)
    for listed, is_listed in ((False, set[str]().__contains__), (True, bool)):
        dialed = pick_dialed(invite, is_listed)
        assert dialed is None or dialed.listed == listed
        assert dialed is None or dialed.e164 is None or is_e164(dialed.e164)
    assert invite.caller_e164 is None or is_e164(invite.caller_e164.value)
    for candidate in invite.candidates:
        assert candidate.lookups
        assert candidate.e164 is not None or candidate.listed_only


@quick
@given(header_list)
def test_printed_invite_shows_no_value(raw: object) -> None:
    headers = Headers.from_json(raw)
    printed = repr(headers) + repr(read_invite(headers))
    assert "14155550100" not in printed
    assert "17134810111" not in printed


@quick
@given(text, st.sampled_from([None, "US", "FR"]))
def test_any_text_is_a_number_or_none(value: str, region: str | None) -> None:
    number = to_e164(value, region)
    assert number is None or (is_e164(number) and number.isascii())


@quick
@given(st.from_regex(r"\A\+[1-9][0-9]{6,14}\Z"))
def test_number_is_itself_in_every_spelling(number: str) -> None:
    plus, digits, double_zero, nanp = spellings(E164(number))
    assert to_e164(plus) == to_e164(digits) == to_e164(double_zero) == number
    assert nanp == f"011{digits}"
    for region in ("US", "FR"):
        assert to_e164(plus, region) == number


@quick
@given(st.from_regex(r"\A\+[1-9][0-9]{6,14}\Z"))
def test_number_is_itself_in_every_address(number: str) -> None:
    digits = number[1:]
    for value in (
        f"<sip:{number}@x.com>",
        f'"+{digits[::-1]}" <sip:{digits}@x.com;user=phone>;tag={digits}',
        f"<sip:%2b{digits};npdi;rn=+1@[::1]:5060>",
        f"tel:{number};ext=1",
        number,
        f"%2B{digits}",
    ):
        invite = read_invite(Headers.from_json([{"name": "To", "value": value}]))
        assert [candidate.e164 for candidate in invite.candidates] == [number]


@quick
@given(text, st.integers(1, 200))
def test_printable_text_is_short_and_stays_so(value: str, limit: int) -> None:
    shown = Untrusted(value).printable(limit)
    assert len(shown) <= limit
    assert Untrusted(shown).printable(limit) == shown
    shown.encode()


@quick
@given(text | st.from_regex(r"\A\+[0-9]{1,20}\Z"))
def test_mask_never_shows_more_than_four_digits(value: str) -> None:
    assert sum(letter.isdigit() for letter in mask_number(value)) <= 4


user_text = st.from_regex(r"\A[A-Za-z0-9_.!~*'()&=+$,/-]{1,12}\Z")
host_text = st.from_regex(r"\A(?:[a-z][a-z0-9-]{0,6}[a-z0-9]\.){0,3}[a-z]{2,5}\Z") | st.just(
    "[::1]"
)
token_text = st.from_regex(r"\A[a-z][a-z0-9.+~-]{0,8}\Z").filter(lambda name: name != "self")
params_text = st.dictionaries(token_text, st.none() | token_text, max_size=3)
name_text = st.text(st.sampled_from("abc ,;:<>@\\\"'%é日"), min_size=1, max_size=12).filter(
    str.strip
)


def parameters(params: dict[str, str | None]) -> str:
    return "".join(
        f";{name}" if value is None else f";{name}={value}" for name, value in params.items()
    )


def quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}" '


@quick
@given(user_text, host_text, st.none() | st.integers(1, 65535), params_text, params_text)
def test_well_formed_address_is_what_sipmessage_reads(
    user: str,
    host: str,
    port: int | None,
    uri_params: dict[str, str | None],
    header_params: dict[str, str | None],
) -> None:
    at = f"{host}:{port}" if port else host
    value = f"<sip:{user}@{at}{parameters(uri_params)}>{parameters(header_params)}"
    ours, theirs = parse_address(value), sipmessage.Address.parse(value)
    assert (ours.user, ours.host, ours.port) == (theirs.uri.user, theirs.uri.host, theirs.uri.port)
    assert dict(ours.uri_params) == dict(theirs.uri.parameters) == uri_params
    assert dict(ours.header_params) == dict(theirs.parameters) == header_params
    assert ours.flags == frozenset()


@quick
@given(name_text, user_text, host_text, st.lists(st.just(None), max_size=3))
def test_written_address_is_read_back(name: str, user: str, host: str, others: list[None]) -> None:
    value = f"{quoted(name)}<sip:{user}@{host}>"
    entries = parse_address_list(", ".join([value] * (len(others) + 1)))
    assert len(entries) == len(others) + 1
    for entry in entries:
        assert (entry.display_name, entry.user, entry.host) == (name, user, host)


GROWING: dict[str, Callable[[int], str]] = {
    "open-quotes-and-brackets": lambda n: '"a" <' * n,
    "quotes": lambda n: '"' * n,
    "escaped-quotes": lambda n: '"' + '\\"' * n,
    "backslashes": lambda n: '"' + "\\" * n,
    "brackets": lambda n: "<" * n + "sip:a@x.com",
    "closing-brackets": lambda n: "<sip:a@x.com" + ">" * n,
    "semicolons": lambda n: "<sip:a@x.com>" + ";" * n,
    "semicolons-and-blanks": lambda n: "<sip:a@x.com>" + "; " * n,
    "blanks-then-junk": lambda n: "<sip:a@x.com>" + " " * n + "x",
    "parameters": lambda n: "<sip:a@x.com>" + "".join(f";p{i}=1" for i in range(n)),
    "quoted-parameters": lambda n: "<sip:a@x.com>" + ';a="' * n,
    "uri-parameters": lambda n: "<sip:a@x.com" + ";a=1" * n + ">",
    "user-parameters": lambda n: "<sip:1" + ";a=1" * n + "@x.com>",
    "semicolons-in-name-user": lambda n: "<sip:a" + ";" * n + "@x.com>",
    "at-signs": lambda n: "<sip:" + "@" * n + ">",
    "escapes": lambda n: "<sip:" + "%41" * n + "@x.com>",
    "broken-escapes": lambda n: "<sip:" + "%41%" * n + "@x.com>",
    "labels": lambda n: "<sip:a@" + "a." * n + "!>",
    "hyphens": lambda n: "<sip:a@" + "-" * n + "!>",
    "digits-and-separators": lambda n: "1-" * n + "x",
    "separators": lambda n: "(" * n,
    "tel-separators": lambda n: "tel:" + "-" * n,
    "tokens": lambda n: "a " * n,
    "tokens-then-bracket": lambda n: "sip " * n + "<sip:a@x.com>",
    "commas": lambda n: "," * n,
    "comma-list": lambda n: "<sip:a@x.com>," * n,
    "names-and-commas": lambda n: "a," * n,
    "numbers-and-commas": lambda n: "1," * n,
    "folds": lambda n: "\r\n " * n,
    "carriage-returns": lambda n: "\r" * n,
    "hidden-name": lambda n: '"' + "\u200b" * n + '" <sip:a@x.com>',
    "ipv6": lambda n: "<sip:a@[" + ":" * n + "]>",
    "schemes": lambda n: "sip:" * n,
}


def fastest(parse: Callable[[str], object], value: str) -> float:
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        with contextlib.suppress(SipSyntaxError):
            parse(value)
        best = min(best, time.process_time() - start)
    return max(best, 20e-6)


@pytest.mark.parametrize("parse", [parse_address, parse_address_list])
@pytest.mark.parametrize("pattern", GROWING.values(), ids=GROWING.keys())
def test_time_grows_with_length_alone(
    pattern: Callable[[int], str],
    parse: Callable[[str], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(address_module, "MAX_VALUE_LENGTH", 10**9)
    monkeypatch.setattr(address_module, "MAX_LIST_LENGTH", 10**9)
    # 16 times the length: linear work takes 16 times as long, quadratic work 256 times.
    assert fastest(parse, pattern(16_000)) < 90 * fastest(parse, pattern(1_000))
