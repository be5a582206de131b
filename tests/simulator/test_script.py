"""What the model says next, and the headers of an INVITE."""

import json

import pytest

from sipagent.simulator.invite import PROJECT_URI, invite_headers
from sipagent.simulator.script import Answer, CallerLine, Prompter, ToolCall, quoted_text


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ('Say exactly: "Hello"', "Hello"),
        ('First "a", then say "b" please', "b"),
        ("Say exactly: " + json.dumps('She said "hi" to me'), 'She said "hi" to me'),
        ("Say: " + json.dumps("Grüß Gott, \u4f60\u597d"), "Grüß Gott, \u4f60\u597d"),
        ("Say: " + json.dumps("two\nlines"), "two\nlines"),
        ('Say "two\nraw lines"', "two\nraw lines"),
        (r'Say "C:\quit"', r"C:\quit"),
        ('An inch is 1"', None),
        ('Say ""', None),
        ("Say hello", None),
    ],
)
def test_the_last_quoted_text_is_said(instructions: str, expected: str | None) -> None:
    assert quoted_text(instructions) == expected


def test_plain_lines_may_be_said_early_and_only_once() -> None:
    prompter = Prompter((CallerLine("a"), Answer("one"), CallerLine("b"), Answer("two")))
    assert prompter.answer(None) == Answer("one")
    assert prompter.cue() == CallerLine("a")
    prompter.pass_on()
    assert prompter.cue() == CallerLine("b")
    assert prompter.answer(None) == Answer("two")
    assert prompter.answer(None).text


def test_function_calls_wait_for_the_callers_lines_before_them() -> None:
    tool = Answer(tools=(ToolCall("f", "{}"),))
    prompter = Prompter((CallerLine("a"), tool))
    assert prompter.answer(None) != tool
    prompter.pass_on()
    assert prompter.answer(None) == tool


def test_a_number_is_dialed_as_wavix_sends_it() -> None:
    headers = invite_headers("+1 713 481 0111", "+14067704205", "0378")
    assert headers == (
        ("From", '"+14067704205" <sip:+14067704205@209.58.144.243>;tag=as0378'),
        ("To", PROJECT_URI),
        ("Call-ID", "0378"),
        ("x-number", "17134810111"),
    )


def test_whole_header_values_are_kept_as_they_are() -> None:
    to, from_ = "<sip:+1713@sip.example.com>", '"Bob" <sip:bob@example.com>'
    headers = invite_headers(to, from_, "id")
    assert headers == (("From", from_), ("To", to), ("Call-ID", "id"))


def test_an_anonymous_caller_has_no_number() -> None:
    assert "anonymous@anonymous.invalid" in invite_headers("+1", "anonymous", "id")[0][1]
