"""What a model gets to read: clean, short, and JSON where it was."""

import json
from collections.abc import Iterator

import pytest

from sipagent.tools.output import (
    MOST_BYTES,
    UnfitError,
    cleaned,
    error_of,
    output_of,
    pointed,
    text_of,
)

DOCUMENT = {"a": [{"b": 1}, 2], "": 0, "x/y": 3, "m~n": 4, "0": "zero", "null": None}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", DOCUMENT),
        ("#", DOCUMENT),
        ("/a/0/b", 1),
        ("#/a/0/b", 1),
        ("/a/1", 2),
        ("/", 0),
        ("/x~1y", 3),
        ("/m~0n", 4),
        ("/0", "zero"),
        ("/null", None),
        ("/a/2", None),
        ("/a/-", None),
        ("/a/01", None),
        ("/a/-1", None),
        ("/a/99999999999999999999999", None),
        ("/a/\u0661", None),
        ("/a/b", None),
        ("/0/0", None),
        ("/none/b", None),
        ("/x~01y", None),
    ],
)
def test_a_pointer(pointer: str, value: object) -> None:
    """RFC 6901."""
    assert pointed(DOCUMENT, pointer) == value


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("plain", "plain"),
        ("two\r\nlines\tand", "two  lines and"),
        ("a\u2028b\u2029c\x85d", "a b c d"),
        ("a\u202eb\u200bc\ufeffd\x00e\x1bf", "abcdef"),
        ("a\ud800b\U000e0041c\ufe0f", "abc"),
        ("J\u00f6rg \u4e16", "J\u00f6rg \u4e16"),
    ],
)
def test_texts_lose_what_nobody_sees(text: str, clean: str) -> None:
    assert cleaned(text) == clean
    assert json.loads(output_of({"k" + text: [text]})) == {"k" + clean: [clean]}


def test_an_output_is_compact() -> None:
    assert output_of({"a": [1, None, True, 1.5], "b": {}}) == '{"a":[1,null,true,1.5],"b":{}}'
    assert error_of("no", status=404) == '{"error":"no","status":404}'


@pytest.mark.parametrize(
    "value",
    [float("nan"), {1: 2}, {"a": object()}, {"a": b"b"}, {"a": {1}}],
)
def test_what_is_no_json_is_unfit(value: object) -> None:
    with pytest.raises(UnfitError):
        output_of(value)


def test_what_is_too_deep_is_unfit() -> None:
    value: object = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(UnfitError):
        output_of(value)


@pytest.mark.parametrize(
    "piece", ["a", '"', "\\", "\u00fc", "\u4e16", "\U0001f600", '"\u4e16\\', "ab\n"]
)
def test_what_is_too_long_is_cut_and_says_so(piece: str) -> None:
    for value in ({"text": piece * MOST_BYTES}, [piece] * MOST_BYTES, piece * MOST_BYTES):
        output = output_of(value)
        assert MOST_BYTES // 2 < len(output.encode()) <= MOST_BYTES
        shown = json.loads(output)
        begins = shown["begins"]
        assert shown["cut"] == f"only the first {len(begins)} characters of it"
        whole = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        assert whole.replace("\\n", " ").startswith(begins)


def test_what_just_fits_is_not_cut() -> None:
    assert output_of("a" * (MOST_BYTES - 2)) == f'"{"a" * (MOST_BYTES - 2)}"'
    assert text_of("a" * MOST_BYTES) == "a" * MOST_BYTES
    assert json.loads(text_of("a" * (MOST_BYTES + 1)))["begins"].startswith("aaa")


def test_no_more_is_cleaned_than_a_model_can_be_shown() -> None:
    """A server's answer of 256 KiB must not hold up the calls of all others."""
    reads = 0

    class Members(list[object]):
        def __iter__(self) -> Iterator[object]:
            nonlocal reads
            for member in super().__iter__():
                reads += 1
                yield member

    shown = json.loads(output_of(Members([[]] * 87_000)))
    assert shown["begins"] == ("[" + "[]," * 87_000)[: len(shown["begins"])]
    assert reads <= MOST_BYTES + 1
    assert len(cleaned("\u00fc" * 256_000, 10)) == len(cleaned("u" * 256_000, 10)) == 10
