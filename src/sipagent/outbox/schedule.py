"""What an endpoint's answer means for an event, and for the endpoint. Pure.

Standard Webhooks: any 2xx takes an event, everything else, redirects included, is tried again with
growing pauses over days; 410 says that nobody wants it; 429 and 503 may say when to come back.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from sipagent.store.outbox import Ended, EventState, OutboxEvent

PAUSES: Final = (5.0, 30.0, 120.0, 600.0, 3600.0, 21_600.0)
"""Seconds after each attempt that failed; the last one from then on."""

GIVEN_UP_AFTER: Final = 72 * 3600.0
"""Seconds for which an event is tried. The last attempt is at the end of them."""

LONGEST_REST: Final = 300.0
"""Seconds at most between two attempts at an endpoint for which events are due."""

LONGEST_WISH: Final = 86_400.0
"""Seconds that an endpoint may put off an event by Retry-After."""

UNTOLD_FOR: Final = 3600.0
"""Seconds for which an event waits for what it is about: a call's records may come after it."""

FORGOTTEN: Final = "nothing is left to be told"
UNWANTED: Final = "no webhook takes it"
OVERDUE: Final = "nobody has taken it in time"

_JITTER: Final = 0.2
_GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Posted:
    """The answer to an attempt: its status, or None and the `trouble` in a word or two.
    `retry_after` are seconds."""

    status: int | None
    trouble: str = ""
    retry_after: float | None = None

    @property
    def taken(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def told(self) -> str:
        """What came of it, for people."""
        return self.trouble if self.status is None else str(self.status)


def verdict(event: OutboxEvent, posted: Posted, now: float, chance: float) -> Ended:
    """What becomes of the event. `chance`, from 0 to 1, spreads what would come back at once."""
    if posted.taken:
        return Ended(event, EventState.DELIVERED, posted.told, now)
    over_at = event.since + GIVEN_UP_AFTER
    if posted.status == _GONE or now >= over_at:
        return Ended(event, EventState.DEAD, posted.told, now)
    pause = spread(PAUSES[min(event.attempts, len(PAUSES) - 1)], chance)
    if posted.retry_after is not None:
        pause = max(pause, min(posted.retry_after, LONGEST_WISH))
    return Ended(event, EventState.PENDING, posted.told, min(now + pause, over_at))


def untold(event: OutboxEvent, now: float) -> Ended:
    """What becomes of an event that is about what is not there: not yet, or not any more."""
    if now - event.since >= UNTOLD_FOR:
        return Ended(event, EventState.DEAD, FORGOTTEN, now)
    return Ended(event, EventState.PENDING, FORGOTTEN, now + PAUSES[min(event.attempts, 2)])


def unwanted(event: OutboxEvent, now: float) -> Ended:
    """What becomes of an event that no webhook in force takes."""
    return Ended(event, EventState.DEAD, UNWANTED, now)


def rest(failures: int, posted: Posted, chance: float) -> float:
    """Seconds for which an endpoint is left alone that has failed so often in a row."""
    pause = spread(PAUSES[min(failures, len(PAUSES)) - 1], chance)
    if posted.retry_after is not None:
        pause = max(pause, posted.retry_after)
    return min(pause, LONGEST_REST)


def spread(pause: float, chance: float) -> float:
    """The pause, a fifth shorter or longer at most."""
    return pause * (1 + _JITTER * (2 * chance - 1))


def retry_after(text: str | None, now: float) -> float | None:
    """Seconds of a Retry-After header (RFC 9110 10.2.3); None for what is neither form of it."""
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) < 10:
        return float(text)
    try:
        at = parsedate_to_datetime(text)
        moment = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
        return max(0.0, (moment - datetime.fromtimestamp(now, UTC)).total_seconds())
    except (ValueError, OverflowError):
        return None
