"""The header list of a webhook, whatever JSON it turns out to be."""

import pytest

from sipagent.sip import MAX_HEADERS, MAX_VALUE_LENGTH, Headers

COMPACT = {
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "v": "via",
    "y": "identity",
    "r": "refer-to",
    "b": "referred-by",
    "x": "session-expires",
    "k": "supported",
    "c": "content-type",
    "l": "content-length",
    "s": "subject",
    "e": "content-encoding",
    "o": "event",
    "u": "allow-events",
    "a": "accept-contact",
    "j": "reject-contact",
    "d": "request-disposition",
    "n": "identity-info",
}


def entry(name: object, value: object) -> dict[str, object]:
    return {"name": name, "value": value}


@pytest.mark.parametrize(
    ("raw", "dropped"),
    [
        (None, 0),
        ([], 0),
        ("{}", 1),
        ({"To": "x"}, 1),
        (5, 1),
        (True, 1),
        ([[entry("To", "x")]], 1),
        ([None, "To: x", 1, True, [], {}], 6),
        ([entry("To", None), entry("To", 5), entry("To", ["x"]), entry("To", {"a": 1})], 4),
        ([{"name": "To"}, {"value": "x"}, entry(None, "x"), entry(5, "x")], 4),
        ([entry("", "x"), entry(" ", "x"), entry("To\r\nX-Evil", "1"), entry("To\n", "1")], 4),
        ([entry("X Y", "x"), entry("X:Y", "x"), entry("Tö", "x"), entry("X\x00", "x")], 4),
        ([entry("X" * 257, "x"), entry("\ud800", "x")], 2),
        ([entry("To", "x" * (MAX_VALUE_LENGTH + 1))], 1),
    ],
)
def test_unusable_json_is_counted_and_dropped(raw: object, dropped: int) -> None:
    headers = Headers.from_json(raw)
    assert (headers.pairs, headers.dropped) == ((), dropped)


def test_order_and_repeats_are_kept() -> None:
    headers = Headers.from_json(
        [entry("B", "1"), entry("X-A", "2"), entry("x-a", ""), None, entry("X-A", "2")]
    )
    assert list(headers.items()) == [
        ("referred-by", "1"),
        ("x-a", "2"),
        ("x-a", ""),
        ("x-a", "2"),
    ]
    assert headers.all("X-A") == ("2", "", "2")
    assert headers.names() == {"referred-by", "x-a"}
    assert (len(headers), headers.dropped) == (4, 1)


@pytest.mark.parametrize(("short", "name"), COMPACT.items(), ids=COMPACT.values())
def test_compact_name_is_written_out(short: str, name: str) -> None:
    headers = Headers.from_json([entry(short.upper(), "x")])
    assert headers.all(name) == headers.all(short) == headers.all(name.title()) == ("x",)


@pytest.mark.parametrize("name", ["TO ", " To", "\tto\t", "tO"])
def test_blanks_around_a_name_mean_nothing(name: str) -> None:
    assert Headers.from_json([entry(name, "x")]).all("to") == ("x",)


@pytest.mark.parametrize("name", ["CALLED_DID", "x-FROM_NUMBER", "C%6Fntact", "z"])
def test_unusual_token_is_a_name(name: str) -> None:
    assert Headers.from_json([entry(name, "x")]).all(name) == ("x",)


@pytest.mark.parametrize("name", ["", "no such name", "X-Missing", "x-missing", "q"])
def test_missing_name_has_no_values(name: str) -> None:
    headers = Headers.from_json([entry("To", "x")])
    assert headers.all(name) == ()
    assert name not in headers


def test_only_the_first_headers_are_read() -> None:
    headers = Headers.from_json([entry("X-A", str(n)) for n in range(MAX_HEADERS + 5)])
    assert len(headers) == MAX_HEADERS
    assert headers.dropped == 5
    assert headers.all("x-a")[-1] == str(MAX_HEADERS - 1)


def test_longest_value_is_kept() -> None:
    value = "x" * MAX_VALUE_LENGTH
    assert Headers.from_json([entry("To", value)]).all("to") == (value,)


def test_further_members_of_an_entry_are_ignored() -> None:
    assert Headers.from_json([{**entry("To", "x"), "extra": 1}]).all("to") == ("x",)


def test_secret_header_can_be_taken_away() -> None:
    headers = Headers.from_json([entry("To", "x"), entry("X-Trunk-Key", "s3cret"), None])
    left = headers.without("X-TRUNK-KEY", "bad name")
    assert list(left.items()) == [("to", "x")]
    assert left.dropped == 1
    assert "x-trunk-key" in headers
    assert "x-trunk-key" not in left
    assert 5 not in left


def test_printed_headers_show_neither_names_nor_values() -> None:
    headers = Headers.from_json([entry("X-Trunk-Key", "s3cret")])
    assert repr(headers) == "Headers(dropped=0)"


def test_equal_headers_are_equal() -> None:
    raw = [entry("To", "x")]
    assert Headers.from_json(raw) == Headers.from_json(raw)
    assert hash(Headers.from_json(raw)) == hash(Headers.from_json(raw))
