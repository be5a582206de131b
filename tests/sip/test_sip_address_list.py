"""Headers that hold a comma-separated list of addresses."""

from dataclasses import replace

import pytest

from sipagent.errors import SipSyntaxError
from sipagent.sip import Address, parse_address_list
from sipagent.sip.address import MAX_LIST_LENGTH

NUMBER = Address(scheme="sip", user="+14155550100", host="x.com")


def flagged(address: Address, *flags: str) -> Address:
    return replace(address, flags=frozenset(flags))


SECOND = Address(scheme="sip", user="+14155550101", host="y.com")

LISTS = {
    "one": ("<sip:+14155550100@x.com>", (NUMBER,)),
    "two": ("<sip:+14155550100@x.com>,<sip:+14155550101@y.com>", (NUMBER, SECOND)),
    "two-with-blanks": ("<sip:+14155550100@x.com> , <sip:+14155550101@y.com> ", (NUMBER, SECOND)),
    "two-without-brackets": ("sip:+14155550100@x.com,sip:+14155550101@y.com", (NUMBER, SECOND)),
    "quoted-names": (
        '"A" <sip:+14155550100@x.com>, "B" <sip:+14155550101@y.com>',
        (replace(NUMBER, display_name="A"), replace(SECOND, display_name="B")),
    ),
    "comma-and-uri-in-quotes": (
        '"A, <sip:1@z>" <sip:+14155550100@x.com>, "B\\", " <sip:+14155550101@y.com>',
        (
            replace(NUMBER, display_name="A, <sip:1@z>"),
            replace(SECOND, display_name='B", '),
        ),
    ),
    "parameters": (
        '<sip:+14155550100@x.com>;reason=unconditional;x="a,b", <sip:+14155550101@y.com>;counter=1',
        (
            replace(NUMBER, header_params=(("reason", "unconditional"), ("x", "a,b"))),
            replace(SECOND, header_params=(("counter", "1"),)),
        ),
    ),
    "comma-in-user": (
        "<sip:a,b@x.com>, <sip:+14155550101@y.com>",
        (replace(NUMBER, user="a,b"), SECOND),
    ),
    "bare-numbers": (
        "+14155550100, 14155550101",
        (Address(user="+14155550100"), Address(user="14155550101")),
    ),
    "number-then-name": (
        "+14155550100, Bob <sip:+14155550101@y.com>",
        (Address(user="+14155550100"), replace(SECOND, display_name="Bob")),
    ),
    "empty-entries": (
        ", <sip:+14155550100@x.com>,, <sip:+14155550101@y.com>,",
        (NUMBER, SECOND),
    ),
    "sip-and-tel": (
        "<sip:+14155550100@x.com>, <tel:+14155550100>",
        (NUMBER, Address(scheme="tel", user="+14155550100")),
    ),
    "last-bracket-open": (
        "<sip:+14155550100@x.com>, <sip:+14155550101@y.com",
        (NUMBER, flagged(SECOND, "missing-bracket")),
    ),
    "folded": (
        "<sip:+14155550100@x.com>,\r\n <sip:+14155550101@y.com>",
        (NUMBER, SECOND),
    ),
    "history-info": (
        (
            "<sip:+14155550100@x.com?Reason=SIP%3Bcause%3D302>;index=1, "
            "<sip:+14155550101@y.com>;index=1.1"
        ),
        (
            replace(
                NUMBER, uri_headers="Reason=SIP%3Bcause%3D302", header_params=(("index", "1"),)
            ),
            replace(SECOND, header_params=(("index", "1.1"),)),
        ),
    ),
}


@pytest.mark.parametrize(("value", "expected"), LISTS.values(), ids=LISTS.keys())
def test_address_list_is_read(value: str, expected: tuple[Address, ...]) -> None:
    assert parse_address_list(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "",
        ",",
        " , ,",
        "<sip:a@x.com>, nonsense",
        "<sip:a@x.com, <sip:b@y.com>",
        '<sip:a@x.com>, "open <sip:b@y.com>',
        "foo, sip:a@x.com, <sip:b@y.com>",
        "<sip:a@x.com> <sip:b@y.com>",
        ",".join(["1"] * (MAX_LIST_LENGTH + 1)),
    ],
    ids=[
        "empty",
        "comma",
        "commas",
        "nonsense-entry",
        "open-first-bracket",
        "open-quote",
        "uri-within-name",
        "no-comma",
        "too-many",
    ],
)
def test_address_list_is_refused_as_a_whole(value: str) -> None:
    with pytest.raises(SipSyntaxError):
        parse_address_list(value)


def test_most_entries_are_read() -> None:
    assert len(parse_address_list(",".join(["1"] * MAX_LIST_LENGTH))) == MAX_LIST_LENGTH
