"""A call that its agent sends to somebody: announced, one REFER, watched, and gone on with.

    IDLE -> SPEAKING -> REFERRING -> WATCHING -> (the call ends: transferred)
      ^        ^            |           |
      |        +---------- the next destination
      +---------- nobody took it: the agent has the caller again

A carrier that has relayed a REFER tells nothing of what comes of it, and may keep the caller here
while the target rings (20 to 40 s). So the socket stays, the agent answers a caller who speaks, and
the call's end within the watch counts as its transfer; a call that is still there afterwards has
not been taken. No REFER is ever repeated: another one follows only where the destination's steps
name another destination, or where the model, or the caller's key, asks again.
"""

from typing import Final

from msgspec.structs import replace

from sipagent.model import (
    Happening,
    Mark,
    Reachable,
    Reason,
    Transfer,
    TransferEnd,
)
from sipagent.model.builtin import TRANSFER
from sipagent.sessions.machine import connecting
from sipagent.sessions.machine.attempts import (
    HANG_UP,
    RELAYED,
    TAKE_MESSAGE,
    Attempt,
    Chain,
    following,
    is_open,
)
from sipagent.sessions.machine.commands import (
    Inform,
    Note,
    RecordStep,
    RecordTransfer,
    Refer,
)
from sipagent.sessions.machine.events import (
    Answer,
    AudioStarted,
    CallerStarted,
    CallerStopped,
    DeadlineReached,
    Referred,
    Timer,
    TransferOrdered,
    TransferWanted,
)
from sipagent.sessions.machine.outputs import begun_mark, error, output
from sipagent.sessions.machine.signals import (
    AgentTaken,
    CallBegun,
    CallDropped,
    CallLive,
    CallOver,
    CallResumed,
    CallUnheard,
    DeadlineDropped,
    DeadlineWanted,
    EndWanted,
    HangingUp,
    IntentEnded,
    Parting,
    PlaybackEnded,
    Purpose,
    ResponseDropped,
    ResponseUnneeded,
    ResponseWanted,
    TransferAsked,
    TransferGoing,
    TransferTaken,
)
from sipagent.sessions.machine.transferring import (
    Heeded,
    Outputs,
    Result,
    Stage,
    Transferring,
    order_of,
)

HEARD_WITHIN: Final = 15.0
"""Seconds for the words before a transfer to be heard."""

STILL_AFTER: Final = 8.0
"""Seconds without a word from anybody until the agent says that it takes its time."""

_PLAYED: Final = 8

_STILL: Final = (Stage.IDLE, Stage.OVER)
_OF_ATTEMPTS: Final = frozenset({AudioStarted, CallerStarted, CallerStopped, ResponseDropped})
"""What matters only while the call is being sent somewhere."""

_FAILURES: Final = {Answer.BARRED: TransferEnd.BARRED, Answer.GONE: TransferEnd.GONE}


def step(state: Transferring, event: Heeded, now: float) -> Result:
    if type(event) in _OF_ATTEMPTS and state.stage in _STILL:
        return state, ()
    match event:
        case TransferAsked() | TransferOrdered() | TransferWanted():
            return _wanted(state, event, now)
        case Referred(answer):
            return _referred(state, answer, now)
        case AgentTaken(agent):
            return replace(state, agent=agent), ()
        case CallLive() | CallResumed():
            return _attached(state, now)
        case CallUnheard() | CallDropped():
            return _detached(state, event)
        case PlaybackEnded(response_id):
            state = replace(state, played=(*state.played, response_id)[-_PLAYED:])
            return _going_on(state, event, now)
        case Parting() | HangingUp():
            return replace(state, stage=Stage.OVER), _unwatched()
        case TransferTaken() | CallOver():
            return _closed(state, event)
        case _:
            return _going_on(state, event, now)


def _going_on(state: Transferring, event: Heeded, now: float) -> Result:
    if state.stage is Stage.SPEAKING and state.live:
        return _speaking(state, event)
    if state.stage is Stage.WATCHING and state.attempt is not None:
        return _watching(state, state.attempt, event, now)
    return state, ()


def _wanted(
    state: Transferring, wanted: TransferAsked | TransferOrdered | TransferWanted, now: float
) -> Result:
    match wanted:
        case TransferAsked():
            return _asked(state, wanted, now)
        case TransferOrdered(order, way):
            state, outputs = _ordered(state, order, way, now)
            told = (RecordStep(Happening.ORDERED, way.destination),) if outputs else ()
            return state, (*told, *outputs)
        case TransferWanted(key, destination):
            there = state.means.ways.get(destination)
            if there is None or not is_open(there, now):
                return state, ()
            return _ordered(state, order_of(key), there, now, binds=True)


def _asked(state: Transferring, asked: TransferAsked, now: float) -> Result:
    way = state.means.ways.get(asked.destination)
    if state.stage is Stage.OVER:
        return state, _refused(asked, connecting.ENDING, speak=False)
    if state.stage is not Stage.IDLE:
        # A key that is pressed again, or a word of the agent's beside its request, says enough.
        heard = asked.id is None or asked.spoken
        return state, _refused(asked, connecting.UNDER_WAY, speak=not heard)
    if way is None:
        return state, _refused(asked, connecting.unknown())
    if not is_open(way, now):
        closed = RecordStep(Happening.CLOSED, way.destination)
        return state, (closed, *_refused(asked, connecting.closed(way, now)))
    if not state.means.telephone:
        return state, _refused(asked, connecting.by_browser(way.destination))
    state = replace(state, id=asked.id, chain=Chain().through(way))
    state, outputs = _begun(state, asked, way, now)
    # Whoever takes the call over before there is an output says that none will come.
    begun = () if asked.id is None else (Note(begun_mark(asked.id, TRANSFER)),)
    return state, (*begun, *outputs)


def _ordered(
    state: Transferring, order: str, way: Reachable, now: float, *, binds: bool = False
) -> Result:
    """Send the call where the operator, or somebody on duty, wants it."""
    if not state.can_obey(order):
        return state, ()
    state = replace(state, order=order, binds=binds, chain=Chain().through(way))
    state, outputs = _announced(state, way, now)
    return state, (ResponseWanted(Purpose.CONNECTING, connecting.CONNECTING, False), *outputs)


def _begun(state: Transferring, asked: TransferAsked, way: Reachable, now: float) -> Result:
    if asked.spoken and asked.response_id is not None:
        state, outputs = _announced(state, way, now, words=asked.response_id)
        return _refer(state) if asked.response_id in state.played else (state, outputs)
    state, outputs = _announced(state, way, now)
    return state, (ResponseWanted(Purpose.CONNECTING, connecting.CONNECTING, False), *outputs)


def _refused(asked: TransferAsked, words: str, *, speak: bool = True) -> Outputs:
    """Tell the model why the caller is sent nowhere."""
    if asked.id is not None:
        return (IntentEnded(asked.id, error(words), done=False, speak=speak),)
    told = Inform(f"transfer-{asked.destination}", words)
    return (told, ResponseWanted(Purpose.TOOL)) if speak else ()


def _announced(
    state: Transferring, way: Reachable, now: float, *, words: str | None = None
) -> Result:
    """The REFER goes when the words before it have been heard, or have had their time."""
    state = replace(state, stage=Stage.SPEAKING, way=way, words=words)
    cap = DeadlineWanted(Timer.HANDED_OVER, now + HEARD_WITHIN)
    return state, (TransferGoing(going=True, referred=False), cap)


def _speaking(state: Transferring, event: Heeded) -> Result:
    match event:
        case PlaybackEnded(response_id) if response_id == state.words:
            return _refer(state)
        case PlaybackEnded(purpose=Purpose.CONNECTING) if state.words is None:
            return _refer(state)
        case ResponseDropped(Purpose.CONNECTING) if state.words is None:
            return _refer(state)
        case DeadlineReached(Timer.HANDED_OVER):
            return _refer(state)
        case _:
            return state, ()


def _refer(state: Transferring) -> Result:
    assert state.way is not None
    attempt = Attempt(state.count + 1, state.way)
    state = replace(state, stage=Stage.REFERRING, attempt=attempt, count=attempt.number, words=None)
    way, cap, ordered = attempt.way, state.means.cap, state.order
    noted: tuple[Note, ...] = ()
    if ordered is not None:
        if not state.binds:
            cap = None  # the operator's own orders are held to no tenant's quota
        if ordered not in state.obeyed:
            state = replace(state, obeyed=(*state.obeyed, ordered))
            noted = (Note(f"{Mark.ORDERED}:{ordered}"),)
    return state, (
        DeadlineDropped(Timer.HANDED_OVER),
        TransferGoing(going=True),
        *noted,
        Refer(way.refer_to, attempt.mark, way.destination, cap),
    )


def _referred(state: Transferring, answer: Answer, now: float) -> Result:
    if state.attempt is None or state.attempt.answer is not None:
        return state, ()  # a call that is sent on without its agent
    attempt = replace(state.attempt, answer=answer, until=now + state.means.watch)
    state, noted = replace(state, attempt=attempt), Note(attempt.referred)
    if answer not in RELAYED:
        state, outputs = _failed(state, attempt, _FAILURES.get(answer, TransferEnd.REFUSED), now)
    elif state.stage is Stage.OVER:
        outputs = (_record(attempt, None),)
    else:
        state, outputs = _relayed(state, attempt, now)
    return state, (noted, *outputs)


def _relayed(state: Transferring, attempt: Attempt, now: float) -> Result:
    outputs: Outputs = (
        _record(attempt, None),
        DeadlineWanted(Timer.TRANSFER_TAKEN, attempt.until),
        DeadlineWanted(Timer.STILL_CONNECTING, now + STILL_AFTER),
    )
    if state.id is not None:
        told = output(connecting.connecting(attempt.way.destination))
        outputs = (*outputs, IntentEnded(state.id, told, speak=False))
    return replace(state, stage=Stage.WATCHING, id=None), outputs


def _watching(state: Transferring, attempt: Attempt, event: Heeded, now: float) -> Result:
    match event:
        case CallBegun():
            return state, (TransferGoing(going=True),)
        case DeadlineReached(Timer.TRANSFER_TAKEN) if state.live:
            return _failed(state, attempt, TransferEnd.NOT_TAKEN, now)
        case DeadlineReached(Timer.TRANSFER_TAKEN):
            return replace(state, late=True), ()
        case _ if attempt.told:
            return state, ()
        case CallerStarted() | AudioStarted():
            return state, (DeadlineDropped(Timer.STILL_CONNECTING),)
        case CallerStopped() | PlaybackEnded():
            return state, (DeadlineWanted(Timer.STILL_CONNECTING, now + STILL_AFTER),)
        case DeadlineReached(Timer.STILL_CONNECTING) if state.live:
            wanted = ResponseWanted(Purpose.CONNECTING, connecting.STILL_CONNECTING, False)
            return replace(state, attempt=replace(attempt, told=True)), (wanted,)
        case _:
            return state, ()


def _detached(state: Transferring, event: CallUnheard | CallDropped) -> Result:
    """A call that is there still is sent on: nobody will tell when the words before a REFER have
    been heard."""
    if isinstance(event, CallDropped) and state.stage is Stage.SPEAKING:
        return _refer(state)
    return replace(state, live=False), ()


def _attached(state: Transferring, now: float) -> Result:
    state = replace(state, live=True)
    if state.stage is not Stage.WATCHING or state.attempt is None:
        return state, ()
    if state.late:
        return _failed(state, state.attempt, TransferEnd.NOT_TAKEN, now)
    again = DeadlineWanted(Timer.STILL_CONNECTING, now + STILL_AFTER)
    return state, (again,) * (not state.attempt.told)


def _failed(state: Transferring, attempt: Attempt, end: TransferEnd, now: float) -> Result:
    """Nobody has taken the call: the destination's steps say what follows."""
    destination, over = attempt.way.destination, state.stage is Stage.OVER
    outputs: Outputs = (
        _record(attempt, end),
        RecordStep(Happening.NOT_TRANSFERRED, connecting.story(destination, end)),
        *((Note(attempt.over),) if end is TransferEnd.NOT_TAKEN else ()),
        *_unwatched(),
    )
    state = replace(state, attempt=None, late=False)
    if over:
        return state, (*outputs, TransferGoing(going=False))
    if end is TransferEnd.GONE:
        state, last = _over(state, error(connecting.ENDING))
        return state, (*outputs, *last, EndWanted(Reason.LINE_CLOSED))
    next_ = following(state.chain, state.means.ways, now, barred=end is TransferEnd.BARRED)
    closed = (RecordStep(Happening.CLOSED, one) for one in next_.closed)
    outputs = (*outputs, ResponseUnneeded(Purpose.CONNECTING), *closed)
    if next_.way is not None:
        state, more = _announced(
            replace(state, chain=state.chain.through(next_.way)), next_.way, now
        )
        words = ResponseWanted(Purpose.CONNECTING, connecting.TRYING_ON, False)
        return state, (*outputs, words, *more)
    state, more = _last(state, attempt, end, next_.step)
    return state, (*outputs, *more)


def _last(state: Transferring, attempt: Attempt, end: TransferEnd, following_: str) -> Result:
    """Nothing more is tried: the agent goes on, or says goodbye."""
    destination = attempt.way.destination
    taker = state.means.takers.get(state.agent) if following_ == TAKE_MESSAGE else None
    told = connecting.failed(destination, end, taker)
    if following_ == HANG_UP:
        state, outputs = _over(state, error(told))
        detail = connecting.story(destination, end)
        return state, (*outputs, EndWanted(Reason.REFER_FAILED, connecting.GOODBYE, detail))
    going = TransferGoing(going=False)
    idle = replace(state, stage=Stage.IDLE, id=None, way=None, chain=Chain(), order=None)
    if state.id is not None:
        return idle, (going, IntentEnded(state.id, error(told), done=False))
    informed = Inform(f"transfer-{attempt.number}", told)
    return idle, (going, informed, ResponseWanted(Purpose.TOOL))


def _over(state: Transferring, told: str) -> Result:
    """The call is to end: whoever waits for an output gets it, and nobody answers it."""
    outputs: Outputs = (TransferGoing(going=False),)
    if state.id is not None:
        outputs = (*outputs, IntentEnded(state.id, told, done=False, speak=False))
    return replace(state, stage=Stage.OVER, id=None, way=None), outputs


def _closed(state: Transferring, event: TransferTaken | CallOver) -> Result:
    end = TransferEnd.TAKEN if isinstance(event, TransferTaken) else TransferEnd.BROKEN_OFF
    record = () if state.attempt is None else (_record(state.attempt, end),)
    return replace(state, stage=Stage.OVER, attempt=None), record


def _record(attempt: Attempt, end: TransferEnd | None) -> RecordTransfer:
    way, answer = attempt.way, attempt.answer or Answer.SILENT
    return RecordTransfer(Transfer(attempt.number, way.destination, way.refer_to, answer, end))


def _unwatched() -> tuple[DeadlineDropped, ...]:
    timers = (Timer.HANDED_OVER, Timer.STILL_CONNECTING, Timer.TRANSFER_TAKEN)
    return tuple(DeadlineDropped(timer) for timer in timers)
