"""What people on duty want of calls of this process: done at once, or refused with the reason."""

from collections import OrderedDict
from typing import Final, Protocol

from sipagent.model import CallId
from sipagent.model.request import CallRequest, Replied, Reply
from sipagent.sessions.machine import CallState
from sipagent.sessions.machine.events import Event
from sipagent.sessions.machine.outputs import key_of
from sipagent.sessions.machine.requests import (
    NOT_LIVE,
    cleaned,
    done_before,
    event_of,
    refusal,
)

_REMEMBERED: Final = 1000
"""Requests that have been done; an owner that takes a call over knows them by its marks."""

_DONE: Final = Reply(Replied.DONE)


class Log(Protocol):
    @property
    def active(self) -> bool:
        """Whether anything may be done for the call now."""


class Held(Protocol):
    """A held call that can be acted on."""

    @property
    def log(self) -> Log: ...

    @property
    def known(self) -> tuple[CallState, float]:
        """What is known of the call now, and the seconds since it began."""

    def deliver(self, event: Event) -> None: ...


class Acting:
    """Remembers what has been done, so that the same request twice is one."""

    def __init__(self) -> None:
        self._done: OrderedDict[tuple[CallId, str], None] = OrderedDict()

    def act(
        self, call_id: CallId, held: Held | None, request: CallRequest, key: str, *, aside: bool
    ) -> Reply | None:
        """Do it, or say why not; what was refused may be asked again under the same key. None if
        nobody here may do anything for the call. `aside`: it is seen to, and held by nobody yet."""
        key = key_of(key)
        if (call_id, key) in self._done:
            return _DONE
        if held is None:
            return Reply(Replied.REFUSED, NOT_LIVE) if aside else None
        if not held.log.active:
            return None  # it may be about to be another replica's, which does it then
        state, now = held.known
        request = cleaned(request)
        if not done_before(state, key):
            why = refusal(state, request, now)
            if why is not None:
                return Reply(Replied.REFUSED, why)
            held.deliver(event_of(request, key))
        self._done[call_id, key] = None
        while len(self._done) > _REMEMBERED:
            self._done.popitem(last=False)
        return _DONE
