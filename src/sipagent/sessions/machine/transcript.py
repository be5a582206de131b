"""What both sides said, in the order in which they began to say it.

The caller's words arrive when their transcription is ready, before or after the answer to them.
The agent's words arrive faster than they are heard, so an agent's turn is finished only when its
playback has ended. Memory is bounded, however long the call: finished turns leave at once.
"""

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import Speaker, Turn
from sipagent.sessions.machine.commands import RecordTurn
from sipagent.sessions.machine.events import (
    AgentText,
    AgentTextDone,
    CallerCommitted,
    CallerStarted,
    CallerText,
    CallerTextDone,
    CallerTyped,
)
from sipagent.sessions.machine.signals import CallOver, Heard, PlaybackEnded

LONGEST_TURN: Final = 16_384
"""Characters kept of one turn. An agent's longest response is far below it."""

_OPEN_TURNS: Final = 16
_CLOSED_ITEMS: Final = 64


class OpenTurn(Struct, frozen=True):
    item_id: str
    sequence: int
    speaker: Speaker
    at: float
    text: str = ""
    response_id: str | None = None


class Transcript(Struct, frozen=True):
    """`closed` holds the last items that have been recorded: what comes late of them is dropped."""

    open: tuple[OpenTurn, ...] = ()
    closed: tuple[str, ...] = ()
    begun: int = 0


Heeded = (
    CallerStarted
    | CallerCommitted
    | CallerText
    | CallerTextDone
    | CallerTyped
    | AgentText
    | AgentTextDone
    | PlaybackEnded
    | CallOver
)
Result = tuple[Transcript, tuple[RecordTurn, ...]]


def step(state: Transcript, event: Heeded, now: float) -> Result:
    match event:
        case AgentText(response_id, item_id, delta):
            return _spoken(state, Speaker.AGENT, item_id, now, delta=delta, response_id=response_id)
        case CallerText(item_id, delta):
            return _spoken(state, Speaker.CALLER, item_id, now, delta=delta)
        case CallerStarted(item_id) | CallerCommitted(item_id):
            return _spoken(state, Speaker.CALLER, item_id, now)
        case AgentTextDone(response_id, item_id, text):
            return _spoken(state, Speaker.AGENT, item_id, now, full=text, response_id=response_id)
        case CallerTextDone(item_id=item_id, text=text) | CallerTyped(item_id=item_id, text=text):
            state, overflow = _spoken(state, Speaker.CALLER, item_id, now, full=text or "")
            items = [turn for turn in state.open if turn.item_id == item_id]
            state, recorded = _close(state, items, failed=text is None)
            return state, (*overflow, *recorded)
        case PlaybackEnded(response_id, _, heard):
            items = [turn for turn in state.open if turn.response_id == response_id]
            return _close(state, items, interrupted=heard is not Heard.ALL)
        case CallOver():
            return _close(state, list(state.open), interrupted=True)


def _spoken(
    state: Transcript,
    speaker: Speaker,
    item_id: str,
    now: float,
    *,
    delta: str = "",
    full: str | None = None,
    response_id: str | None = None,
) -> Result:
    """Add words to an item's turn, which begins with its first sign of life."""
    for place, turn in enumerate(state.open):
        if turn.item_id == item_id:
            text = (turn.text + delta if full is None else full)[:LONGEST_TURN]
            grown = replace(turn, text=text)
            return replace(state, open=(*state.open[:place], grown, *state.open[place + 1 :])), ()
    if item_id in state.closed:
        return state, ()
    text = (delta if full is None else full)[:LONGEST_TURN]
    turn = OpenTurn(item_id, state.begun, speaker, now, text, response_id)
    state = Transcript((*state.open, turn), state.closed, state.begun + 1)
    surplus = list(state.open[:-_OPEN_TURNS])
    return _close(state, surplus)


def _close(
    state: Transcript, turns: list[OpenTurn], *, interrupted: bool = False, failed: bool = False
) -> Result:
    if not turns:
        return state, ()
    gone = {turn.item_id for turn in turns}
    state = Transcript(
        open=tuple(turn for turn in state.open if turn.item_id not in gone),
        closed=(*state.closed, *(turn.item_id for turn in turns))[-_CLOSED_ITEMS:],
        begun=state.begun,
    )
    return state, tuple(
        RecordTurn(
            Turn(
                sequence=turn.sequence,
                speaker=turn.speaker,
                at=turn.at,
                text=None if failed and not turn.text else turn.text,
                interrupted=interrupted and turn.speaker is Speaker.AGENT,
            )
        )
        for turn in turns
        if turn.text or failed
    )
