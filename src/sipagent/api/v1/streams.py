"""Streams that end when whoever watches may not watch any more."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from sipagent.api.v1.ports import LiveBatches
from sipagent.sessions.ports import Clock

LOOK_EVERY: Final = 5.0
"""Seconds after which it is asked again, before anything more is told."""

Good = Callable[[], Awaitable[bool]]


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
