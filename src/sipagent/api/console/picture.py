"""A call as a picture: who spoke when, what tools did, and how long callers waited. Pure.

It is drawn with classes and attributes alone, so that the style sheet says what colour things have,
and the policy of the pages forbids nothing of it. Of whoever spoke it knows when they began; how
long they spoke is estimated from how much they said.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sipagent.model import Speaker
from sipagent.store.facts import StoredToolCall, StoredTransfer, Story
from sipagent.store.reading.speech import Speech
from sipagent.store.why.wording import count, seconds

PER_SECOND: Final = 15.0
"""Characters of speech."""

SHORTEST: Final = 0.6
"""Seconds of a turn, whatever was said."""

WIDTH: Final = 600
LANE: Final = 34
TOP: Final = 22
_TICKS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
_MOST_TICKS: Final = 8
_MOST_SHAPES: Final = 600


@dataclass(frozen=True, slots=True)
class Shape:
    """A bar of a lane, from `x` over `width`. `told` is what it is, in words."""

    lane: int
    look: str
    x: float
    width: float
    told: str


@dataclass(frozen=True, slots=True)
class Wait:
    """An answer: it began so many seconds after the caller had begun the turn before it."""

    x: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is drawn. `ticks` are places and what stands below them."""

    lanes: tuple[str, ...]
    shapes: tuple[Shape, ...]
    ticks: tuple[tuple[float, str], ...]
    waits: tuple[Wait, ...]
    height: int
    length: float
    summary: str


@dataclass(frozen=True, slots=True)
class _Span:
    lane: int
    look: str
    begin: float
    end: float
    told: str


def picture(story: Story, spoken: Sequence[Speech], now: float) -> Picture:
    """The call as far as it has come at `now`, unix seconds."""
    began = story.call.began_at
    ended = story.call.ended_at if story.call.ended_at is not None else now
    length = max(1.0, ended - began)
    spans = [*_turns(spoken, began, ended), *_tools(story.tools), *_sent(story, ended)]
    shapes = tuple(_drawn(span, length) for span in spans[:_MOST_SHAPES])
    waits = tuple(
        Wait(round((begin - began) / length * WIDTH, 1), waited)
        for begin, waited in waited_of(spoken)
    )
    lanes = ("Caller", "Agent", "Tools")
    return Picture(
        lanes,
        shapes,
        tuple(_ticks(length)),
        waits,
        TOP + LANE * len(lanes) + 6,
        length,
        _summary(spoken, story, length, waits),
    )


def waited_of(spoken: Sequence[Speech]) -> Iterator[tuple[float, float]]:
    """When each answer began, and how many seconds after the caller's turn had begun."""
    for before, turn in pairwise(spoken):
        answers = (before.speaker, turn.speaker) == (Speaker.CALLER, Speaker.AGENT)
        if answers and turn.at >= before.at:
            yield turn.at, turn.at - before.at


def _turns(spoken: Sequence[Speech], began: float, ended: float) -> Iterator[_Span]:
    """A bar for each turn, which ends where the same side begins the next one at the latest."""
    following: dict[str, float] = {}
    for turn in reversed(spoken):
        estimated = turn.at + max(SHORTEST, (turn.length or 0) / PER_SECOND)
        end = min(estimated, following.get(turn.speaker, ended), max(ended, turn.at))
        following[turn.speaker] = turn.at
        lane = 0 if turn.speaker == Speaker.CALLER else 1
        who = "The caller" if lane == 0 else "The agent"
        cut = ", interrupted" if turn.interrupted else ""
        missed = ", not understood" if turn.length is None else ""
        told = f"{who} spoke after {seconds(turn.at - began)}{cut}{missed}"
        look = "caller" if lane == 0 else "agent"
        yield _Span(lane, f"{look} cut" if cut else look, turn.at - began, end - began, told)


def _tools(tools: Sequence[StoredToolCall]) -> Iterator[_Span]:
    for use in tools:
        look = "tool" if use.status == "done" else "tool wrong"
        told = f"{use.name}: {use.status}, {seconds(use.seconds)}"
        yield _Span(2, look, use.began, use.ended, told)


def _sent(story: Story, ended: float) -> Iterator[_Span]:
    """Transfers, from when they were asked for to the next attempt or the end."""
    began = story.call.began_at
    sent: Sequence[StoredTransfer] = story.transfers
    for at, one in enumerate(sent):
        end = sent[at + 1].at if at + 1 < len(sent) else ended
        told = f"Transfer to {one.destination or 'somewhere'}: {one.outcome or one.answer}"
        yield _Span(2, "transfer", one.at - began, end - began, told)


def _drawn(span: _Span, length: float) -> Shape:
    begin = min(max(span.begin, 0.0), length)
    end = min(max(span.end, begin), length)
    width = max(2.0, (end - begin) / length * WIDTH)
    x = min(begin / length * WIDTH, WIDTH - width)
    return Shape(span.lane, span.look, round(x, 1), round(width, 1), span.told)


def _ticks(length: float) -> Iterator[tuple[float, str]]:
    step = next((one for one in _TICKS if length / one <= _MOST_TICKS), _TICKS[-1])
    at = 0
    while at <= length:
        yield round(at / length * WIDTH, 1), f"{at // 60}:{at % 60:02d}"
        at += step


def _summary(spoken: Sequence[Speech], story: Story, length: float, waits: Sequence[Wait]) -> str:
    """The picture in a sentence, for whoever does not see it."""
    of_caller = sum(turn.speaker == Speaker.CALLER for turn in spoken)
    of_agent = len(spoken) - of_caller
    longest = f"; the longest wait was {seconds(max(w.seconds for w in waits))}" if waits else ""
    return (
        f"{seconds(length)} of call: {count(of_caller, 'turn')} of the caller,"
        f" {of_agent} of the agent, {count(len(story.tools), 'tool call')},"
        f" {count(len(story.transfers), 'transfer')}{longest}."
    )
