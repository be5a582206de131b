"""Which texts are numbers, and which number each of them is."""

import pytest

from sipagent.sip import E164, is_e164, number_in, parse_address, spellings, to_e164
from sipagent.sip.numbers import MAX_TEXT_LENGTH, digits_of, number_in_context

WITHOUT_REGION = {
    "e164": ("+14155550100", "+14155550100"),
    "e164-impossible-in-nanp": ("+142555512112", "+142555512112"),
    "shortest": ("+1234567", "+1234567"),
    "too-short": ("+123456", None),
    "longest": ("+123456789012345", "+123456789012345"),
    "too-long": ("+1234567890123456", None),
    "country-code-0": ("+0114155550100", None),
    "separators": ("+1 (415) 555-01.00", "+14155550100"),
    "separators-at-start": ("+(1)4155550100", "+14155550100"),
    "separator-at-end": ("+14155550100-", None),
    "blank-at-end": ("+14155550100 ", None),
    "blank-at-start": (" +14155550100", None),
    "four-separators": ("+1----4155550100", None),
    "tab": ("+1\t4155550100", None),
    "no-break-space": ("+1\u00a04155550100", None),
    "zero-width-space": ("+1415\u200b5550100", None),
    "unicode-digits": ("+\uff11\uff14\uff11\uff15\uff15\uff15\uff15\uff10\uff11\uff10\uff10", None),
    "arabic-digits": ("+١٤١٥٥٥٥٠١٠٠", None),
    "letters": ("1800FLOWERS", None),
    "project": ("proj_0123456789abcdef", None),
    "letter-at-end": ("+1415555010a", None),
    "parameter": ("+14155550100;phone-context=evil", None),
    "line-break": ("+14155550100\n", None),
    "two-plus": ("++14155550100", None),
    "plus-inside": ("1+4155550100", None),
    "plus-alone": ("+", None),
    "empty": ("", None),
    "digits": ("17134810111", "+17134810111"),
    "digits-shortest": ("1234567", "+1234567"),
    "digits-too-short": ("123456", None),
    "digits-longest": ("123456789012345", "+123456789012345"),
    "digits-too-long": ("1234567890123456", None),
    "national-with-0": ("0493363501", None),
    "prefix-00": ("0014155550100", "+14155550100"),
    "prefix-000": ("00014155550100", None),
    "prefix-00-too-short": ("00123456", None),
    "prefix-00-alone": ("00", None),
    "prefix-011-needs-a-region": ("01114155550100", None),
    "short-code": ("911", None),
    "endless": ("1" * (MAX_TEXT_LENGTH + 1), None),
}

WITH_REGION = {
    "ru-trunk-8": ("84996382584", "RU", "+74996382584"),
    "ru-international": ("79005550123", "RU", "+79005550123"),
    "ru-810": ("81014155550100", "RU", "+14155550100"),
    "fr-trunk-0": ("0493363501", "FR", "+33493363501"),
    "fr-international": ("33493363501", "FR", "+33493363501"),
    "fr-foreign": ("14155550100", "FR", "+14155550100"),
    "us-national": ("4155550100", "US", "+14155550100"),
    "us-separators": ("(415) 555-0100", "US", "+14155550100"),
    "us-with-1": ("17134810111", "US", "+17134810111"),
    "us-foreign": ("442079460958", "US", "+442079460958"),
    "us-impossible": ("142555512112", "US", "+142555512112"),
    "us-test-number-is-not-validated": ("5555550100", "US", "+15555550100"),
    "us-011": ("01114155550100", "US", "+14155550100"),
    "us-011-foreign": ("011442079460958", "US", "+442079460958"),
    "ca-011": ("011442079460958", "CA", "+442079460958"),
    "us-011-too-short": ("011123", "US", None),
    "us-00": ("0014155550100", "US", "+14155550100"),
    "us-local-only": ("5550100", "US", None),
    "us-short-code": ("911", "US", None),
    "us-extension": ("2001", "US", None),
    "de-extension": ("2001", "DE", None),
    "de-trunk-0": ("03055501234", "DE", "+493055501234"),
    "de-international": ("493055501234", "DE", "+493055501234"),
    "it-keeps-its-zero": ("0612345678", "IT", "+390612345678"),
    "au-0011": ("0011442079460958", "AU", "+442079460958"),
    "gb-lower-case-region": ("02079460958", "gb", "+442079460958"),
    "unknown-region": ("17134810111", "XX", "+17134810111"),
    "plus-needs-no-region": ("+0114155550100", "US", None),
    "plus-is-kept": ("+4155550100", "US", "+4155550100"),
    "letters-stay-letters": ("415555HELP", "US", None),
    "unicode-digits": ("٤١٥٥٥٥٠١٠٠", "US", None),
    "endless-in-region": ("1" * 30, "US", None),
}


@pytest.mark.parametrize(("text", "number"), WITHOUT_REGION.values(), ids=WITHOUT_REGION.keys())
def test_number_without_region(text: str, number: str | None) -> None:
    assert to_e164(text) == number


@pytest.mark.parametrize(("text", "region", "number"), WITH_REGION.values(), ids=WITH_REGION.keys())
def test_number_with_region(text: str, region: str, number: str | None) -> None:
    assert to_e164(text, region) == number


def test_spellings_are_those_of_carriers() -> None:
    found = spellings(E164("+14155550100"))
    assert found == ("+14155550100", "14155550100", "0014155550100", "01114155550100")


def test_syntax_is_all_that_is_e164() -> None:
    assert is_e164("+15555550100")
    assert not is_e164("+15555550100\n")
    assert not is_e164("15555550100")


def test_digits_lose_only_their_separators() -> None:
    assert digits_of("+1 (415) 555-0100") == "+14155550100"
    assert digits_of("proj_1") is None


@pytest.mark.parametrize(
    ("value", "number", "joined"),
    [
        ("<sip:+14155550100;npdi;rn=+12025550000@x.com>", "+14155550100", None),
        ("<sip:14155550100@x.com;user=phone>", "+14155550100", None),
        ("<sip:%2B14155550100@x.com>", "+14155550100", None),
        ("<sip:+14155550100%3Bphone-context=evil@x.com>", None, None),
        ("<sip:+14155550100;phone-context=evil@x.com>", "+14155550100", None),
        ("<tel:+14155550100;phone-context=+44>", "+14155550100", None),
        ("<tel:863-1234;phone-context=+1-914-555>", None, "+19145558631234"),
        ("tel:863-1234;phone-context=+1-914-555", None, "+19145558631234"),
        ("<sip:5550100;phone-context=+1415@x.com;user=phone>", None, "+14155550100"),
        ("<tel:4155550100;phone-context=example.com>", None, None),
        ("<tel:4155550100;phone-context>", None, None),
        ("<tel:4155550100;phone-context=1>", None, None),
        ("<tel:4155550100;phone-context=+123456789>", None, None),
        ("<tel:*98;phone-context=+1415>", None, None),
        ("<sip:alice@x.com>", None, None),
        ("<sip:x.com>", None, None),
        ("<sip:proj_14155550100@sip.api.openai.com>", None, None),
        ("<sip:1800386427901@x.com>", "+1800386427901", None),
        ("+14155550100", "+14155550100", None),
        ("2001", None, None),
    ],
)
def test_number_of_an_address(value: str, number: str | None, joined: str | None) -> None:
    address = parse_address(value)
    assert number_in(address) == number
    assert number_in_context(address) == joined
