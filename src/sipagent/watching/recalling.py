"""What has been told of calls, made again of what is recorded of them. Pure."""

from collections.abc import Sequence
from typing import Final

from sipagent.model import AgentName, CallId, Happening, TenantName
from sipagent.model.live import LiveEvent, LiveKind
from sipagent.store.facts import CallRow, StoredHappening, Story
from sipagent.watching import telling
from sipagent.watching.ids import Named
from sipagent.watching.telling import Decided, Ended, Subject

COMES: Final = {
    Happening.ANSWERED: LiveKind.ANSWERED,
    Happening.ATTACHED: LiveKind.ATTACHED,
    Happening.HEARD: LiveKind.HEARD,
}
"""Steps of a call that are told to whoever watches all calls."""

LATE: Final = 60.0
"""Seconds by which a turn or a tool may be told after it began: a long sentence, or tool."""

_COMES: Final = {what.value: kind for what, kind in COMES.items()}
_RANKS: Final = {LiveKind.DECIDED: 0, LiveKind.ENDED: 2}
_TOLD_LATE: Final = frozenset({LiveKind.TURN, LiveKind.TOOL})


def subject_of(call: CallRow) -> Subject:
    agent = None if call.agent is None else AgentName(call.agent)
    return Subject(CallId(call.call_id), TenantName(call.tenant), agent)


def lifecycle_of(call: CallRow) -> tuple[LiveEvent, ...]:
    """How far the call has come, as far as its row tells."""
    of = subject_of(call)
    made = Decided(call.verdict, call.dialed, call.caller, call.trunk, call.destination)
    events = [telling.decided(of, call.began_at, made)]
    for kind, at in (
        (LiveKind.ANSWERED, call.answered_at),
        (LiveKind.ATTACHED, call.attached_at),
        (LiveKind.HEARD, call.heard_at),
    ):
        if at is not None:
            events.append(telling.come(of, kind, at))
    if call.ended_at is not None and call.outcome is not None:
        events.append(telling.ended(of, _end(call, call.outcome, call.ended_at)))
    return tuple(sorted(events, key=place))


def events_of(story: Story) -> tuple[LiveEvent, ...]:
    """All that was told of the call, in the order in which it began."""
    call = story.call
    of = subject_of(call)
    events = [event for event in lifecycle_of(call) if event.kind not in COMES.values()]
    events += [_step(of, happened) for happened in story.steps]
    events += [
        telling.turn(of, one.at, one.sequence, one.speaker, one.text, interrupted=one.interrupted)
        for one in story.turns
    ]
    for use in story.tools:
        by = of if use.agent is None else Subject(of.call_id, of.tenant, AgentName(use.agent))
        events.append(
            telling.tool(by, use.at, use.id, use.name, use.status, use.detail, use.seconds)
        )
    events += [
        telling.transfer(of, one.at, one.number, one.destination, one.answer, one.outcome)
        for one in story.transfers
    ]
    return tuple(sorted(events, key=place))


def behind(events: Sequence[LiveEvent], after: Named | None) -> list[LiveEvent]:
    """What follows the event that a viewer has named, or all where there is none of that name.

    Turns and tools stand where they began and are told when they are over: those that began within
    a minute before it come again, as they may not have been told by then.
    """
    place = next((at for at, one in enumerate(events) if one.id == str(after)), None)
    if place is None:
        return list(events)
    since = events[place].at - LATE
    earlier = [one for one in events[:place] if one.kind in _TOLD_LATE and one.at >= since]
    return earlier + list(events[place + 1 :])


def _step(of: Subject, happened: StoredHappening) -> LiveEvent:
    kind = _COMES.get(happened.what)
    if kind is None:
        return telling.step(of, happened.at, happened.what, happened.detail)
    return telling.come(of, kind, happened.at)


def _end(call: CallRow, outcome: str, ended_at: float) -> Ended:
    return Ended(
        outcome,
        call.at_fault,
        call.detail,
        call.sip_code,
        call.began_at,
        call.answered_at,
        call.heard_at,
        ended_at,
        call.turns,
    )


def place(event: LiveEvent) -> tuple[int, float]:
    """The decision first and the end last, whatever clocks say."""
    return _RANKS.get(event.kind, 1), event.at
