"""What is left out of what was said, and what stays: whole texts, and words as they are spoken."""

import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sipagent.model import Redaction
from sipagent.model.redaction import LiveWords, StreamGuard, redacted
from sipagent.model.redaction.cards import passes_luhn

BOTH = (Redaction.CARD, Redaction.SSN)
ENGLISH = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
SPANISH = ["cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"]
VISA = "4242424242424242"
FULL_WIDTH = "3782 822463 10005".translate({each: each + 0xFEE0 for each in range(0x30, 0x3A)})


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (f"It is {VISA}.", "It is [card]."),
        ("It is 4242 4242 4242 4242, expiring 12/27", "It is [card], expiring 12/27"),
        ("4242-4242-4242-4242", "[card]"),
        ("4242.4242.4242.4242", "[card]"),
        ("4242, 4242, 4242, 4242", "[card]"),
        ("4242... 4242... 4242... 4242", "[card]"),
        ("4242\u20114242\u00a04242\u200b4242", "[card]"),
        ("4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2", "[card]"),
        (FULL_WIDTH, "[card]"),
        ("Amex 3782 822463 10005", "Amex [card]"),
        ("4222222222222 and 5555 5555 5555 4444", "[card] and [card]"),
        ("2223 0031 2200 3222", "[card]"),
        ("30569309025904", "[card]"),
        ("6304 0000 0000 0000 00", "[card]"),
        ("4242 4242 4242 4242 4111 1111 1111 1111", "[card] [card]"),
        ("4242 4242 4242 4242 123", "[card] 123"),
        ("(4242424242424242)", "([card])"),
        ("30.11.2026 4242 4242 4242 4242", "30.11.2026 [card]"),
        ("call +1 713 481 0111, 4242 4242 4242 4242", "call +1 713 481 0111, [card]"),
        ("Four two four two, " * 4 + "please", "[card], please"),
        ("forty-two forty-two " * 4 + "ok", "[card] ok"),
        ("four oh oh o, zero zero zero zero, 0000, double zero zero two", "[card]"),
        ("double five, double five, quadruple five, treble five five 4444", "[card]"),
        ("cuatro dos cuatro dos, cuarenta y dos cuarenta y dos, 4242 4242", "[card]"),
        ("CUATRO uno, doble uno, " + "uno " * 12 + "gracias", "[card] gracias"),
        ("treinta y siete ochenta y dos 822463 diez cero cero cinco", "[card]"),
        ("uh 4242 4242 and 4242 4242", "uh 4242 4242 and 4242 4242"),
    ],
)
def test_cards_are_left_out(said: str, left: str) -> None:
    assert redacted(said, [Redaction.CARD]) == left


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("It's 123-45-6789.", "It's [ssn]."),
        ("123 45 6789", "[ssn]"),
        ("123.45.6789 123.45.6789", "[ssn] [ssn]"),
        ("123 - 45 - 6789", "[ssn]"),
        ("one two three, four five, six seven eight nine", "[ssn]"),
        ("1 2 3, 4 5, 6 7 8 9", "[ssn]"),
        ("one twenty-three, forty-five, sixty-seven eighty-nine", "[ssn]"),
        ("uno dos tres, cuarenta y cinco, sesenta y siete ochenta y nueve", "[ssn]"),
        ("my social security number is 123456789", "my social security number is [ssn]"),
        ("SSN: 1234 56789", "SSN: [ssn]"),
        ("mi número de seguro social es 123456789", "mi número de seguro social es [ssn]"),
        ("123456789 is my social", "[ssn] is my social"),
        ("my social, one two three four five six seven eight nine", "my social, [ssn]"),
        ("123-45-6789, 555-1234", "[ssn], 555-1234"),
    ],
)
def test_social_security_numbers_are_left_out(said: str, left: str) -> None:
    assert redacted(said, [Redaction.SSN]) == left


@pytest.mark.parametrize(
    "said",
    [
        "",
        "Hello, one moment. I have two dogs, oh, and a cat.",
        "My number is 713-481-0111, or (713) 481-0122.",
        "+1 713 481 0111, +49 1511 2345678, +44 20 7946 0958",
        "+4915112345679",
        "+49 151 12 3456",
        "seven one three, four eight one, oh one double one",
        "Order 4242424242424241, please.",
        "order 4242 4242 4242 4241",
        "invoice 123456789012345678901234567890",
        "2026-11-28, 2026-11-29, 2026-11-30",
        "30.11.2026 28.11.2026",
        "at 19:15:03 on 11/28/2026",
        "$49.99 49.99 49.99 49.99",
        "It costs 1,234,567.89 or 4,242.42",
        "four hundred and forty-two dollars",
        "ZIP 77002-1234",
        "routing 123456789",
        "000-45-6789 and 666-45-6789 and 923-45-6789 and 123-00-6789 and 123-45-0000",
        "social security 912345678",
        "my social, call 713 481 0111 for 123456789",
        "double double toil and trouble",
    ],
)
def test_what_is_neither_stays(said: str) -> None:
    assert redacted(said, BOTH) == said


def test_only_what_is_asked_for_is_left_out() -> None:
    said = f"{VISA} 123-45-6789"
    assert redacted(said, []) == said
    assert redacted(said, [Redaction.CARD]) == "[card] 123-45-6789"
    assert redacted(said, [Redaction.SSN]) == f"{VISA} [ssn]"


@st.composite
def _cards(draw: st.DrawFn) -> str:
    """A card's digits, with the right check digit."""
    prefix, length = draw(
        st.sampled_from([("4", 16), ("4", 13), ("51", 16), ("34", 15), ("36", 14), ("6011", 16)])
    )
    digits = st.text("0123456789", min_size=length, max_size=length)
    body = (prefix + draw(digits))[: length - 1]
    return next(body + last for last in "0123456789" if passes_luhn(body + last))


@st.composite
def _spoken(draw: st.DrawFn, digits: str) -> str:
    """The digits as somebody may write or say them."""
    gaps = st.sampled_from([" ", "-", ", ", ". ", " - ", "... ", "\n"])
    numbers = []
    for digit in digits:
        words = [digit, ENGLISH[int(digit)], SPANISH[int(digit)], ENGLISH[int(digit)].upper()]
        numbers.append(draw(st.sampled_from(words)))
    return "".join(
        number + (draw(gaps) if at < len(numbers) - 1 else "") for at, number in enumerate(numbers)
    )


@given(st.data(), _cards())
def test_a_card_is_left_out_however_it_is_read(data: st.DataObject, digits: str) -> None:
    said = data.draw(_spoken(digits))
    assert redacted(f"it is {said} thanks", BOTH) == "it is [card] thanks"


@given(st.data(), st.text("123456789", min_size=8, max_size=8))
def test_a_social_security_number_is_left_out_however_it_is_read(
    data: st.DataObject, rest: str
) -> None:
    said = data.draw(_spoken(f"1{rest}"))
    assert redacted(f"my social is {said} thanks", BOTH) == "my social is [ssn] thanks"


_PHONES = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "+1 ", "1-", "+44 "]),
    st.integers(200, 999),
    st.sampled_from([" ", "-", "."]),
    st.integers(200, 999),
    st.integers(1000, 9999).map(" {}".format),
)
_ORDERS = st.text("0123456789", min_size=13, max_size=19).filter(lambda it: not passes_luhn(it))
_DATES = st.dates().map(str) | st.dates().map(lambda it: f"{it:%d.%m.%Y} {it:%m/%d/%Y}")
_PRICES = st.builds("${:,}.{:02}".format, st.integers(0, 10**7), st.integers(0, 99))


@given(st.lists(_PHONES | _ORDERS | _DATES | _PRICES, max_size=5))
def test_phones_orders_dates_and_prices_stay(numbers: list[str]) -> None:
    said = " and ".join(numbers)
    assert redacted(said, BOTH) == said


_PIECES = st.sampled_from(
    [
        *("4242", "42", "4", "2", "123", "45", "6789", "123456789", VISA, "123-45-6789", "00"),
        *("4222222222222", "12.10.2026", "12", "10", "2026", "4.20", "9", "four", "two", "double"),
        *("triple", "forty", "cuarenta", "y", "uno", "oh", "social", "ssn", "[ssn]", "[card]", "["),
        *("]", "+", "$", " ", " ", " ", "-", "-", ".", ",", "/", "\u200b", "     ", "and", "x"),
        *("it is my very own ", "٤٢", "²", "\ud800", "é"),
    ]
)
_TALK = st.lists(_PIECES, max_size=40).map("".join) | st.text()


@given(_TALK)
def test_what_was_redacted_has_nothing_left_to_redact(said: str) -> None:
    once = redacted(said, BOTH)
    assert redacted(once, BOTH) == once


@given(_TALK, st.lists(st.integers(0, 60)))
def test_live_words_lose_what_the_whole_text_loses(said: str, cuts: list[int]) -> None:
    assert "".join(_spoken_in_pieces(said, cuts)) == redacted(said, BOTH)


def _spoken_in_pieces(said: str, lengths: Sequence[int]) -> list[str]:
    guard, shown = StreamGuard(BOTH), []
    for length in lengths:
        shown.append(guard.feed(said[:length]))
        said = said[length:]
    return [*shown, guard.feed(said), guard.flush()]


def test_live_words_are_shown_at_once_unless_they_may_be_a_number() -> None:
    guard = StreamGuard(BOTH)
    deltas = ["It ", "is 42", "42 4242 4242", " 4242", ", thank you", " very"]
    assert [guard.feed(delta) for delta in deltas] == [
        "It ",
        "is ",
        "",
        "",
        "[card], thank ",
        "you ",
    ]
    assert guard.flush() == "very"


def test_utterances_of_one_call_do_not_mix() -> None:
    live = LiveWords(BOTH)
    shown = [live.feed("a", "4242 4242 "), live.feed("b", "4242 4242"), live.feed("a", "4242 4242")]
    assert shown == ["", "", ""]
    assert (live.end("a"), live.end("b"), live.end("b")) == ("[card]", "4242 4242", "")


def test_utterances_that_never_end_are_forgotten() -> None:
    live = LiveWords(BOTH)
    for at in range(17):
        live.feed(f"item {at}", "42")
    assert (live.end("item 0"), live.end("item 1"), live.end("item 16")) == ("", "42", "42")


def test_without_kinds_live_words_are_shown_as_they_come() -> None:
    live = LiveWords(())
    assert (live.feed("a", "4242"), live.end("a")) == ("4242", "")


def test_a_number_that_goes_on_for_ever_does_not_hold_all_of_it() -> None:
    guard, held = StreamGuard(BOTH), 0
    for _ in range(4_000):
        held += len("7 one-") - len(guard.feed("7 one-"))
        assert held < 12_000


@pytest.mark.parametrize(
    "piece",
    ["4242 ", "4", "4 2 ", "four ", "double ", "123-45-6789 ", "social ", "12.10.2026 ", " "],
)
def test_time_grows_with_the_length_and_no_faster(piece: str) -> None:
    def seconds(length: int) -> float:
        said = (piece * (length // len(piece) + 1))[:length]
        began = time.process_time()
        redacted(said, BOTH)
        return time.process_time() - began

    assert seconds(30_000) < 40 * max(seconds(3_000), 0.0005)
