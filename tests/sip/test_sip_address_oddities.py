"""Odd values that are taken with a flag, and values that could mean two things."""

from dataclasses import replace

import pytest

from sipagent.errors import SipSyntaxError
from sipagent.sip import Address, parse_address
from sipagent.sip.address import MAX_VALUE_LENGTH

NUMBER = Address(scheme="sip", user="+14155550100", host="x.com")


def with_(**changes: object) -> Address:
    return replace(NUMBER, **changes)  # type: ignore[arg-type]


def flagged(address: Address, *flags: str) -> Address:
    return replace(address, flags=frozenset(flags))


ODD = {
    "missing-bracket-with-parameters": (
        "<sip:+14155550100@x.com;transport=udp;tag=1",
        flagged(with_(uri_params=(("transport", "udp"), ("tag", "1"))), "missing-bracket"),
    ),
    "missing-host-in-brackets": (
        "<sip:+15617500080;verstat=TN-Validation-Passed>",
        Address(
            scheme="sip",
            user="+15617500080",
            uri_params=(("verstat", "TN-Validation-Passed"),),
            flags=frozenset({"missing-host"}),
        ),
    ),
    "missing-host-digits": (
        "sip:17134810111",
        Address(scheme="sip", user="17134810111", flags=frozenset({"missing-host"})),
    ),
    "userinfo-parameters-without-brackets": (
        "sip:+18005550199;npdi;rn=+12025550000@sbc.example",
        Address(
            scheme="sip",
            user="+18005550199",
            header_params=(("npdi", None), ("rn", "+12025550000@sbc.example")),
            flags=frozenset({"missing-host"}),
        ),
    ),
    "missing-scheme": (
        '"Alice" <+14155550100>',
        Address("Alice", user="+14155550100", flags=frozenset({"missing-scheme"})),
    ),
    "blank-after-bracket": ("< sip:+14155550100@x.com>", flagged(NUMBER, "blank-in-uri")),
    "tab-before-bracket": ("<sip:+14155550100@x.com\t>", flagged(NUMBER, "blank-in-uri")),
    "parameter-of-tel-with-illegal-character": (
        "<tel:+14155550100;x=#>",
        Address(
            scheme="tel",
            user="+14155550100",
            user_params=(("x", "#"),),
            flags=frozenset({"illegal-character"}),
        ),
    ),
    "hash-in-user": ("<sip:*98#@x.com>", flagged(with_(user="*98#"), "illegal-character")),
    "zero-width-in-user": (
        "<sip:+1415\u200b5550100@x.com>",
        flagged(with_(user="+1415\u200b5550100"), "illegal-character"),
    ),
    "tel-with-headers": (
        "<tel:+14155550100?Reason=SIP>",
        Address(
            scheme="tel",
            user="+14155550100",
            uri_headers="Reason=SIP",
            flags=frozenset({"illegal-character"}),
        ),
    ),
    "unquoted-utf-8-name": (
        "Zoë 日本 <sip:+14155550100@x.com>",
        flagged(with_(display_name="Zoë 日本"), "illegal-display-name"),
    ),
    "mail-address-as-name": (
        "bob@corp.example <sip:+14155550100@x.com>",
        flagged(with_(display_name="bob@corp.example"), "illegal-display-name"),
    ),
    "bidi-in-name": (
        '"\u202egnp.exe" <sip:+14155550100@x.com>',
        flagged(with_(display_name="gnp.exe"), "stripped-display-name"),
    ),
    "zero-width-in-name": (
        '"A\u200bB\ufeff" <sip:+14155550100@x.com>',
        flagged(with_(display_name="AB"), "stripped-display-name"),
    ),
    "surrogate-in-name": (
        '"A\ud800" <sip:+14155550100@x.com>',
        flagged(with_(display_name="A"), "stripped-display-name"),
    ),
    "only-controls-in-name": (
        '"\x1b\x07" <sip:+14155550100@x.com>',
        flagged(NUMBER, "stripped-display-name"),
    ),
    "empty-header-parameters": (
        "<sip:+14155550100@x.com>;;tag=1; ;=x;y=",
        flagged(with_(header_params=(("tag", "1"), ("y", ""))), "empty-parameter"),
    ),
    "empty-uri-parameters": (
        "<sip:+14155550100@x.com;;user=phone>",
        flagged(with_(uri_params=(("user", "phone"),)), "empty-parameter"),
    ),
    "empty-user-parameters": (
        "<sip:+14155550100;;npdi@x.com>",
        flagged(with_(user_params=(("npdi", None),)), "empty-parameter"),
    ),
    "duplicate-differs-in-case": (
        "<sip:+14155550100@x.com>;tag=1;TAG=2",
        flagged(with_(header_params=(("tag", "1"),)), "duplicate-parameter"),
    ),
    "duplicate-uri-parameter-by-escape": (
        "<sip:+14155550100@x.com;lr;%6Cr=2>",
        flagged(with_(uri_params=(("lr", None),)), "duplicate-parameter"),
    ),
    "bare-number-with-parameters": (
        "+14155550100;tag=1",
        Address(
            user="+14155550100",
            header_params=(("tag", "1"),),
            flags=frozenset({"number-parameters"}),
        ),
    ),
}

REFUSED = {
    "blank": "   ",
    "only-a-fold": "\r\n ",
    "wildcard": "*",
    "two-in-brackets": "<sip:+14155550100@x.com>, <sip:+14155550101@x.com>",
    "trailing-comma": "<sip:+14155550100@x.com>,",
    "name-ends-in-comma": "Bob, <sip:+14155550100@x.com>",
    "leading-comma": ",<sip:+14155550100@x.com>",
    "second-in-open-bracket": "<sip:+14155550100@x.com,sip:+14155550101@x.com",
    "number-then-address": "+14155550100, Bob <sip:+14155550101@x.com>",
    "two-at": "<sip:+14155550100@x.com@evil.com>",
    "two-at-without-brackets": "sip:+14155550100@x.com@evil.com",
    "at-in-uri-headers": "<sip:a@x.com?Contact=b@y.com>",
    "isbn": "isbn:2983792873",
    "name-scheme": "<name:John_Smith>",
    "mailto": "<mailto:a@x.com>",
    "soap-beep": "soap.beep://192.0.2.103:3002",
    "no-scheme-in-brackets": "<alan@jasomi.com>",
    "number-at-host": "+14155550100@x.com",
    "blank-before-colon": "<sip :a@x.com>",
    "open-quote": '"Mr. J. User <sip:j.user@example.com>',
    "open-quote-by-escape": '"a\\" <sip:+14155550100@x.com>',
    "quote-within-tokens": 'Bob "x" <sip:+14155550100@x.com>',
    "tokens-after-quotes": '"A" B <sip:+14155550100@x.com>',
    "addr-spec-after-quotes": '"A" sip:+14155550100@x.com',
    "addr-spec-after-tokens": "Bob sip:+14155550100@x.com",
    "uri-within-tokens": "Bob sip:+18005550199@bank.com <sip:+14155550100@x.com>",
    "only-quotes": '"Alice"',
    "only-tokens": "Alice",
    "quote-alone": '"',
    "empty-brackets": "<>",
    "blank-brackets": "< >",
    "bracket-alone": "<",
    "closing-bracket-alone": ">",
    "scheme-alone": "sip:",
    "scheme-alone-in-brackets": "<sip:>",
    "user-without-host": "<sip:+14155550100@>",
    "empty-user-with-password": "<sip::secret@x.com>",
    "tel-empty": "tel:",
    "tel-without-digits": "<tel:abc>",
    "tel-separators-only": "tel:-.()",
    "tel-plus-only": "<tel:+>",
    "tel-vanity": "<tel:1-800-FLOWERS>",
    "tel-letter-in-global": "<tel:+1415555010a>",
    "tel-unicode-digits": "<tel:+١٤١٥٥٥٥٠١٠٠>",
    "tel-only-parameters": "<tel:;phone-context=+1>",
    "bare-letter": "+1415555010a",
    "bare-plus": "+",
    "bare-unicode-digits": "+\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff10\uff10",
    "bare-two-by-words": "17134810111 or 17134810112",
    "bare-parameter-with-blank": "+14155550100;a b",
    "regbadct": "sip:user@example.com?Route=%3Csip:sip.example.com%3E",
    "ipv6-without-square-brackets": "<sip:+14155550100@2001:db8::10>",
    "ipv6-open": "<sip:a@[2001:db8::10>",
    "ipv6-empty": "<sip:a@[]>",
    "ipv6-nonsense": "<sip:a@[12345::1]>",
    "ipv6-zone": "<sip:a@[fe80::1%25eth0]>",
    "empty-label": "<sip:a@x..com>",
    "dots-only": "<sip:a@...>",
    "unicode-host": "<sip:a@exämple.com>",
    "escaped-host": "<sip:a@ex%61mple.com>",
    "port-zero": "<sip:a@x.com:0>",
    "port-empty": "<sip:a@x.com:>",
    "port-letters": "<sip:a@x.com:50a>",
    "port-65536": "<sip:a@x.com:65536>",
    "port-six-digits": "<sip:a@x.com:005060>",
    "port-without-host": "<sip:+14155550100:5060>",
    "blank-inside-uri": "<sip:a b@x.com>",
    "fold-inside-uri": "<sip:a@x.\r\n com>",
    "no-break-space-in-uri": "<sip:a\u00a0b@x.com>",
    "line-separator-in-uri": "<sip:a\u2028b@x.com>",
    "quote-inside-uri": '<sip:"a"@x.com>',
    "surrogate-in-uri": "<sip:a\ud800@x.com>",
    "c1-control-in-uri": "<sip:a\u0085@x.com>",
    "escape-nul": "<sip:%00@x.com>",
    "escape-esc": "<sip:a%1b[0m@x.com>",
    "escape-del": "<sip:a%7f@x.com>",
    "escape-c1": "<sip:a%c2%85@x.com>",
    "escape-line-separator": "<sip:a%e2%80%a8@x.com>",
    "escape-latin-1": "<sip:Zo%EB@x.com>",
    "escape-overlong": "<sip:a%c0%80@x.com>",
    "escape-surrogate": "<sip:a%ed%a0%80@x.com>",
    "escape-cut": "<sip:a%4@x.com>",
    "escape-percent-alone": "<sip:a%@x.com>",
    "escape-after-good-one": "<sip:%41%zz@x.com>",
    "escape-nul-in-parameter": "<sip:a@x.com;p=%00>",
    "escape-nul-in-password": "<sip:a:%00@x.com>",
    "escape-crlf-in-uri-headers": "<sip:a@x.com?Subject=%0d%0aX-Evil:1>",
    "line-feed": "<sip:a@x.com>\nX-Tenant: other",
    "carriage-return": "<sip:a@x.com>\r;tag=1",
    "carriage-return-blank": "<sip:a@x.com>\r ;tag=1",
    "line-break-at-end": "<sip:a@x.com>\r\n",
    "nul-after-bracket": "<sip:a@x.com>\x00",
    "nul-in-parameter": "<sip:a@x.com>;tag=\x00",
    "nul-in-quoted-parameter": '<sip:a@x.com>;x="\x00"',
    "text-after-bracket": "<sip:a@x.com>x",
    "bracket-after-bracket": "<sip:a@x.com>>",
    "bracket-after-addr-spec": "sip:a@x.com>",
    "bracket-in-parameter": "<sip:a@x.com>;x=<y>",
    "open-quote-in-parameter": '<sip:a@x.com>;x="y',
    "text-after-quoted-parameter": '<sip:a@x.com>;x="y"z',
    "blank-in-parameter-name": "<sip:a@x.com>;a b=1",
    "one-too-long": f'"{"A" * MAX_VALUE_LENGTH}" <sip:a@x.com>',
}


@pytest.mark.parametrize(("value", "expected"), ODD.values(), ids=ODD.keys())
def test_odd_address_is_taken_and_flagged(value: str, expected: Address) -> None:
    assert parse_address(value) == expected


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_address_is_refused(value: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_address(value)


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_refusal_does_not_repeat_the_value(value: str) -> None:
    with pytest.raises(SipSyntaxError) as caught:
        parse_address(value)
    assert len(value.strip()) < 4 or value.strip() not in str(caught.value)


def test_longest_value_is_read() -> None:
    tail = '" <sip:a@x.com>'
    value = '"' + "A" * (MAX_VALUE_LENGTH - len(tail) - 1) + tail
    assert len(value) == MAX_VALUE_LENGTH
    assert parse_address(value).user == "a"
