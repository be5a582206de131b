"""Ids, masked words and what has been seen: no loop, no records."""

import string
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sipagent.model import CallId, TenantName
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.store.shown import said
from sipagent.watching import ids
from sipagent.watching.ids import Named
from sipagent.watching.masking import MOST_HELD, MaskedWords
from sipagent.watching.recalling import behind
from sipagent.watching.seen import Seen

CALL = CallId("rtc_1")


def an_event(named: str, at: float = 0.0, kind: LiveKind = LiveKind.STEP) -> LiveEvent:
    return LiveEvent(named, at, kind, CALL, TenantName("acme"))


@pytest.mark.parametrize(
    "text",
    [None, "", "@", "decided", "decided@", "@rtc_1", "decided@rtc/1", "a@b@c", "a" * 500 + "@b"],
)
def test_what_is_no_id_of_ours_names_nothing(text: str | None) -> None:
    assert ids.parse(text) is None


@pytest.mark.parametrize(
    "what",
    [
        ids.of_turn(3),
        ids.of_tool("call_aB-1"),
        ids.of_tool("id: with\nlines \N{SNOWMAN}"),
        ids.of_transfer(1, None),
        ids.of_transfer(1, "taken"),
        ids.of_step("retried", 1764406000.123456),
        LiveKind.ENDED.value,
    ],
)
def test_an_id_is_one_line_of_ascii_and_names_what_it_is_made_of(what: str) -> None:
    named = ids.event_id(CALL, what)
    assert named.isascii()
    assert named.isprintable()
    assert ids.parse(named) == Named(what, CALL)


def test_two_tool_calls_have_two_ids_whatever_they_are_called() -> None:
    assert ids.of_tool("a b") != ids.of_tool("a c")


@st.composite
def spoken(draw: st.DrawFn) -> tuple[str, list[str]]:
    """Words with numbers in them, and the pieces in which they are spoken."""
    part = st.one_of(
        st.sampled_from(["+1 713 481 0111", "(713) 481-0111", "4111 1111 1111 1111", "7134810111"]),
        st.text(string.ascii_lowercase + " .", max_size=8),
        st.text(string.digits, max_size=4),
    )
    text = " ".join(draw(st.lists(part, max_size=8)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    edges = [0, *cuts, len(text)]
    return text, [text[begin:end] for begin, end in pairwise(edges)]


@given(spoken())
def test_words_in_pieces_are_masked_as_the_whole_of_them_is(made: tuple[str, list[str]]) -> None:
    text, pieces = made
    words = MaskedWords()
    shown = "".join(words.feed("item_1", piece) for piece in pieces)
    assert said(text, numbers=False).startswith(shown)
    # All but a number that may go on has been shown.
    assert words.feed("item_1", "x") == (said(text, numbers=False) + "x")[len(shown) :]


BETWEEN = " -()./,_+\u00a0\u202f\u2011\u2013\u2014\u2212\u00b7\u2026\uff0d\uff0f"
UNSEEN = "\n\r\t\x1f\u200b\u200f\u2060\ufeff\u00ad\u2028\u202e\ufe0f"
odd_text = st.text(
    st.sampled_from(string.digits * 4 + "\u0664\uff15" + "ab:" + BETWEEN + UNSEEN), max_size=60
)
odd_parts = st.lists(
    odd_text
    | st.sampled_from(
        ["2026-11-29", "24/12/26", "2025/2026", "1,234,567", ", ", " - ", "10:30", "020\u200b7946"]
    ),
    max_size=6,
)


@settings(max_examples=400, deadline=None)
@given(odd_parts, st.lists(st.integers(0, 400), max_size=12))
def test_in_any_pieces_a_viewer_is_told_what_the_turn_tells(
    parts: list[str], cuts: list[int]
) -> None:
    text = "".join(parts)[:MOST_HELD] + "x"  # a letter, at which nothing is held back any more
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    for pieces in (list(text), [text[begin:end] for begin, end in pairwise(edges)]):
        words = MaskedWords()
        assert "".join(words.feed("item_1", piece) for piece in pieces) == said(text, numbers=False)


@pytest.mark.parametrize("piece", ["1", "12 ", "1,234,", "2026-11-29, ", "1 2\u200b", "0\n"])
def test_of_a_long_run_little_is_held_and_nothing_is_shown(piece: str) -> None:
    words = MaskedWords()
    shown = "".join(words.feed("item_1", piece) for _ in range(16_000 // len(piece)))
    assert not any(letter.isdigit() for letter in shown)
    assert max(map(len, words._held.values())) <= MOST_HELD
    rest = words.feed("item_1", " x0")
    assert rest.endswith(" x")
    assert sum(letter.isdigit() for letter in rest) <= 4


def test_the_words_of_two_utterances_are_kept_apart() -> None:
    words = MaskedWords()
    assert words.feed("one", "It is 713") == "It is "
    assert words.feed("two", "Yes. ") == "Yes. "
    assert words.feed("one", " 481 0111, thanks") == "71******11, thanks"


def test_what_has_been_seen_is_bounded() -> None:
    seen = Seen(most=2)
    first, second, third = (an_event(name) for name in ("a", "b", "c"))
    assert seen.fresh([first, second, first]) == [first, second]
    assert seen.fresh([third, second]) == [third]
    assert seen.fresh([first]) == [first]


def test_what_has_no_id_is_always_new() -> None:
    words = an_event("", kind=LiveKind.WORDS)
    assert Seen().fresh([words, words]) == [words, words]


def test_behind_an_event_come_those_after_it_and_turns_that_were_told_late() -> None:
    story = [
        an_event("decided@rtc_1", 0.0, LiveKind.DECIDED),
        an_event("turn.1@rtc_1", 1.0, LiveKind.TURN),
        an_event("turn.2@rtc_1", 70.0, LiveKind.TURN),
        an_event("step.retried.1@rtc_1", 71.0),
        an_event("turn.3@rtc_1", 75.0, LiveKind.TURN),
        an_event("ended@rtc_1", 80.0, LiveKind.ENDED),
    ]

    def after(named: str | None) -> list[str]:
        return [event.id.partition("@")[0] for event in behind(story, ids.parse(named))]

    assert after("turn.3@rtc_1") == ["turn.2", "ended"]
    assert after("decided@rtc_1") == ["turn.1", "turn.2", "step.retried.1", "turn.3", "ended"]
    assert after(None) == after("turn.9@rtc_1")
    assert len(after(None)) == len(story)
