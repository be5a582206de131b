"""What a call by WebRTC needs of the world before it can be held like one of a telephone."""

from dataclasses import dataclass, field
from typing import Final, Protocol

from sipagent.model import AccountName, CallId, Json
from sipagent.sessions.machine.events import Answer

TALK_WITHIN: Final = 8.0
"""Seconds for a call by WebRTC to be made: somebody waits for it at a browser."""


@dataclass(frozen=True, slots=True)
class Created:
    """What asking for a call by WebRTC led to. DONE: there is one, of this id, and the browser is
    to be given the SDP answer. REFUSED and UNSENT: there is none. SILENT: there may be one that
    nobody can use, of this id if there is an id. `detail` is the provider's status and word."""

    answer: Answer
    detail: str
    call_id: CallId = field(default=CallId(""))
    sdp: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Issued:
    """What asking for a client secret led to: DONE, and it is good until `expires_at` (unix
    seconds), or as `Created`."""

    answer: Answer
    detail: str
    value: str = field(default="", repr=False)
    expires_at: float = 0.0


class Talking(Protocol):
    """The provider's calls by WebRTC, for one account."""

    async def create(self, offer: str, session: Json, *, within: float = TALK_WITHIN) -> Created:
        """Have a call made of a browser's SDP offer, once: it is answered from the beginning."""

    async def client_secret(
        self, session: Json, lasts: int, *, within: float = TALK_WITHIN
    ) -> Issued:
        """A secret with which somebody else's program may begin calls with this session, for so
        many seconds (10 to 7200)."""


class Talkers(Protocol):
    """The accounts' calls by WebRTC, by name."""

    def talking(self, account: AccountName) -> Talking:
        """Raises KeyError for an account that never was, ValueError where it cannot be reached."""
