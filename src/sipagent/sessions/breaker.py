"""Whether an account can hold calls at all. Where calls of it fail again and again, new ones are
refused at once, so that the carrier's fallback rings instead of somebody waiting in vain.

    CLOSED --(too many of the last calls have failed)--> OPEN, for a while
    OPEN   --(the while is over)--> one call is let through, as a trial
    trial  --(it works)--> CLOSED   --(it fails)--> OPEN, for twice as long
           --(it shows nothing)--> the next call is the trial
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

import structlog

from sipagent.model import AccountName, CallId, CallOutcome, Happening, Kind, Reason
from sipagent.sessions.ports import Clock

log = structlog.get_logger(__name__)

WINDOW: Final = 30.0
"""Seconds for which a call's result counts."""

MOST_RESULTS: Final = 100
"""Results that count at most, the last ones: a busy account is judged by its last seconds."""

FAILURES: Final = 5
"""Failures that open a breaker, where they are at least half of the results."""

SHORTEST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 60.0
"""Seconds without any call after the breaker has opened, twice as many after each trial that
fails."""

TRIAL_WITHIN: Final = 60.0
"""Seconds in which a trial shows something: longer than a forward is watched."""

ATTACH_NOT_FOUND: Final = "attach answered 404"
"""How the detail of an outcome begins where the call was gone before its socket was attached."""


class Sign(StrEnum):
    """What a call shows of its account. ATTACHED is half a proof; NOTHING: it shows no more."""

    WORKS = "works"
    ATTACHED = "attached"
    FAILS = "fails"
    NOTHING = "nothing"


class Admission(StrEnum):
    """Whether a new call is let through. TRIAL: it is, and what becomes of it decides."""

    CLEAR = "clear"
    TRIAL = "trial"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Result:
    """What one call has shown, and when."""

    at: float
    failed: bool


@dataclass(frozen=True, slots=True)
class Trial:
    """The one call that an open breaker has let through."""

    call_id: CallId
    until: float
    attached: bool = False


@dataclass(frozen=True, slots=True)
class Closed:
    """Calls go through. `results` are the last, the oldest first, of which `failures` failed."""

    results: tuple[Result, ...] = ()
    failures: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    """New calls are refused, but for one trial at a time from `ready_at` on."""

    since: float
    pause: float
    ready_at: float
    trial: Trial | None = None


State = Closed | Open

_UNTOUCHED: Final = Closed()


def settled(state: State, now: float) -> State:
    """The state once a trial that has not reported back in its time is given up. One that is
    attached and has had no trouble for so long works."""
    match state:
        case Open(trial=Trial(until=until, attached=attached)) if now >= until:
            return Closed() if attached else replace(state, trial=None)
        case _:
            return state


def admit(state: State, call_id: CallId, now: float) -> tuple[State, Admission]:
    """Whether this call may go through now. A call that is the trial already is not refused."""
    match settled(state, now):
        case Closed() as state:
            return state, Admission.CLEAR
        case Open(trial=None, ready_at=ready_at) as state if now >= ready_at:
            trial = Trial(call_id, now + TRIAL_WITHIN)
            return replace(state, trial=trial), Admission.TRIAL
        case Open(trial=Trial(call_id=trial)) as state if trial == call_id:
            return state, Admission.CLEAR
        case Open() as state:
            return state, Admission.REFUSED


def withdraw(state: State, call_id: CallId) -> State:
    """The trial was not held after all: the next call is one."""
    match state:
        case Open(trial=Trial(call_id=trial)) if trial == call_id:
            return replace(state, trial=None)
        case _:
            return state


def tell(state: State, call_id: CallId, sign: Sign, now: float) -> State:
    """The state after a call has shown something. While it is open only the trial counts."""
    match settled(state, now):
        case Closed() as state:
            return _counted(state, sign, now)
        case Open(trial=Trial(call_id=known) as trial) as state if known == call_id:
            return _tried(state, trial, sign, now)
        case Open() as state:
            return state


def _counted(state: Closed, sign: Sign, now: float) -> State:
    if sign not in (Sign.WORKS, Sign.FAILS):
        return state
    failed = sign is Sign.FAILS
    past, failures = _left_behind(state, now)
    results = (*state.results[past:], Result(now, failed))
    failures += failed
    if failed and failures >= FAILURES and 2 * failures >= len(results):
        return Open(now, SHORTEST_PAUSE, now + SHORTEST_PAUSE)
    return Closed(results, failures)


def _left_behind(state: Closed, now: float) -> tuple[int, int]:
    """How many of the oldest results count no more when one is added, and how many of the others
    failed. Every call of a busy account comes here twice: none looks at all hundred."""
    past, failures = 0, state.failures
    fewest = len(state.results) + 1 - MOST_RESULTS
    for result in state.results:
        if past >= fewest and result.at > now - WINDOW:
            break
        past += 1
        failures -= result.failed
    return past, failures


def _tried(state: Open, trial: Trial, sign: Sign, now: float) -> State:
    match sign:
        case Sign.WORKS:
            return Closed()
        case Sign.ATTACHED:
            return replace(state, trial=replace(trial, attached=True))
        case Sign.FAILS:
            pause = min(2 * state.pause, LONGEST_PAUSE)
            return Open(state.since, pause, now + pause)
        case Sign.NOTHING:
            return replace(state, trial=None)


_STEPS: Final[Mapping[Happening, Sign]] = {
    Happening.ATTACHED: Sign.ATTACHED,
    Happening.HEARD: Sign.WORKS,
    Happening.FELL_BACK: Sign.FAILS,
}

_FAILED: Final = frozenset({Reason.ACCEPT_TIMEOUT, Reason.ATTACH_FAILED, Reason.PROVIDER_ERROR})
"""Not ACCEPT_REFUSED: what a definite refusal is about is the call, or the session, or the
credentials, which the account's health speaks of."""


def sign_of_step(what: Happening) -> Sign | None:
    """What a step of a call's story shows of its account."""
    return _STEPS.get(what)


def sign_of_end(outcome: CallOutcome) -> Sign:
    """What a call's end shows of its account, beyond what its steps have shown."""
    reason = outcome.reason
    if reason in _FAILED:
        gone = outcome.detail is not None and outcome.detail.startswith(ATTACH_NOT_FOUND)
        return Sign.NOTHING if gone else Sign.FAILS
    normal = reason.kind is Kind.COMPLETED and reason is not Reason.OPERATOR_HUNG_UP
    held = outcome.attached_at is not None and outcome.heard_at is None
    return Sign.WORKS if normal and held else Sign.NOTHING


@dataclass(frozen=True, slots=True)
class Opened:
    """An open breaker: for how many seconds it has been, and in how many the next call is tried;
    0 where it will be, or is being tried."""

    seconds: float
    next_in: float


class Breakers:
    """One breaker for each account of this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._states: dict[AccountName, State] = {}

    def admit(self, account: AccountName, call_id: CallId) -> Admission:
        """Whether a new call of the account may be held. Of a TRIAL `withdraw` or `tell` is due."""
        admitted, now = Admission.CLEAR, self._clock.monotonic()

        def change(state: State) -> State:
            nonlocal admitted
            state, admitted = admit(state, call_id, now)
            return state

        self._change(account, change)
        return admitted

    def withdraw(self, account: AccountName, call_id: CallId) -> None:
        """A call that was admitted as a trial is not held."""
        self._change(account, lambda state: withdraw(state, call_id))

    def tell(self, account: AccountName, call_id: CallId, sign: Sign) -> None:
        """Note what a call that is held shows of its account."""
        now = self._clock.monotonic()
        self._change(account, lambda state: tell(state, call_id, sign, now))

    def opened(self) -> Mapping[AccountName, Opened]:
        """The breakers that are open now."""
        now = self._clock.monotonic()
        for account in tuple(self._states):
            self._change(account, lambda state: settled(state, now))
        return {
            account: Opened(now - state.since, max(0.0, state.ready_at - now))
            for account, state in self._states.items()
            if isinstance(state, Open)
        }

    def _change(self, account: AccountName, change: Callable[[State], State]) -> None:
        before = self._states.get(account, _UNTOUCHED)
        after = change(before)
        if after is before:
            return
        if after == _UNTOUCHED:
            self._states.pop(account, None)
        else:
            self._states[account] = after
        self._log(account, before, after)

    def _log(self, account: AccountName, before: State, after: State) -> None:
        match before, after:
            case Closed(), Open(pause=pause):
                log.error("breaker opened", account=account, next_trial_in=pause)
            case Open(since=since), Closed():
                seconds = round(self._clock.monotonic() - since, 1)
                log.info("breaker closed", account=account, open_for=seconds)
            case Open(pause=pause), Open(pause=longer) if longer != pause:
                log.warning("breaker stays open", account=account, next_trial_in=longer)
            case _:
                pass
