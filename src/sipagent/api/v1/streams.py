"""Streams that end when whoever watches may not watch any more."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from sipagent.api.v1.ports import LiveBatches
from sipagent.model.access import Principal
from sipagent.sessions.ports import Clock

LOOK_EVERY: Final = 2.0
"""Seconds after which it is asked again, before anything more is told. With those for which an
answer is remembered, a token that is revoked is told nothing more after five."""

Good = Callable[[], Awaitable[bool]]


def not_over(by: Principal, clock: Clock) -> bool:
    """Whether a token's time is not over, which can be told also where nobody can say whether it
    was revoked: what goes on then is what was allowed."""
    return by.expires_at is None or clock.wall() < by.expires_at


@asynccontextmanager
async def while_good(
    opened: AbstractAsyncContextManager[LiveBatches], good: Good, clock: Clock
) -> AsyncIterator[LiveBatches]:
    """What is told, until it is found that it may not be told any more. There is a batch every 15
    seconds, if only an empty one, so that a silent stream ends, too."""
    async with opened as batches:
        yield _while_good(batches, good, clock)


async def _while_good(batches: LiveBatches, good: Good, clock: Clock) -> LiveBatches:
    asked_at = clock.monotonic()
    async for batch in batches:
        if clock.monotonic() - asked_at >= LOOK_EVERY:
            if not await good():
                return
            asked_at = clock.monotonic()
        yield batch
