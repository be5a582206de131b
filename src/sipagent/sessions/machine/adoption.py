"""What is known of a call that another process has held before: its plan, and what it has marked.

Nothing is done twice: there is no second greeting and no second REFER, and whether the call has to
be answered is found out at its socket.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from sipagent.model import CallPlan, Mark, Reason, ToolName
from sipagent.sessions.machine.attempts import History, attempts, history
from sipagent.sessions.machine.attendance import Attendance
from sipagent.sessions.machine.call import CallState, new_state
from sipagent.sessions.machine.commands import Finish
from sipagent.sessions.machine.deadlines import Deadlines
from sipagent.sessions.machine.disclosure import Disclosure
from sipagent.sessions.machine.duty import Duty
from sipagent.sessions.machine.events import Timer
from sipagent.sessions.machine.forwarding import WATCH, Forwarding
from sipagent.sessions.machine.greeting import FirstWords, Stage
from sipagent.sessions.machine.hush import hush
from sipagent.sessions.machine.life import Lifecycle, Phase
from sipagent.sessions.machine.outputs import Outputs, parted
from sipagent.sessions.machine.playback import Playback
from sipagent.sessions.machine.speech import speech
from sipagent.sessions.machine.toolcalls import SEEN, Lost
from sipagent.sessions.machine.transcript import Transcript
from sipagent.sessions.machine.transferring import Stage as TransferStage
from sipagent.sessions.machine.transferring import Transferring

_TURNS_EACH: Final = 1_000_000
"""Turns and requests of each owner are numbered apart; readers sort by the number."""

_ANSWERED: Final = (Mark.ACCEPTED, Mark.ATTACHED, Mark.GREETING, Mark.HEARD, Mark.REFER)
"""What is done only for a call that has been answered."""


class Past(Struct, frozen=True):
    """What owners before this one have done for a call.

    `epoch` counts the owners, this one included; `marks` are the marks' times in seconds since the
    call began; `rings` says that the call, if nobody has answered it, may still be answered; `cost`
    are the micro-dollars of what they have been billed.
    """

    epoch: int
    marks: Mapping[str, float]
    rings: bool
    cost: int = 0

    @property
    def answered(self) -> bool:
        """Whether an owner before is known to have answered it."""
        return any(mark in self.marks for mark in _ANSWERED) or attempts(self.marks) > 0

    @property
    def hanging_up(self) -> Reason | None:
        """Why an owner before has asked for the end."""
        for key in self.marks:
            mark, _, reason = key.partition(":")
            if mark == Mark.HANG_UP:
                return Reason(reason)
        return None


def adopted(plan: CallPlan, past: Past) -> CallState:
    """What is known of the call; `call.resume` goes on with it."""
    state = new_state(plan)
    before = past.epoch - 1
    watched = past.marks.get(Mark.REFER)
    sent = _sent(state.transfer, past, forwarded=watched is not None)
    # What was billed since the owner before heard the last of it is told to nobody.
    unheard = past.answered and plan.refer_to is None
    return replace(
        state,
        lifecycle=_lifecycle(state.lifecycle, past, watching=watched is not None),
        greeting=_greeting(state.greeting, past),
        forwarding=_forwarding(state.forwarding, watched),
        # Nobody is to talk into a transfer that is under way.
        responses=replace(state.responses, parting=watched is not None, count=before * _TURNS_EACH),
        playback=Playback(parting=watched is not None),
        transcript=Transcript(begun=before * _TURNS_EACH),
        spending=replace(state.spending, cost=past.cost, lost=unheard),
        speech=speech(plan, past.marks),
        disclosure=Disclosure(over=True) if Mark.DISCLOSURE in past.marks else state.disclosure,
        attendance=Attendance(attended=Mark.SOMEBODY in past.marks or sent.count > 0),
        toolcalls=replace(
            state.toolcalls, seen=_begun(past)[-SEEN:], used=len(_begun(past)), lost=_lost(past)
        ),
        outputs=Outputs(orphans=_untold(past, _begun(past)), undone=_undone(past)),
        transfer=replace(_transferring(state.transfer, sent), obeyed=_marked(past, Mark.ORDERED)),
        duty=Duty(done=_marked(past, Mark.WANTED)),
        hush=hush(plan, past.marks),
        deadlines=_deadlines(watched, sent),
    )


def _sent(fresh: Transferring, past: Past, *, forwarded: bool) -> History:
    """What owners before have sent. A call that is hung up, or sent away for good, is watched as
    such."""
    sent = history(past.marks, fresh.means.ways, fresh.means.watch)
    over = forwarded or past.hanging_up is not None
    return History(sent.count) if over else sent


def _transferring(fresh: Transferring, sent: History) -> Transferring:
    stage = TransferStage.IDLE if sent.attempt is None else TransferStage.WATCHING
    return replace(fresh, stage=stage, attempt=sent.attempt, chain=sent.chain, count=sent.count)


def _deadlines(watched: float | None, sent: History) -> Deadlines:
    if watched is not None:
        return Deadlines(((watched + WATCH, Timer.FORWARD_TAKEN),))
    if sent.attempt is not None:
        return Deadlines(((sent.attempt.until, Timer.TRANSFER_TAKEN),))
    return Deadlines()


def _begun(past: Past) -> tuple[str, ...]:
    """The tool calls that have begun, of tools that reach beyond the call."""
    return _marked(past, Mark.TOOL)


def _undone(past: Past) -> tuple[str, ...]:
    """Those of which nothing has been done: they waited for their turn, or for the caller."""
    begun = frozenset(_begun(past))
    return _untold(past, (one for one in _marked(past, Mark.ASKED) if one not in begun))


def _untold(past: Past, calls: Iterable[str]) -> tuple[str, ...]:
    """Those of which nobody is known to have sent the output."""
    return tuple(one for one in calls if f"{Mark.TOLD}:{one}" not in past.marks)


def _lost(past: Past) -> tuple[Lost, ...]:
    """Those of which nobody is known to have heard the end."""
    untold = frozenset(_untold(past, _begun(past)))
    begun = ((*parted(key), at) for key, at in past.marks.items())
    return tuple(
        Lost(call_id, ToolName(name), at)
        for mark, call_id, name, at in begun
        if mark == Mark.TOOL and call_id in untold
    )


def _marked(past: Past, kind: Mark) -> tuple[str, ...]:
    """The ids of the tool calls that are so marked."""
    keys = (parted(key) for key in past.marks)
    return tuple(call_id for mark, call_id, _ in keys if mark == kind)


def _lifecycle(fresh: Lifecycle, past: Past, *, watching: bool) -> Lifecycle:
    reason = past.hanging_up
    if reason is not None:
        end = Finish(reason, None)
        return replace(fresh, phase=Phase.ADOPTED, end=end)
    if watching:
        return replace(fresh, phase=Phase.FORWARDING)
    answered = past.answered or fresh.answered
    return replace(fresh, phase=Phase.ADOPTED, answerable=None if answered else past.rings)


def _greeting(fresh: FirstWords, past: Past) -> FirstWords:
    if fresh.stage is Stage.DONE or Mark.GREETING not in past.marks:
        return fresh
    restored = fresh.restore is None or Mark.TURN_RESTORED in past.marks
    return replace(fresh, stage=Stage.DONE if restored else Stage.SPEAKING)


def _forwarding(fresh: Forwarding, watched: float | None) -> Forwarding:
    if watched is None:
        return fresh
    # Whether the REFER was relayed is not known, so it is watched as one whose answer was lost.
    return fresh.watched(watched + WATCH)
