"""YAML 1.2 scalars, limits that no text can exceed, and places."""

import time
from pathlib import Path
from typing import Any

import pytest

from sipagent.config import parse
from sipagent.config.findings import Findings, Place
from sipagent.config.outline import Outline
from sipagent.config.yamlfile.reader import MAX_DEPTH, read
from sipagent.config.yamlfile.scalars import NotANumberError, core_value
from sipagent.config.yamlfile.values import to_data
from sipagent.errors import ConfigError


def data_of(text: str) -> Any:
    findings = Findings("agents.yaml")
    data = to_data(read(text, findings), findings, Outline(), {})
    assert findings.ordered() == ()
    return data


def findings_of(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text, file="f", base=Path())
    return [str(finding) for finding in caught.value.findings]


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("NO", "NO"),
        ("no", "no"),
        ("yes", "yes"),
        ("On", "On"),
        ("off", "off"),
        ("y", "y"),
        ("0123", 123),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", "0b101"),
        ("18:00", "18:00"),
        ("190:20:30", "190:20:30"),
        ("1_000", "1_000"),
        ("2026-11-30", "2026-11-30"),
        ("=", "="),
        ("1e3", 1000.0),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("+12", 12),
        ("-12", -12),
        ("-0", 0),
        ("1.2.3", "1.2.3"),
        ("+", "+"),
        ("-", "-"),
        (".", "."),
        ("..", ".."),
        ("1e", "1e"),
        ("0x", "0x"),
        ("0o8", "0o8"),
        ("-0x1", "-0x1"),
        ("١٢", "١٢"),
        ("true", True),
        ("True", True),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("false", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("None", "None"),
        ("nil", "nil"),
        ("9007199254740992", 9007199254740992),
        ("1" + "x" * 100, "1" + "x" * 100),
    ],
)
def test_plain_scalars_mean_what_yaml_1_2_says(plain: str, value: object) -> None:
    read_as = core_value(plain)
    assert read_as == value
    assert type(read_as) is type(value)


@pytest.mark.parametrize(
    "plain", [".inf", "-.INF", "+.Inf", ".nan", ".NaN", "9007199254740993", "1e999", "1" * 5000]
)
def test_numbers_that_json_cannot_carry_are_refused(plain: str) -> None:
    with pytest.raises(NotANumberError):
        core_value(plain)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: NO", {"a": "NO"}),
        ("a: 'true'", {"a": "true"}),
        ('a: "5"', {"a": "5"}),
        ("a: |\n  5\n", {"a": "5\n"}),
        ("a: >-\n  5\n  6\n", {"a": "5 6"}),
        ("+17134810111: x", {"+17134810111": "x"}),
        ("0017: x", {"0017": "x"}),
        ("NO: x", {"NO": "x"}),
        ("null: x", {"null": "x"}),
        ("18:00: x", {"18:00": "x"}),
        ("a: &b 5\nc: *b\n", {"a": 5, "c": 5}),
        ("? a\n: b", {"a": "b"}),
        ("&k a: 1\nb: *k\n", {"a": 1, "b": "a"}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("---\na: 1\n...\n", {"a": 1}),
        ("%YAML 1.2\n---\na: 1\n", {"a": 1}),
        ("{a: [1, {b: 2}]}", {"a": [1, {"b": 2}]}),
        ("a: # nothing\nb: 1", {"a": None, "b": 1}),
    ],
)
def test_values_and_raw_keys(text: str, value: object) -> None:
    assert data_of(text) == value


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("", "f:1:1: the file is empty (begin with `version: 1`)"),
        ("\n\n~", "f:3:1: the file must be a mapping with the keys version, agents and numbers"),
        ("''", "f:1:1: the file must be a mapping with the keys version, agents and numbers"),
        (
            "a: \ud800",
            (
                "f:1:4: the character U+D800 cannot stand in YAML "
                "(delete it, or write it as an escape)"
            ),
        ),
        (
            "a: 1\n\x00",
            (
                "f:2:1: the character U+0000 cannot stand in YAML "
                "(delete it, or write it as an escape)"
            ),
        ),
        ("a: `x`", "f:1:4: a value cannot begin with ` (put the whole value in quotes)"),
        ("a: %x", "f:1:4: a value cannot begin with % (put the whole value in quotes)"),
        ("a: !b!c x", "f:1:4: tags are not supported (put the whole value in quotes)"),
        ("a: ]", "f:1:4: this is no YAML: did not find expected node content"),
        ("a: |x\n b", "f:1:5: text must begin in the line after | or >"),
        (
            "a: - b",
            "f:1:4: a list cannot begin here (begin it in the next line, or write [a, b])",
        ),
        (
            "- a\nb: 1",
            (
                "f:2:1: this is not an item of the list above "
                "(items begin with `- ` in the same column)"
            ),
        ),
        (
            "a: 1\nb\n",
            "f:3:1: a key without a colon (write `key: value`, with a space after the colon)",
        ),
    ],
)
def test_texts_that_are_no_mapping(text: str, finding: str) -> None:
    assert findings_of(text) == [finding]


def test_nesting_is_counted_through_aliases() -> None:
    deep = "a: &a " + "[" * 20 + "]" * 20 + "\nb: " + "[" * 20 + "*a" + "]" * 20
    assert findings_of(deep) == ["f:2:24: lists and mappings are nested more than 32 deep"]
    allowed = "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert "a" in data_of(allowed)


def test_a_complex_key_spoils_its_mapping_only() -> None:
    findings = findings_of("version: 1\nagents: {a: {model: x}}\nnumbers:\n  default: {[a]: b}\n")
    assert findings == [
        (
            "f:4:12: numbers.default: a list or mapping cannot be a key "
            "(a value that begins with { or [ needs quotes)"
        )
    ]
    assert findings_of("? {a: b}\n: c\nversion: 2\n") == [
        "f:1:1: a list or mapping cannot be a key (a value that begins with { or [ needs quotes)"
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "aliases",
            "a: &a0 [x]\n" + "".join(f"k{i}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(24)),
        ),
        ("brackets", "[" * 500_000),
        ("braces", "{a: " * 200_000),
        ("dashes", "- " * 400_000),
        ("question marks", "? " * 400_000),
        ("open quote", 'a: "' + "x" * 1_000_000),
        ("one long number", "a: " + "1" * 1_000_000),
        ("typing errors", "\n".join(f"verzion{i}: 1" for i in range(30_000))),
        ("secrets", "a: '" + " sk-" * 200_000 + "'"),
    ],
)
def test_hostile_texts_are_refused_quickly(name: str, text: str) -> None:
    began = time.perf_counter()
    assert findings_of(text)
    print(f"{name}: {time.perf_counter() - began:.3f} s")


def test_aliases_within_the_limits_share_leaves() -> None:
    text = """\
version: 1
agents:
  a: {model: &m gpt-realtime-2.1, turn_detection: &t {type: semantic_vad}}
  b: {model: *m, turn_detection: *t}
numbers: {default: a}
"""
    table = parse(text, file="f", base=Path()).table
    a, b = (profile.edition(None).session for profile in table.agents.values())
    assert a == b


def test_places_of_keys_and_values() -> None:
    document = read("a:\n  - b: [x, y]\nc: 1\n", Findings("f"))
    assert document.key(("a",)) == Place(1, 1)
    assert document.value(("a",)) == Place(2, 3)
    assert document.key(("a", 0, "b")) == Place(2, 5)
    assert document.value(("a", 0, "b", 1)) == Place(2, 12)
    assert document.key(("a", 0, "b", 1)) == Place(2, 12)
    assert document.value(("a", 0, "b", 7)) == Place(2, 8)
    assert document.key(("nowhere", "b")) == Place(1, 1)


def test_the_size_of_a_text_is_limited() -> None:
    findings = findings_of("# " + "x" * 1024 * 1024)
    assert findings == ["f:1:1: the text is larger than 1,024 KiB"]
