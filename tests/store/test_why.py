"""One call, told in plain sentences."""

from dataclasses import replace
from typing import Any

import pytest

from sipagent.model import Happening, Reason, TraceStep, TransferEnd
from sipagent.store.facts import StoredHappening, StoredTransfer, StoredUsage, Story
from sipagent.store.reading.rows import trace_of
from sipagent.store.why import tell
from sipagent.store.why.endings import (
    ACCEPT_FAULT,
    ENDINGS,
    FELL_BACK,
    STEPS,
    TRANSFER_ENDS,
    Ending,
)
from sipagent.store.why.wording import money, plain, seconds, share
from tests.store.kept import (
    BEGAN,
    CALLER,
    DIALED,
    HOSTILE,
    a_bill,
    a_call,
    a_live,
    fact,
    failed,
    rejected,
)

SENT_ON = a_call(outcome="completed.transferred")


def a_story(row: dict[str, Any] | None = None, **parts: Any) -> Story:
    row = row or a_call()
    return replace(Story(fact(row), trace_of(row["trace"])), **parts)


def bill(source_id: str = "resp_1", **changes: Any) -> StoredUsage:
    row = a_bill("rtc_1", source_id, **changes)
    return StoredUsage(**{name: row[name] for name in StoredUsage.__slots__})


def step(what: str, after: float, detail: str | None = None) -> StoredHappening:
    return StoredHappening(BEGAN + after, what, detail)


def test_a_whole_call() -> None:
    story = a_story(
        failed(
            "rtc_1",
            detail="server_error",
            answered_at=BEGAN + 0.31,
            heard_at=None,
            ended_at=BEGAN + 185,
            usage_complete=False,
        ),
        happenings=(
            step("fault", 14.2, "server_error"),
            step("retried", 14.3),
            step("fell_back", 23.0),
        ),
        transfers=(StoredTransfer(1, BEGAN + 23.5, "desk", "tel:+18005550100", "done"),),
        usage=(bill(),),
    )
    told = tell(story, numbers=False)
    assert told.decided == (
        (
            "The call rtc_1 came at 2026-09-22 13:53:20 UTC to +17*******11 (header to) from"
            " +14*******00, by trunk twilio-us (as its secret proves), on account us-1."
        ),
        (
            "The agent acme/store was to answer (gpt-realtime-2.1); so decided replica replica-1,"
            " release 0.4.0, configuration c65a4c01b87f, for tenant acme."
        ),
        "What decided: numbers.+17*******11: rule 2: no condition.",
        "Not: numbers.+17*******11: rule 1: office is closed.",
    )
    assert told.happened == (
        "After 0.3 s the provider answered the call.",
        "After 2.0 s the call's socket was open.",
        "After 14 s the provider or the model reported a fault (server_error).",
        "After 14 s the model was asked again.",
        "After 23 s the call went the way of its fallback.",
        "After 24 s a transfer to desk was asked for; the provider's answer: done.",
        "2 turns were spoken.",
    )
    assert told.ended[0] == "It ended after 3 min 05 s as failed.provider_error (server_error)."
    assert told.ended[-1] == "At fault: the provider."
    assert told.cost == (
        "It cost at least 0.0213 USD: 470 tokens in 1 bill, by prices 2026-11.",
        "Some of its usage was lost, so that it may have cost more.",
    )
    assert told.to_do == (ENDINGS[Reason.PROVIDER_ERROR].to_do,)


def everything(story: Story, *, numbers: bool = False) -> str:
    told = tell(story, numbers=numbers)
    parts = (told.decided, told.happened, told.ended, told.cost, told.to_do)
    return "\n".join(line for part in parts for line in part)


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_says_what_it_means_and_every_fault_what_to_do(reason: Reason) -> None:
    ending = ENDINGS[reason]
    told = everything(a_story(failed("rtc_1", reason)))
    assert ending.means in told
    if reason.kind in ("failed", "lost"):
        assert ending.to_do is not None
        assert ending.to_do in told


def test_a_step_that_is_stored_is_told_once_and_in_its_place() -> None:
    story = a_story(happenings=(step("answered", 0.5), step("dropped", 2.5)))
    assert [(one.what, one.at - BEGAN) for one in story.steps] == [
        ("answered", 0.5),
        ("attached", 2),
        ("dropped", 2.5),
        ("heard", 3),
    ]


@pytest.mark.parametrize("end", [*TransferEnd, None, "of a later release"])
def test_what_came_of_a_transfer_is_told_as_far_as_it_is_known(end: str | None) -> None:
    sent = StoredTransfer(1, BEGAN + 5, "desk", "tel:+18005550100", "done", end)
    told = tell(a_story(transfers=(sent,)), numbers=False).happened
    (line,) = (line for line in told if "a transfer to desk" in line)
    ends = [words for words in TRANSFER_ENDS.values() if line.endswith(words)]
    known = end in set(TransferEnd)
    assert ends == ([TRANSFER_ENDS[TransferEnd(str(end))]] if known else [])


def test_a_transfer_is_told_where_it_was_asked_for_and_never_left_out() -> None:
    steps = tuple(step("retried", 10 + second) for second in range(60))
    sent = StoredTransfer(1, BEGAN + 12.5, "desk", "tel:+18005550100", "done", "taken")
    told = tell(a_story(happenings=steps, transfers=(sent,)), numbers=False).happened
    place = next(at for at, line in enumerate(told) if "a transfer to desk" in line)
    assert "After 12 s" in told[place - 1]
    assert "After 13 s" in told[place + 1]
    late = replace(sent, at=BEGAN + 300)
    told = tell(a_story(happenings=steps, transfers=(late,)), numbers=False).happened
    assert any("a transfer to desk" in line for line in told)


def test_what_somebody_on_duty_has_done_is_told() -> None:
    told = tell(a_story(happenings=(step("stepped_in", 5, "transfer to desk"),)), numbers=False)
    assert "After 5.0 s somebody on duty stepped in (transfer to desk)." in told.happened


def test_every_step_has_a_sentence() -> None:
    assert set(STEPS) == set(Happening)
    assert set(TRANSFER_ENDS) == set(TransferEnd)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"outcome": "completed.line_closed"}, "Nobody is at fault."),
        ({"at_fault": "unknown"}, "Who is at fault is not known."),
        ({"at_fault": "service"}, "At fault: the service."),
        ({"outcome": "failed.of_a_newer_release"}, "as failed.of_a_newer_release."),
        ({"caller": None}, "from a withheld number"),
        ({"dialed": None}, "with no number that any header carried"),
        ({"trunk_proven": False}, "by trunk twilio-us (not proven)"),
        ({"verdict": "forward", "destination": "desk"}, "to be sent on to desk, without a word"),
        ({"trace": "[]"}, "Which rule decided is not kept."),
        ({"turns": 1}, "1 turn was spoken."),
    ],
)
def test_what_a_call_may_be(changes: dict[str, Any], said: str) -> None:
    assert said in everything(a_story(a_call(**changes)))


def test_a_refusal_says_for_whom_it_was_decided() -> None:
    told = tell(a_story(rejected("rtc_1")), numbers=False)
    assert told.decided[1] == (
        "It was refused with 404; so decided replica replica-1, release 0.4.0, for tenant default."
    )


@pytest.mark.parametrize(
    ("row", "steps", "ended", "advised"),
    [
        (
            SENT_ON,
            (step("fault", 14.2), step("fell_back", 23.0)),
            (FELL_BACK.means, "At fault: the provider."),
            True,
        ),
        (SENT_ON, (), (ENDINGS[Reason.TRANSFERRED].means, "Nobody is at fault."), False),
        (
            failed("rtc_1", detail="server_error"),
            (step("fell_back", 23.0),),
            (ENDINGS[Reason.PROVIDER_ERROR].means, "At fault: the provider."),
            True,
        ),
    ],
    ids=["fell back", "transferred", "fell back in vain"],
)
def test_a_call_that_its_fallback_saved_is_the_providers_fault(
    row: dict[str, Any], steps: tuple[StoredHappening, ...], ended: tuple[str, ...], advised: bool
) -> None:
    told = tell(a_story(row, happenings=steps), numbers=False)
    assert (told.ended[1:], bool(told.to_do)) == (ended, advised)


@pytest.mark.parametrize(
    ("detail", "ending"),
    [
        ("accept answered 500", ACCEPT_FAULT),
        ("accept answered 503 server_error", ACCEPT_FAULT),
        ("accept answered TimeoutError", ENDINGS[Reason.ACCEPT_TIMEOUT]),
        ("attach unanswered", ENDINGS[Reason.ACCEPT_TIMEOUT]),
        (None, ENDINGS[Reason.ACCEPT_TIMEOUT]),
    ],
)
def test_a_provider_that_answered_with_an_error_was_not_silent(
    detail: str | None, ending: Ending
) -> None:
    told = tell(a_story(failed("rtc_1", Reason.ACCEPT_TIMEOUT, detail=detail)), numbers=False)
    assert (told.ended[1], told.to_do) == (ending.means, (ending.to_do,))


def test_a_live_call_has_not_ended() -> None:
    told = tell(a_story(a_live("rtc_1")), numbers=False)
    assert told.ended == ("It has not ended yet.",)
    assert told.to_do == ()


@pytest.mark.parametrize(
    ("changes", "bills", "said"),
    [
        ({}, [bill()], "It cost 0.0213 USD: 470 tokens in 1 bill, by prices 2026-11."),
        (
            {"usage_complete": False},
            [bill(), bill("b")],
            "It cost at least 0.0213 USD: 470 tokens in 2 bills",
        ),
        (
            {"cost": None},
            [bill(), bill("b", cost=None, model="new")],
            "The price list has no price for new.",
        ),
        ({"cost": None}, [bill(), bill("b", cost=None)], "It cost at least 0.0213 USD"),
        ({"cost": None}, [bill(cost=None)], "It used 470 tokens in 1 bill; what that cost is not"),
        ({"cost": 0, "tokens": 0}, [], "It cost nothing with the provider."),
        (
            {"cost": None, "tokens": 0, "usage_complete": False},
            [],
            "What it cost is not known: the provider's usage was lost.",
        ),
    ],
)
def test_a_cost_is_never_told_as_more_certain_than_it_is(
    changes: dict[str, Any], bills: list[StoredUsage], said: str
) -> None:
    assert said in everything(a_story(a_call(**changes), usage=tuple(bills)))


def test_a_number_that_leads_nowhere_comes_with_the_line_to_paste() -> None:
    told = tell(a_story(rejected("rtc_1")), numbers=True)
    assert told.to_do[-1] == f'  "{DIALED}": AGENT'
    masked = tell(a_story(rejected("rtc_1")), numbers=False)
    assert DIALED not in str(masked)
    assert "sipagent calls unrouted" in masked.to_do[-1]
    hidden = tell(a_story(rejected("rtc_1", dialed="h:abcdef")), numbers=True)
    assert "AGENT" not in hidden.to_do[-1]


def test_numbers_are_masked_unless_they_are_asked_for() -> None:
    story = a_story(transfers=(StoredTransfer(1, BEGAN, None, "tel:+18005550100", "done"),))
    masked = everything(story)
    assert [one for one in (CALLER, DIALED, "8005550100") if one in masked] == []
    shown = everything(story, numbers=True)
    assert [one for one in (CALLER, DIALED, "8005550100") if one not in shown] == []


def test_nothing_hostile_reaches_the_terminal() -> None:
    row = failed("rtc_1", detail=HOSTILE, dialed=HOSTILE, dialed_source=HOSTILE, caller=HOSTILE)
    story = a_story(
        row,
        trace=(TraceStep(HOSTILE, HOSTILE, held=True, because=HOSTILE),),
        happenings=(step("fault", 1, HOSTILE), step(HOSTILE, 2)),
        transfers=(StoredTransfer(1, BEGAN, None, HOSTILE, HOSTILE),),
        usage=(bill(model=HOSTILE, cost=None),),
    )
    for numbers in (True, False):
        text = everything(story, numbers=numbers)
        assert [one for one in text if not one.isprintable() and one != "\n"] == []
        assert "\u202e" not in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("covers +17134810111", "covers +17*******11"),
        ("+1 (713) 481-0111 is", "+17*******11 is"),
        ("call 7134810111.", "call 71******11."),
        ("error 404 of 2026-11", "error 404 of 2026-11"),
        ("dates: 2026-12-24..2026-12-26, 14:00", "dates: 2026-12-24..2026-12-26, 14:00"),
        ("x7134810111y", "x71******11y"),
        ("1713-48-10111", "17*******11"),
        ("2026-11-281713", "20********13"),
        ("1234567", "*******"),
        ("+44\u00a020\u00a07946\u00a00958", "+44********58"),
        ("+44\u202f20\u202f7946\u202f0958", "+44********58"),
        ("(555)\u00a0123\u20114567", "(55******67"),
        ("(555) - 123 - 4567", "(55******67"),
        ("555\u2013123\u20134567", "55******67"),
        ("555/123/4567", "55******67"),
        ("020/79460958", "02*******58"),
        ("+44 20,7946,0958", "+44********58"),
        ("+1,555,123,456", "+15******56"),
        ("5 5 5, 1 2 3, 4 5 6 7", "55******67"),
        ("7134810111, 2026-12-24", "71**************24"),
        ("713, 481, 0111, 2026-12-24", "71**************24"),
        ("12/12/12 34567", "12*******67"),
        ("2025/2026 555 12", "20*********12"),
        ("\uff10\uff12\uff10\uff0d\uff17\uff19\uff14\uff16", "*" * 8),
        ("12 \u2013 14 o'clock", "12 \u2013 14 o'clock"),
        ("10:30, 2026-11-29", "10:30, 2026-11-29"),
        ("2026\u201111\u201129", "2026\u201111\u201129"),
        ("2026/11/29 10:30", "2026/11/29 10:30"),
        ("24/12/2026, or 12/24/26, 10:30", "24/12/2026, or 12/24/26, 10:30"),
        ("2019\u20132023", "2019\u20132023"),
        ("1,234.56 USD", "1,234.56 USD"),
        ("12.345,67 EUR", "12.345,67 EUR"),
        ("1,234,567.89", "1,234,567.89"),
        ("In 2026, 1,234,567 calls", "In 2026, 1,234,567 calls"),
        ("1,200 - 1,500 or 1,200\u20131,500", "1,200 - 1,500 or 1,200\u20131,500"),
        ("12.50, 13.50, 14.50", "12.50, 13.50, 14.50"),
    ],
)
def test_numbers_within_a_text(text: str, shown: str) -> None:
    assert plain(text, numbers=False) == shown
    assert plain(text, numbers=True) == text


@pytest.mark.parametrize(
    "piece", ["1", "1      ", "12,", "1,234,", "12/12/12 ", "2026-11-2", "+1 ", "1 - ", "1\u2013"]
)
def test_a_long_text_of_almost_numbers_is_read_once(piece: str) -> None:
    # A pattern that looked back for each letter would take minutes.
    assert plain(piece * (16_000 // len(piece)), numbers=False, limit=None)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (59.7, "1 min 00 s"),
        (245, "4 min 05 s"),
        (3840, "1 h 04 min"),
    ],
)
def test_durations(count: float, text: str) -> None:
    assert seconds(count) == text


def test_money_and_shares() -> None:
    assert [money(one) for one in (0, 49, 50, 21_345, 1_234_567_890)] == [
        "0.0000 USD",
        "0.0000 USD",
        "0.0001 USD",
        "0.0213 USD",
        "1,234.5679 USD",
    ]
    assert [share(*one) for one in ((0, 9), (1, 0), (1, 1000), (9, 10))] == [
        "0 %",
        "0 %",
        "less than 1 %",
        "90 %",
    ]
