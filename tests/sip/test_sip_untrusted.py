"""Text from outside hides itself when printed, and is harmless when it is asked for."""

import json

import pytest

from sipagent.sip import Untrusted, mask_number


@pytest.mark.parametrize(
    "printed",
    [
        repr(Untrusted("+14155550100")),
        str(Untrusted("+14155550100")),
        f"{Untrusted('+14155550100')}",
        "{!s}".format(Untrusted("+14155550100")),
        str([Untrusted("+14155550100")])[1:-1],
    ],
    ids=["repr", "str", "f-string", "format", "inside-a-list"],
)
def test_printed_form_shows_only_the_length(printed: str) -> None:
    assert printed == "Untrusted(<12 characters>)"


def test_format_specification_applies_to_the_printed_form() -> None:
    assert f"{Untrusted('abc'):>30}" == "     Untrusted(<3 characters>)"


def test_equal_text_is_equal_and_hashes_alike() -> None:
    assert {Untrusted("a"), Untrusted("a"), Untrusted("b")} == {Untrusted("a"), Untrusted("b")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("Zoë 日本 😀", "Zoë 日本 😀"),
        ("a\x1b[31mred\x1b[0m", "a[31mred[0m"),
        ("a\r\nb\tc\x00d\x7fe\x85f", "abcdef"),
        ("\u202eevil\u2066x\u2069", "evilx"),
        ("A\u200b\u200d\ufeff\u00adB", "AB"),
        ("a\u2028b\u2029c", "abc"),
        ("a\ud800\udfffb", "ab"),
        ("a\U000e0041\U000e0061\ufe0f\U000e0100\u3164\u034fb", "ab"),
        ("", ""),
    ],
    ids=[
        "plain",
        "letters-of-the-world",
        "terminal-escape",
        "controls",
        "bidi",
        "zero-width",
        "separators",
        "surrogates",
        "hidden-tags-and-selectors",
        "empty",
    ],
)
def test_printable_has_no_invisible_character(text: str, expected: str) -> None:
    assert Untrusted(text).printable() == expected


@pytest.mark.parametrize("letter", ["a", "é"])
def test_printable_is_cut_after_the_invisible_is_gone(letter: str) -> None:
    assert Untrusted("\u200b" * 500 + letter * 500).printable() == letter * 128
    assert Untrusted(letter * 500).printable(3) == letter * 3


def test_quoted_is_one_json_string() -> None:
    text = 'She said "ignore \\ all"\n\u202e}} {{ config'
    quoted = Untrusted(text).quoted()
    assert json.loads(quoted) == 'She said "ignore \\ all"}} {{ config'
    assert Untrusted("é" * 9).quoted(3) == '"ééé"'


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("+14067704205", "+14*******05"),
        ("14067704205", "14*******05"),
        ("+1 (406) 770-4205", "+14*******05"),
        ("+4930550100", "+49******00"),
        ("+44\u00a020\u20117946/0958", "+44********58"),
        ("020\u200b7946,0958", "02*******58"),
        ("2001", "****"),
        ("+123456", "*******"),
        ("12345678", "12****78"),
        ("", ""),
        ("alice", "*****"),
        ("sip:+14067704205@example.com", "*" * 12),
        ("١٤١٥٥٥٥٠١٠٠", "*" * 11),
        ("4067704205 is Alice", "*" * 12),
    ],
)
def test_masked_number_shows_four_digits_at_most(text: str, masked: str) -> None:
    assert mask_number(text) == masked
