"""The whole machine of a call: the small ones, and the one order in which they are told."""

from collections import deque
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final
from zlib import crc32

from msgspec import Struct, field
from msgspec.structs import replace

from sipagent.model import CallPlan
from sipagent.sessions.machine import (
    approvals,
    attendance,
    deadlines,
    digits,
    disclosure,
    duration,
    duty,
    events,
    fillers,
    forwarding,
    greeting,
    hush,
    leaving,
    life,
    lifecycle,
    outputs,
    playback,
    recovery,
    responses,
    signals,
    silence,
    speech,
    spending,
    toolcalls,
    transcript,
    transfer,
    transferring,
)
from sipagent.sessions.machine.approvals import Approvals
from sipagent.sessions.machine.attendance import Attendance
from sipagent.sessions.machine.commands import Command
from sipagent.sessions.machine.deadlines import Deadlines
from sipagent.sessions.machine.digits import Digits
from sipagent.sessions.machine.disclosure import Disclosure
from sipagent.sessions.machine.duration import Duration
from sipagent.sessions.machine.duty import Duty
from sipagent.sessions.machine.events import Event
from sipagent.sessions.machine.fillers import Fillers
from sipagent.sessions.machine.forwarding import Forwarding
from sipagent.sessions.machine.greeting import FirstWords
from sipagent.sessions.machine.hush import Hush
from sipagent.sessions.machine.leaving import Leaving
from sipagent.sessions.machine.life import Lifecycle, Phase
from sipagent.sessions.machine.opening import first_words, opening_session
from sipagent.sessions.machine.outputs import Outputs
from sipagent.sessions.machine.playback import Playback
from sipagent.sessions.machine.recovery import Recovery
from sipagent.sessions.machine.responses import Responses
from sipagent.sessions.machine.signals import Signal
from sipagent.sessions.machine.silence import Quiet
from sipagent.sessions.machine.speech import Speech
from sipagent.sessions.machine.spending import Spending
from sipagent.sessions.machine.toolcalls import ToolCalls
from sipagent.sessions.machine.transcript import Transcript
from sipagent.sessions.machine.transferring import Transferring


class CallState(Struct, frozen=True):
    """Everything that is known of a call in progress. Each part belongs to its own machine."""

    lifecycle: Lifecycle
    greeting: FirstWords
    forwarding: Forwarding = field(default_factory=Forwarding)
    responses: Responses = Responses()
    playback: Playback = Playback()
    transcript: Transcript = Transcript()
    spending: Spending = Spending()
    recovery: Recovery = Recovery()
    attendance: Attendance = Attendance()
    duration: Duration = Duration()
    toolcalls: ToolCalls = ToolCalls()
    outputs: Outputs = Outputs()
    fillers: Fillers = Fillers()
    approvals: Approvals = Approvals()
    leaving: Leaving = Leaving()
    speech: Speech = Speech()
    digits: Digits = field(default_factory=Digits)
    silence: Quiet = Quiet()
    disclosure: Disclosure = Disclosure()
    transfer: Transferring = Transferring()
    duty: Duty = Duty()
    hush: Hush = Hush()
    deadlines: Deadlines = Deadlines()

    @property
    def over(self) -> bool:
        return self.lifecycle.phase is Phase.OVER

    @property
    def usage_complete(self) -> bool:
        """Whether all that the provider has billed so far is known."""
        return self.spending.complete


Step = Callable[[Any, Any, float], tuple[Any, tuple[Command | Signal, ...]]]

_ORDER: Final[tuple[tuple[str, Step, Any], ...]] = (
    ("deadlines", deadlines.step, deadlines.Heeded),
    ("responses", responses.step, responses.Heeded),
    ("playback", playback.step, playback.Heeded),
    ("transcript", transcript.step, transcript.Heeded),
    ("duty", duty.step, duty.Heeded),
    ("greeting", greeting.step, greeting.Heeded),
    ("spending", spending.step, spending.Heeded),
    ("recovery", recovery.step, recovery.Heeded),
    ("attendance", attendance.step, attendance.Heeded),
    ("duration", duration.step, duration.Heeded),
    ("toolcalls", toolcalls.step, toolcalls.Heeded),
    ("outputs", outputs.step, outputs.Heeded),
    ("fillers", fillers.step, fillers.Heeded),
    ("approvals", approvals.step, approvals.Heeded),
    ("leaving", leaving.step, leaving.Heeded),
    ("speech", speech.step, speech.Heeded),
    ("hush", hush.step, hush.Heeded),
    ("digits", digits.step, digits.Heeded),
    ("silence", silence.step, silence.Heeded),
    ("disclosure", disclosure.step, disclosure.Heeded),
    ("transfer", transfer.step, transferring.Heeded),
    ("forwarding", forwarding.step, forwarding.Heeded),
    ("lifecycle", lifecycle.step, life.Heeded),
)
"""Who is told first. `lifecycle` is last, so that its `Finish` comes after all records."""


def _listeners() -> MappingProxyType[type, tuple[tuple[str, Step], ...]]:
    table: dict[type, tuple[tuple[str, Step], ...]] = {}
    for name, machine, heeded in _ORDER:
        for kind in heeded.__args__:
            table[kind] = (*table.get(kind, ()), (name, machine))
    return MappingProxyType(table)


_LISTENERS: Final = _listeners()
_SIGNALS: Final = frozenset(signals.Signal.__args__)
_TIMED: Final = frozenset({signals.DeadlineWanted, signals.DeadlineDropped})


def begin(plan: CallPlan) -> tuple[CallState, list[Command]]:
    """The state of a call that has just been claimed, and the first thing to do for it."""
    return _pass_round(new_state(plan), signals.CallBegun(), 0.0)


def resume(state: CallState, now: float) -> tuple[CallState, list[Command]]:
    """The first thing to do for a call that has been taken over: its `adopted` state goes on."""
    return _pass_round(state, signals.CallBegun(), now)


def new_state(plan: CallPlan) -> CallState:
    """What is known of a call for which nothing has been done."""
    return CallState(
        lifecycle=Lifecycle(
            opening_session(plan, plan.session),
            forwards=plan.refer_to is not None,
            spare=None
            if plan.fallback_session is None
            else opening_session(plan, plan.fallback_session),
            jitter=crc32(plan.call_id.encode()) / 2**32,
            answered=plan.talk,
        ),
        greeting=first_words(plan),
        forwarding=forwarding.forwarding(plan.refer_to),
        responses=responses.responses(plan),
        spending=spending.spending(plan),
        recovery=recovery.recovery(plan),
        duration=duration.duration(plan),
        speech=speech.speech(plan),
        leaving=leaving.leaving(plan),
        digits=digits.digits(plan),
        silence=silence.quiet(plan),
        disclosure=disclosure.disclosure(plan),
        toolcalls=toolcalls.toolcalls(plan),
        approvals=approvals.approvals(plan),
        transfer=transferring.transferring(plan),
        hush=hush.hush(plan),
    )


def step(state: CallState, event: Event, now: float) -> tuple[CallState, list[Command]]:
    """What becomes of the call by this event at this time, and what is to be done in order.

    An event that no machine heeds leaves the state as it is: unknown events are harmless. After
    the end nothing happens any more.
    """
    if state.over:
        return state, []
    return _pass_round(state, event, now)


def _pass_round(
    state: CallState, first: Event | Signal, now: float
) -> tuple[CallState, list[Command]]:
    """Tell everybody who heeds it, then what they say in turn, until nobody says anything.

    Most events are a few words of speech, heeded by one machine that answers nothing: they take
    the short way through. Every other signal is about a deadline, and goes to its only listener
    where it is said.
    """
    commands: list[Command] = []
    changed: dict[str, Any] = {}
    waiting: deque[Signal] | None = None
    event: Event | Signal = first
    while True:
        for name, machine in _LISTENERS.get(type(event), ()):
            before = changed[name] if name in changed else getattr(state, name)
            after, outputs = machine(before, event, now)
            if after is not before:
                changed[name] = after
            for output in outputs:
                kind = type(output)
                if kind in _TIMED:
                    pending = changed.get("deadlines", state.deadlines)
                    changed["deadlines"] = deadlines.timed(pending, output)  # type: ignore[arg-type]  # just told apart
                elif kind in _SIGNALS:
                    waiting = deque() if waiting is None else waiting
                    waiting.append(output)  # type: ignore[arg-type]  # just told apart
                else:
                    commands.append(output)  # type: ignore[arg-type]  # just told apart
        if not waiting:
            break
        event = waiting.popleft()
    return (replace(state, **changed) if changed else state), commands


__all__ = ["CallState", "begin", "events", "step"]
